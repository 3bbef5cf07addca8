"""Which paths' endpoints to take away and give again, so that live connections get their subflow back.

The kernel's path manager never makes a subflow again that was lost (a reset, a NAT that forgot, a join
that got no answer): an endpoint counts as used for a connection once it was tried. Deleting it and adding
it again makes every connection try anew, and disturbs those that have their subflow: what that carried goes
elsewhere and it starts slowly. So the more of them move, the longer the others wait; and while it does not
help (something on the way takes MPTCP's options out), it is done ever more seldom.

That it helped once is enough to begin anew: what is lost after that was lost to something else. And a
connection that has no subflow at all stands still: for its sake nobody waits.

Time comes in as ``now``, the deadline goes out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

_PATIENCE = 0.3
"""Seconds that connections may lack a subflow, if all of them do."""
_LONGEST_PATIENCE = 30.0
_FIRST_PAUSE = 1.0
"""Seconds after an attempt during which its effect is waited for; doubled by each but the first that did
not help, up to:"""
_PAUSE_STRANDED, _PAUSE_PARTLY, _LONGEST_PAUSE = 5.0, 10.0, 60.0
"""While some have no subflow at all; while others have one on this path, so that it can be had; otherwise."""
_OFTEN, _OFTEN_WITHIN, _OFTEN_PAUSE = 20, 30.0, 5.0
"""So many attempts within so many seconds, each of which helped: something kills them as quickly as they
come, and the others are not disturbed more often than this for it."""
_APART = 0.75
"""Seconds between two paths: nobody who moves is to lose all subflows at once."""
_STALE = 3.0
"""Seconds after which a worker that says nothing more has no say."""
_HOPELESS = 4
"""Attempts in vain after which it is worth a word."""


@dataclass(frozen=True, slots=True)
class Lack:
    """What one worker says of one path."""

    count: int
    """Connections without a subflow on it."""
    looked: int
    """Connections that could have one."""
    longest: float
    """Seconds that one of them has been without."""
    moving: int = 0
    """Connections that have one, and move."""
    stranded: int = 0
    """Connections that have no subflow on any path."""
    gained: int = 0
    """Connections that have got theirs since the worker's last report."""


@dataclass(slots=True)
class _Path:
    reports: dict[int, tuple[float, Lack]] = field(default_factory=dict)
    tries: int = 0
    """In vain, one after the other."""
    not_before: float = 0.0
    tried: deque[float] = field(default_factory=lambda: deque(maxlen=_OFTEN))


class Mending:
    """Fed with what workers say, asked for the paths to mend."""

    def __init__(self) -> None:
        self._paths: dict[str, _Path] = {}
        self._mended = float("-inf")

    def report(self, worker: int, lacks: Mapping[str, Lack], now: float) -> None:
        """All that one worker has to say: of a path that is not in it, nobody lacks anything."""
        for name, path in self._paths.items():
            if name not in lacks:
                path.reports.pop(worker, None)
        for name, lack in lacks.items():
            path = self._paths.setdefault(name, _Path())
            if lack.gained and path.tries:
                path.tries = 0
                path.not_before = path.tried[-1] + _least_pause(path)
            if lack.count:
                path.reports[worker] = (now, lack)
            else:
                path.reports.pop(worker, None)

    def renewed(self, name: str, now: float) -> None:
        """A path's endpoint has just been added, by whomever: connections are at it already."""
        path = self._paths.setdefault(name, _Path())
        path.reports.clear()
        path.not_before = max(path.not_before, now + _FIRST_PAUSE)

    def due(self, now: float, sound: Collection[str]) -> list[str]:
        """The paths to mend now, of those that are ``sound``; counts as done."""
        found: list[str] = []
        for name, path in self._paths.items():
            path.reports = {
                worker: (at, lack) for worker, (at, lack) in path.reports.items() if now - at < _STALE
            }
            lacks = [lack for _, lack in path.reports.values()]
            if name not in sound or not lacks or now < path.not_before:
                continue
            if max(each.longest for each in lacks) < _patience(lacks):
                continue
            alone = any(each.stranded for each in lacks) and not any(each.moving for each in lacks)
            if now < self._mended + _APART and not alone:
                continue
            path.reports.clear()
            path.tried.append(now)
            path.not_before = now + max(_least_pause(path), _pause(path.tries, lacks))
            path.tries += 1
            self._mended = now
            found.append(name)
        return found

    def hopeless(self, name: str) -> bool:
        """Whether nothing that was tried has helped so far."""
        return name in self._paths and self._paths[name].tries >= _HOPELESS


def _patience(lacks: list[Lack]) -> float:
    if any(each.stranded for each in lacks):
        return _PATIENCE
    without = sum(each.count for each in lacks)
    moving = sum(each.moving for each in lacks)
    return min(_LONGEST_PATIENCE, _PATIENCE * (1 + moving / max(without, 1)))


def _least_pause(path: _Path) -> float:
    tried = path.tried
    return _OFTEN_PAUSE if len(tried) == _OFTEN and tried[-1] - tried[0] < _OFTEN_WITHIN else _FIRST_PAUSE


def _pause(tries: int, lacks: list[Lack]) -> float:
    longest = _LONGEST_PAUSE
    if any(each.stranded for each in lacks):
        longest = _PAUSE_STRANDED
    elif any(each.looked > each.count for each in lacks):
        longest = max(_PAUSE_PARTLY, _patience(lacks))
    return min(_FIRST_PAUSE * float(2 ** max(0, min(tries, 16) - 1)), longest)
