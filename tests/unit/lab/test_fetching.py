"""Verdicts of made-up fetches."""

from __future__ import annotations

import pytest

from plait.lab.fetching import COLD, WARM, judge


@pytest.mark.parametrize(
    ("cold", "warm", "broken"),
    [
        ([0.20, 0.21, 0.9], [0.15, 0.16], []),
        ([0.21], [0.199], []),  # 5 % may be noise
        ([0.22], [0.199], ["cold"]),
        ([0.20], [0.2], ["warm"]),  # faster means faster
        ([], [], ["cold", "warm"]),
    ],
)
def test_promises(cold: list[float], warm: list[float], broken: list[str]) -> None:
    took = {"routed, one": [0.2, 0.2, 1.5], "routed, two": [0.25], COLD: cold, WARM: warm}
    result = judge(100_000, took)
    assert [check.promise for check in result.checks if not check.kept] == broken
    assert [row.title for row in result.tables[0].rows] == list(took)
