"""Which paths hurt the bond and are put on the bench: used as backups until they are better.

MPTCP's scheduler gives each subflow what it seems to take, and the receiver has to hold what came over
the quicker path until the slower one has delivered. A path that is too far behind therefore costs more
than it brings. How far is too far was measured (docs/explanation/judgement.md): with *d* the seconds
between the RTTs, and *q* the loss of the slower path (there and back), a second path is a gain while

    d · (1 + 10 q) · (1.6 if one of the two has less than a fifth of the other's rate) < 0.4

and while it has at least a twelfth of the best one's rate. Loss alone does no harm below a third.

The bench is quick and its end is slow. A path at rest measures beautifully, so a good measure only
earns a trial, and a trial that ends badly doubles the time until the next. Only one that has become
another path on the bench, not just one without its own queue, is tried soon, and not twice in a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

HARMFUL = 0.4
HARMLESS = 0.27
"""Seconds. Below the second a benched path may be tried again."""
THIN = 0.08
NOT_THIN = 0.12
LOSSY = 0.3
NOT_LOSSY = 0.15
_POOR = 0.2
_POOR_WEIGHS = 1.6
_LOSS_WEIGHS = 10.0

CONFIRM = 1.0
"""Seconds for which a path must look harmful."""
WAIT, LONGEST_WAIT = 20.0, 600.0
"""Seconds for which one on the bench must look harmless."""
SOON = 3.0
"""The same when it has become another path since: a fraction of its RTT or loss, a multiple of its rate."""
OTHER = 2.0
_REST = 4.0
"""Seconds on the bench after which a path is at rest: what its own traffic had queued is gone."""
_SPARE = 2.0
"""So many waits lie between two trials that came soon."""
TRIAL = 20.0
_SETTLING = 3.0
"""Seconds of a trial in which the scheduler finds its feet."""
_WORTH = 1_000_000
"""Bits a second from which what is carried can be compared."""
_LESS = 0.9
_MORE = 3.0
"""A path that has shown so many times what each other one has is the better one, whatever trains say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What is known of a path that could carry."""

    rtt: float | None
    """Seconds, lately, without the queues that come and go."""
    base: float | None
    """The same over minutes: what it takes when nothing is in the way."""
    loss: float = 0.0
    up: float | None = None
    """Bits a second that it can carry; None while nobody knows."""
    down: float | None = None
    carrying: float = 0.0
    """Bits a second that it moves just now."""
    shown: float = 0.0
    """The most that it has moved lately, both directions."""
    fresh: bool = False
    """It has only just appeared: what is not known of it will soon be."""

    @property
    def rate(self) -> float:
        """Both directions, as far as known."""
        return (self.up or 0.0) + (self.down or 0.0)


@dataclass(frozen=True, slots=True)
class Harm:
    """How a path compares with the best one."""

    apart: float
    """What the formula above gives, in seconds."""
    share: float | None
    """Its rate as a share of the best one's, in the direction where that is larger."""
    lossy: float

    @property
    def hurts(self) -> bool:
        """The best one alone is better."""
        return self.apart >= HARMFUL or (self.share is not None and self.share < THIN) or self.lossy >= LOSSY

    @property
    def fine(self) -> bool:
        """Clearly not."""
        return (
            self.apart < HARMLESS
            and (self.share is None or self.share >= NOT_THIN)
            and self.lossy < NOT_LOSSY
        )


def compare(path: Measured, best: Measured) -> Harm:
    """What ``path`` would do beside ``best``."""
    share = _share(path, best)
    apart = 0.0
    if path.rtt is not None and best.rtt is not None:
        # A queue in the better path must not make the worse one look good.
        reference = best.rtt if best.base is None else best.base
        loss = path.loss if path.rtt >= reference else best.loss
        apart = abs(path.rtt - reference) * (1 + _LOSS_WEIGHS * loss)
        if share is not None and share < _POOR:
            apart *= _POOR_WEIGHS
    return Harm(apart, share, path.loss if best.loss < NOT_LOSSY else 0.0)


def best_of(players: Mapping[str, Measured]) -> str | None:
    """The path that would be kept if there could be but one; None while that is open.

    The quickest one, if it has the highest rate as well, and for the first seconds, in which rates are
    found out. Else rates decide, but only those that were shown: what trains promise of a path may be the
    burst that its shaper lets pass.
    """
    measured = [name for name, each in players.items() if each.rtt is not None]
    quickest = min(measured, key=lambda name: (players[name].rtt or 0.0) + players[name].loss, default=None)
    if quickest is None or len(measured) < 2:
        return quickest if len(players) == 1 else None
    quick = players[quickest]
    rivals = [name for name in measured if name != quickest]
    unknown = _unknown(players)
    if unknown and all(each.fresh for each in unknown):
        return quickest
    known = not unknown
    richest = max(rivals, key=lambda name: _worth(players[name]))
    if known and _worth(quick) >= _worth(players[richest]):
        return quickest
    if known and players[richest].shown * (1 - min(players[richest].loss, 0.9)) >= quick.rate:
        return richest
    if quick.shown >= _WORTH and all(quick.shown > _MORE * players[name].shown for name in rivals):
        return quickest
    return None


def _unknown(players: Mapping[str, Measured]) -> list[Measured]:
    return [each for each in players.values() if each.up is None and each.down is None]


def _worth(path: Measured) -> float:
    return path.rate * (1 - min(path.loss, 0.9))


@dataclass(slots=True)
class _Seat:
    """What the bench knows of one path."""

    since: float | None = None
    """Since when it has looked harmful, or on the bench harmless."""
    why: str = ""
    against: str = ""
    """The better path."""
    provisional: bool = False
    """It was benched before its rate was known."""
    wait: float = WAIT
    benched: float = 0.0
    """When it was."""
    rest: Measured | None = None
    """How it measured on the bench when it was at rest, at its worst."""
    other: bool = False
    """It is much better than that."""
    spared: float = -inf
    """When a wait was cut short."""
    trial: float | None = None
    """When its trial began."""
    before: float = 0.0
    """What all paths carried before it."""
    carried: float = 0.0
    seen: int = 0

    def patience(self, now: float) -> float:
        """Seconds for which it must look harmless on the bench."""
        return SOON if self.other and now >= self.spared + _SPARE * self.wait else self.wait


class Bench:
    """Who sits on it, and why. ``look`` is to be called about once a second while anything is measured."""

    def __init__(self) -> None:
        self._seats: dict[str, _Seat] = {}
        self._all = 0.0

    def deadline(self, now: float) -> float | None:
        """When to look again if nothing is measured before."""
        times = []
        for seat in self._seats.values():
            if seat.since is not None:
                times.append(seat.since + (seat.patience(now) if seat.why else CONFIRM))
            elif seat.trial is not None:
                times.append(now + 1.0)
        return min(times, default=None)

    def look(self, players: Mapping[str, Measured], now: float) -> Mapping[str, str]:
        """Those of the ``players`` (paths that carry by mode and by health) that are benched, and why."""
        self._seats = {name: self._seats.get(name, _Seat()) for name in players}
        best = best_of(players)
        total = sum(each.carrying for each in players.values())
        for name, each in players.items():
            seat = self._seats[name]
            if name == best or (best is None and (seat.provisional or seat.against not in players)):
                self._release(seat)
                continue
            if best is None:
                # Nothing was shown lately, or the wrong things: it stays as it was found to be.
                seat.since = None
                continue
            seat.provisional = bool(_unknown(players))
            harm = compare(each, players[best])
            if seat.why:
                self._compare_with_rest(seat, each, now)
                self._on_bench(seat, harm, players, now)
            else:
                self._playing(seat, name, harm, each, best, total, now)
        self._all += (total - self._all) * 0.3
        return {name: seat.why for name, seat in self._seats.items() if seat.why}

    @staticmethod
    def _release(seat: _Seat) -> None:
        seat.why = seat.against = ""
        seat.since = seat.trial = None
        seat.provisional = False

    def _playing(
        self, seat: _Seat, name: str, harm: Harm, path: Measured, best: str, total: float, now: float
    ) -> None:
        worse = self._tried(seat, total, now)
        if not harm.hurts and not worse:
            seat.since = None
            return
        if seat.since is None:
            seat.since = now
        if worse or now >= seat.since + CONFIRM:
            if seat.trial is not None:
                seat.wait = min(LONGEST_WAIT, 2 * seat.wait)
            seat.why = (
                f"all paths together carry less with it than {best} without"
                if worse
                else _words(harm, path, best)
            )
            seat.against = best
            seat.since = seat.trial = seat.rest = None
            seat.benched, seat.other = now, False

    @staticmethod
    def _compare_with_rest(seat: _Seat, path: Measured, now: float) -> None:
        """Notice when it has become another path. What was measured while it carried does not count: a
        queue of its own that is gone makes no other path of it."""
        if now < seat.benched + _REST:
            return
        seat.rest = path if seat.rest is None else _worse(seat.rest, path)
        seat.other = _better(path, seat.rest)

    def _on_bench(self, seat: _Seat, harm: Harm, players: Mapping[str, Measured], now: float) -> None:
        if seat.against not in players and not harm.hurts:
            self._release(seat)  # it was compared with a path that is no more
        elif not harm.fine:
            seat.since = None
        elif seat.since is None:
            seat.since = now
        elif now >= seat.since + seat.patience(now):
            if now < seat.since + seat.wait:
                seat.spared = now
            self._release(seat)
            seat.trial, seat.before = now, self._all
            seat.carried, seat.seen = 0.0, 0

    @staticmethod
    def _tried(seat: _Seat, total: float, now: float) -> bool:
        """Whether a trial shows that all carry less with it than before."""
        if seat.trial is None:
            return False
        if now < seat.trial + _SETTLING:
            return False
        seat.carried += total
        seat.seen += 1
        if now >= seat.trial + TRIAL:
            seat.trial = None
            seat.wait = max(WAIT, seat.wait / 2)
        # A connection that ended meanwhile carries nothing: that is no comparison.
        mean = seat.carried / seat.seen
        return seat.seen >= 4 and seat.before >= _WORTH and 0.2 * seat.before < mean < _LESS * seat.before


def _worse(one: Measured, other: Measured) -> Measured:
    """The worst of both."""

    def least(first: float | None, second: float | None) -> float | None:
        return second if first is None else first if second is None else min(first, second)

    rtts = [each.rtt for each in (one, other) if each.rtt is not None]
    return Measured(
        rtt=max(rtts, default=None),
        base=None,
        loss=max(one.loss, other.loss),
        up=least(one.up, other.up),
        down=least(one.down, other.down),
    )


def _better(path: Measured, before: Measured) -> bool:
    """By so much that it is no chance."""
    if path.rtt is not None and before.rtt is not None and OTHER * path.rtt <= before.rtt:
        return True
    if before.loss >= NOT_LOSSY and OTHER * path.loss <= before.loss:
        return True
    rates = ((path.up, before.up), (path.down, before.down))
    return any(now is not None and then is not None and now >= OTHER * then for now, then in rates)


def _share(path: Measured, best: Measured) -> float | None:
    shares = [
        mine / theirs
        for mine, theirs in ((path.up, best.up), (path.down, best.down))
        if mine is not None and theirs
    ]
    return max(shares, default=None)


def _words(harm: Harm, path: Measured, best: str) -> str:
    if harm.share is not None and harm.share < THIN:
        return f"it has {100 * harm.share:.0f} % of the rate of {best}"
    if harm.lossy >= LOSSY:
        return f"it loses {100 * harm.lossy:.0f} % of what it carries"
    loss = f" and {100 * path.loss:.0f} % loss" if path.loss >= 0.01 else ""
    return f"its RTT of {1000 * (path.rtt or 0.0):.0f} ms{loss} is too far from that of {best}"
