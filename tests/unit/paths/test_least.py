"""The least of what was seen lately."""

from __future__ import annotations

from plait.paths.least import Least


def test_nothing_was_seen() -> None:
    assert Least(10.0).value(0.0) is None


def test_the_least_is_kept_for_one_to_two_windows() -> None:
    least = Least(10.0)
    for second in range(9):
        least.see(5.0 if second == 1 else 9.0, float(second))
    assert least.value(9.0) == 5.0
    for second in range(10, 19):
        least.see(9.0, float(second))
    assert least.value(19.0) == 5.0
    for second in range(20, 35):
        least.see(9.0, float(second))
    assert least.value(35.0) == 9.0


def test_without_news_the_last_is_kept() -> None:
    least = Least(10.0)
    least.see(5.0, 0.0)
    assert least.value(1000.0) == 5.0
    assert least.value(2000.0) == 5.0
