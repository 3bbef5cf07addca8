"""Who lodges at an exit, and for how long."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest

from plait.courier import inn as module
from plait.courier.cargo import load
from plait.courier.inn import Inn, Lodger
from plait.courier.tally import Tally
from plait.courier.tun import Tun
from plait.kernel.tun import HEADER
from plait.relay.loop import Loop
from plait.wire.datagram import Session


@pytest.fixture
def inn() -> Iterator[Inn]:
    """One with room for five."""
    loop = Loop()
    near, far = socket.socketpair()
    yield Inn(
        loop,
        Tun(loop, near.fileno(), Tally()),
        Tally(),
        [ip_network("10.9.0.0/29"), ip_network("fd09::/64")],
        1400,
    )
    near.close()
    far.close()
    loop.close()


def arrive(inn: Inn, number: int, user: str = "") -> Lodger | None:
    return inn.arrived(
        (user, bytes([number]) * 16),
        5,
        Session.plain(1, 2),
        lambda path, buffers, size: None,
        lambda path: None,
    )


def test_everybody_has_an_address_of_his_own(inn: Inn) -> None:
    found = [arrive(inn, number) for number in range(5)]
    assert len({address for lodger in found if lodger for address in lodger.addresses}) == 10
    for lodger in found:
        assert lodger is not None
        assert [address.network for address in lodger.addresses] == [
            ip_network("10.9.0.0/29"),
            ip_network("fd09::/64"),
        ]
    assert arrive(inn, 0) is found[0]
    assert arrive(inn, 5) is None


def test_who_is_gone_for_long_makes_room(inn: Inn) -> None:
    found = [arrive(inn, number) for number in range(5)]
    assert arrive(inn, 5) is None
    for lodger in found[1:]:
        assert lodger is not None
        lodger.seen += module._FORGET + 1
    inn._loop.now += module._FORGET + 1
    newcomer = arrive(inn, 5)
    assert newcomer is not None
    assert found[0] is not None
    assert newcomer.addresses[0] == found[0].addresses[0]
    assert arrive(inn, 1) is found[1]


def test_nobody_keeps_others_out_by_calling_himself_many(inn: Inn) -> None:
    found = [arrive(inn, number, user="mallory") for number in range(5)]
    assert found[3] is not None
    found[3].seen -= 1
    roof = arrive(inn, 0, user="roof")
    assert roof is not None
    assert roof.addresses[0] == found[3].addresses[0], "of the one that was not heard for longest"
    assert found[3].haul is None
    assert arrive(inn, 1, user="roof") is not None
    assert arrive(inn, 2, user="roof") is None, "by now each has as many as is fair"
    assert arrive(inn, 7, user="mallory") is None


def test_who_is_barred_has_no_tunnel_until_he_is_not(inn: Inn) -> None:
    who = ("roof", bytes([0]) * 16)
    assert inn.epoch(who)
    lodger, other = arrive(inn, 0, user="roof"), arrive(inn, 1, user="cellar")
    assert lodger is not None
    assert other is not None
    epoch = inn.epoch(who)
    inn.bar(frozenset({"roof"}))
    assert lodger.haul is None
    assert other.haul is not None
    assert inn.epoch(who) == 0
    assert arrive(inn, 0, user="roof") is None
    inn.bar(frozenset())
    assert inn.epoch(who) not in (0, epoch), "we count anew: it must learn that, and begin anew as well"
    again = arrive(inn, 0, user="roof")
    assert again is lodger
    assert lodger.haul is not None


def test_nothing_is_sent_to_one_whose_last_session_has_ended(inn: Inn) -> None:
    lodger = arrive(inn, 0)
    assert lodger is not None
    assert lodger.haul is not None
    former, epoch = lodger.haul.session, lodger.own_epoch
    arrive(inn, 0)
    assert former is not None
    inn.left(lodger, former)
    assert lodger.haul is not None, "there is a newer one"
    newest = lodger.haul.session
    assert newest is not None
    inn.left(lodger, newest)
    assert lodger.haul is None
    assert lodger.own_epoch != epoch
    again = arrive(inn, 0)
    assert again is lodger, "who comes back has the addresses he had"


def test_what_is_carried_is_counted_by_user(inn: Inn, monkeypatch: pytest.MonkeyPatch) -> None:
    lodger = arrive(inn, 0, user="roof")
    assert lodger is not None
    assert lodger.haul is not None
    written: list[object] = []
    monkeypatch.setattr(inn._tun, "write", written.append)
    packet = [bytes(HEADER), bytes(28), bytes(1000)]
    inn._out(lodger, packet)
    assert written == [packet]
    monkeypatch.setattr(lodger.haul, "take", written.append)
    address = lodger.addresses[0].ip.packed
    cargo = load(bytes(HEADER) + bytes((0x45, *bytes(15), *address)) + bytes(480))
    assert cargo is not None
    inn._taken(cargo)
    assert written[1:] == [cargo]
    assert (dict(inn.up), dict(inn.down)) == ({"roof": 1028}, {"roof": 500})
    inn.bar(frozenset({"roof"}))
    inn._taken(cargo)
    assert inn.down["roof"] == 500


def test_who_says_first_what_is_behind_him_has_it(inn: Inn) -> None:
    inn.networks = (ip_network("192.168.0.0/16"), ip_network("fd05::/48"))
    first, second = arrive(inn, 1), arrive(inn, 2)
    assert first is not None
    assert second is not None
    asked = [ip_network(each) for each in ("192.168.5.0/24", "fd05::/64", "10.0.0.0/8", "0.0.0.0/0")]
    inn._claim(first, asked)
    assert inn._tally.strangers["not its network"] == 2
    inn._claim(second, [ip_network("192.168.5.128/25"), ip_network("192.168.6.0/24")])
    assert inn._tally.strangers["not its network"] == 3
    owners = {
        "192.168.5.1": first,
        "192.168.5.200": first,
        "192.168.6.1": second,
        "192.168.7.1": None,
        "fd05::1": first,
        "10.1.1.1": None,
    }
    for address, owner in owners.items():
        assert inn._lodger_of(ip_address(address).packed) is owner, address
    haul = second.haul
    assert haul is not None
    assert haul._landing._admit(ip_address("192.168.6.9").packed)
    assert not haul._landing._admit(ip_address("192.168.5.9").packed), "somebody else's"
    inn._claim(first, [])
    assert inn._lodger_of(ip_address("192.168.5.1").packed) is None
    inn._claim(second, [ip_network("192.168.5.128/25")])
    assert inn._lodger_of(ip_address("192.168.5.200").packed) is second
