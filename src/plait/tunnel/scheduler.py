"""Which path a run takes.

*Bond*: where it is expected to arrive first. The paths' one-way delays are known up to a
constant that they share, so they can be compared. A slower path that has room is used only if
the faster ones could not have carried all that waits by the time it would arrive (ECF, Lim et
al., CoNEXT 2017): a little waits for the fast path, much fills both. *Redundant*: the first two
by the same measure. *Failover*: the first.

Paths in mode ``backup`` or ``handover`` are used while no other path works. One that has fallen
silent is not used unless all have.
"""

from __future__ import annotations

from enum import IntEnum

from plait.tunnel.congestion import Pace
from plait.tunnel.flight import Flight

UNKNOWN_LAG = 0.050
"""Seconds by which a path is thought to be slower than the fastest before it was measured."""
SLACK = 0.002
"""Seconds by which a path may be slower and is still as good."""


class Mode(IntEnum):
    """How the owner wants a path to be used; `frames.PathTerms` carries the number."""

    ON = 0
    MASTER = 1
    BACKUP = 2
    HANDOVER = 3
    OFF = 4


class Way:
    """One path as the sender sees it."""

    __slots__ = (
        "doubt_at",
        "flight",
        "grace",
        "heard_at",
        "id",
        "lag",
        "mode",
        "pace",
        "probe_at",
        "probes",
        "silent",
        "silent_since",
        "up",
        "weight",
    )

    def __init__(self, path: int, now: float) -> None:
        self.id = path
        self.mode = Mode.ON
        self.weight = 1.0
        self.up = True
        """Whether the keeper lets it be used."""
        self.silent = False
        """Whether what was sent on it has stayed without an answer."""
        self.silent_since = now
        self.grace = 0.0
        """Seconds of patience beyond what its round trips suggest: it has stalled and come back."""
        self.doubt_at = now
        """When what is late on it is to be looked for again."""
        self.heard_at = now
        """When something came back last."""
        self.probe_at = now
        self.probes = 0
        self.lag = 0.0
        """Seconds by which its one-way delay is longer than that of the fastest; see `rank`."""
        self.pace = Pace(now)
        self.flight = Flight()


def usable(ways: list[Way]) -> list[Way]:
    """The paths to be used now: of the best tier that has any, and without the silent if others are left."""
    up = [way for way in ways if way.up and way.mode is not Mode.OFF]
    for silent in (False, True):
        for spare in (False, True):
            tier = [
                way
                for way in up
                if (silent or not way.silent) and (spare or way.mode in (Mode.ON, Mode.MASTER))
            ]
            if tier:
                return tier
    return []


def rank(ways: list[Way]) -> float:
    """Sort by one-way delay and note each path's `Way.lag`; gives the largest.

    What was not measured yet counts as slow, so that measuring it delays nobody.
    """
    measured = [way.pace.estimate.owd for way in ways if way.pace.estimate.srtt]
    fastest = min(measured, default=0.0)
    for way in ways:
        estimate = way.pace.estimate
        way.lag = estimate.owd - fastest if estimate.srtt else (UNKNOWN_LAG if measured else 0.0)
    ways.sort(key=_lag)
    return ways[-1].lag if ways else 0.0


def choose(ways: list[Way], backlog: int, now: float) -> Way | None:
    """The path for the next run, None if it should wait. ``backlog`` bytes wait, this run among them.

    ``ways`` are those usable, as `rank` has sorted them.
    """
    rate = 0.0
    for way in ways:
        pace = way.pace
        if rate and way.lag > SLACK and backlog < rate * (way.lag - SLACK):
            return None
        if pace.ready(way.flight.bytes, now):
            return way
        rate += pace.rate * pace.share
    return None


def wake(ways: list[Way], backlog: int) -> float | None:
    """When `choose` may find a path, if nothing comes before; None if only an ACK can change that."""
    rate = 0.0
    first: float | None = None
    for way in ways:
        pace = way.pace
        if rate and way.lag > SLACK and backlog < rate * (way.lag - SLACK):
            break
        if way.flight.bytes < pace.window and (first is None or pace.next_at < first):
            first = pace.next_at
        rate += pace.rate * pace.share
    return first


def soonest(ways: list[Way], now: float, count: int) -> list[Way]:
    """The ``count`` paths on which something that can't wait would arrive first."""
    if len(ways) <= 1:
        return ways
    return sorted(ways, key=lambda way: way.lag + max(0.0, way.pace.next_at - now))[:count]


def _lag(way: Way) -> float:
    return way.lag
