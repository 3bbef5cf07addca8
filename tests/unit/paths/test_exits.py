"""Which exits are well, and which one serves whom."""

from __future__ import annotations

import pytest

from plait.paths.exits import FAILURES, GOOD_AFTER, POOR_AFTER, Exits, ExitState


class Scene:
    """Exits that were all found well at the start."""

    def __init__(self, *names: str) -> None:
        self.exits = Exits(names, 0.0)
        self.now = 1.0
        for name in names:
            self.exits.probed(name, "up", "", self.now)

    def fail(self, name: str, times: int = FAILURES, why: str = "connection refused") -> None:
        for _ in range(times):
            self.exits.probed(name, "down", why, self.now)

    def answer(self, name: str) -> None:
        self.exits.probed(name, "up", "", self.now)

    def silent(self, name: str, silent: bool = True) -> None:
        self.exits.reached(name, silent=silent, rtt=None if silent else 0.02, loss=0.0, now=self.now)

    def quality(self, name: str, rtt: float, loss: float = 0.0) -> None:
        self.exits.reached(name, silent=False, rtt=rtt, loss=loss, now=self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.exits.tick(self.now)

    def state(self, name: str = "attic") -> str:
        standing = self.exits.standings()[name]
        return f"{standing.state.value}: {standing.why}".rstrip(": ")

    def serving(self) -> str:
        return " ".join(f"{name}>{by}" for name, by in self.exits.serving().items())


@pytest.fixture
def scene() -> Scene:
    return Scene("attic", "vps", "far")


def test_what_nobody_has_asked_yet_is_taken_for_well() -> None:
    exits = Exits(["attic"], 0.0)
    assert exits.standings()["attic"].state is ExitState.UNKNOWN
    assert exits.serving() == {"attic": "attic"}
    assert not exits.all_lost


def test_without_exits_none_is_lost() -> None:
    assert not Exits([], 0.0).all_lost
    assert Exits([], 0.0).serving() == {}


@pytest.mark.parametrize("state", ["up", "foreign"])
def test_an_exit_that_serves_is_up(state: str) -> None:
    exits = Exits(["attic"], 0.0)
    exits.probed("attic", state, "", 1.0)
    assert exits.standings()["attic"].state is ExitState.UP


def test_one_failed_probe_is_no_news_two_are(scene: Scene) -> None:
    scene.fail("attic", 1)
    assert scene.state() == "up"
    scene.fail("attic", 1)
    assert scene.state() == "down: connection refused"


def test_silence_over_all_paths_is_news_at_once(scene: Scene) -> None:
    scene.silent("attic")
    assert scene.state() == "down: it answers over no path"


def test_the_next_one_takes_over_and_gives_back(scene: Scene) -> None:
    assert scene.serving() == "attic>attic vps>vps far>far"
    scene.fail("attic")
    assert scene.serving() == "attic>vps vps>vps far>far"
    scene.fail("vps")
    assert scene.serving() == "attic>far vps>far far>far"
    scene.answer("attic")
    assert scene.serving() == "attic>attic vps>attic far>far"
    scene.answer("vps")
    assert scene.serving() == "attic>attic vps>vps far>far"


def test_all_lost_and_back_at_once() -> None:
    scene = Scene("attic")
    scene.fail("attic")
    assert scene.exits.all_lost
    assert scene.serving() == "attic>None"
    scene.wait(100)
    scene.answer("attic")
    assert not scene.exits.all_lost


def test_an_exit_that_refuses_is_not_back_because_paths_answer(scene: Scene) -> None:
    scene.silent("attic")
    scene.fail("attic")
    scene.silent("attic", False)
    assert scene.state() == "down: connection refused"
    scene.answer("attic")
    assert scene.state() == "up"


def test_an_exit_that_was_only_silent_is_back_when_paths_answer(scene: Scene) -> None:
    scene.silent("attic")
    scene.silent("attic", False)
    assert scene.state() == "up"


def test_a_probe_that_comes_through_says_more_than_silence(scene: Scene) -> None:
    """An exit that was restarted is probed at once; its echoes take longer to begin again."""
    scene.silent("attic")
    scene.answer("attic")
    assert scene.state() == "up"
    scene.silent("attic")  # still
    assert scene.state() == "up"
    scene.silent("attic", False)
    scene.silent("attic")  # again
    assert scene.state() == "down: it answers over no path"


def test_one_that_flaps_has_to_be_well_for_longer_each_time(scene: Scene) -> None:
    held = []
    for _ in range(11):
        scene.fail("attic")
        scene.answer("attic")
        began = scene.now
        while (deadline := scene.exits.deadline()) is not None:
            scene.wait(deadline - scene.now)
        held.append(scene.now - began)
    assert held == [0.0] * 8 + [1.0, 2.0, 4.0]
    scene.fail("attic")
    scene.answer("attic")
    assert scene.state() == "down: it answers again, not for long enough yet"
    scene.wait(4.0)
    scene.fail("attic", 1)
    scene.answer("attic")
    scene.wait(7.9)
    assert scene.state().startswith("down")
    scene.wait(0.2)
    assert scene.state() == "up"


@pytest.mark.parametrize(("rtt", "loss"), [(1.2, 0.0), (0.05, 0.3)])
def test_a_poor_exit_gives_way_and_takes_back_slowly(scene: Scene, rtt: float, loss: float) -> None:
    scene.quality("attic", rtt, loss)
    scene.wait(POOR_AFTER - 1)
    assert scene.serving().startswith("attic>attic")
    scene.wait(1.0)
    assert scene.state() == "degraded: long round trips or heavy loss over all paths"
    assert scene.serving().startswith("attic>vps")
    scene.quality("attic", 0.6 if rtt > 1 else 0.05, 0.1 if loss else 0.0)  # better, but not well
    scene.wait(GOOD_AFTER + 1)
    assert scene.state().startswith("degraded")
    scene.quality("attic", 0.05)
    scene.wait(GOOD_AFTER - 1)
    assert scene.state().startswith("degraded")
    scene.wait(1.0)
    assert scene.serving().startswith("attic>attic")


def test_a_bad_moment_is_no_bad_exit(scene: Scene) -> None:
    scene.quality("attic", 1.2)
    scene.wait(POOR_AFTER - 1)
    scene.quality("attic", 0.05)
    scene.wait(2.0)
    assert scene.state() == "up"
    assert scene.exits.deadline() is None


def test_a_poor_exit_is_better_than_none(scene: Scene) -> None:
    scene.fail("vps")
    scene.fail("far")
    scene.quality("attic", 1.2)
    scene.wait(POOR_AFTER)
    assert scene.serving() == "attic>attic vps>attic far>attic"


def test_among_poor_ones_each_serves_its_own(scene: Scene) -> None:
    for name in ("attic", "vps", "far"):
        scene.quality(name, 1.2)
    scene.wait(POOR_AFTER)
    assert scene.serving() == "attic>attic vps>vps far>far"


def test_another_config_keeps_what_is_known(scene: Scene) -> None:
    scene.fail("attic")
    scene.exits.configure(["vps", "attic", "new"], scene.now)
    assert scene.serving() == "vps>vps attic>vps new>new"
    scene.exits.probed("far", "down", "news that was on its way", scene.now)
    scene.exits.reached("far", silent=True, rtt=None, loss=0.0, now=scene.now)
    assert set(scene.exits.standings()) == {"vps", "attic", "new"}
