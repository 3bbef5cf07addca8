"""Which paths take options out: when they are tried, and what is believed."""

from __future__ import annotations

import pytest

from plait.config.model import Mode
from plait.paths.options import AGAIN, AGAIN_METERED, EVERY, EVERY_METERED, Options, Trial, none_left
from plait.paths.standing import Condition, Standing

KEPT, STRIPPED, DROPPED, NOTHING = Trial.KEPT, Trial.STRIPPED, Trial.DROPPED, Trial.NOTHING
UP = Standing(condition=Condition.UP)


def options(*up: str, metered: bool = False) -> Options:
    found = Options()
    found.configure({"wan1": metered, "wan2": metered})
    found.standing(up, 0.0)
    return found


def run(found: Options, name: str, *trials: Trial) -> float:
    """Make trials whenever they are due; gives when the last one was."""
    now = 0.0
    for trial in trials:
        deadline = found.deadline()
        assert deadline is not None
        now = deadline
        assert name in found.due(now)
        assert name not in found.due(now), "it is under way"
        found.took(name, trial, now)
    return now


def plain(found: Options, name: str = "wan1") -> str:
    return found.marked({name: UP})[name].plain


@pytest.mark.parametrize(
    ("trials", "words"),
    [
        ((), ""),
        ((KEPT,), ""),
        ((STRIPPED,), ""),
        ((STRIPPED, STRIPPED), "are taken out"),
        ((STRIPPED, KEPT), ""),
        ((STRIPPED, NOTHING, STRIPPED), "are taken out"),
        ((STRIPPED, DROPPED), ""),
        ((DROPPED, DROPPED), "vanish"),
        ((STRIPPED, STRIPPED, KEPT), "are taken out"),
        ((STRIPPED, STRIPPED, KEPT, KEPT), ""),
        ((STRIPPED, STRIPPED, DROPPED, DROPPED), "vanish"),
    ],
)
def test_two_alike_are_believed(trials: tuple[Trial, ...], words: str) -> None:
    found = options("wan1")
    run(found, "wan1", *trials)
    assert words in plain(found)
    assert bool(plain(found)) is bool(words)


@pytest.mark.parametrize(
    ("metered", "trials", "later"),
    [
        (False, (KEPT,), EVERY),
        (True, (KEPT,), EVERY_METERED),
        (False, (STRIPPED,), 1.0),
        (True, (STRIPPED,), 1.0),
        (False, (STRIPPED, STRIPPED), AGAIN),
        (True, (STRIPPED, STRIPPED), AGAIN_METERED),
        (False, (STRIPPED, STRIPPED, STRIPPED), AGAIN),
        (False, (STRIPPED, STRIPPED, KEPT), 1.0),
        (False, (NOTHING,), EVERY),
    ],
)
def test_the_next_trial(metered: bool, trials: tuple[Trial, ...], later: float) -> None:
    found = options("wan1", metered=metered)
    at = run(found, "wan1", *trials)
    assert found.deadline() == pytest.approx(at + later)


def test_only_paths_that_answer_are_tried() -> None:
    found = options()
    assert found.deadline() is None
    assert found.due(100.0) == []
    found.standing(["wan2"], 100.0)
    assert found.due(100.0) == []
    assert found.due(101.0) == ["wan2"]
    found.standing([], 102.0)
    found.took("wan2", STRIPPED, 103.0)
    assert found.deadline() is None, "it has gone meanwhile"


def test_another_address_is_tried_anew() -> None:
    found = options("wan1", "wan2")
    for name in found.due(1.0):
        found.took(name, KEPT, 1.0)
    found.moved("wan1", 10.0)
    assert found.due(11.0) == ["wan1"]
    found.moved("nobody", 10.0)
    found.took("nobody", STRIPPED, 10.0)


def test_what_stays_in_the_config_is_kept() -> None:
    found = options("wan1")
    run(found, "wan1", STRIPPED, STRIPPED)
    found.configure({"wan1": True, "wan3": False})
    assert plain(found)
    assert not plain(found, "wan3")
    found.configure({"wan3": False})
    assert not plain(found)


def test_only_when_all_drop_it_is_plain_tcp() -> None:
    found = options("wan1", "wan2")
    assert not found.dropping([])
    for trial in (DROPPED, DROPPED):
        for name in found.due(10.0):
            found.took(name, trial if name == "wan1" else STRIPPED, 10.0)
        found.standing([], 11.0)
        found.standing(["wan1", "wan2"], 0.0)
    assert found.dropping(["wan1"])
    assert not found.dropping(["wan1", "wan2"])
    assert not found.dropping(["wan1", "nobody"])


@pytest.mark.parametrize(
    ("standings", "left"),
    [
        ([], True),
        ([UP], True),
        ([Standing(condition=Condition.UP, plain="x")], False),
        ([Standing(condition=Condition.UP, plain="x"), UP], True),
        ([Standing(condition=Condition.UP, plain="x"), Standing(condition=Condition.DOWN)], False),
        # Nobody knows yet whether it answers at all.
        ([Standing(condition=Condition.UP, plain="x"), Standing()], False),
        ([Standing(plain="x")], True),
        ([Standing(condition=Condition.DOUBT, plain="x")], False),
    ],
)
def test_whether_mptcp_is_left(standings: list[Standing], left: bool) -> None:
    health = {f"wan{n}": standing for n, standing in enumerate(standings)}
    modes = dict.fromkeys(health, Mode.ON)
    assert none_left(modes, health) is not left


def test_paths_that_are_off_do_not_count() -> None:
    health = {"wan1": Standing(condition=Condition.UP, plain="x"), "wan2": UP}
    assert none_left({"wan1": Mode.ON, "wan2": Mode.OFF}, health)
    assert not none_left({"wan1": Mode.ON, "wan2": Mode.BACKUP}, health)
