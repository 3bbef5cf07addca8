"""The window of numbers seen: against a set, and at its edges."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plait.tunnel.dedupe import WINDOW, Seen

runs = st.lists(st.tuples(st.integers(0, 300), st.integers(1, 64)), max_size=60)


@given(runs)
def test_each_number_is_new_once(given_runs: list[tuple[int, int]]) -> None:
    seen, known = Seen(), set[int]()
    for number, count in given_runs:
        new = [number + at for offset, size in seen.add(number, count) for at in range(offset, offset + size)]
        assert new == [each for each in range(number, number + count) if each not in known]
        known.update(range(number, number + count))
    assert seen.next == max(known, default=-1) + 1


def test_what_is_older_than_the_window_counts_as_seen() -> None:
    seen = Seen()
    assert seen.add(WINDOW, 1) == [(0, 1)]
    assert seen.add(1, 1) == [(0, 1)]
    assert seen.add(0, 1) == []
    assert seen.add(1, 1) == []


def test_a_leap_forgets_all() -> None:
    seen = Seen()
    seen.add(0, 3)
    assert seen.add(10 * WINDOW, 2) == [(0, 2)]
    assert seen.add(10 * WINDOW, 2) == []
    assert seen.add(10 * WINDOW - 5, 5) == [(0, 5)]
