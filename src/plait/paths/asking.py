"""What the judgement asks of those who probe: how often, where at once, over what by TCP.

Probing is cheap on purpose. On a path that is well an echo a second (every two on a metered one) is
enough; only where there is doubt it becomes twenty a second, for as long as the doubt lasts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf

from plait.paths.pair import GOOD, Pair
from plait.paths.standing import Condition

PACE = 1.0
"""Seconds between echoes on a path."""
PACE_METERED = 2.0
PACE_DOUBT = 0.05
"""… on a path that may be silent, or has begun to answer again."""
PACE_WITNESS = 0.05
"""… on the others meanwhile: a missing answer says nothing before a witness was asked as late."""
PACE_SILENT = 0.2
"""… on one that fell silent lately; later as on any other."""
_LATELY = 60.0

CONNECT_EVERY = 5.0
CONNECT_DOUBT = 0.5
"""Seconds between TCP handshakes over a path where no echoes are answered."""

_AGAIN_STRONG = 0.5
_AGAIN_WEAK = 2.0
"""Seconds between two bursts on a path, for an answer that is missing and for connections that wait."""
_MOST_WEAK = 60.0
_FORGOTTEN = 120.0
_SILENT = (Condition.DOWN, Condition.LOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asks:
    """What is asked of those who probe."""

    pace: Mapping[str, float]
    """Seconds between echoes, by path."""
    bursts: tuple[str, ...] = ()
    """Paths on which to send four echoes at once, 40 ms apart. Asked once."""
    connects: tuple[tuple[str, str], ...] = ()
    """Exits and paths over which to try a TCP handshake. Asked once."""
    trains: tuple[str, ...] = ()
    """Paths whose capacity to measure. Asked once."""


class Bursts:
    """Four echoes at once: asked for whenever something is odd, but not all the time."""

    def __init__(self) -> None:
        self._wanted: dict[str, None] = {}
        self._last: dict[str, float] = {}
        self._weak_again: dict[str, float] = {}

    def now(self, path: str) -> None:
        """Without fail."""
        self._wanted[path] = None

    def strong(self, path: str, now: float) -> None:
        """An answer is missing there."""
        if now - self._last.get(path, -inf) >= _AGAIN_STRONG:
            self._last[path] = now
            self._wanted[path] = None

    def weak(self, path: str, now: float) -> None:
        """Connections wait there. Servers pause, and each pause looks like this at first: so a path is
        looked after less often while it means nothing."""
        since = now - self._last.get(path, -inf)
        again = self._weak_again.get(path, _AGAIN_WEAK)
        if since >= again:
            self._weak_again[path] = min(_MOST_WEAK, 2 * again) if since < _FORGOTTEN else _AGAIN_WEAK
            self._last[path] = now
            self._wanted[path] = None

    def drop(self, path: str) -> None:
        """It was silent indeed: no use any more, and what made us ask meant something."""
        self._wanted.pop(path, None)
        self._weak_again.pop(path, None)

    def take(self) -> tuple[str, ...]:
        """Those wanted since the last call."""
        taken = tuple(self._wanted)
        self._wanted.clear()
        return taken


def pace(metered: bool, pairs: Iterable[Pair], now: float, *, witness: bool) -> float:
    """Seconds between echoes on a path; ``witness`` is whether another one is in doubt."""
    usual = PACE_METERED if metered else PACE
    quickest = min(usual, PACE_WITNESS) if witness else usual
    for pair in pairs:
        if pair.state is Condition.RETURNING:
            quickest = min(quickest, PACE_DOUBT if pair.good < GOOD else usual / 2)
        elif pair.state in _SILENT:
            if now - pair.since < _LATELY:
                quickest = min(quickest, PACE_SILENT)
        elif pair.missed:
            quickest = min(quickest, PACE_DOUBT)
    return quickest


def next_handshake(pair: Pair | None, last: float, *, echoless: bool, witness: bool) -> float | None:
    """When to try a TCP handshake next, if at all; ``echoless`` is whether the exit sends no echoes,
    ``witness`` whether another path to it is in doubt."""
    if pair is None:
        return last + CONNECT_EVERY
    if pair.echoing and not echoless:
        # Also where echoes used to be answered: somebody may have begun to drop UDP.
        return max(last, pair.since) + CONNECT_EVERY if pair.state is Condition.DOWN else None
    if witness or pair.missed or pair.state in (*_SILENT, Condition.RETURNING):
        return last + CONNECT_DOUBT
    return last + CONNECT_EVERY
