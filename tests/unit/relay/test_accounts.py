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
    clients, exits = accounts.by_client(), accounts.by_exit()
    first, second = session("192.168.5.7", "attic", 1, 2), session("::ffff:192.168.5.7", "", 10, 20)
    for counted in (clients, exits):
        counted.ended(first)
        counted.ended(second)
    live = [session("fe80::7%lan", "attic", 100, 200)]
    assert clients.counts(live) == {"192.168.5.7": [0, 2, 11, 22], "fe80::7": [1, 1, 100, 200]}
    assert exits.counts(live) == {"attic": [1, 2, 101, 202]}
    assert exits.counts([]) == {"attic": [0, 1, 1, 2]}, "looking changes nothing"


def test_a_flood_of_clients_is_counted_together(monkeypatch: Any) -> None:
    monkeypatch.setattr(accounts, "MOST", 2)
    clients = accounts.by_client()
    for last in range(5):
        clients.ended(session(f"10.0.0.{last}", "", 1, 1))
    assert clients.counts([session("10.0.0.9", "", 0, 5), session("10.0.0.0", "", 0, 3)]) == {
        "10.0.0.0": [1, 2, 1, 4],
        "10.0.0.1": [0, 1, 1, 1],
        accounts.OTHERS: [1, 4, 3, 8],
    }
