"""Modems, an exit and a courier that probes, all in numbers: seconds of a clock that tests move.

A `Road` is a path as nature has it. The `Street` sends echoes over it as the courier does (pace, bursts,
patience, late replies), lets live connections report every 50 ms as the workers do, and feeds all of it
to the judgement. Nothing here waits: an hour of quiet costs as many events as happen in it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from math import inf
from random import Random
from typing import Protocol

from plait.paths.asking import Asks
from plait.paths.pair import Carried

REPORTS = 0.05


class Judging(Protocol):
    """What is fed: `Health` alone, or the whole judgement."""

    def echo(self, exit_name: str, path: str, sent: float, rtt: float, now: float) -> None: ...
    def silent(self, exit_name: str, path: str, sent: float, now: float) -> None: ...
    def connect(self, exit_name: str, path: str, sent: float, rtt: float | None, now: float) -> None: ...
    def traffic(self, exit_name: str, path: str, report: Carried, now: float) -> object: ...
    def links(self, ready: Mapping[str, bool], now: float) -> None: ...
    def tick(self, now: float) -> None: ...
    def asks(self, now: float) -> Asks: ...
    def deadline(self, now: float) -> float | None: ...


@dataclass
class Road:
    """One path, as it is."""

    name: str
    delay: float = 0.01
    """Seconds one way."""
    jitter: float = 0.0
    loss: float = 0.0
    """Each way."""
    linked: bool = True
    there: bool = True
    """Whether packets get to the exit, and …"""
    back: bool = True
    """… back from it."""
    udp: bool = True
    metered: bool = False
    busy: bool = False
    """Connections carry data over it."""
    inward: bool = False
    """… and only take: what they wait for is not theirs to miss."""
    stopped: float = field(default=-1.0, repr=False)
    """Since when nothing came in on it."""
    pace: float = 1.0
    ticking: int = 0
    srtt: float | None = None
    rttvar: float = 0.0
    late_at: float = inf


class Street:
    """Roads to one exit, and who probes them."""

    def __init__(self, judging: Judging, roads: list[Road], seed: int = 1, thrift: float = 1.0) -> None:
        self.now = 0.0
        self.judging = judging
        self.roads = {road.name: road for road in roads}
        self.exit_name = "attic"
        self.exit_alive = True
        """Whether packets get as far as the exit's machine."""
        self.exit_awake = True
        """Whether the exit's process runs; the machine acknowledges TCP without it."""
        self.foreign = False
        self.thrift = thrift
        """Ordinary probes are sent so many times less often: they tell nothing new on a quiet day."""
        self.told: Callable[[], None] = lambda: None
        """Called after all that may have changed a verdict."""
        self.sent: dict[str, int] = {}
        """Echoes by path."""
        self._random = Random(seed)
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()
        self._asleep_until = 0.0
        self._held: list[Callable[[], None]] = []
        self._wake_at: float | None = None
        self.at(0.0, lambda: self._tell(lambda: self.judging.tick(self.now)))
        for road in roads:
            self._tick(road)
            if road.busy:
                self.at(REPORTS, lambda road=road: self._report(road))  # type: ignore[misc]

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Let something happen."""
        heapq.heappush(self._queue, (when, next(self._number), what))

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        self.at(self.now + seconds, what)

    def run(self, until: float) -> None:
        """Move the clock."""
        while self._queue and self._queue[0][0] <= until:
            when, _, what = heapq.heappop(self._queue)
            self.now = max(self.now, when)
            what()
        self.now = until

    def run_until(self, condition: Callable[[], bool], limit: float) -> float:
        """Move the clock until something is so; gives the seconds that it took."""
        began = self.now
        while not condition():
            assert self._queue, "nothing will ever happen"
            assert self._queue[0][0] <= began + limit, f"not within {limit} s"
            self.run(self._queue[0][0])
        return self.now - began

    def sleep(self, seconds: float) -> None:
        """Our own processes are not let run for so long; what arrives meanwhile waits in sockets."""
        self._asleep_until = self.now + seconds

    def load(self, name: str, busy: bool) -> None:
        """Connections begin to carry data over a road, or stop."""
        road = self.roads[name]
        if busy and not road.busy:
            self.after(REPORTS, lambda: self._report(road))
        road.busy = busy

    def hasten(self, thrift: float) -> None:
        """Ordinary probes at another pace from now on."""
        self.thrift = thrift
        self._tell(lambda: None)
        for road in self.roads.values():
            self._tick(road)

    def link(self, name: str, linked: bool) -> None:
        """A carrier comes or goes."""
        self.roads[name].linked = linked
        self._tell(lambda: self.judging.links({name: linked}, self.now))

    def wake_exit(self) -> None:
        """The exit's process runs again; what had arrived is answered now."""
        self.exit_awake = True
        held, self._held = self._held, []
        for answer in held:
            answer()

    # The courier.

    def _tell(self, what: Callable[[], None]) -> None:
        """Something for the judgement, once we are awake."""
        if self.now < self._asleep_until:
            self.at(self._asleep_until, lambda: self._tell(what))
            return
        what()
        asks = self.judging.asks(self.now)
        for name, pace in asks.pace.items():
            road = self.roads[name]
            if pace >= 1.0:
                pace *= self.thrift
            if pace < road.pace:
                road.pace = pace
                self._tick(road)
            road.pace = pace
        for name in asks.bursts:
            for number in range(4):
                self.after(0.04 * number, lambda name=name: self._echo(self.roads[name]))  # type: ignore[misc]
        for exit_name, name in asks.connects:
            self._connect(exit_name, self.roads[name])
        self.told()
        deadline = self.judging.deadline(self.now)
        if deadline is not None and (self._wake_at is None or deadline < self._wake_at):
            self._wake_at = deadline
            self.at(deadline, self._woken)

    def _woken(self) -> None:
        if self._wake_at is not None and self._wake_at <= self.now:
            self._wake_at = None
            self._tell(lambda: self.judging.tick(self.now))

    def _tick(self, road: Road) -> None:
        road.ticking += 1
        mine = road.ticking

        def again() -> None:
            if road.ticking == mine:
                self._echo(road)
                self.after(road.pace, again)

        self.after(road.pace * self._random.uniform(0.1, 1.0), again)

    def _trip(self, road: Road, open_: bool) -> float | None:
        """Seconds one way; None for what is lost."""
        if not open_ or (road.loss and self._random.random() < road.loss):
            return None
        return road.delay + (self._random.random() * road.jitter if road.jitter else 0.0)

    def _echo(self, road: Road) -> None:
        if not road.linked or self.foreign:
            return
        if self.now < self._asleep_until:
            self.at(self._asleep_until, lambda: self._echo(road))
            return
        sent = self.now
        self.sent[road.name] = self.sent.get(road.name, 0) + 1
        open_ = [False]

        def arrived() -> None:
            if not self.exit_alive:
                return
            if not self.exit_awake:
                self._held.append(arrived)
                return
            back = self._trip(road, road.back and road.udp)
            if back is not None:
                self.after(back, answered)

        def answered() -> None:
            rtt = self.now - sent
            open_[0] = True
            if not road.back or not road.linked:
                open_[0] = False
                return
            late = road.srtt is not None and rtt > max(0.15, road.srtt + 4 * road.rttvar + 0.06)
            if late and sent < road.late_at:
                road.late_at = min(road.late_at, self.now)
            elif road.srtt is None:
                road.srtt, road.rttvar = rtt, rtt / 2
            else:
                road.late_at = road.late_at if late else inf
                road.rttvar += (abs(road.srtt - rtt) - road.rttvar) / 4
                road.srtt += (rtt - road.srtt) / 8
            self._tell(lambda: self.judging.echo(self.exit_name, road.name, sent, rtt, self.now))

        there = self._trip(road, road.there and road.udp)
        if there is not None:
            self.after(there, arrived)
        patience = 1.0 if road.srtt is None else min(2.0, max(0.15, road.srtt + 4 * road.rttvar + 0.06))

        def due() -> None:
            # The courier looks into its socket once more before it calls an answer missing.
            if self.now < self._asleep_until:
                self.at(self._asleep_until + 1e-6, due)
            elif not open_[0]:
                self._tell(lambda: self.judging.silent(self.exit_name, road.name, sent, self.now))

        self.after(patience, due)

    def _connect(self, exit_name: str, road: Road) -> None:
        sent = self.now
        there, back = self._trip(road, road.there), self._trip(road, road.back)
        fine = exit_name == self.exit_name and self.exit_alive and road.linked
        rtt = there + back if fine and there is not None and back is not None else None
        self.after(
            2.0 if rtt is None else rtt,
            lambda: self._tell(lambda: self.judging.connect(exit_name, road.name, sent, rtt, self.now)),
        )

    # Live connections.

    def _report(self, road: Road) -> None:
        """What the workers say while something moves or waits."""
        if not road.busy:
            return
        self.after(REPORTS, lambda: self._report(road))
        if not road.linked or self.now < self._asleep_until:
            road.stopped = -1.0
            return
        rtt = 2 * road.delay
        if road.there and road.back and self.exit_alive:
            road.stopped = -1.0
            received, acked, sent = (100_000, 0, 0) if road.inward else (0, 100_000, 70)
            lost = round(sent * road.loss)
            report = Carried(
                at=self.now, received=received, acked=acked, sent=sent, lost=lost, heard=0.002, rtt=rtt
            )
        else:
            if road.stopped < 0:
                road.stopped = self.now - self._random.uniform(0.0, REPORTS)
            waiting = self.now - road.stopped
            suspicious = waiting > max(0.1, 2 * rtt)
            if road.inward:
                # For as long as there is room for what comes behind the hole.
                beside = any(
                    each.inward and each.busy and each.there and each.back for each in self.roads.values()
                )
                outrun = waiting if beside and self.exit_alive else 0.0
                report = Carried(
                    at=self.now, heard=waiting, quiet=waiting, outrun=outrun, suspicious=suspicious, rtt=rtt
                )
            else:
                report = Carried(
                    at=self.now,
                    sent=1,
                    lost=1,
                    heard=waiting,
                    waiting=waiting,
                    suspicious=suspicious,
                    rtt=rtt,
                )
        self._tell(lambda: self.judging.traffic(self.exit_name, road.name, report, self.now))
