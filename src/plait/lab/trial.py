"""Run a scenario's courses and measure: each link alone, all woven, one unplugged, replugged."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol

from plait.lab.errors import LabError
from plait.lab.node import wait_for
from plait.lab.samples import Samples
from plait.lab.scenario import Course, Scenario
from plait.lab.topology import Lab
from plait.lab.traffic import Ended, Transfer, Watch, iperf_server

WARM_UP = 1.5
"""Seconds at the beginning of a transfer that no mean speed counts: slow start."""
SETTLE = 1.0
"""The same after the unplugging."""
FULL = 0.95
"""Share of the speed before the unplugging that counts as full speed again."""
STALL_WINDOW = 3.0
"""Seconds after the unplugging in which a stall is put down to it."""
_FIRST_BYTES = 15.0
_PAUSE = 0.1


class Show(Protocol):
    """Somewhere to show what is going on (see ``live.py``)."""

    def phase(self, text: str) -> None: ...

    def event(self, text: str) -> None: ...

    def tick(self, samples: Samples) -> None: ...


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
    """One scenario on a lab that is built and prepared. ``seconds`` is the length of a phase."""

    def __init__(self, scenario: Scenario, lab: Lab, show: Show, seconds: float) -> None:
        self._scenario = scenario
        self._lab = lab
        self._show = show
        self._seconds = seconds
        self._count = 0

    def run(self) -> list[Run]:
        """All courses: first every link alone, then with plait."""
        scenario, lab = self._scenario, self._lab
        for name in dict.fromkeys(course.server for course in scenario.courses):
            iperf_server(lab[name])
        runs = [Run(course=course) for course in scenario.courses]
        for link in scenario.links:
            others = [other for other in scenario.links if other is not link]
            for other in others:
                lab.bridge(other.bridge).unplug()
            for run in runs:
                self._show.phase(f"{run.course.title}: {link.bridge} alone, without plait")
                run.singles[link.interface] = self._single(run.course)
            for other in others:
                lab.bridge(other.bridge).plug()
            self._addresses()
        self._show.phase("starting plait")
        scenario.weave(lab)
        for run in runs:
            self._woven(run)
        return runs

    def _addresses(self) -> None:
        """Wait until every end that lives on DHCP has its address again."""
        waiting = {
            (end.node, end.interface)
            for wire in self._lab.wires
            for end in (wire.left, wire.right)
            if end.dhcp
        }

        def all_there() -> bool:
            return all(self._lab[node].addresses(interface) for node, interface in waiting)

        wait_for("all interfaces to have their addresses again", all_there, within=15.0)

    def _watch(self, course: Course) -> Watch:
        self._count += 1
        direction = "rx" if course.inward else "tx"
        return Watch(
            receiver=(self._lab[course.receiver], course.interface),
            paths=[(self._lab[link.node], link.interface, direction) for link in self._scenario.links],
            ipv6=course.ipv6,
            output=self._lab.directory / f"watcher-{self._count}.log",
        )

    def _transfer(self, course: Course, seconds: float) -> Transfer:
        client = self._lab[course.client]
        return Transfer(client, course.address, seconds=seconds, reverse=course.download)

    def _began(self, watch: Watch, transfer: Transfer) -> float:
        """Wait for the first bytes; gives their time."""

        def began() -> float | None:
            at = watch.look().began()
            if at is None and not transfer.running:
                ended = transfer.end()
                raise LabError(f"the transfer ended before it began: {ended.error}")
            return at

        return wait_for("the first bytes of the transfer", began, within=_FIRST_BYTES)

    def _until(self, at: float, watch: Watch, transfer: Transfer) -> None:
        """Look and show until ``at``; a transfer that ends early ends the wait too."""
        while (left := at - time.monotonic()) > 0 and transfer.running:
            time.sleep(min(left, _PAUSE))
            self._show.tick(watch.look())

    def _single(self, course: Course) -> float:
        watch = self._watch(course)
        try:
            transfer = self._transfer(course, self._seconds)
            began = self._began(watch, transfer)
            end = began + self._seconds - 0.2
            self._until(end, watch, transfer)
            ended = transfer.end()
            if not ended.survived:
                raise LabError(f"the plain transfer failed: {ended.error}")
            return watch.look().speed(began + WARM_UP, end)
        finally:
            watch.stop()

    def _woven(self, run: Run) -> None:
        title, first = run.course.title, self._scenario.links[0]
        bridge = self._lab.bridge(first.bridge)
        self._show.phase(f"{title}: both links with plait")
        watch = self._watch(run.course)
        try:
            transfer = self._transfer(run.course, 3 * self._seconds + 1)
            began = self._began(watch, transfer)
            self._until(began + self._seconds, watch, transfer)

            unplugged = bridge.unplug()
            self._happened(run, unplugged, f"{first.bridge} unplugged")
            self._until(unplugged + self._seconds, watch, transfer)

            plugged = bridge.plug()
            self._happened(run, plugged, f"{first.bridge} replugged")
            end = plugged + self._seconds
            self._until(end, watch, transfer)
            self._show.phase(f"{title}: iperf3 comes to its end")
            run.ended = transfer.end()
        finally:
            samples = watch.stop()
        self._addresses()
        run.samples = samples
        run.both = samples.speed(began + WARM_UP, unplugged)
        run.unplugged = samples.speed(unplugged + SETTLE, plugged)
        run.stall = samples.longest_gap(unplugged, unplugged + min(STALL_WINDOW, self._seconds))
        run.full_after = samples.reached(FULL * run.both, plugged, end)
        run.replugged = samples.speed(plugged + min(3.0, self._seconds - 1), end)

    def _happened(self, run: Run, at: float, what: str) -> None:
        run.events.append(Event(at=at, what=what))
        self._show.event(what)
