"""What a worker counts of users."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from plait.relay.allowance import CELLS
from plait.relay.users import Users


def session(user: str | None, up: int, down: int) -> Any:
    return SimpleNamespace(user=user, up=SimpleNamespace(count=up), down=SimpleNamespace(count=down))


def test_counts_are_those_of_the_ended_and_of_the_open() -> None:
    users = Users()
    users.ended(session("roof", 1, 2))
    users.ended(session("roof", 10, 20))
    users.ended(session("", 5, 5))
    users.ended(session(None, 99, 99))
    live = [session("roof", 100, 200), session("cellar", 7, 8), session(None, 1, 1)]
    assert users.counts(live) == {"roof": [1, 3, 111, 222], "": [0, 1, 5, 5], "cellar": [1, 1, 7, 8]}
    assert users.counts([]) == {"roof": [0, 2, 11, 22], "": [0, 1, 5, 5]}, "looking changes nothing"


def test_limits_are_those_of_users_with_a_rate() -> None:
    memory = memoryview(bytearray(2 * CELLS * 8)).cast("d")
    users = Users({"roof": 8_000_000}, {"roof": CELLS}, memory)
    found = users.limits("roof")
    assert found is not None
    found[0].allowance.spend(1000, 100.0)
    found[1].allowance.spend(2000, 100.0)
    assert list(memory) == pytest.approx([0] * CELLS + [100.001, 100.002, 0, 100.002, 100.004, 0])
    assert users.limits("") is None
    assert users.limits(None) is None
