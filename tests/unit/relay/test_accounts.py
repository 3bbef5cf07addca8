"""What a worker counts of clients and exits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from plait.relay import accounts


def session(peer: str, exit: str, up: int, down: int) -> Any:
    return SimpleNamespace(
        peer=peer, exit=exit, up=SimpleNamespace(count=up), down=SimpleNamespace(count=down)
    )


def test_the_ended_and_the_open_are_added_up() -> None:
    counted = accounts.Accounts()
    counted.ended(session("192.168.5.7", "attic", 1, 2))
    counted.ended(session("::ffff:192.168.5.7", "", 10, 20))
    live = [session("fe80::7%lan", "attic", 100, 200), session("fe80::7%lan", "", 5, 6)]
    clients, exits, up, down = counted.counts(live)
    assert clients == {"192.168.5.7": [0, 2, 11, 22], "fe80::7": [2, 2, 105, 206]}
    assert exits == {"attic": [1, 2, 101, 202]}
    assert (up, down) == (105, 206)
    assert counted.counts([])[1] == {"attic": [0, 1, 1, 2]}, "looking changes nothing"


def test_a_flood_of_clients_is_counted_together(monkeypatch: Any) -> None:
    monkeypatch.setattr(accounts, "MOST", 2)
    counted = accounts.Accounts()
    for last in range(5):
        counted.ended(session(f"10.0.0.{last}", "", 1, 1))
    assert counted.counts([session("10.0.0.9", "", 0, 5), session("10.0.0.0", "", 0, 3)])[0] == {
        "10.0.0.0": [1, 2, 1, 4],
        accounts.OTHERS: [1, 5, 4, 9],
    }


def test_addresses_of_a_day_do_not_keep_out_who_comes_later(monkeypatch: Any) -> None:
    monkeypatch.setattr(accounts, "MOST", 8)
    counted = accounts.Accounts()
    for day in range(50):
        counted.ended(session(f"2001:db8::{day:x}", "", 1, 1))
        counted.ended(session("10.0.0.7", "", 100, 100))
    counted.ended(session("10.0.0.8", "", 5, 5))
    clients = counted.counts([])[0]
    assert clients["10.0.0.7"] == [0, 50, 5000, 5000]
    assert clients["10.0.0.8"] == [0, 1, 5, 5]
    assert len(clients) <= 8
    assert [sum(each) for each in zip(*clients.values(), strict=True)] == [0, 101, 5055, 5055], "none is lost"
