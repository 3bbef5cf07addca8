"""Verdicts of made-up mishaps."""

from __future__ import annotations

import pytest

from plait.lab.lasting import Hurt
from plait.lab.renumbering import judge


@pytest.mark.parametrize(
    ("stall", "back", "lost", "broken"),
    [
        (0.5, 2.0, 0, []),
        (0.51, 2.0, 0, ["reset: stall"]),
        (0.1, 2.1, 0, ["reset: return"]),
        (0.1, None, 0, ["reset: return"]),
        (0.1, 1.0, 2, ["connections lost"]),
    ],
)
def test_promises(stall: float, back: float | None, lost: int, broken: list[str]) -> None:
    hurts = [Hurt(stall=0.1, back=1.0, stall_back=0.0), Hurt(stall=stall, back=back, stall_back=0.0)]
    result = judge(["reset"], {"reset": {"up": hurts}}, {"up": lost})
    assert [check.promise for check in result.checks if not check.kept] == broken
