"""Which echoes of one path are out, and how long each is waited for. No clock: time comes in.

The smoothing is TCP's (RFC 6298, section 2), the patience is not: a probe that is late is asked about
again at once, so it may be called late much sooner than a segment.
"""

from __future__ import annotations

from dataclasses import dataclass, field

LEAST = 0.15
"""Seconds that any reply is waited for."""
MOST = 2.0
"""… and the most."""
_MARGIN = 0.06
_OUT = 64
"""Echoes remembered at once; a burst beside the ordinary ones is some ten."""


@dataclass(slots=True)
class Sent:
    """One echo that is out."""

    at: float
    """Monotonic seconds."""
    wall: int
    """Nanoseconds of the real-time clock."""
    silent: bool = False
    """Given up; its reply may still come, and then is one."""


@dataclass(slots=True)
class Echoes:
    """The echoes of one path, by number."""

    srtt: float | None = None
    """Smoothed round-trip time in seconds; None before the first reply."""
    rttvar: float = 0.0
    heard: float = float("-inf")
    """When the newest echo that was answered had been sent."""
    _late_at: float = float("inf")
    """When a reply came that had been given up, if none in time has come since."""
    _out: dict[int, Sent] = field(default_factory=dict)
    _next: int = 0

    def send(self, now: float, wall: int) -> int:
        """The number of an echo that is sent now."""
        number = self._next
        self._next += 1
        self._out[number] = Sent(now, wall)
        while len(self._out) > _OUT:
            del self._out[next(iter(self._out))]
        return number

    def patience(self) -> float:
        """Seconds that a reply is waited for, by what replies took so far."""
        if self.srtt is None:
            return MOST / 2
        return min(MOST, max(LEAST, self.srtt + 4 * self.rttvar + _MARGIN))

    def reply(self, number: int, now: float, wall: int, held: int) -> tuple[float, float] | None:
        """A reply has come: when its echo was sent, and the time on the way in seconds.

        ``wall`` is when the kernel got it (0: unknown), ``held`` the µs that the far end had it. What
        the kernel says leaves out how long we slept; it is not believed when the clock was set meanwhile.
        None for a reply to nothing, or a second one.
        """
        sent = self._out.pop(number, None)
        if sent is None:
            return None
        elapsed = now - sent.at
        by_kernel = (wall - sent.wall) / 1e9
        if wall and 0.0 < by_kernel < elapsed:
            elapsed = by_kernel
        rtt = max(elapsed - held / 1e6, 1e-6)
        if not sent.silent:
            self._late_at = float("inf")
            self._learn(rtt)
        elif sent.at >= self._late_at:
            self._learn(rtt)
        elif self._late_at == float("inf"):
            # It may have waited for a silence to end, as may all that were sent until now. One that is sent
            # from now on and is late as well shows that the way has become longer. The mark stays where it
            # is: on a way that is longer than the gap of two echoes, it would run ahead of them for ever.
            self._late_at = now
        self.heard = max(self.heard, sent.at)
        return sent.at, rtt

    def _learn(self, rtt: float) -> None:
        if self.srtt is None:
            self.srtt, self.rttvar = rtt, rtt / 2
        else:
            self.rttvar += (abs(self.srtt - rtt) - self.rttvar) / 4
            self.srtt += (rtt - self.srtt) / 8

    def due(self, number: int) -> float | None:
        """An echo's patience is over: when it had been sent, if there is still no reply to it."""
        sent = self._out.get(number)
        if sent is None or sent.silent:
            return None
        sent.silent = True
        return sent.at

    def withdraw(self, number: int) -> None:
        """It was not sent after all."""
        self._out.pop(number, None)
