"""When to try to wake a path that stays down: after a while, then ever more seldom, and never without end.

A decision only: time comes in as ``now`` (seconds of a monotonic clock), the deadline goes out.
"""

from __future__ import annotations

from collections import deque

_HOUR = 3600.0


class Watchdog:
    """The patience with one path.

    The first attempt comes ``after`` seconds of being down, the next ones after twice, four times, … as
    long, once an hour at the latest; never more than ``limit`` in any one hour. A path that stayed up for
    ``after`` seconds is met with fresh patience.
    """

    def __init__(self, after: float, limit: int) -> None:
        self._after = after
        self._limit = limit
        self._down = False
        self._next: float | None = None
        self._tries = 0
        self._up_since = 0.0
        self._recent: deque[float] = deque()

    @property
    def tries(self) -> int:
        """Attempts since the path was last well."""
        return self._tries

    def saw(self, down: bool, now: float) -> None:
        """Tell whether the path is down, whenever that may have changed."""
        if down == self._down:
            return
        self._down = down
        if not down:
            self._next = None
            self._up_since = now
            return
        if now - self._up_since >= self._after:
            self._tries = 0
        self._next = now + self._pause()

    def due(self, now: float) -> bool:
        """Whether to make an attempt now; it counts as made."""
        at = self.deadline()
        if at is None or now < at:
            return False
        self._recent.append(now)
        while len(self._recent) > self._limit:
            self._recent.popleft()
        self._tries += 1
        self._next = now + self._pause()
        return True

    def deadline(self) -> float | None:
        """When to ask again; None while there is nothing to wait for."""
        if self._next is None or self._limit < 1:
            return None
        if len(self._recent) == self._limit:
            # The limit-th last attempt must be an hour ago.
            return max(self._next, self._recent[0] + _HOUR)
        return self._next

    def _pause(self) -> float:
        return min(self._after * float(2**self._tries), max(self._after, _HOUR))
