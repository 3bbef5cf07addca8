"""What trials and studies have in common: a built lab, a display, and transfers that are watched."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol, Self

from plait.lab.errors import LabError
from plait.lab.node import wait_for
from plait.lab.samples import Samples
from plait.lab.scenario import Course, Link, Scenario
from plait.lab.topology import Lab
from plait.lab.traffic import Ended, Transfer, Watch

_FIRST_BYTES = 15.0
_PAUSE = 0.1
_BUSY, _AGAIN = 20.0, 0.5
"""Seconds for which a busy server is asked again, and between two attempts."""
WARM_UP = 1.5
"""Seconds at the beginning of a transfer that no mean speed counts: slow start."""


class NotBegunError(LabError):
    """A transfer ended before anything arrived."""


class Show(Protocol):
    """Somewhere to show what is going on (see ``live.py``)."""

    def phase(self, text: str) -> None: ...

    def event(self, text: str) -> None: ...

    def tick(self, samples: Samples) -> None: ...


class Stage:
    """A scenario's lab, built and prepared. ``seconds`` is the length of a phase.

    ``quick`` asks for as little as still says something: one round, few cuts.
    """

    def __init__(
        self, scenario: Scenario, lab: Lab, show: Show, seconds: float, *, quick: bool = False
    ) -> None:
        self.scenario = scenario
        self.lab = lab
        self.show = show
        self.seconds = seconds
        self.quick = quick
        self._count = 0

    def addresses(self) -> None:
        """Wait until every end that lives on DHCP has its address (again)."""
        waiting = {
            (end.node, end.interface)
            for wire in self.lab.wires
            for end in (wire.left, wire.right)
            if end.dhcp
        }

        def all_there() -> bool:
            return all(self.lab[node].addresses(interface) for node, interface in waiting)

        wait_for("all interfaces to have their addresses again", all_there, within=15.0)

    def alone(self, link: Link) -> None:
        """Leave only one link plugged in."""
        for other in self.scenario.links:
            bridge = self.lab.bridge(other.bridge)
            if other is link:
                bridge.plug()
            else:
                bridge.unplug()

    def together(self) -> None:
        """Plug all links in, and wait for their addresses."""
        for link in self.scenario.links:
            self.lab.bridge(link.bridge).plug()
        self.addresses()

    def watch(self, course: Course) -> Watch:
        """Begin to look at the receiver of a course and at all links."""
        self._count += 1
        direction = "rx" if course.inward else "tx"
        return Watch(
            receiver=(self.lab[course.receiver], course.interface),
            paths=[(self.lab[link.node], link.interface, direction) for link in self.scenario.links],
            ipv6=course.ipv6,
            output=self.lab.directory / f"watcher-{self._count}.log",
        )

    def carry(self, course: Course, seconds: float) -> Carriage:
        """A watched transfer of so many seconds. Use as a context manager."""
        return Carriage(self, course, seconds)

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)

    def _patiently(self, course: Course, seconds: float) -> Carriage:
        """Like ``carry``. Over a link of 300 ms that loses frames, iperf3's server may still be busy with
        the transfer before, and refuses the next one for a while."""
        deadline = time.monotonic() + _BUSY
        while True:
            try:
                return self.carry(course, seconds)
            except NotBegunError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_AGAIN)

    def single(self, course: Course, seconds: float) -> float:
        """Speed in bit/s of one plain transfer; raises LabError when it fails."""
        with self._patiently(course, seconds) as carriage:
            end = carriage.began + seconds - 0.2
            carriage.until(end)
            ended = carriage.end()
            if not ended.survived:
                raise LabError(f"the plain transfer failed: {ended.error}")
            return carriage.look().speed(carriage.began + WARM_UP, end)


class Carriage:
    """One transfer of a course and the watcher beside it."""

    def __init__(self, stage: Stage, course: Course, seconds: float) -> None:
        self._stage = stage
        self.course = course
        self._watch = stage.watch(course)
        self.began = 0.0
        """Monotonic time of the first bytes."""
        try:
            client = stage.lab[course.client]
            self._transfer = Transfer(
                client,
                course.address,
                seconds=seconds,
                reverse=course.download,
                port=course.port,
                congestion=course.congestion,
            )
            self.began = wait_for("the first bytes of the transfer", self._first_bytes, within=_FIRST_BYTES)
        except BaseException:
            self._watch.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _first_bytes(self) -> float | None:
        at = self._watch.look().began()
        if at is None and not self._transfer.running:
            ended = self._transfer.end()
            raise NotBegunError(f"the transfer ended before it began: {ended.error}")
        return at

    @property
    def running(self) -> bool:
        """Whether the transfer has not ended yet."""
        return self._transfer.running

    def look(self) -> Samples:
        """All that was seen so far."""
        return self._watch.look()

    def until(self, at: float) -> None:
        """Look and show until ``at``; a transfer that ends early ends the wait too."""
        while (left := at - time.monotonic()) > 0 and self._transfer.running:
            time.sleep(min(left, _PAUSE))
            self._stage.show.tick(self._watch.look())

    def end(self) -> Ended:
        """Wait for the end of the transfer and say how it was."""
        return self._transfer.end()

    def give_up(self) -> Ended:
        """End the transfer now; it has survived if it was still running."""
        return self._transfer.give_up()

    def stop(self) -> Samples:
        """End the watcher; gives all that it saw. Once more changes nothing."""
        return self._watch.stop()
