"""The least of what was seen lately: the RTT of a path without its queues."""

from __future__ import annotations

from math import inf


class Least:
    """Over one to two windows of ``seconds``."""

    __slots__ = ("_begun", "_former", "_now", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begun = -inf
        self._former = inf
        self._now = inf

    def see(self, value: float, now: float) -> None:
        """Another value."""
        self._turn(now)
        self._now = min(self._now, value)

    def value(self, now: float) -> float | None:
        """The least one; None when there was none."""
        self._turn(now)
        least = min(self._former, self._now)
        return None if least == inf else least

    def _turn(self, now: float) -> None:
        if now >= self._begun + self._seconds:
            # What is older than two windows is kept until there is something newer.
            if self._now < inf:
                self._former = self._now
            self._now = inf
            self._begun = now
