"""Verdicts on paths, from evidence told in a few words. Whole days are in tests/sim."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from plait.paths.health import Health
from plait.paths.pair import Carried
from plait.paths.standing import Condition


class Scene:
    """Two paths to one exit, both answering once a second until 60 s; then what the test says."""

    def __init__(self, *exits: str, seconds: int = 60) -> None:
        self.exits = exits or ("attic",)
        self.health = Health(self.exits, {"wan1": False, "wan2": False})
        self.now = 0.0
        for second in range(seconds):
            for name in self.exits:
                self.echo("wan1", second, exit_name=name)
                self.echo("wan2", second + 0.001, exit_name=name)

    def echo(self, path: str, sent: float, rtt: float = 0.02, exit_name: str = "attic") -> None:
        self.now = max(self.now, sent + rtt)
        self.health.echo(exit_name, path, sent, rtt, self.now)

    def silent(self, path: str, *sent: float, exit_name: str = "attic") -> None:
        for each in sent:
            self.now = max(self.now, each + 0.15)
            self.health.silent(exit_name, path, each, self.now)

    def state(self, path: str = "wan1") -> Condition:
        return self.health.standings(self.now)[path].condition

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.health.tick(self.now)

    def kill(self, path: str = "wan1", other: str = "wan2") -> float:
        """Let it fall silent; gives when the first echo was missed."""
        begin = self.now + 1.0
        for number in range(4):
            self.echo(other, begin + 0.04 * number)
        self.silent(path, *(begin + 0.04 * number for number in range(4)))
        assert self.state(path) is Condition.DOWN
        return begin


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_path_that_answers_is_up(scene: Scene) -> None:
    assert (scene.state("wan1"), scene.state("wan2")) == (Condition.UP, Condition.UP)
    figures = scene.health.figures("wan1")
    assert figures.rtt == pytest.approx(0.02)
    assert figures.loss == 0.0


def test_silence_beside_a_witness_is_the_end(scene: Scene) -> None:
    scene.kill()
    assert scene.state("wan2") is Condition.UP
    standing = scene.health.standings(scene.now)["wan1"]
    assert (standing.usable, standing.why) == (False, "probes get no answer")


@pytest.mark.parametrize("missing", [1, 2])
def test_one_or_two_missing_answers_are_not(scene: Scene, missing: int) -> None:
    scene.echo("wan2", 61.2)
    scene.silent("wan1", *(61.0 + 0.04 * number for number in range(missing)))
    scene.wait(1.0)
    assert scene.state() in (Condition.UP, Condition.DOUBT)
    scene.echo("wan1", scene.now)
    assert scene.state() is Condition.UP


def test_without_a_witness_nobody_is_to_blame(scene: Scene) -> None:
    times = [61.0 + 0.04 * number for number in range(8)]
    scene.silent("wan1", *times)
    assert scene.state() is Condition.DOUBT
    scene.silent("wan2", *times)
    assert (scene.state("wan1"), scene.state("wan2")) == (Condition.LOST, Condition.LOST)
    assert scene.health.silent_exits() == {"attic"}
    assert scene.health.standings(scene.now)["wan1"].usable


def test_the_first_answer_after_all_were_silent_condemns_nobody(scene: Scene) -> None:
    times = [61.0 + 0.04 * number for number in range(8)]
    scene.silent("wan1", *times)
    scene.silent("wan2", *times)
    scene.echo("wan2", 70.0)
    scene.wait(0.1)
    assert (scene.state("wan1"), scene.state("wan2")) == (Condition.LOST, Condition.UP)
    assert "wan1" in scene.health.asks(scene.now).bursts
    assert scene.health.standings(scene.now)["wan2"].returns == 1
    scene.silent("wan1", 70.0, 70.04, 70.08)
    scene.echo("wan2", 70.1)
    scene.wait(0.2)
    assert scene.state() is Condition.DOWN


def test_an_answer_that_a_witness_gave_long_before_or_after_proves_nothing(scene: Scene) -> None:
    scene.silent("wan1", 61.0, 61.04, 61.08, 61.12)
    scene.echo("wan2", 65.0)
    scene.wait(0.1)
    assert scene.state() is not Condition.DOWN


def test_two_answers_to_the_same_question_need_not_come_together(scene: Scene) -> None:
    """The exit was not let run: when it is, the answer over wan2 comes first."""
    times = [61.0 + 0.04 * number for number in range(4)]
    scene.silent("wan1", *times)
    scene.silent("wan2", *times)
    scene.now = 61.5
    for sent in times:
        scene.echo("wan2", sent, rtt=61.5 - sent)
    assert scene.state() is not Condition.DOWN
    for sent in times:
        scene.echo("wan1", sent, rtt=61.51 - sent)
    scene.wait(0.1)
    assert (scene.state("wan1"), scene.state("wan2")) == (Condition.UP, Condition.UP)


def test_live_connections_that_wait_need_fewer_echoes(scene: Scene) -> None:
    scene.echo("wan2", 61.15)
    stuck = Carried(at=61.15, sent=1, waiting=0.12, heard=0.12, suspicious=True, rtt=0.02)
    scene.health.traffic("attic", "wan1", stuck, 61.17)
    assert scene.health.asks(61.17).bursts == ("wan1", "wan2")
    for sent in (61.17, 61.21, 61.25):
        scene.echo("wan2", sent)
    scene.silent("wan1", 61.17, 61.21)
    scene.health.traffic(
        "attic", "wan1", Carried(at=61.36, sent=1, waiting=0.33, heard=0.33, suspicious=True), 61.36
    )
    scene.wait(0.05)
    assert scene.state() is Condition.DOWN


def test_live_connections_that_wait_for_long_need_no_echo_at_all(scene: Scene) -> None:
    """Where UDP is dropped: a retransmission each quarter of a second, beside a path that carries."""
    for step in range(1, 24):
        at = 61.0 + 0.05 * step
        scene.health.traffic("attic", "wan2", Carried(at=at, acked=9, heard=0.0, rtt=0.02), at)
        scene.health.traffic(
            "attic", "wan1", Carried(at=at, sent=1, waiting=0.05 * step, suspicious=step > 2), at
        )
        scene.now = at
    assert scene.state() is Condition.DOWN


def test_progress_of_live_connections_acquits(scene: Scene) -> None:
    scene.echo("wan2", 61.0)
    scene.silent("wan1", 61.0, 61.04)
    scene.health.traffic("attic", "wan1", Carried(at=61.3, received=5000, heard=0.01, rtt=0.02), 61.3)
    scene.silent("wan1", 61.08, 61.12)
    assert scene.state() is Condition.UP


def test_a_path_returns_after_three_answers(scene: Scene) -> None:
    scene.kill()
    scene.echo("wan1", 70.0)
    assert scene.state() is Condition.RETURNING
    assert "wan1" in scene.health.asks(scene.now).bursts
    scene.echo("wan1", 70.1)
    assert scene.state() is Condition.RETURNING
    scene.echo("wan1", 70.14)
    assert scene.state() is Condition.UP
    assert scene.health.standings(scene.now)["wan1"].returns == 1


def test_an_answer_that_was_only_slow_takes_the_verdict_back(scene: Scene) -> None:
    missed = scene.kill()
    scene.echo("wan1", missed, rtt=scene.now - missed)
    assert scene.state() is Condition.UP


def test_nobody_is_given_up_before_the_one_that_is_back_has_its_subflows(scene: Scene) -> None:
    scene.kill()
    scene.echo("wan1", 70.0)
    scene.echo("wan1", 70.1)
    scene.silent("wan2", *(70.1 + 0.04 * number for number in range(4)))
    for number in range(5):
        scene.echo("wan1", 70.14 + 0.04 * number)
    assert (scene.state("wan1"), scene.state("wan2")) == (Condition.UP, Condition.DOUBT)
    deadline = scene.health.deadline(scene.now)
    assert deadline is not None
    assert deadline <= scene.now + 0.02
    scene.wait(0.35)
    assert scene.state("wan2") is Condition.DOWN


def flap(scene: Scene) -> None:
    """Fail and return until that is not believed at once any more."""
    for _ in range(20):
        scene.kill()
        for number in range(3):
            scene.echo("wan1", scene.now + 0.05 * number)
        if scene.state() is Condition.RETURNING:
            return
    raise AssertionError("believed for ever")


def test_a_path_that_makes_a_habit_of_failing_is_held(scene: Scene) -> None:
    flap(scene)
    deadline = scene.health.deadline(scene.now)
    assert deadline is not None
    assert 0.5 < deadline - scene.now <= 1.0
    scene.now = deadline
    scene.wait(0.0)
    assert scene.state() is Condition.UP


def test_the_only_path_that_answers_is_not_held(scene: Scene) -> None:
    flap(scene)
    scene.health.links({"wan2": False}, scene.now)
    assert scene.state() is Condition.UP


def test_a_link_that_is_back_has_to_answer_first(scene: Scene) -> None:
    scene.health.links({"wan1": False}, 61.0)
    scene.health.links({"wan1": True}, 62.0)
    scene.now = 62.0
    assert scene.state() is Condition.RETURNING
    assert scene.health.asks(62.0).bursts == ("wan1",)
    for number in range(3):
        scene.echo("wan1", 62.0 + 0.04 * number)
    assert scene.state() is Condition.UP


def test_a_link_that_is_back_is_believed_where_nobody_can_be_asked() -> None:
    health = Health(["attic"], {"wan1": False, "wan2": False})
    health.links({"wan1": False}, 1.0)
    health.links({"wan1": True, "wan2": True}, 2.0)
    assert all(standing.usable for standing in health.standings(2.0).values())


def test_a_path_is_down_only_if_no_living_exit_answers_over_it() -> None:
    scene = Scene("attic", "vps")
    begin = 61.0
    for number in range(4):
        scene.echo("wan2", begin + 0.04 * number)
    scene.silent("wan1", *(begin + 0.04 * number for number in range(4)))
    standing = scene.health.standings(scene.now)["wan1"]
    assert (standing.condition, standing.unanswered) == (Condition.UP, {"attic"})
    for number in range(4):
        scene.echo("wan2", 62 + 0.04 * number, exit_name="vps")
    scene.silent("wan1", *(62 + 0.04 * number for number in range(4)), exit_name="vps")
    assert scene.state() is Condition.DOWN


def test_an_exit_that_is_down_speaks_against_no_path() -> None:
    scene = Scene("attic", "vps")
    times = [61.0 + 0.04 * number for number in range(8)]
    for path in ("wan1", "wan2"):
        scene.silent(path, *times, exit_name="vps")
    assert scene.health.silent_exits() == {"vps"}
    assert (scene.state("wan1"), scene.state("wan2")) == (Condition.UP, Condition.UP)


def foreign(health: Health, path: str, at: float, *, ok: bool = True) -> None:
    health.connect("attic", path, at, 0.03 if ok else None, at + (0.03 if ok else 2.0))


def test_a_foreign_exit_is_judged_by_handshakes() -> None:
    health = Health(["attic"], {"wan1": False, "wan2": False})
    health.session("attic", False)
    assert set(health.asks(1.0).connects) == {("attic", "wan1"), ("attic", "wan2")}
    assert health.asks(1.1).connects == ()
    for at in range(1, 300, 5):
        foreign(health, "wan1", at)
        foreign(health, "wan2", at + 0.01)
    assert health.standings(300.0)["wan1"].condition is Condition.UP
    for at in (301.0, 303.0):
        foreign(health, "wan1", at, ok=False)
        for later in (0.0, 1.0):
            foreign(health, "wan2", at + later)
        health.tick(at + 2.5)
    assert health.standings(306.0)["wan1"].condition is Condition.DOWN
    for at in (310.0, 311.0, 312.0):
        foreign(health, "wan1", at)
    assert health.standings(313.0)["wan1"].condition is Condition.UP


def test_echoes_that_were_never_answered_are_not_missed() -> None:
    """UDP is dropped on wan1: only handshakes tell."""
    health = Health(["attic"], {"wan1": False, "wan2": False})
    for second in range(60):
        health.echo("attic", "wan2", float(second), 0.02, second + 0.02)
        health.silent("attic", "wan1", float(second), second + 1.0)
        if second % 5 == 0:
            assert ("attic", "wan1") in health.asks(float(second)).connects
            foreign(health, "wan1", float(second))
    assert health.standings(60.0)["wan1"].condition is Condition.UP


def test_where_udp_is_dropped_from_now_on_handshakes_take_over(scene: Scene) -> None:
    scene.kill()
    asked = []
    for second in range(63, 90):
        scene.echo("wan2", float(second))
        asked += scene.health.asks(scene.now).connects
        if asked and asked[-1] == ("attic", "wan1"):
            foreign(scene.health, "wan1", float(second))
    assert scene.state() is Condition.UP


def test_other_paths_and_exits_are_taken_over(scene: Scene) -> None:
    scene.health.configure(["attic"], {"wan2": True, "wan3": False})
    scene.echo("wan1", 61.0)  # news that were on their way
    assert set(scene.health.standings(61.0)) == {"wan2", "wan3"}
    assert scene.health.standings(61.0)["wan2"].rtt == pytest.approx(0.02)
    assert scene.health.asks(61.0).pace["wan2"] == 2.0


def test_an_address_that_has_changed_is_looked_after(scene: Scene) -> None:
    scene.health.moved("wan1", 61.0)
    assert scene.health.asks(61.0).bursts == ("wan1",)


@pytest.mark.parametrize(
    "feed",
    [
        lambda health: health.echo("nobody", "wan1", 1.0, 0.1, 1.1),
        lambda health: health.silent("attic", "wan9", 1.0, 1.2),
        lambda health: health.connect("nobody", "wan9", 1.0, None, 3.0),
        lambda health: health.traffic("nobody", "wan1", Carried(at=1.0), 1.0),
        lambda health: health.links({"wan9": False}, 1.0),
        lambda health: health.moved("wan9", 1.0),
        lambda health: health.session("nobody", False),
    ],
)
def test_news_of_strangers_are_ignored(scene: Scene, feed: Callable[[Health], None]) -> None:
    before = scene.health.standings(70.0)
    feed(scene.health)
    assert scene.health.standings(70.0) == before
