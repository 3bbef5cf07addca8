from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from plait.control.devices import Neighbourhood, devices, read_leases
from plait.relay.rows import CountRow

LEASES = """1763750000 02:00:00:00:00:07 192.168.5.7 phone 01:02:00:00:00:00:07
1763750000 02:00:00:00:00:08 192.168.5.8 * *
duid 00:01:00:01
1763750000 4711 fd78::7 phone 00:01
1763750000 02:00:00:00:00:09 192.168.5.9 \x1b[31mred *
1763750000 02:00:00:00:00:0A nonsense box *
"""


def test_leases() -> None:
    assert read_leases(LEASES) == {
        "192.168.5.7": "phone",
        "02:00:00:00:00:07": "phone",
        "fd78::7": "phone",
    }
    assert read_leases("") == {}


def test_addresses_of_one_device_are_taken_together() -> None:
    counts = {
        "fd78::7": CountRow(1, 2, 30, 40),
        "192.168.5.7": CountRow(1, 1, 1, 1),
        "192.168.6.1": CountRow(0, 5, 500, 500),
        "192.168.5.8": CountRow(0, 1, 1, 2),
    }
    macs = {"192.168.5.7": "02:07", "fd78::7": "02:07", "192.168.5.8": "02:08", "192.168.5.99": "02:99"}
    found = devices(counts, {"fd78::7": (8, 16), "192.168.5.7": (1, 1)}, macs, {"02:07": "phone"})
    assert [each.name for each in found] == ["phone", "192.168.6.1", "192.168.5.8"], "the busiest first"
    phone = found[0]
    assert (phone.mac, phone.addresses) == ("02:07", ("192.168.5.7", "fd78::7"))
    assert (phone.open, phone.total, phone.up_bytes, phone.down_bytes) == (2, 3, 31, 41)
    assert (phone.up_bps, phone.down_bps) == (9, 17)
    assert (found[1].mac, found[2].mac) == ("", "02:08")


def test_neighbours_and_leases_are_read_now_and_then(tmp_path: Path) -> None:
    asked: list[int] = []

    def neighbours() -> Mapping[str, str]:
        asked.append(1)
        if len(asked) > 1:
            raise OSError("busy")
        return {"192.168.5.7": "02:00:00:00:00:07"}

    leases = tmp_path / "leases"
    leases.write_text(LEASES)
    place = Neighbourhood(neighbours, (tmp_path / "none", leases))
    counts = {"192.168.5.7": CountRow(0, 1, 1, 1)}
    assert place.devices({}, {}, 0.0) == ()
    assert not asked, "nobody is looked up for nobody"
    for now in (1.0, 2.0):
        (phone,) = place.devices(counts, {}, now)
        assert (phone.name, phone.mac) == ("phone", "02:00:00:00:00:07")
    assert len(asked) == 1
    leases.unlink()
    (phone,) = place.devices(counts, {}, 10.0)
    assert (phone.name, phone.mac) == ("192.168.5.7", "02:00:00:00:00:07"), (
        "as it was, when it can't be asked"
    )


def test_a_device_is_found_by_name_mac_and_address(tmp_path: Path) -> None:
    leases = tmp_path / "leases"
    leases.write_text(LEASES + "1 02:00:00:00:00:99 192.168.5.99 tablet *\n")
    macs = {
        "fd78::7": "02:00:00:00:00:07",
        "192.168.5.7": "02:00:00:00:00:07",
        "192.168.5.8": "02:00:00:00:00:08",
    }
    place = Neighbourhood(lambda: macs, (leases,))
    both = ("192.168.5.7", "fd78::7")
    for word in ("phone", "Phone", "02:00:00:00:00:07", "02:00:00:00:00:07".upper(), *both):
        assert place.addresses(word, 0.0) == both, word
    assert place.addresses("192.168.5.8", 0.0) == ("192.168.5.8",)
    assert place.addresses("tablet", 0.0) == ("192.168.5.99",), "it has left, and its sessions may be there"
    assert place.addresses("10.0.0.1", 0.0) == ("10.0.0.1",)
    assert place.addresses("nobody", 0.0) == ("nobody",)


def test_who_is_away_for_a_moment_stays_the_device_it_was() -> None:
    answers = [{"192.168.5.7": "02:07", "fd00::7": "02:07"}, {"192.168.5.7": "02:07"}]
    place = Neighbourhood(lambda: answers.pop(0), ())
    counts = {"192.168.5.7": CountRow(0, 1, 1, 1), "fd00::7": CountRow(0, 1, 100, 1)}
    for now in (1.0, 10.0):
        (phone,) = place.devices(counts, {}, now)
        assert phone.up_bytes == 101, "what was counted for a device never becomes less"


def test_leases_that_are_no_file_are_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "leases"
    os.mkfifo(pipe)
    place = Neighbourhood(dict, (pipe, tmp_path))
    (device,) = place.devices({"192.168.5.7": CountRow(0, 1, 1, 1)}, {}, 1.0)
    assert device.name == "192.168.5.7"
