"""One lane in order: at most once, nothing twice, nothing held for ever."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.tunnel.resequencer import FIRST_WAIT, LEAST_WAIT, MOST_HELD, MOST_WAIT, Delivery, Resequencer


def numbers(out: list[Delivery], starts: dict[int, int]) -> list[int]:
    return [starts[token] + skip + at for token, skip, count in out for at in range(count)]


def test_what_is_next_goes_on_at_once() -> None:
    lane = Resequencer(0, 0.0)
    assert lane.add(0, 10, 1, 0.0) == ([Delivery(1, 0, 10)], 0)
    assert lane.add(10, 1, 2, 0.0) == ([Delivery(2, 0, 1)], 0)
    assert lane.deadline() is None


def test_what_is_early_waits_for_what_is_before_it() -> None:
    lane = Resequencer(0, 0.0)
    assert lane.add(4, 4, 1, 1.0) == ([], 1)
    assert lane.deadline() == pytest.approx(1.0 + min(MOST_WAIT, 2 * FIRST_WAIT))
    assert lane.add(0, 4, 2, 1.1) == ([Delivery(2, 0, 4), Delivery(1, 0, 4)], 0)
    assert lane.deadline() is None
    assert lane.next == 8


def test_a_second_copy_goes_nowhere() -> None:
    lane = Resequencer(0, 0.0)
    lane.add(4, 4, 1, 0.0)
    assert lane.add(4, 4, 2, 0.0) == ([], 0)
    lane.add(0, 4, 3, 0.0)
    assert lane.add(2, 6, 4, 0.0) == ([], 0)


def test_only_what_is_new_of_a_run_is_taken() -> None:
    lane = Resequencer(0, 0.0)
    lane.add(0, 2, 1, 0.0)
    lane.add(4, 2, 2, 0.0)
    assert lane.add(1, 8, 3, 0.0) == ([Delivery(3, 1, 2), Delivery(2, 0, 2), Delivery(3, 5, 3)], 0)
    assert lane.next == 9


def test_a_run_held_in_pieces_says_so() -> None:
    lane = Resequencer(0, 0.0)
    lane.add(4, 2, 1, 0.0)
    assert lane.add(2, 6, 2, 0.0) == ([], 2)
    assert lane.add(0, 2, 3, 0.0)[0] == [
        Delivery(3, 0, 2),
        Delivery(2, 0, 2),
        Delivery(1, 0, 2),
        Delivery(2, 4, 2),
    ]


def test_a_gap_is_given_up() -> None:
    lane = Resequencer(0, 0.0)
    lane.add(1, 1, 1, 1.0)
    lane.add(3, 1, 2, 1.01)
    due = lane.deadline()
    assert due is not None
    assert lane.poll(due - 0.001) == []
    assert lane.poll(due) == [Delivery(1, 0, 1)]
    second = lane.deadline()
    assert second == pytest.approx(due + 0.01)  # as old as what waits behind it
    assert second is not None
    assert lane.poll(second) == [Delivery(2, 0, 1)]
    assert lane.given_up == 2
    assert lane.add(0, 1, 3, 3.0) == ([], 0)


def test_how_long_it_waits_is_learnt() -> None:
    lane = Resequencer(0, 0.0)
    number, now = 0, 0.0
    for _ in range(400):
        lane.add(number + 1, 1, 1, now)
        lane.add(number, 1, 2, now + 0.010)
        number, now = number + 2, now + 0.1
    assert lane.wait == LEAST_WAIT
    lane.add(number + 1, 1, 1, now)
    lane.add(number, 1, 2, now + 0.090)
    assert lane.wait == pytest.approx(0.180)


def test_it_learns_from_what_came_too_late() -> None:
    lane = Resequencer(0, 0.0)
    lane.add(1, 1, 1, 0.0)
    lane.poll(1.0)
    lane.add(0, 1, 2, 0.35)
    assert lane.wait == MOST_WAIT


def test_it_holds_so_many_runs_and_no_more() -> None:
    lane = Resequencer(0, 0.0)
    out = []
    for run in range(MOST_HELD + 2):
        out += lane.add(1 + 2 * run, 1, run, 0.0)[0]
    assert out == [Delivery(0, 0, 1), Delivery(1, 0, 1)]


def test_what_is_flushed_is_all() -> None:
    lane = Resequencer(0, 0.0)
    lane.add(5, 1, 1, 0.0)
    lane.add(9, 1, 2, 0.0)
    assert lane.flush() == [Delivery(1, 0, 1), Delivery(2, 0, 1)]
    assert lane.deadline() is None


@given(
    st.lists(st.tuples(st.integers(0, 80), st.integers(1, 12)), max_size=60),
    st.integers(0, 1 << 30),
)
def test_at_most_once_and_in_order(runs: list[tuple[int, int]], seed: int) -> None:
    """Whatever comes, however often, with pauses or without; and tokens are accounted for."""
    draw = random.Random(seed)
    lane = Resequencer(0, 0.0)
    starts: dict[int, int] = {}
    owed: dict[int, int] = {}
    came: list[int] = []
    now = 0.0
    for token, (number, count) in enumerate(runs):
        starts[token] = number
        before = lane.next
        out, kept = lane.add(number, count, token, now)
        owed[token] = kept + sum(1 for each in out if each.token == token)
        came += numbers(out, starts)
        assert lane.next >= before
        now += draw.choice((0.0, 0.001, 0.5))
        more = lane.poll(now)
        came += numbers(more, starts)
        for each in (*out, *more):
            owed[each.token] -= 1
    for each in lane.poll(now + MOST_WAIT + 1):
        came += numbers([each], starts)
        owed[each.token] -= 1
    assert came == sorted(set(came))
    assert all(left == 0 for left in owed.values())
    assert lane.deadline() is None
