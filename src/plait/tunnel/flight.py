"""What is under way on one path: runs of datagrams, and what acknowledgements make of them.

The unit is the run, not the datagram: a hundred Gbit/s-sized runs are under way where there are
thousands of datagrams. A run that an ACK covers is done with one comparison; only a run with
holes is looked at in detail.

A datagram is lost when one sent clearly later has arrived (RFC 8985): later by an eighth of the
round trip, since paths seldom reorder and never by much.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from plait.tunnel.frames import Ack, Treatment

PAUSE = 0.005
"""Seconds with nothing under way that are a pause, and not only a sender that waits for an ACK."""


class Parcel:
    """A run of ``count`` segments of one payload, to be sent on one path as so many datagrams.

    Mutable and not a dataclass: it is made and touched for each run.
    """

    __slots__ = (
        "arrived_before",
        "attempt",
        "bytes_before",
        "count",
        "counter",
        "first",
        "lane",
        "limited",
        "missing",
        "number",
        "path",
        "sent_at",
        "sent_before",
        "size",
        "token",
        "treatment",
    )

    def __init__(
        self,
        path: int,
        token: int,
        first: int,
        count: int,
        size: int,
        treatment: Treatment,
        lane: int,
        number: int,
        attempt: int,
    ) -> None:
        self.path = path
        self.token = token
        """The driver's name for the payload."""
        self.first = first
        """The first of its segments that is in this run."""
        self.count = count
        self.size = size
        """Bytes of one datagram on the wire."""
        self.treatment = treatment
        self.lane = lane
        self.number = number
        """The number of the first segment in its lane; for `frames.data_head` of a superpacket's
        segments ``order`` is ``number - first`` and the index begins at ``first``."""
        self.attempt = attempt
        """0; 1 and more when it is sent again; -1 for a second copy, which nobody sends again."""
        self.counter = -1
        """The path's counter of its first datagram, once it is sent."""
        self.sent_at = 0.0
        self.limited = False
        """Whether the path had little to do then: its rate says nothing about the path's."""
        self.bytes_before = 0
        self.arrived_before = -1
        self.sent_before = 0.0
        self.missing: list[tuple[int, int]] | None = None
        """(counter, count) of what is not acknowledged though later ones are."""

    def copy(self, path: int) -> Parcel:
        """A second copy for another path."""
        return Parcel(
            path,
            self.token,
            self.first,
            self.count,
            self.size,
            self.treatment,
            self.lane,
            self.number,
            -1,
        )

    def cut(self, count: int) -> Parcel:
        """Keep ``count`` segments; gives the others."""
        rest = Parcel(
            self.path,
            self.token,
            self.first + count,
            self.count - count,
            self.size,
            self.treatment,
            self.lane,
            self.number + count,
            self.attempt,
        )
        self.count = count
        return rest


@dataclass(slots=True)
class Verdict:
    """What one ACK has changed."""

    delivered: int = 0
    """Bytes acknowledged for the first time."""
    datagrams: int = 0
    newest: Parcel | None = None
    """The run of the newest datagram acknowledged, if this is news."""
    done: list[Parcel] = field(default_factory=list)
    """Runs that are entirely acknowledged or lost."""
    lost: list[tuple[Parcel, int, int]] = field(default_factory=list)
    """(run, offset, count) of what is taken for lost."""
    lost_datagrams: int = 0


class Flight:
    """The runs under way on one path."""

    __slots__ = (
        "_emptied_at",
        "_holes",
        "_rested",
        "_runs",
        "arrived",
        "awake",
        "bytes",
        "newest",
        "received",
        "sent_newest",
    )

    def __init__(self) -> None:
        self._runs: deque[Parcel] = deque()
        self._holes: list[Parcel] = []
        self.bytes = 0
        """Bytes sent and neither acknowledged nor lost."""
        self.newest = -1
        """The largest counter acknowledged."""
        self.sent_newest = 0.0
        """When the newest run acknowledged was sent."""
        self.received = 0
        """Bytes received, as the newest ACK says."""
        self.arrived = -1
        """When the newest had arrived, in µs by the receiver's clock; -1 before any."""
        self.awake = (0, 0, 0.0)
        """Bytes, arrival and sending of the newest in the first ACK after a pause: what was before says
        nothing about the path's rate."""
        self._rested = True
        self._emptied_at = -PAUSE

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._runs and not self._holes

    @property
    def oldest(self) -> Parcel:
        """The run that has been under way for the longest time. There must be one."""
        return (self._holes or self._runs)[0]

    def sent(self, parcel: Parcel, counter: int, now: float) -> None:
        """A run went out, its first datagram with ``counter``."""
        parcel.counter = counter
        parcel.sent_at = now
        parcel.bytes_before = self.received
        parcel.arrived_before = self.arrived
        parcel.sent_before = self.sent_newest
        if not self._runs and now - self._emptied_at > PAUSE:
            self._rested = True
        self._runs.append(parcel)
        self.bytes += parcel.size * parcel.count

    def on_ack(self, ack: Ack, window: float, now: float) -> Verdict:
        """Apply an ACK. What was sent more than ``window`` seconds before the newest is lost."""
        verdict = Verdict()
        ranges = ack.ranges
        newest = ranges[0][1]
        runs = self._runs
        top = ranges[0][0]
        at = len(ranges) - 1
        while runs:
            parcel = runs[0]
            counter = parcel.counter
            if counter > newest:
                break
            end = counter + parcel.count - 1
            verdict.newest = parcel
            if end > newest:
                break  # the rest of it is still on its way; ask again with the next ACK
            runs.popleft()
            if counter >= top:
                verdict.delivered += parcel.size * parcel.count
                verdict.datagrams += parcel.count
                verdict.done.append(parcel)
                continue
            while at and ranges[at][1] < counter:
                at -= 1
            if ranges[at][0] <= counter and end <= ranges[at][1]:
                verdict.delivered += parcel.size * parcel.count
                verdict.datagrams += parcel.count
                verdict.done.append(parcel)
            else:
                parcel.missing = [(counter, parcel.count)]
                self._holes.append(parcel)
        if verdict.newest is not None:
            if newest <= self.newest:
                verdict.newest = None
            else:
                self.sent_newest = verdict.newest.sent_at
        self.newest = max(self.newest, newest)
        if self._holes:
            self._settle(ranges, self.sent_newest - window, verdict)
        if ack.arrived > self.arrived:
            self.arrived, self.received = ack.arrived, ack.bytes
        if self._rested and verdict.newest is not None:
            self._rested = False
            self.awake = (ack.bytes, ack.arrived, verdict.newest.sent_at)
        if not runs:
            self._emptied_at = now
        self.bytes -= verdict.delivered + sum(parcel.size * count for parcel, _, count in verdict.lost)
        return verdict

    def _settle(self, ranges: tuple[tuple[int, int], ...], before: float, verdict: Verdict) -> None:
        """Look at the runs with holes: what has come, and what will not."""
        left = []
        for parcel in self._holes:
            assert parcel.missing is not None
            missing = [piece for hole in parcel.missing for piece in _without(hole, ranges)]
            came = sum(count for _, count in parcel.missing) - sum(count for _, count in missing)
            verdict.delivered += came * parcel.size
            verdict.datagrams += came
            if missing and parcel.sent_at < before:
                self._lose(parcel, missing, verdict)
                missing = []
            if missing:
                parcel.missing = missing
                left.append(parcel)
            else:
                verdict.done.append(parcel)
        self._holes = left

    @staticmethod
    def _lose(parcel: Parcel, missing: list[tuple[int, int]], verdict: Verdict) -> None:
        for counter, count in missing:
            verdict.lost.append((parcel, counter - parcel.counter, count))
            verdict.lost_datagrams += count

    def rate(self, ack: Ack, newest: Parcel) -> tuple[float, float]:
        """Bytes/s that were delivered until this ACK, and seconds over which that was measured (or 0).

        Not faster than it was sent, nor than it arrived.
        """
        before = newest.bytes_before, newest.arrived_before, newest.sent_before
        if newest.arrived_before < self.awake[1]:
            before = self.awake
        span = max((ack.arrived - before[1]) * 1e-6, newest.sent_at - before[2])
        return ((ack.bytes - before[0]) / span, span) if span > 0 else (0.0, 0.0)

    def doubtful(self, before: float, most: int) -> list[tuple[Parcel, list[tuple[int, int]]]]:
        """Runs in order that were sent before ``before`` and of which something is missing, oldest first,
        about ``most`` segments: each with (offset, count) of what is missing."""
        found: list[tuple[Parcel, list[tuple[int, int]]]] = []
        for runs in (self._holes, self._runs):
            for parcel in runs:
                if parcel.sent_at >= before or most <= 0:
                    break
                if parcel.treatment is Treatment.ORDERED and parcel.attempt >= 0:
                    missing = parcel.missing or [(parcel.counter, parcel.count)]
                    found.append((parcel, [(first - parcel.counter, count) for first, count in missing]))
                    most -= sum(count for _, count in missing)
        return found

    def abandon(self) -> Verdict:
        """The path has fallen silent: all that is under way is taken for lost."""
        verdict = Verdict()
        for parcel in (*self._holes, *self._runs):
            self._lose(parcel, parcel.missing or [(parcel.counter, parcel.count)], verdict)
            verdict.done.append(parcel)
        self._holes.clear()
        self._runs.clear()
        self.bytes = 0
        return verdict


def _without(hole: tuple[int, int], ranges: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
    """(counter, count) of what of a hole no range covers, in order. Ranges are newest first."""
    first, count = hole
    last = first + count - 1
    left = []
    for low, high in reversed(ranges):
        if high < first:
            continue
        if low > last:
            break
        if low > first:
            left.append((first, low - first))
        first = high + 1
        if first > last:
            return left
    left.append((first, last - first + 1))
    return left
