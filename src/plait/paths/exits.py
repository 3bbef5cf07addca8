"""Which exits are well, and which one serves whom: evidence in, verdicts out. No clock.

Two kinds of evidence are put together. A probe through the real transport (`plait.relay.probe`) tells
whether an exit serves at all; it is seldom, and slow to fail. That all paths to it have fallen silent
(`plait.paths.health`) tells within a second that it can't be reached.

An exit that is down or has become poor gives way to the next one in the order of the config, and takes
back when it is well again: at once the first times, later only when it has been well for longer, so
that nothing flaps. Connections that exist stay where they are; only new ones go elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from plait.paths.returns import Returns

FAILURES = 2
"""Failed probes in a row after which an exit is down: one may have met a path that just died."""
POOR_AFTER = 10.0
"""Seconds for which an exit must be poor before another one takes over."""
GOOD_AFTER = 30.0
"""… and well again before that is taken back."""
_LOSSY, _FINE = 0.2, 0.05
_SLOW, _QUICK = 1.0, 0.5
"""Seconds of RTT over the best path."""
_ANSWERS = ("up", "foreign")


class ExitState(Enum):
    """What is known of an exit."""

    UNKNOWN = "unknown"
    """Not asked yet: taken for well."""
    UP = "up"
    DEGRADED = "degraded"
    """It serves, but badly over all paths: others are preferred."""
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitStanding:
    """The verdict on one exit."""

    state: ExitState = ExitState.UNKNOWN
    why: str = ""


class _Exit:
    """One exit."""

    __slots__ = (
        "answered",
        "contradicted",
        "failures",
        "poor",
        "returns",
        "silent",
        "since",
        "turned",
        "well",
        "why",
    )

    def __init__(self, now: float) -> None:
        self.failures = 0
        self.answered = False
        self.silent = False
        self.contradicted = False
        """A probe came through although all paths are silent: it is only echoes that are lost."""
        self.why = ""
        self.poor = False
        self.turned: float | None = None
        """Since when it looks other than ``poor`` says."""
        self.well = True
        """Not down."""
        self.since: float | None = now
        """While down: since when it answers. While well: since when."""
        self.returns = Returns()


class Exits:
    """All exits of a gateway, in the order of the config."""

    def __init__(self, names: Iterable[str], now: float) -> None:
        self._exits: dict[str, _Exit] = {}
        self.configure(names, now)

    def configure(self, names: Iterable[str], now: float) -> None:
        """Other exits, or another order; what is known of those that stay is kept."""
        self._exits = {name: self._exits.get(name) or _Exit(now) for name in names}

    def probed(self, name: str, state: str, why: str, now: float) -> None:
        """A probe through the real transport has ended: ``up`` or ``foreign`` (it serves), ``silent`` (it
        does not know our key) or ``down``."""
        found = self._exits.get(name)
        if found is not None:
            if state in _ANSWERS:
                found.failures, found.answered, found.why = 0, True, ""
                found.contradicted = found.silent
            else:
                found.failures += 1
                found.why = why or state
            self._settle(found, now)

    def reached(self, name: str, *, silent: bool, rtt: float | None, loss: float, now: float) -> None:
        """What paths say: whether all of them to that exit are silent, else what the best one measures."""
        found = self._exits.get(name)
        if found is None:
            return
        found.silent = silent
        found.contradicted = found.contradicted and silent
        found.answered = found.answered or (not silent and rtt is not None)
        if silent:
            found.turned = None
        else:
            limits = (_FINE, _QUICK) if found.poor else (_LOSSY, _SLOW)
            poor = loss >= limits[0] or (rtt is not None and rtt >= limits[1])
            if poor == found.poor:
                found.turned = None
            elif found.turned is None:
                found.turned = now
        self._settle(found, now)

    def tick(self, now: float) -> None:
        """Time has passed."""
        for found in self._exits.values():
            self._settle(found, now)

    def standings(self) -> dict[str, ExitStanding]:
        """How each exit stands."""
        return {name: _standing(found) for name, found in self._exits.items()}

    def serving(self) -> dict[str, str | None]:
        """Which exit serves new connections that are meant for each; None while none can.

        Its own comes first, then the others in the order of the config; those that are well before
        those that are poor.
        """
        names = list(self._exits)
        standings = self.standings()
        well = [name for name in names if standings[name].state in (ExitState.UP, ExitState.UNKNOWN)]
        poor = [name for name in names if standings[name].state is ExitState.DEGRADED]
        return {name: _first(name, well) or _first(name, poor) for name in names}

    @property
    def all_lost(self) -> bool:
        """Whether no exit is left."""
        return bool(self._exits) and not any(found.well for found in self._exits.values())

    def deadline(self) -> float | None:
        """When to `tick`, if nothing happens before."""
        times = []
        for found in self._exits.values():
            if not found.well and found.since is not None:
                times.append(found.since + found.returns.hold)
            if found.turned is not None:
                times.append(found.turned + (GOOD_AFTER if found.poor else POOR_AFTER))
        return min(times, default=None)

    @staticmethod
    def _settle(found: _Exit, now: float) -> None:
        bad = (found.silent and not found.contradicted) or found.failures >= FAILURES
        if found.well and bad:
            found.returns.failed(now - (found.since or now))
            found.well, found.since = False, None
        elif not found.well:
            if bad or found.failures:
                found.since = None
            elif found.since is None:
                found.since = now
            if found.since is not None and now >= found.since + found.returns.hold:
                found.well, found.since = True, now
                found.returns.returned()
        if found.turned is not None and now >= found.turned + (GOOD_AFTER if found.poor else POOR_AFTER):
            found.poor, found.turned = not found.poor, None


def _standing(found: _Exit) -> ExitStanding:
    if not found.well:
        if found.since is not None:
            return ExitStanding(state=ExitState.DOWN, why="it answers again, not for long enough yet")
        return ExitStanding(state=ExitState.DOWN, why=found.why or "it answers over no path")
    if not found.answered:
        return ExitStanding()
    if found.poor:
        return ExitStanding(state=ExitState.DEGRADED, why="long round trips or heavy loss over all paths")
    return ExitStanding(state=ExitState.UP)


def _first(own: str, names: list[str]) -> str | None:
    if own in names:
        return own
    return names[0] if names else None


Serving = Mapping[str, str | None]
"""Which exit serves new connections meant for each."""
