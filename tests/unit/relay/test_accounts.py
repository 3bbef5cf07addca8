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
        "10.0.0.1": [0, 1, 1, 1],
        accounts.OTHERS: [1, 4, 3, 8],
    }
