"""RTT, jitter and loss of one path to one exit, and how surprising a missing answer is on it.

Numbers only: seconds in, seconds out.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

WINDOW = 50
"""Probes over which loss is averaged."""
_SEGMENTS = 500
"""Segments of live traffic that weigh as much as a whole window of probes."""
_LEAST_LOSS = 0.01
"""No path is taken to lose less than that: one missing answer never proves more than ln 100."""
_PRIOR_LOST, _PRIOR_PROBES = 0.3, 5.0
"""Before anything is known a path is taken to lose 6 %; forgotten within the first dozens of probes."""
_PEAK_FADES = 20.0
"""Seconds in which the memory of the worst RTT fades to a third."""
_WONDER = 0.002
"""A run of answers that is less likely than that at the loss of before: it is over."""
_LEAST_PATIENCE = 0.15
_MOST_PATIENCE = 1.5


@dataclass(frozen=True, slots=True)
class Figures:
    """What a path measures. All of it moves all the time."""

    rtt: float | None = None
    """Seconds, smoothed (RFC 6298, section 2)."""
    jitter: float | None = None
    """Mean deviation of the RTT, in seconds."""
    loss: float | None = None
    """Share of what was sent that was lost, there or back."""


class Estimate:
    """Learns from answers, from those that are missing and from what traffic lost."""

    __slots__ = (
        "_asked",
        "_former",
        "_loss",
        "_missing",
        "_peak",
        "_peak_at",
        "_probes",
        "_run",
        "jitter",
        "rtt",
    )

    def __init__(self) -> None:
        self.rtt: float | None = None
        self.jitter = 0.0
        self._loss = 0.0
        self._probes = 0.0
        self._asked = 0.0
        self._missing = 0.0
        self._run = 0
        self._former = 0.0
        """The loss before this run of answers."""
        self._peak = 0.0
        self._peak_at = 0.0

    @property
    def figures(self) -> Figures:
        """As the status tells them."""
        if self.rtt is None:
            return Figures(loss=self._loss if self._probes else None)
        return Figures(self.rtt, self.jitter, self._loss)

    @property
    def loss(self) -> float:
        """Share lost, averaged over the last fifty probes or so."""
        return self._loss

    @property
    def sure_loss(self) -> float:
        """The same by probes alone, which no sender of ours drives into a full queue; while there are
        few, as if ten more had been answered."""
        return self._missing * self._asked / (self._asked + 10.0)

    @property
    def surprise(self) -> float:
        """How much a missing answer says against the path: the negative logarithm of its probability if
        the path were as it has always been."""
        weight = min(self._probes, WINDOW)
        likely = (self._loss * weight + _PRIOR_LOST) / (weight + _PRIOR_PROBES)
        return -log(min(max(likely, _LEAST_LOSS), 0.9))

    def answered(self, rtt: float, now: float) -> None:
        """An answer came after ``rtt`` seconds."""
        if self.rtt is None:
            self.rtt, self.jitter = rtt, rtt / 2
        else:
            self.jitter += (abs(rtt - self.rtt) - self.jitter) / 4
            self.rtt += (rtt - self.rtt) / 8
        self.took(rtt, now)
        self._count(0.0, 1.0)
        self._ask(0.0)

    def took(self, rtt: float, now: float) -> None:
        """A round trip of something else took so long."""
        if rtt > self._faded(now):
            self._peak, self._peak_at = rtt, now

    def lost(self) -> None:
        """A probe was lost although the path works."""
        self._count(1.0, 1.0)
        self._ask(1.0)

    def carried(self, sent: int, lost: int) -> None:
        """Live traffic: ``sent`` segments, ``lost`` of them in vain."""
        if sent > 0:
            self._count(min(1.0, lost / sent), sent * WINDOW / _SEGMENTS)

    def patience(self, now: float) -> float:
        """Seconds that an answer may take. Whoever has shown a long RTT lately (a queue somewhere fills
        at times) is waited for that long."""
        usual = 0.0 if self.rtt is None else self.rtt + 4 * self.jitter
        worst = max(usual, self._faded(now))
        return min(_MOST_PATIENCE, max(_LEAST_PATIENCE, 1.25 * worst + 0.05))

    def _faded(self, now: float) -> float:
        return self._peak * exp((self._peak_at - now) / _PEAK_FADES)

    def _count(self, share: float, probes: float) -> None:
        self._probes = min(self._probes + probes, float(WINDOW))
        self._loss += (share - self._loss) * min(1.0, probes / self._probes)

    def _ask(self, share: float) -> None:
        self._asked = min(self._asked + 1.0, float(WINDOW))
        self._missing += (share - self._missing) / self._asked
        self._run = 0 if share else self._run + 1
        if not self._run:
            self._former = self._missing
        elif (1 - self._former) ** self._run < _WONDER:
            self._missing = 0.0
