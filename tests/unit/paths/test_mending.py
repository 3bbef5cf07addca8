from __future__ import annotations

from itertools import pairwise

import pytest

from plait.paths.mending import Lack, Mending

SOUND = {"wan1", "wan2"}


def complain(mending: Mending, since: float, until: float, *lacks: Lack, name: str = "wan2") -> list[float]:
    """Workers that say the same every second, asked after each; when mending was due."""
    done = []
    at = since
    while at <= until:
        for worker, lack in enumerate(lacks):
            mending.report(worker, {name: lack}, at)
        done += [at for found in mending.due(at, SOUND) if found == name]
        at += 1.0
    return done


@pytest.mark.parametrize(
    ("lacks", "due"),
    [
        ([Lack(1, 1, 0.2)], False),
        ([Lack(1, 1, 0.3)], True),
        ([Lack(300, 300, 0.3)], True),
        # Half of them are well, and move: twice the patience.
        ([Lack(5, 10, 0.5, moving=5)], False),
        ([Lack(5, 10, 0.6, moving=5)], True),
        # Those that are at rest are not disturbed.
        ([Lack(5, 1000, 0.3)], True),
        # One of fifty.
        ([Lack(1, 50, 14.9, moving=49)], False),
        ([Lack(1, 50, 15.0, moving=49)], True),
        # One of a thousand: not forgotten either.
        ([Lack(1, 1000, 29.0, moving=999)], False),
        ([Lack(1, 1000, 30.0, moving=999)], True),
        # … and not let wait at all when it stands still.
        ([Lack(1, 1000, 0.3, moving=999, stranded=1)], True),
        # Two workers are asked as one.
        ([Lack(1, 1, 0.5), Lack(1, 3, 0.1, moving=2)], False),
        ([Lack(1, 1, 0.5), Lack(1, 1, 0.1)], True),
        # It has come back by itself.
        ([Lack(0, 1, 9.0, gained=1)], False),
    ],
)
def test_patience_is_a_matter_of_how_many_are_well(lacks: list[Lack], due: bool) -> None:
    assert bool(complain(Mending(), 100.0, 100.0, *lacks)) == due


@pytest.mark.parametrize(
    ("lack", "done"),
    [
        # Nobody has ever had one there.
        (Lack(3, 3, 9.0), [0, 1, 2, 4, 8, 16, 32, 64, 124, 184, 244]),
        # Others have one, so it can be had.
        (Lack(3, 9, 9.0), [0, 1, 2, 4, 8, 16, *range(26, 301, 10)]),
        # … but they are many, and move.
        (Lack(1, 60, 99.0, moving=59), [0, 1, 2, 4, 8, 16, 32, *range(50, 301, 18)]),
        # They have none at all: nothing is worse than to stand still.
        (Lack(3, 3, 9.0, stranded=1), [0, 1, 2, 4, 8, *range(13, 301, 5)]),
    ],
)
def test_what_does_not_help_is_done_more_seldom_by_what_is_at_stake(lack: Lack, done: list[float]) -> None:
    mending = Mending()
    assert complain(mending, 0.0, 300.0, lack) == done
    assert mending.hopeless("wan2")
    assert not mending.hopeless("wan1")


def test_that_it_helped_once_is_enough_to_begin_anew() -> None:
    mending = Mending()
    assert complain(mending, 0.0, 20.0, Lack(3, 3, 9.0))[-1] == 16.0
    assert mending.hopeless("wan2")
    mending.report(0, {"wan2": Lack(0, 3, 0.0, gained=3)}, 20.5)
    assert not mending.hopeless("wan2")
    assert complain(mending, 21.0, 24.0, Lack(3, 3, 9.0)) == [21.0, 22.0, 23.0]


def test_what_dies_again_each_time_is_mended_each_time_but_not_for_ever_so_often() -> None:
    mending = Mending()
    done = []
    for tick in range(4 * 120):
        now = tick / 4
        mending.report(0, {"wan2": Lack(1, 2, 0.9, moving=1, gained=tick % 2)}, now)
        done += [now for _ in mending.due(now, SOUND)]
    assert max(b - a for a, b in pairwise(done)) <= 5.0
    assert sum(at < 12.0 for at in done) >= 11
    assert sum(at >= 60.0 for at in done) <= 42


def test_a_fresh_endpoint_gets_its_time_and_an_old_report_has_no_say() -> None:
    mending = Mending()
    mending.report(0, {"wan2": Lack(1, 1, 5.0)}, 10.0)
    mending.renewed("wan2", 10.0)
    assert mending.due(11.5, SOUND) == []
    mending.report(0, {"wan2": Lack(1, 1, 0.9)}, 12.0)
    assert mending.due(15.5, SOUND) == [], "the worker has gone since"
    mending.report(0, {"wan2": Lack(1, 1, 0.9)}, 16.0)
    assert mending.due(16.0, SOUND) == ["wan2"]


def test_who_lacks_nothing_any_more_is_not_mended() -> None:
    mending = Mending()
    mending.report(0, {"wan2": Lack(1, 1, 5.0)}, 10.0)
    mending.report(0, {}, 10.2)
    assert mending.due(10.2, SOUND) == []


def test_a_path_in_doubt_is_not_tried_and_nothing_counted_against_it() -> None:
    mending = Mending()
    for second in range(30):
        mending.report(0, {"wan2": Lack(1, 1, 9.0)}, float(second))
        assert mending.due(float(second), {"wan1"}) == []
    assert not mending.hopeless("wan2")
    assert mending.due(29.5, SOUND) == ["wan2"]


@pytest.mark.parametrize(
    ("moving", "done"),
    [
        (1, [(5.0, "wan1"), (5.75, "wan2"), (6.5, "wan1")]),
        # Nobody has anything to lose.
        (0, [(5.0, "wan1"), (5.0, "wan2"), (6.0, "wan1"), (6.0, "wan2")]),
    ],
)
def test_who_moves_does_not_lose_two_paths_at_once(moving: int, done: list[tuple[float, str]]) -> None:
    mending = Mending()
    lack = Lack(1, 2, 1.0, stranded=1, moving=moving)
    found = []
    for tick in range(8):
        now = 5.0 + tick / 4
        mending.report(0, {"wan1": lack, "wan2": lack}, now)
        found += [(now, name) for name in mending.due(now, SOUND)]
    assert found == done
