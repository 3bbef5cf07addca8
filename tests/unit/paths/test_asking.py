"""How often paths are probed, and where at once."""

from __future__ import annotations

from itertools import pairwise

import pytest

from plait.paths import asking
from plait.paths.asking import Bursts, next_handshake, pace
from plait.paths.pair import Pair
from plait.paths.standing import Condition


def pair(
    state: Condition, *, since: float = 0.0, missed: bool = False, good: int = 0, echoing: bool = True
) -> Pair:
    made = Pair("attic", "wan1", since)
    made.enter(state, since)
    made.echoing = echoing
    if missed:
        made.unanswered(since + 1.0)
    made.good = good
    return made


@pytest.mark.parametrize(
    ("given", "metered", "witness", "expected"),
    [
        (pair(Condition.UP), False, False, asking.PACE),
        (pair(Condition.UP), True, False, asking.PACE_METERED),
        (pair(Condition.UP), True, True, asking.PACE_WITNESS),
        (pair(Condition.UP, missed=True), True, False, asking.PACE_DOUBT),
        (pair(Condition.DOWN, since=0.0), False, False, asking.PACE_SILENT),
        (pair(Condition.DOWN, since=-300.0), False, False, asking.PACE),
        (pair(Condition.LOST, since=-300.0), True, False, asking.PACE_METERED),
        (pair(Condition.RETURNING), False, False, asking.PACE_DOUBT),
        (pair(Condition.RETURNING, good=3), False, False, asking.PACE / 2),
    ],
)
def test_pace(given: Pair, metered: bool, witness: bool, expected: float) -> None:
    assert pace(metered, [given], 10.0, witness=witness) == expected


def test_the_most_urgent_exit_sets_the_pace() -> None:
    assert pace(False, [pair(Condition.UP), pair(Condition.UP, missed=True)], 10.0, witness=False) == 0.05
    assert pace(False, [], 10.0, witness=False) == asking.PACE


@pytest.mark.parametrize(
    ("given", "echoless", "expected"),
    [
        (None, False, 105.0),
        (pair(Condition.UP), False, None),
        (pair(Condition.UP), True, 105.0),
        (pair(Condition.UP, echoing=False), False, 105.0),
        (pair(Condition.UP, echoing=False, missed=True), False, 100.5),
        (pair(Condition.LOST, echoing=False), False, 100.5),
        (pair(Condition.DOWN, since=99.0), False, 105.0),
        (pair(Condition.DOWN, since=103.0), False, 108.0),
    ],
)
def test_handshakes_where_there_are_no_echoes(
    given: Pair | None, echoless: bool, expected: float | None
) -> None:
    assert next_handshake(given, 100.0, echoless=echoless, witness=False) == expected


def test_handshakes_of_a_witness() -> None:
    assert next_handshake(pair(Condition.UP), 100.0, echoless=True, witness=True) == 100.5
    assert next_handshake(pair(Condition.UP), 100.0, echoless=False, witness=True) is None


def test_a_missing_answer_asks_for_a_burst_twice_a_second_at_most() -> None:
    bursts = Bursts()
    asked = []
    for step in range(20):
        bursts.strong("wan1", step * 0.1)
        asked.append(bursts.take())
    assert asked.count(("wan1",)) == 4


def test_pauses_that_meant_nothing_are_looked_after_ever_less() -> None:
    bursts = Bursts()
    times = []
    for step in range(3000):
        bursts.weak("wan1", step * 0.1)
        if bursts.take():
            times.append(step * 0.1)
    gaps = [b - a for a, b in pairwise(times)]
    assert gaps[:3] == [pytest.approx(each, abs=0.2) for each in (2.0, 4.0, 8.0)]
    assert gaps[-1] == pytest.approx(60.0, abs=0.2)
    bursts.weak("wan1", 1000.0)
    bursts.take()
    bursts.weak("wan1", 1002.1)
    assert bursts.take() == ("wan1",)


def test_a_pause_that_was_a_silence_is_looked_after_as_soon_the_next_time() -> None:
    bursts = Bursts()
    for step in range(600):
        bursts.weak("wan1", step * 0.1)
    bursts.take()
    bursts.drop("wan1")
    bursts.weak("wan1", 62.1)
    assert bursts.take() == ("wan1",)


def test_what_is_taken_or_dropped_is_not_asked_again() -> None:
    bursts = Bursts()
    bursts.now("wan1")
    bursts.now("wan2")
    bursts.drop("wan2")
    assert bursts.take() == ("wan1",)
    assert bursts.take() == ()
