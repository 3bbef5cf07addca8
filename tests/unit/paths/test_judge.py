"""The parts of the judgement, put together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plait.config.model import Config, Mode
from plait.paths.choice import with_modes
from plait.paths.exits import ExitState
from plait.paths.judge import Judge
from plait.paths.pair import Carried
from plait.paths.standing import Condition

from .scene import config, path

BOTH = config(path("wan1"), path("wan2"))


class Scene:
    """Paths that answer an echo every second."""

    def __init__(self, configured: Config = BOTH, exits: tuple[str, ...] = ("attic",)) -> None:
        self.config = configured
        self.judge = Judge(configured, 0.0)
        self.exits = exits
        self.now = 0.0
        self.rtt = dict.fromkeys((each.name for each in configured.paths), 0.02)
        self.mute: set[str] = set()
        self.trains: dict[str, tuple[int | None, int | None]] = {}
        self.trained: list[str] = []

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            for name, rtt in self.rtt.items():
                for exit_name in self.exits:
                    if name in self.mute:
                        self.judge.silent(exit_name, name, self.now, self.now + 0.2)
                    else:
                        self.judge.echo(exit_name, name, self.now, rtt, self.now + rtt)
            self.now += 0.1 if self.mute else 1.0
            self.judge.tick(self.now)
            for name in self.judge.asks(self.now).trains:
                self.trained.append(name)
                up, down = self.trains.get(name, (None, None))
                self.judge.train(name, up, down, self.now)

    def carry(self, name: str, rate: float, seconds: float = 3.0) -> None:
        """Downloads over one path."""
        for _ in range(round(seconds * 20)):
            self.now += 0.05
            report = Carried(at=self.now, received=round(rate / 160), sent=1, heard=0.0, rtt=self.rtt[name])
            self.judge.traffic("attic", name, report, self.now)

    def benched(self) -> str:
        standings = self.judge.standings(self.now)
        return " ".join(name for name, standing in standings.items() if standing.benched)

    def lingering(self) -> str:
        standings = self.judge.standings(self.now)
        return " ".join(name for name, standing in standings.items() if standing.lingering)


def test_a_thin_path_is_found_by_trains_and_benched_within_seconds() -> None:
    scene = Scene()
    scene.trains = {"wan1": (50_000_000, 50_000_000), "wan2": (2_000_000, 2_000_000)}
    scene.run(8)
    assert scene.benched() == "wan2"
    assert scene.judge.standings(scene.now)["wan2"].benched == "it has 4 % of the rate of wan1"
    assert scene.judge.standings(scene.now)["wan2"].usable
    assert scene.judge.rates("wan2", scene.now) == (2_000_000, 2_000_000)


def test_a_far_path_is_benched_too_but_not_if_it_is_the_better_one() -> None:
    scene = Scene()
    scene.rtt["wan2"] = 0.6
    scene.trains = {"wan1": (5_000_000, 5_000_000), "wan2": (100_000_000, 100_000_000)}
    scene.run(15)
    assert scene.benched() == ""  # trains may be wrong, and nothing was shown yet
    scene.carry("wan2", 60_000_000)
    scene.run(4)
    assert scene.benched() == "wan1"


@pytest.mark.parametrize("mode", [Mode.BACKUP, Mode.HANDOVER, Mode.OFF])
def test_only_those_who_are_to_carry_are_benched(mode: Mode) -> None:
    scene = Scene(config(path("wan1"), path("wan2", mode)))
    scene.rtt["wan2"] = 0.9
    scene.run(30)
    assert scene.benched() == ""
    assert scene.trained == []


def test_who_is_left_alone_is_not_on_the_bench() -> None:
    scene = Scene()
    scene.rtt["wan2"] = 0.6
    scene.trains = dict.fromkeys(("wan1", "wan2"), (50_000_000, 50_000_000))
    scene.run(15)
    assert scene.benched() == "wan2"
    scene.mute.add("wan1")
    scene.run(3)
    assert scene.judge.standings(scene.now)["wan1"].condition is Condition.DOWN
    assert scene.benched() == ""
    scene.mute.clear()
    scene.judge.links({"wan1": False}, scene.now)
    assert scene.benched() == ""


def test_trains_are_few() -> None:
    scene = Scene()
    scene.trains = dict.fromkeys(("wan1", "wan2"), (50_000_000, 50_000_000))
    scene.run(3500)
    assert scene.trained.count("wan1") == 3 + 5


def test_no_train_but_the_first_ones_where_connections_carry() -> None:
    scene = Scene()
    scene.run(700)
    before = {name: scene.trained.count(name) for name in scene.rtt}
    for _ in range(650):
        scene.carry("wan1", 8_000_000, 1.0)
        scene.run(1)
    assert scene.trained.count("wan1") == before["wan1"]
    assert scene.trained.count("wan2") > before["wan2"]


def thin(wan2_rtt: float = 0.02) -> Scene:
    """The second path is benched for its rate while the first carries."""
    scene = Scene()
    scene.rtt["wan2"] = wan2_rtt
    scene.trains = {"wan1": (40_000_000, 40_000_000), "wan2": (1_600_000, 1_600_000)}
    scene.run(10)
    with pytest.raises(AssertionError, match="still"):
        busy(scene, 60)
    return scene


def busy(scene: Scene, seconds: int) -> float:
    """The first path carries, until the second is off the bench; gives how long that took."""
    begun = scene.now
    for _ in range(seconds):
        scene.carry("wan1", 30_000_000, 1.0)
        scene.now = round(scene.now) - 1.0
        scene.run(1)
        if not scene.benched():
            return scene.now - begun
    raise AssertionError("still on the bench")


@pytest.mark.parametrize(("before", "after"), [(0.3, 0.08), (0.02, 0.02)])
def test_a_benched_path_that_becomes_a_good_one_is_used_soon(before: float, after: float) -> None:
    scene = thin(before)
    scene.rtt["wan2"] = after
    scene.trains["wan2"] = (20_000_000, 20_000_000)
    assert busy(scene, 60) <= 12


def test_a_benched_path_whose_round_trips_have_changed_is_measured_at_once() -> None:
    scene = thin()
    scene.run(100)
    before = scene.trained.count("wan2")
    scene.rtt["wan2"] = 0.005
    scene.run(5)
    assert scene.trained.count("wan2") == before + 3


def test_a_path_that_is_throttled_is_noticed_by_what_it_carries() -> None:
    scene = Scene()
    scene.trains = dict.fromkeys(("wan1", "wan2"), (40_000_000, 40_000_000))
    scene.run(10)
    for second in range(40):
        if second == 10:
            scene.trains["wan2"] = (1_000_000, 1_000_000)
        for name in ("wan1", "wan2"):
            scene.carry(name, 1_500_000 if name == "wan2" and second >= 10 else 36_000_000, 1.0)
            scene.now -= 1.0
        scene.run(1)
        assert second > 12 or scene.benched() == ""
    assert scene.benched() == "wan2"


def test_a_path_that_is_back_is_measured_again() -> None:
    scene = Scene()
    scene.run(20)
    assert scene.trained.count("wan1") == 3
    scene.judge.links({"wan1": False}, scene.now)
    scene.judge.links({"wan1": True}, scene.now)
    scene.run(20)
    assert scene.trained.count("wan1") == 6


def test_a_handover_path_lingers_until_the_others_have_their_subflows() -> None:
    scene = Scene(config(path("wan1"), path("wan2", Mode.HANDOVER)))
    scene.run(60)
    assert scene.lingering() == ""
    scene.mute.add("wan1")
    scene.run(3)
    assert not scene.judge.standings(scene.now)["wan1"].usable
    scene.mute.clear()
    scene.run(3)
    assert scene.judge.standings(scene.now)["wan1"].usable
    assert scene.lingering() == "wan2"
    deadline = scene.judge.deadline(scene.now)
    assert deadline is not None
    assert deadline <= scene.now + 2.5
    scene.run(3)
    assert scene.lingering() == ""


def test_a_link_that_is_cut_hands_over_as_well() -> None:
    scene = Scene(config(path("wan1"), path("wan2", Mode.HANDOVER)))
    scene.judge.links({"wan1": False, "wan2": True}, 1.0)
    scene.judge.links({"wan1": True}, 2.0)
    scene.now = 2.0
    assert scene.lingering() == "wan2"
    scene.judge.links({"wan1": False}, 2.5)
    scene.now = 2.5
    assert scene.lingering() == ""


def test_a_mode_set_live_is_heeded() -> None:
    scene = Scene()
    scene.rtt["wan2"] = 0.6
    scene.trains = dict.fromkeys(("wan1", "wan2"), (50_000_000, 50_000_000))
    scene.run(15)
    assert scene.benched() == "wan2"
    scene.judge.configure(with_modes(scene.config, {"wan2": Mode.BACKUP}), scene.now)
    assert scene.benched() == ""


def test_silence_over_all_paths_takes_the_exit_down() -> None:
    scene = Scene()
    scene.run(30)
    assert scene.judge.exit_standings()["attic"].state is ExitState.UP
    scene.mute |= {"wan1", "wan2"}
    scene.run(3)
    assert scene.judge.exits.all_lost
    scene.mute.clear()
    scene.run(1)
    assert not scene.judge.exits.all_lost


def test_an_exit_that_is_far_over_all_paths_gives_way() -> None:
    two = config(path("wan1"), path("wan2"), peers=("attic", "vps"))
    scene = Scene(two)
    scene.rtt = {"wan1": 1.5, "wan2": 1.6}
    scene.run(30)
    assert scene.judge.exit_standings()["attic"].state is ExitState.DEGRADED
    assert scene.judge.exits.serving() == {"attic": "vps", "vps": "vps"}


def test_a_probe_that_fails_twice_takes_the_exit_down() -> None:
    scene = Scene()
    for _ in range(2):
        scene.judge.probed("attic", "down", "connection refused", 1.0)
    assert scene.judge.exit_standings()["attic"].why == "connection refused"


def test_another_config_is_taken_over() -> None:
    scene = Scene()
    scene.run(30)
    three = config(path("wan2"), path("wan3"), peers=("vps",))
    scene.judge.configure(replace(three), scene.now)
    assert set(scene.judge.standings(scene.now)) == {"wan2", "wan3"}
    assert scene.judge.exits.serving() == {"vps": "vps"}
    scene.judge.train("wan1", 1, 1, scene.now)
    scene.judge.traffic("attic", "wan1", Carried(at=scene.now), scene.now)
    assert scene.judge.rates("wan1", scene.now) == (None, None)
    assert scene.judge.figures("wan1").rtt is None
    assert set(scene.judge.asks(scene.now).pace) == {"wan2", "wan3"}
