"""One path to one exit: what was heard over it, what is missing, and how much that weighs.

A pair knows evidence only. Whether a silent path is ill, or the exit, or we ourselves, is seen by
comparing pairs: `plait.paths.health`.

Time is what the evidence bears, not when it was delivered: an answer to something sent later acquits
of everything that was missed before, however late the news of it came.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from plait.paths.estimate import Estimate
from plait.paths.returns import Returns
from plait.paths.standing import Condition

GOOD = 3
"""Answers in a row before a silent path is used again."""
_STUCK_STEP = 0.25
"""Seconds of further waiting that weigh as one more missing answer: by then a sender has sent again
(least RTO of Linux, 200 ms)."""
_FRESH = 0.5
"""Seconds for which a report of traffic speaks for the present."""
SOON = 0.06
"""Seconds after which four echoes look after live connections that wait."""
_STEADY = 6
"""Looks in a row with something coming in."""
_KEPT = 32
"""Missing answers remembered."""
_OUT = (Condition.DOWN, Condition.RETURNING, Condition.LOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What live connections showed of a path since their last report. Seconds, bytes, segments."""

    at: float
    """When they were looked at."""
    acked: int = 0
    received: int = 0
    sent: int = 0
    lost: int = 0
    """Segments sent again."""
    heard: float = inf
    """Since anything came in."""
    waiting: float = 0.0
    """How long what is in flight has waited with nothing coming in."""
    quiet: float = 0.0
    """How long a stream that had been coming in has stood still."""
    outrun: float = 0.0
    """The same of one whose sender has not paused: what it sends comes in by other paths."""
    suspicious: bool = False
    """Whether who saw it finds these ages too long."""
    rtt: float = 0.0
    rate: int = 0
    """Bits a second delivered upwards where the path was the limit; 0 when it was not."""


class Pair:
    """Evidence of one path to one exit."""

    __slots__ = (
        "_flowing", "_heard_again", "condemned", "echoing", "estimate", "exit", "good", "heard", "missed",
        "outrun", "path", "proven", "returns", "since", "state", "stuck_at", "waiting",
    )  # fmt: skip

    def __init__(self, exit_name: str, path: str, now: float) -> None:
        self.exit = exit_name
        self.path = path
        self.state = Condition.UNKNOWN
        self.since = now
        """When the state was entered."""
        self.estimate = Estimate()
        self.returns = Returns()
        self.proven = -inf
        """Up to when what was sent over the path is known to have been answered."""
        self.heard = -inf
        """When anything last came in that proves both directions."""
        self.echoing = False
        """Echoes are answered here, so that a missing one means something."""
        self.good = 0
        """Answers in a row since it was silent."""
        self.missed: list[float] = []
        """When those probes were sent that have no answer, of those sent since the newest that has."""
        self.waiting = 0.0
        self.outrun = 0.0
        self.stuck_at = -inf
        self.condemned = inf
        """When the oldest of those probes was sent whose absence made it silent. Should one of them be
        answered after all, then it was slow and not silent."""
        self._flowing = 0
        self._heard_again = -inf

    def enter(self, state: Condition, now: float) -> None:
        """Another state."""
        self.state = state
        self.since = now
        self.good = 0
        if state in (Condition.UP, Condition.RETURNING, Condition.UNKNOWN):
            self.missed.clear()
            self.waiting = self.outrun = 0.0

    def answered(self, sent: float, rtt: float, now: float, *, echo: bool = True) -> None:
        """A probe of ``sent`` was answered. A TCP handshake (``echo`` false) proves the path as well."""
        self.echoing = self.echoing or echo
        self.heard = max(self.heard, sent + rtt)
        if self.state in (Condition.DOWN, Condition.LOST):
            self._heard_again = self.heard
        # What was sent while it was silent may have waited for the silence to end (for a neighbour's
        # address to be found, say): that it took so long says nothing of the path.
        if sent >= self._heard_again:
            self.estimate.answered(rtt, now)
        if self.state not in _OUT:
            for _ in range(sum(each < sent for each in self.missed)):
                self.estimate.lost()
        self.missed = [each for each in self.missed if each != sent]
        self.good += 1
        self._prove(sent)

    def unanswered(self, sent: float) -> bool:
        """There is no answer to a probe yet, and whoever sent it finds that it takes long. Whether that
        says anything against the path."""
        if sent <= self.proven:
            # Just this one. What an outage took is no share of what the path loses when it works.
            if sent >= self.since and self.state not in _OUT:
                self.estimate.lost()
            return False
        self.missed.append(sent)
        del self.missed[:-_KEPT]
        self.good = 0
        return True

    def carried(self, report: Carried) -> None:
        """Live connections tell. New data and new acknowledgements both prove a round trip: nobody can
        send on for long without being acknowledged."""
        if report.acked or report.received:
            if self.state not in (Condition.DOWN, Condition.LOST):
                self.estimate.carried(report.sent, report.lost)
            self.estimate.took(report.rtt, report.at)
            self.heard = max(self.heard, report.at - report.heard)
            self._prove(report.at - report.heard - report.rtt)
            self._flowing += 1
        elif not report.waiting:
            self._flowing = 0
        self.waiting = report.waiting if report.suspicious else 0.0
        self.outrun = report.outrun if report.suspicious else 0.0
        self.stuck_at = report.at

    def condemn(self, now: float) -> None:
        """It is silent."""
        self.condemned = min(self.missing(now), default=now)
        self.returns.failed(now - self.since)
        self.enter(Condition.DOWN, now)

    def missing(self, now: float) -> list[float]:
        """When those probes were sent whose answers are missing by now. An answer that comes late makes
        us more patient with the others that are out."""
        if not self.missed:
            return []
        patience = self.estimate.patience(now)
        return [each for each in self.missed if each + patience <= now]

    def stuck(self, now: float) -> int:
        """Live connections wait: how many missing answers that is worth. One whose data comes in by other
        paths only is worth one at most: its sender may simply have no use for this one any more."""
        if now > self.stuck_at + _FRESH:
            return 0
        allowed = max(0.1, 2 * (self.estimate.rtt or 0.0))
        if self.waiting:
            return 1 + int(max(0.0, self.waiting - allowed) / _STUCK_STEP)
        return int(self.outrun > allowed)

    def usual_gap(self, rtt: float) -> float:
        """Seconds that live connections may wait without anybody wondering. Where answers came in with
        every look, however long each took, their absence is noticed at once."""
        return SOON if self._flowing >= _STEADY else max(SOON, 1.25 * rtt)

    def matures(self, now: float) -> float | None:
        """When the next missing answer begins to count."""
        patience = self.estimate.patience(now)
        return min((each + patience for each in self.missed if each + patience > now), default=None)

    def _prove(self, sent: float) -> None:
        if sent > self.proven:
            self.proven = sent
            self.waiting = self.outrun = 0.0
            self.missed = [each for each in self.missed if each > sent]
