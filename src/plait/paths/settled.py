"""Figures that move all the time, made into ones that change seldom: those who act on them cost something."""

from __future__ import annotations

from math import inf

_SHARE = 1 / 3
_LEAST = 0.003
"""An RTT has changed when it differs by a third and by 3 ms."""
_REST = 2.0
"""Seconds between two changes of it."""
_STEPS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Losses that are told apart."""
_BACK = 0.7
"""A loss has left a step when it is below this share of it."""


class Settled:
    """RTT in seconds and loss as a share."""

    __slots__ = ("_at", "loss", "rtt")

    def __init__(self) -> None:
        self.rtt: float | None = None
        self.loss = 0.0
        self._at = -inf

    def look(self, rtt: float | None, loss: float, now: float) -> None:
        """What they are now."""
        if rtt is not None and self._differs(rtt) and now >= self._at + _REST:
            self.rtt = rtt
            self._at = now
        reached = max(step for step in _STEPS if loss >= step)
        if reached > self.loss or loss < self.loss * _BACK:
            self.loss = reached

    def _differs(self, rtt: float) -> bool:
        return self.rtt is None or abs(rtt - self.rtt) > max(_LEAST, _SHARE * self.rtt)
