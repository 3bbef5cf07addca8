from __future__ import annotations

import pytest

from plait.paths.mending import Lack, Mending


def complain(mending: Mending, since: float, until: float, *lacks: Lack, name: str = "wan2") -> list[float]:
    """Workers that say the same every second, asked after each; when mending was due."""
    done = []
    at = since
    while at <= until:
        for worker, lack in enumerate(lacks):
            mending.report(worker, {name: lack}, at)
        done += [at for found in mending.due(at) if found == name]
        at += 1.0
    return done


@pytest.mark.parametrize(
    ("lacks", "due"),
    [
        ([Lack(1, 1, 0.4)], False),
        ([Lack(1, 1, 0.5)], True),
        ([Lack(300, 300, 0.5)], True),
        # Half of them are well: twice the patience.
        ([Lack(5, 10, 0.9)], False),
        ([Lack(5, 10, 1.0)], True),
        # One of fifty.
        ([Lack(1, 50, 24.9)], False),
        ([Lack(1, 50, 25.0)], True),
        # One of a thousand: not forgotten either.
        ([Lack(1, 1000, 29.0)], False),
        ([Lack(1, 1000, 30.0)], True),
        # Two workers are asked as one.
        ([Lack(1, 1, 0.6), Lack(1, 3, 0.1)], False),
        ([Lack(1, 1, 0.6), Lack(1, 1, 0.1)], True),
    ],
)
def test_patience_is_a_matter_of_how_many_are_well(lacks: list[Lack], due: bool) -> None:
    assert bool(complain(Mending(), 100.0, 100.0, *lacks)) == due


def test_what_does_not_help_is_done_ever_more_seldom() -> None:
    mending = Mending()
    done = complain(mending, 0.0, 300.0, Lack(3, 3, 9.0))
    assert done == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
    assert mending.hopeless("wan2")
    assert not mending.hopeless("wan1")


def test_a_path_that_is_well_again_for_a_while_is_met_afresh() -> None:
    mending = Mending()
    assert len(complain(mending, 0.0, 20.0, Lack(3, 3, 9.0))) == 5
    mending.report(0, {}, 32.0)
    assert mending.due(45.0) == []
    assert not mending.hopeless("wan2")
    assert complain(mending, 50.0, 52.0, Lack(3, 3, 9.0)) == [50.0, 51.0]


def test_flapping_does_not_get_round_the_pause() -> None:
    mending = Mending()
    done = []
    for second in range(120):
        mending.report(0, {"wan2": Lack(1, 1, 1.0)} if second % 2 else {}, float(second))
        done += mending.due(float(second))
    assert len(done) < 9


def test_a_fresh_endpoint_gets_its_time_and_an_old_report_has_no_say() -> None:
    mending = Mending()
    mending.report(0, {"wan2": Lack(1, 1, 5.0)}, 10.0)
    mending.renewed("wan2", 10.0)
    assert mending.due(11.5) == []
    mending.report(0, {"wan2": Lack(1, 1, 0.9)}, 12.0)
    assert mending.due(15.5) == [], "the worker has gone since"
    mending.report(0, {"wan2": Lack(1, 1, 0.9)}, 16.0)
    assert mending.due(16.0) == ["wan2"]


def test_paths_do_not_wait_for_each_other() -> None:
    mending = Mending()
    mending.report(0, {"wan1": Lack(1, 1, 1.0), "wan2": Lack(1, 1, 0.1)}, 5.0)
    assert mending.due(5.0) == ["wan1"]
    mending.report(0, {"wan2": Lack(1, 1, 1.1)}, 5.5)
    assert mending.due(5.5) == ["wan2"]
