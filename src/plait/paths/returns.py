"""How soon a path that has come back may be used again: at once, unless it makes a habit of failing.

Each failure costs a token, and time of good service earns them. While there are some, a path is used
as soon as it answers; without one it must answer for a while first, twice as long each time.
"""

from __future__ import annotations

TOKENS = 16.0
EARNED_IN = 5.0
"""Seconds of service that earn a token."""
SHORT = 2.0
"""Seconds: who fails sooner than this pays two tokens."""
FIRST = 1.0
"""Seconds of the first hold."""
LONGEST = 30.0


class Returns:
    """The history of one path's failures."""

    __slots__ = ("_tokens", "count", "hold")

    def __init__(self) -> None:
        self._tokens = TOKENS
        self.hold = 0.0
        """For how many seconds the path must answer before it is used again."""
        self.count = 0
        """Returns so far."""

    def failed(self, served: float) -> None:
        """The path has failed after ``served`` seconds of use."""
        self._tokens = min(TOKENS, self._tokens + max(0.0, served) / EARNED_IN)
        price = 1.0 if served >= SHORT else 2.0
        if self._tokens >= price:
            self._tokens -= price
            self.hold = self.hold / 2 if self.hold > FIRST else 0.0
        else:
            self.hold = min(LONGEST, max(FIRST, 2 * self.hold))

    def forgive(self) -> None:
        """The last failure was none."""
        self._tokens = min(TOKENS, self._tokens + 1.0)
        self.returned()

    def returned(self) -> None:
        """It is used again."""
        self.count += 1
