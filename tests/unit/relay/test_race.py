from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.relay.race import ATTEMPT_DELAY, DELAYS, Race, delay_for, interleave


@pytest.mark.parametrize(
    ("first", "second", "order"),
    [
        ([], [], []),
        (["a"], [], ["a"]),
        ([], ["x"], ["x"]),
        (["a", "b", "c"], ["x"], ["a", "x", "b", "c"]),
        (["a"], ["x", "y"], ["a", "x", "y"]),
    ],
)
def test_interleave(first: list[str], second: list[str], order: list[str]) -> None:
    assert interleave(first, second) == order


def test_the_second_starts_after_a_while() -> None:
    race: Race[str] = Race()
    race.offer(["a", "b"], last=True)
    assert race.due(100.0) == "a"
    assert race.due(100.0) is None
    assert race.deadline() == pytest.approx(100.0 + ATTEMPT_DELAY)
    assert race.due(100.0 + ATTEMPT_DELAY - 0.001) is None
    assert race.due(100.0 + ATTEMPT_DELAY) == "b"
    assert race.deadline() is None
    assert not race.lost


def test_a_failure_lets_the_next_one_start_at_once() -> None:
    race: Race[str] = Race()
    race.offer(["a", "b"], last=True)
    assert race.due(0.0) == "a"
    race.failed()
    assert not race.lost
    assert race.due(0.0) == "b"
    race.failed()
    assert race.lost


def test_it_is_not_lost_while_candidates_may_come() -> None:
    race: Race[str] = Race()
    race.offer([], last=False)
    assert not race.lost
    race.offer(["a"], last=False)
    assert race.due(1.0) == "a"
    race.failed()
    assert not race.lost
    race.offer(["a"], last=True)
    assert race.due(2.0) is None, "what has begun is not begun again"
    assert race.lost


def test_an_answer_that_is_held_waits_for_the_other_family() -> None:
    race: Race[str] = Race()
    race.offer(["4"], last=False, held_until=10.05)
    assert race.due(10.0) is None
    assert race.deadline() == 10.05
    race.offer(["6", "4"], last=True)
    assert race.due(10.01) == "6"


@given(st.lists(st.integers(0, 8)), st.lists(st.booleans()))
def test_each_candidate_starts_once_and_in_order(candidates: list[int], failures: list[bool]) -> None:
    race: Race[int] = Race()
    race.offer(candidates, last=True)
    begun, now, fate = [], 0.0, iter(failures)
    while (deadline := race.deadline()) is not None:
        now = max(now, deadline)
        candidate = race.due(now)
        assert candidate is not None
        begun.append(candidate)
        if next(fate, False):
            race.failed()
    assert begun == list(dict.fromkeys(candidates))


@pytest.mark.parametrize(
    ("rtt", "delay"),
    [(0.0, ATTEMPT_DELAY), (0.0001, 0.05), (0.02, 0.05), (0.03, 0.075), (0.06, 0.15), (0.3, 0.6), (2.0, 1.0)],
)
def test_the_delay_follows_the_round_trip(rtt: float, delay: float) -> None:
    assert delay_for(rtt) == delay
    assert delay in DELAYS


def test_each_candidate_gets_its_own_delay() -> None:
    race: Race[str] = Race({"near": 0.05, "far": 0.6, "last": 0.1}.__getitem__)
    race.offer(["near", "far", "last"], last=True)
    assert race.due(1.0) == "near"
    assert race.deadline() == pytest.approx(1.05)
    assert race.due(1.05) == "far"
    assert race.deadline() == pytest.approx(1.65)


def test_other_candidates_than_before() -> None:
    race: Race[str] = Race()
    race.offer(["a", "b", "c"], last=True)
    assert race.due(0.0) == "a"
    race.revise(["d", "a", "c"])
    race.failed()
    assert race.due(0.0) == "d"
    race.failed()
    assert race.due(0.0) == "c"
    race.failed()
    assert race.lost
