"""What a path can carry, from trains of probes and from what it has carried. Bits a second; no clock."""

from __future__ import annotations

from collections import deque
from math import exp
from statistics import median

_TRAINS = 3
"""The middle one of so many counts: single ones meet other traffic."""
_TRAIN_LASTS = 1800.0
_RATE_LASTS = 30.0
"""Seconds for which a delivery rate seen by TCP is worth more than a train."""
_SUSTAINED = 4.0
"""A rate counts when so much of it was carried for a window: a request at the begin of a download is
delivered at some rate, too, that says nothing."""
_WINDOW = 0.5
"""Seconds over which carried bytes make a rate."""
_FADES = 300.0
"""Seconds in which the memory of what was carried fades to a third."""
BUSY = 1_000_000
"""Bits a second from which a path is busy: trains meet a queue then, and tell nothing."""
_FALLEN = 4.0
_FALLEN_LASTS = 4.0
"""A path that carries so many times less than it has, for so many seconds, may have been throttled."""
_TRICKLE = 100_000
"""Bits a second below which it is just idle."""
_OTHER = 2.0
"""A train that finds so many times more or less is no chance."""


class _Way:
    """One direction."""

    __slots__ = ("_begun", "_bytes", "_low", "_peak", "_peak_at", "_rate", "_rate_at", "_trains", "carrying")

    def __init__(self) -> None:
        self._trains: deque[tuple[float, int]] = deque(maxlen=_TRAINS)
        self._rate = 0
        self._rate_at = float("-inf")
        self._peak = 0.0
        self._peak_at = 0.0
        self._begun = 0.0
        self._bytes = 0
        self._low: float | None = None
        self.carrying = 0.0
        """In the last whole window."""

    def train(self, rate: int, now: float) -> None:
        self._trains.append((now, rate))

    def contradicted(self, rate: int, now: float) -> bool:
        known = self.known(now)
        return known is not None and max(rate, known) >= _OTHER * min(rate, known)

    def fallen(self, now: float) -> bool:
        return self._low is not None and now >= self._low + _FALLEN_LASTS

    def revise(self, now: float) -> None:
        """New trains are there: what was seen before must not outvote them."""
        if self._trains and self._faded(now) >= _OTHER * median(rate for _, rate in self._trains):
            self._peak, self._peak_at = self.carrying, now
        self._rate_at = float("-inf")
        self._low = None

    def rate(self, rate: int, now: float) -> None:
        if rate > self._rate or now > self._rate_at + _RATE_LASTS / 3:
            self._rate = rate
        self._rate_at = now

    def carried(self, count: int, now: float) -> None:
        if now >= self._begun + 2 * _WINDOW:
            self._begun, self._bytes, self.carrying = now, 0, 0.0
            self._low = None
        elif now >= self._begun + _WINDOW:
            self.carrying = 8 * self._bytes / (now - self._begun)
            if self.carrying > self._faded(now):
                self._peak, self._peak_at = self.carrying, now
            if not _TRICKLE <= self.carrying < self._faded(now) / _FALLEN:
                self._low = None
            elif self._low is None:
                self._low = self._begun
            self._begun, self._bytes = now, 0
        self._bytes += count

    def shown(self, now: float) -> float:
        return max(self._faded(now), float(self._rate) if now <= self._rate_at + _RATE_LASTS else 0.0)

    def known(self, now: float) -> float | None:
        least = self._faded(now)
        if now <= self._rate_at + _RATE_LASTS:
            return max(float(self._rate), least)
        rates = [rate for at, rate in self._trains if now <= at + _TRAIN_LASTS]
        if not rates:
            return None
        return max(float(median(rates)), least)

    def _faded(self, now: float) -> float:
        return self._peak * exp((self._peak_at - now) / _FADES)


class Capacity:
    """Both directions of one path."""

    __slots__ = ("_at", "_doubts", "_down", "_up")

    def __init__(self) -> None:
        self._up = _Way()
        self._down = _Way()
        self._at = float("-inf")
        self._doubts = 0

    def doubt(self, trains: int) -> None:
        """It may be another link by now. So many trains to come are believed in spite of traffic, and then
        against all that was seen before."""
        self._doubts = trains

    def contradicted(self, up: int | None, down: int | None, now: float) -> bool:
        """Whether a train found something very different from what is known. On a busy path it would."""
        found = ((self._up, up), (self._down, down))
        return not self.busy(now) and any(
            rate is not None and way.contradicted(rate, now) for way, rate in found
        )

    def fallen(self, now: float) -> bool:
        """Whether it has carried but a fraction of what it did for a while, without being idle."""
        return self._up.fallen(now) or self._down.fallen(now)

    def train(self, up: int | None, down: int | None, now: float) -> None:
        """A train of probes has found this. One that met traffic of ours is not believed, but for the
        first, which is better than nothing (and what is carried is the least that counts)."""
        known = self.up(now) is not None or self.down(now) is not None
        if known and not self._doubts and self.busy(now):
            return
        if up is not None:
            self._up.train(up, now)
        if down is not None:
            self._down.train(down, now)
        if self._doubts:
            self._doubts -= 1
            if not self._doubts:
                self._up.revise(now)
                self._down.revise(now)

    def carried(self, acked: int, received: int, rate: int, now: float) -> None:
        """Live connections have moved so many bytes up and down since the last report; ``rate`` is what
        the kernel found to be delivered upwards where the path was the limit, 0 otherwise."""
        self._at = now
        self._up.carried(acked, now)
        self._down.carried(received, now)
        if rate and self._up.carrying >= rate / _SUSTAINED:
            self._up.rate(rate, now)

    def busy(self, now: float) -> bool:
        """Whether it carries something to speak of."""
        return self.carrying(now) >= BUSY

    def carrying(self, now: float) -> float:
        """Bits a second, both directions, that live connections move just now."""
        return 0.0 if now > self._at + 2 * _WINDOW else self._up.carrying + self._down.carrying

    def up(self, now: float) -> float | None:
        """What it can carry upwards; None while nobody knows."""
        return self._up.known(now)

    def down(self, now: float) -> float | None:
        """… and downwards."""
        return self._down.known(now)

    def shown(self, now: float) -> float:
        """Both directions together, what it has really carried lately. Trains promise: a shaper that lets
        bursts pass makes a slow path look fast."""
        return self._up.shown(now) + self._down.shown(now)
