"""What has arrived on each path, and when the sender is to be told of it.

An ACK that comes soon makes a loss known soon, but every ACK is a datagram against the
stream. So one is due 10 ms after the first datagram that asks for it, or as soon as 256 KiB
have come, which keeps the sender's view fresh at Gbit/s; and after 2 ms when something that is
kept in order has just been found missing. A thin stream without a gap waits 40 ms, if nobody
would send it again anyway. Datagrams that carry nothing but ACKs and echoes are listed but ask
for nothing: two ends would keep each other awake.
"""

from __future__ import annotations

from plait.tunnel.frames import MOST_RANGES, Ack, Treatment

DELAY = 0.010
"""Seconds that an ACK waits."""
GAP_DELAY = 0.002
"""Seconds that it waits when something is missing that was not before: a flow stands still behind it."""
THIN_DELAY = 0.040
"""Seconds that it waits where less than `THIN` datagrams have come, none in order and none is missing."""
THIN = 4
FORGIVEN = 0.005
"""Seconds for which datagrams may wait for a process without that being counted as a queue of the path."""
BYTES = 256 * 1024
"""Bytes after which it doesn't wait."""


class Receipts:
    """The datagrams of one path."""

    __slots__ = (
        "_arrived",
        "_asked",
        "_bytes",
        "_gap",
        "_news",
        "_path",
        "_ranges",
        "_read",
        "_since",
        "_soon",
    )

    def __init__(self, path: int) -> None:
        self._path = path
        self._ranges: list[list[int]] = []  # [first, last], oldest first, never touching
        self._bytes = 0
        self._arrived = float("-inf")
        self._read = 0.0
        self._asked: float | None = None
        self._since = 0
        self._news = 0
        self._soon = False
        self._gap = False

    def add(
        self,
        counter: int,
        count: int,
        size: int,
        treatment: Treatment | None,
        now: float,
        waited: float = 0.0,
    ) -> None:
        """Datagrams ``counter`` to ``counter + count - 1`` came, ``size`` bytes in all, and have ``waited``
        for so long until they were looked at.

        The waiting is none of the path's delay and disturbs no rate, so far as it is `FORGIVEN`: beyond,
        it is this end that is too slow, and the sender has to learn of it. It is part of the round trip all
        the same: until the sender hears of what has come, more has to be under way.

        The replay window has let none of them through twice. Those without a treatment ask for nothing.
        """
        ranges = self._ranges
        self._bytes += size
        end = counter + count - 1
        if ranges and ranges[-1][1] == counter - 1:
            ranges[-1][1] = end
            self._read = now
            self._arrived = max(self._arrived, now - min(max(waited, 0.0), FORGIVEN))
        elif not ranges or counter > ranges[-1][1]:
            self._soon = self._soon or bool(ranges)
            self._gap = self._gap or (bool(ranges) and treatment is Treatment.ORDERED)
            ranges.append([counter, end])
            self._read = now
            self._arrived = max(self._arrived, now - min(max(waited, 0.0), FORGIVEN))
            if len(ranges) > MOST_RANGES:
                del ranges[0]
        else:
            self._insert(counter, end)
        if treatment is not None:
            if treatment is Treatment.ORDERED:
                self._soon = True
            self._since += size
            self._news += count
            if self._asked is None:
                self._asked = now

    def _insert(self, counter: int, end: int) -> None:
        """What came late."""
        ranges = self._ranges
        at = len(ranges)
        while at and ranges[at - 1][0] > counter:
            at -= 1
        ranges.insert(at, [counter, end])
        # More than neighbours only where a peer counts some twice, under keys that it has renewed.
        while at + 1 < len(ranges) and ranges[at + 1][0] <= ranges[at][1] + 1:
            ranges[at][1] = max(ranges[at][1], ranges[at + 1][1])
            del ranges[at + 1]
        if at and ranges[at - 1][1] >= counter - 1:
            ranges[at - 1][1] = max(ranges[at][1], ranges[at - 1][1])
            del ranges[at]
        if len(ranges) > MOST_RANGES:
            del ranges[0]
        self._soon = True  # good news for a sender that may be about to send it again

    def deadline(self) -> float | None:
        """When an ACK is due; None if nobody waits for one."""
        if self._asked is None:
            return None
        if self._since >= BYTES:
            return self._asked
        if self._gap:
            return self._asked + GAP_DELAY
        return self._asked + (THIN_DELAY if self._news < THIN and not self._soon else DELAY)

    def ack(self, now: float) -> Ack:
        """The acknowledgement to be sent at ``now``. Call it when one is due."""
        self._asked = None
        self._since = 0
        self._news = 0
        self._soon = False
        self._gap = False
        return Ack(
            self._path,
            int((now - self._read) * 1e6),
            int(self._arrived * 1e6),
            self._bytes,
            tuple((first, last) for first, last in reversed(self._ranges)),
        )
