"""The words of a verdict."""

from __future__ import annotations

import pytest

from plait.lab.result import Result, median, spread


@pytest.mark.parametrize(
    ("values", "factor", "unit", "text"),
    [
        ([], 1, "s", "never"),
        ([None], 1, "s", "never"),
        ([0.05], 1000, "ms", "50, at most 50 ms"),
        ([0.05, 0.06, 0.3], 1000, "ms", "60, at most 300 ms"),
        ([0.5, None, 1.5], 1, "s", "1.0, at most 1.5 s, 1 never"),
    ],
)
def test_spread(values: list[float | None], factor: float, unit: str, text: str) -> None:
    assert spread(values, factor, unit) == text


def test_median_of_nothing() -> None:
    assert median([]) == 0.0


def test_one_broken_promise_breaks_all() -> None:
    result = Result()
    assert result.judged("down", "stall", "9 ms", "≤ 10 ms", True).kept is True
    assert result.passed
    assert result.judged("up", "stall", "11 ms", "≤ 10 ms", False).text == "11 ms"
    assert not result.passed
