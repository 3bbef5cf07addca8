"""The plan of flaps, and the verdict on what became of the connections."""

from __future__ import annotations

import pytest

from plait.lab.flapping import KINDS, judge, plan


def test_the_same_seed_gives_the_same_flaps() -> None:
    flaps = plan(1, 100, 2)
    assert flaps == plan(1, 100, 2) != plan(2, 100, 2)
    assert {flap.link for flap in flaps} == {0, 1}
    assert {flap.kind for flap in flaps} == set(KINDS)
    assert all(0.1 <= flap.lasts <= 1.5 and 0.1 <= flap.pause <= 1.0 for flap in flaps)


@pytest.mark.parametrize(
    ("bulk", "back", "other", "broken"),
    [
        (0, 1.0, {}, []),
        (0, 1.0, {"lost": ["reset"]}, ["quiet connections lost"]),
        (0, 1.0, {"heard": 0}, ["quiet connections lost"]),
        (0, 1.0, {"wrong": 1}, ["answers wrong or missing"]),
        (1, 1.0, {}, ["bulk connections lost"]),
        (0, None, {}, ["90 % of full speed again"]),
    ],
)
def test_promises(bulk: int, back: float | None, other: dict[str, object], broken: list[str]) -> None:
    talkers = {"connections": 20, "lost": [], "wrong": 0, "heard": 5000, "longest_s": 0.4} | other
    result = judge(plan(1, 10, 2), bulk, back, talkers)
    assert [check.promise for check in result.checks if not check.kept] == broken
