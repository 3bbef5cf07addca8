"""Run a scenario's courses and measure: each link alone, all woven, one unplugged, replugged."""

from __future__ import annotations

from dataclasses import dataclass, field

from plait.lab.samples import Samples
from plait.lab.scenario import Course
from plait.lab.stage import WARM_UP, Stage
from plait.lab.traffic import Ended, iperf_server

SETTLE = 1.0
"""The same after the unplugging."""
FULL = 0.95
"""Share of the speed before the unplugging that counts as full speed again."""
STALL_WINDOW = 3.0
"""Seconds after the unplugging in which a stall is put down to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that the trial did, with its monotonic time."""

    at: float
    what: str


@dataclass(slots=True, kw_only=True)
class Run:
    """One course: its figures (bit/s, seconds) and all its samples."""

    course: Course
    singles: dict[str, float] = field(default_factory=dict)
    """Speed of each link alone, plainly routed, by interface."""
    both: float = 0.0
    unplugged: float = 0.0
    replugged: float = 0.0
    stall: float = 0.0
    full_after: float | None = None
    ended: Ended | None = None
    events: list[Event] = field(default_factory=list)
    samples: Samples = field(default_factory=lambda: Samples(paths=()))

    @property
    def sum(self) -> float:
        """What the links gave alone, added."""
        return sum(self.singles.values())

    @property
    def survived(self) -> bool:
        """Whether the transfer ran to its end on one connection."""
        return self.ended is not None and self.ended.survived


class Trial:
    """One scenario on a lab that is built and prepared."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def run(self) -> list[Run]:
        """All courses: first every link alone, then with plait."""
        stage, scenario = self._stage, self._stage.scenario
        for name in dict.fromkeys(course.server for course in scenario.courses):
            iperf_server(stage.lab[name])
        runs = [Run(course=course) for course in scenario.courses]
        for link in scenario.links:
            stage.alone(link)
            for run in runs:
                stage.show.phase(f"{run.course.title}: {link.bridge} alone, without plait")
                run.singles[link.interface] = stage.single(run.course, stage.seconds)
            stage.together()
        stage.show.phase("starting plait")
        scenario.weave(stage.lab)
        for run in runs:
            self._woven(run)
        return runs

    def _woven(self, run: Run) -> None:
        stage, seconds = self._stage, self._stage.seconds
        title, first = run.course.title, stage.scenario.links[0]
        bridge = stage.lab.bridge(first.bridge)
        stage.show.phase(f"{title}: both links with plait")
        with stage.carry(run.course, 3 * seconds + 1) as carriage:
            began = carriage.began
            carriage.until(began + seconds)

            unplugged = bridge.unplug()
            self._happened(run, unplugged, f"{first.bridge} unplugged")
            carriage.until(unplugged + seconds)

            plugged = bridge.plug()
            self._happened(run, plugged, f"{first.bridge} replugged")
            end = plugged + seconds
            carriage.until(end)
            stage.show.phase(f"{title}: iperf3 comes to its end")
            run.ended = carriage.end()
            samples = carriage.stop()
        stage.addresses()
        run.samples = samples
        run.both = samples.speed(began + WARM_UP, unplugged)
        run.unplugged = samples.speed(unplugged + SETTLE, plugged)
        run.stall = samples.longest_gap(unplugged, unplugged + min(STALL_WINDOW, seconds))
        run.full_after = samples.reached(FULL * run.both, plugged, end)
        run.replugged = samples.speed(plugged + min(3.0, seconds - 1), end)

    def _happened(self, run: Run, at: float, what: str) -> None:
        run.events.append(Event(at=at, what=what))
        self._stage.show.event(what)
