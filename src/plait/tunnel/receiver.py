"""The receiving end of one direction of a session: what is delivered, and what is acknowledged."""

from __future__ import annotations

from collections import OrderedDict

from plait.tunnel.dedupe import Seen
from plait.tunnel.frames import Ack, Treatment, unwrap
from plait.tunnel.receipts import Receipts
from plait.tunnel.resequencer import Delivery, Resequencer

MOST_LANES = 4096
"""Lanes that are remembered. A sender keeps to half of it."""
LANE_IDLE = 120.0
"""Seconds after which an unused lane is forgotten. A sender gives a flow a new one after 30."""
_ONLY_LATELY = 512
"""A lane whose first number seen is below this began at 0, and the others are on their way."""


class Receiver:
    """Feed it every authentic datagram; tokens are the driver's names for the payloads it keeps."""

    __slots__ = ("_lanes", "_redundant", "_waiting", "copies", "forgotten", "paths")

    def __init__(self) -> None:
        self.paths: dict[int, Receipts] = {}
        self.copies = 0
        """Segments that were dropped: second copies, and those that came when they had been given up."""
        self.forgotten = 0
        """Lanes dropped while in use because there were too many. An honest sender causes none."""
        self._redundant = Seen()
        self._lanes: OrderedDict[int, Resequencer] = OrderedDict()
        self._waiting: set[int] = set()

    def on_datagrams(
        self,
        path: int,
        counter: int,
        count: int,
        size: int,
        treatment: Treatment | None,
        now: float,
        waited: float = 0.0,
    ) -> None:
        """Authentic datagrams came on a path, with consecutive counters and ``size`` bytes in all.

        ``treatment`` is that of their DATA, None where they carry something else: nobody acknowledges that.
        They have ``waited`` in this host's queues until ``now``.
        """
        receipts = self.paths.get(path)
        if receipts is None:
            receipts = self.paths[path] = Receipts(path)
        receipts.add(counter, count, size, treatment, now, waited)

    def on_data(
        self, treatment: Treatment, lane: int, order: int, count: int, token: int, now: float
    ) -> tuple[list[Delivery], int]:
        """A run of segments came, the first of which has the 24-bit number ``order``.

        Gives what is to go on now, in order, and how many pieces of this run will follow in later
        deliveries (until then its payload has to be kept; 0: nothing of it is wanted any more).
        """
        if treatment == Treatment.LOOSE:
            return [Delivery(token, 0, count)], 0
        if treatment == Treatment.REDUNDANT:
            pieces = self._redundant.add(unwrap(order, self._redundant.next), count)
            out = [Delivery(token, skip, size) for skip, size in pieces]
            self.copies += count - sum(size for _, size in pieces)
            return out, 0
        lanes = self._lanes
        sequence = lanes.get(lane)
        flushed: list[Delivery] = []
        if sequence is None:
            flushed = self._make_room(now)
            sequence = lanes[lane] = Resequencer(0 if order < _ONLY_LATELY else order, now)
        else:
            lanes.move_to_end(lane)
        out, kept = sequence.add(unwrap(order, sequence.next), count, token, now)
        if not kept and not out:
            self.copies += count
        if sequence.deadline() is not None:
            self._waiting.add(lane)
        elif lane in self._waiting:
            self._waiting.remove(lane)
        return flushed + out if flushed else out, kept

    def _make_room(self, now: float) -> list[Delivery]:
        """Forget lanes that are idle, and the one used least lately when there are too many."""
        flushed: list[Delivery] = []
        lanes = self._lanes
        while lanes:
            lane, sequence = next(iter(lanes.items()))
            idle = now - sequence.used_at >= LANE_IDLE
            if not idle and len(lanes) < MOST_LANES:
                break
            self.forgotten += not idle
            flushed += sequence.flush()
            self._waiting.discard(lane)
            del lanes[lane]
        return flushed

    def poll(self, now: float) -> list[Delivery]:
        """What is to go on because waiting for what is before it is no use any more."""
        out: list[Delivery] = []
        for lane in list(self._waiting):
            sequence = self._lanes[lane]
            out += sequence.poll(now)
            if sequence.deadline() is None:
                self._waiting.discard(lane)
        return out

    def acks(self, now: float) -> list[Ack]:
        """The acknowledgements that are due; each is best sent on the path that it is about."""
        due = []
        for receipts in self.paths.values():
            when = receipts.deadline()
            if when is not None and when <= now:
                due.append(receipts.ack(now))
        return due

    def drop_path(self, path: int) -> None:
        """A path is gone for good: its number may be used for another one."""
        self.paths.pop(path, None)

    def deadline(self) -> float | None:
        """When `poll` or `acks` have something to say, if nothing comes before."""
        times = [when for receipts in self.paths.values() if (when := receipts.deadline()) is not None]
        times += (when for lane in self._waiting if (when := self._lanes[lane].deadline()) is not None)
        return min(times, default=None)
