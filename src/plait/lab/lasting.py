"""Transfers that last, and what a fault does to each of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from plait.lab.scenario import Course
from plait.lab.stage import WARM_UP, Carriage, Stage
from plait.lab.traffic import iperf_server

_LONG = 1200.0
"""Seconds that a transfer is meant to last; it is ended sooner."""
_LOOK = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Hurt:
    """What one fault did to one transfer. Seconds."""

    stall: float
    """The longest time without progress that began while the fault lasted."""
    back: float | None
    """From its end to the wanted share of full speed; None: not in time."""
    stall_back: float
    """The longest time without progress after its end."""


class Lasting:
    """One transfer a course, each on one connection; one that is lost is counted and begun anew.

    The courses need ports of their own. Use as a context manager.
    """

    def __init__(self, stage: Stage, courses: Sequence[Course]) -> None:
        self._stage = stage
        self.courses = tuple(courses)
        self.lost = {course.title: 0 for course in courses}
        self.full: dict[str, float] = {}
        """Undisturbed speed in bit/s."""
        self._carriages: dict[str, Carriage] = {}
        for course in courses:
            iperf_server(stage.lab[course.server], course.port)

    def __enter__(self) -> Self:
        try:
            for course in self.courses:
                self._carriages[course.title] = self._stage.carry(course, _LONG)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        for carriage in self._carriages.values():
            carriage.give_up()
            carriage.stop()

    def until(self, at: float) -> None:
        """Let the transfers run until ``at``."""
        while (left := at - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK))
            for number, carriage in enumerate(self._carriages.values()):
                samples = carriage.look()
                if number == 0:
                    self._stage.show.tick(samples)

    def measure(self, seconds: float) -> None:
        """Let them run undisturbed, and take that as full speed."""
        start = time.monotonic() + WARM_UP
        self.until(start + seconds)
        for course in self.courses:
            samples = self._carriages[course.title].look()
            self.full[course.title] = samples.speed(start, start + seconds)

    def await_back(self, ended: float, share: float, within: float) -> None:
        """Wait until all are at ``share`` of full speed again, at most ``within`` seconds."""
        while time.monotonic() < ended + within:
            self.until(time.monotonic() + _LOOK)
            if all(self._back(title, ended, share, within) is not None for title in self._carriages):
                return

    def _back(self, title: str, ended: float, share: float, within: float) -> float | None:
        samples = self._carriages[title].look()
        end = min(ended + within, samples.polled)
        return samples.reached(share * self.full[title], ended, end)

    def hurt(
        self, began: float, ended: float, *, share: float, within: float, felt: float = 0.0
    ) -> dict[str, Hurt]:
        """What a fault from ``began`` to ``ended`` did, by course. Lost transfers are begun anew.

        A stall that begins up to ``felt`` seconds after the end is put down to the fault, too.
        """
        found: dict[str, Hurt] = {}
        for title in tuple(self._carriages):
            samples = self._carriages[title].look()
            back = self._back(title, ended, share, within)
            until = ended + (within if back is None else back)
            found[title] = Hurt(
                stall=samples.longest_gap(began, ended + felt),
                back=back,
                stall_back=samples.longest_gap(ended + felt, min(until, samples.polled)),
            )
        self._revive()
        return found

    def _revive(self) -> None:
        for course in self.courses:
            carriage = self._carriages[course.title]
            if not carriage.running:
                self.lost[course.title] += 1
                self._stage.show.event(f"{course.title}: connection lost: {carriage.end().error}")
                carriage.stop()
                self._carriages[course.title] = self._stage.carry(course, _LONG)
