"""How large a frame one path lets through whole, both ways: found by asking. No clock: time comes in.

Nobody's word is taken for it, since many a router sends none (RFC 8899): a frame that is too large goes
nowhere, and the path is otherwise well. First comes what a full inner packet needs. Where that does not pass,
what any path should take is tried, and then what lies between is halved.
"""

from __future__ import annotations

LEAST = 576 + 8
"""Bytes of a frame that are never tried to be undercut: the least packet of IPv4 (RFC 791), with its head."""
MODEST = 1280 + 8
"""Bytes of a frame that nearly all paths let through: the least packet of IPv6, with its head."""
TRIES = 3
"""Questions of one size that stay unanswered while others are answered, before it is too large."""
CLOSE = 8
"""Bytes that are not worth another question."""
AGAIN = 60.0
"""Seconds until what was found is asked about again."""
WIDER = 10
"""… and so many times of that until it is tried whether there is more room now."""


class Room:
    """The search on one path."""

    def __init__(self, wanted: int) -> None:
        """``wanted`` is a frame with the largest inner packet."""
        self._wanted = wanted
        self.size: int | None = None
        """Bytes of the largest frame that fits, ``wanted`` at most; 0: none, or less than was found before;
        None before anything is known."""
        self._low = 0
        self._high = wanted + CLOSE
        """What is known to fit, and what not to, in this search."""
        self._asked: int | None = None
        self._number = 0
        self._until = 0.0
        self._misses = 0
        self._next = 0.0
        self._rounds = 0

    def ask(self, now: float, patience: float, *, alive: bool) -> tuple[int, int] | None:
        """What to ask now, if anything: a number and the bytes of the frame.

        ``alive`` is whether the path has answered anything since the last question.
        """
        if self._asked is not None:
            if now < self._until:
                return None
            if alive:
                self._misses += 1
                if self._misses >= TRIES:
                    self._passed(self._asked, False, now)
        if now < self._next:
            return None
        self._asked = self._candidate()
        self._number += 1
        self._until = now + patience
        return self._number, self._asked

    @property
    def searching(self) -> bool:
        """Whether a question is open."""
        return self._asked is not None

    def seen(self, number: int, size: int, now: float) -> None:
        """An answer of ``size`` bytes has come."""
        if self._asked is not None and number == self._number and size >= self._asked:
            self._passed(self._asked, True, now)

    def refused(self, now: float) -> None:
        """Our own kernel does not let the last question out: it is too large for the link."""
        if self._asked is not None:
            self._passed(self._asked, False, now)

    def _candidate(self) -> int:
        if self.size and self._low == self.size:
            return self.size  # whether it still is so
        if self._high > self._wanted:
            return self._wanted
        if not self._low:
            return LEAST
        return (self._low + self._high) // 2

    def _passed(self, size: int, passed: bool, now: float) -> None:
        self._asked, self._misses = None, 0
        if passed:
            self._low = max(self._low, size)
            if self._low >= self._high:
                self._high = self._wanted + CLOSE
        else:
            self._high = size
            if self.size is None:
                self.size = min(MODEST, size)  # for the time being
            if size <= self._low:
                self._low = self.size = 0  # it has become narrower
        if self._high - self._low <= CLOSE or (not passed and size <= LEAST):
            self._found(now)

    def _found(self, now: float) -> None:
        self.size = self._low
        self._next = now + AGAIN
        self._rounds += 1
        if self.size < self._wanted and self._rounds % WIDER == 0:
            self._low, self._high = 0, self._wanted + CLOSE
