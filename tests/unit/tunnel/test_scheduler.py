"""Which path a run takes."""

from __future__ import annotations

import pytest

from plait.tunnel.congestion import Pace
from plait.tunnel.flight import Parcel
from plait.tunnel.frames import Treatment
from plait.tunnel.scheduler import SLACK, UNKNOWN_LAG, Mode, Way, choose, rank, soonest, usable, wake


def way(number: int, owd: float | None = None, rate: float = 1e6, mode: Mode = Mode.ON) -> Way:
    made = Way(number, 0.0)
    made.mode = mode
    made.pace.rate = rate
    if owd is not None:
        made.pace.estimate.sample(2 * owd, 100.0 + owd)
    return made


def busy(each: Way, until: float) -> Way:
    each.pace.next_at = until
    return each


def full(each: Way) -> Way:
    each.flight.sent(Parcel(each.id, 1, 0, 1, 1 << 30, Treatment.LOOSE, 0, 0, 0), 0, 0.0)
    return each


@pytest.mark.parametrize(
    ("modes", "silent", "down", "expected"),
    [
        ("on on", (), (), [0, 1]),
        ("on master backup", (), (), [0, 1]),
        ("on backup handover", (), (0,), [1, 2]),
        ("on backup", (0,), (), [1]),
        ("on on", (0,), (), [1]),
        ("on on", (0, 1), (), [0, 1]),
        ("on backup", (0, 1), (), [0]),
        ("off on", (), (), [1]),
        ("off off", (), (), []),
        ("on", (), (0,), []),
    ],
)
def test_usable(modes: str, silent: tuple[int, ...], down: tuple[int, ...], expected: list[int]) -> None:
    ways = [way(number, mode=Mode[word.upper()]) for number, word in enumerate(modes.split())]
    for each in ways:
        each.silent = each.id in silent
        each.up = each.id not in down
    assert [each.id for each in usable(ways)] == expected


def test_ranks() -> None:
    ways = [way(0, 0.030), way(1), way(2, 0.010)]
    assert rank(ways) == UNKNOWN_LAG
    assert [each.id for each in ways] == [2, 0, 1]
    assert [each.lag for each in ways] == pytest.approx([0.0, 0.020, UNKNOWN_LAG])
    nothing_known = [way(0), way(1)]
    assert rank(nothing_known) == 0.0
    assert rank([]) == 0.0


def test_little_waits_for_the_fast_path_and_much_does_not() -> None:
    fast, slow = busy(way(0, 0.010), 5.001), way(1, 0.030)
    ways = [fast, slow]
    rank(ways)
    enough = 1e6 * (0.020 - SLACK)
    assert choose(ways, int(enough) - 10, 5.0) is None
    assert wake(ways, int(enough) - 10) == 5.001
    assert choose(ways, int(enough) + 10, 5.0) is slow
    assert wake(ways, int(enough) + 10) == 0.0
    assert choose(ways, 10, 5.001) is fast


def test_paths_as_fast_share_at_once() -> None:
    one, other = way(0, 0.0100), way(1, 0.0105)
    ways = [one, other]
    rank(ways)
    assert choose(ways, 100, 5.0) is one
    busy(one, 6.0)
    assert choose(ways, 100, 5.0) is other


def test_a_full_window_waits_for_an_ack() -> None:
    one = full(way(0, 0.010))
    assert choose([one], 100, 5.0) is None
    assert wake([one], 100) is None


def test_copies_take_the_two_soonest() -> None:
    ways = [busy(way(0, 0.010), 5.050), way(1, 0.030), way(2, 0.040)]
    rank(ways)
    assert [each.id for each in soonest(ways, 5.0, 2)] == [1, 2]
    assert [each.id for each in soonest(ways[:1], 5.0, 2)] == [0]
    assert soonest([], 5.0, 2) == []


def test_a_new_path_has_a_pace_of_its_own() -> None:
    assert way(0).pace is not way(1).pace
    assert isinstance(way(0).pace, Pace)
