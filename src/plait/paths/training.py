"""When the capacity of one path is to be measured by a train of probes. Seconds; no clock.

Three trains when it is new or back, then few. Soon again where something speaks for another link than the
one that was measured: a rate that no train has found before, another RTT, another loss.
"""

from __future__ import annotations

from math import inf

FIRST = 3
"""Trains one after the other when a path is new, has come back, or may have become another."""
_STEP = 1.0
"""Seconds between those."""
_EVERY, _EVERY_METERED = 600.0, 1800.0
"""Seconds between trains (20 kB each) later on: 2.9 MB a day, 1 MB on a metered path."""
_BENCHED, _WANTED = 60.0, 5.0
"""… on the bench; while others carry 1 Mbit/s or more, so that it would be of use. That is 32 kbit/s."""
_AGAIN, _AGAIN_METERED = 30.0, 300.0
"""Seconds between two suspicions that are followed."""
_TIMES = 2.0
"""What is so many times as much is something else …"""
_LEAST_RTT, _LEAST_LOSS = 0.01, 0.1
"""… when it differs by so much."""


class Training:
    """The trains of one path."""

    __slots__ = ("_at", "_hurried", "_loss", "_rtt", "_sent", "metered")

    def __init__(self) -> None:
        self._sent = 0
        self._at = -inf
        self._hurried = -inf
        self._rtt: float | None = None
        self._loss = 0.0
        self.metered = False

    def anew(self) -> None:
        """The link has come or gone."""
        self._sent = 0

    def sent(self, rtt: float | None, loss: float, now: float) -> None:
        """A train is sent, with this RTT and this loss."""
        self._sent += 1
        self._at = now
        self._rtt, self._loss = rtt, loss

    def suspect(self, now: float) -> bool:
        """It may be another link by now. Whether that is followed: now and then only."""
        if self._sent < FIRST or now < self._hurried + (_AGAIN_METERED if self.metered else _AGAIN):
            return False
        self._hurried = now
        self._sent = 0
        return True

    def differs(self, rtt: float | None, loss: float) -> bool:
        """Whether it measures otherwise than when the last train was sent."""
        if abs(loss - self._loss) >= _LEAST_LOSS and _apart(loss, self._loss):
            return True
        if rtt is None or self._rtt is None:
            return False
        return abs(rtt - self._rtt) >= _LEAST_RTT and _apart(rtt, self._rtt)

    def due(self, *, benched: bool, wanted: bool, busy: bool) -> float | None:
        """When to send the next one; ``wanted`` is whether others carry much. Trains that meet traffic
        tell little: none but the first where the path is ``busy``."""
        if self._sent < FIRST:
            return self._at + _STEP
        if busy:
            return None
        if benched:
            return self._at + (_WANTED if wanted and not self.metered else _BENCHED)
        return self._at + (_EVERY_METERED if self.metered else _EVERY)


def _apart(one: float, other: float) -> bool:
    return max(one, other) >= _TIMES * min(one, other)
