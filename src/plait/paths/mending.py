"""Which paths' endpoints to take away and give again, so that live connections get their subflow back.

The kernel's path manager never makes a subflow again that was lost (a reset, a NAT that forgot, a join
that got no answer): an endpoint counts as used for a connection once it was tried. Deleting it and adding
it again makes every connection try anew, and disturbs those that have their subflow: what that carried goes
elsewhere and it starts slowly. So the more connections are well, the longer the others wait; and when it
does not help (something on the way takes MPTCP's options out), it is done ever more seldom.

Time comes in as ``now``, the deadline goes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_PATIENCE = 0.5
"""Seconds that connections may lack a subflow, if all of them do."""
_LONGEST_PATIENCE = 30.0
_FIRST_PAUSE = 1.0
"""Seconds after an attempt during which its effect is waited for; doubled by each that did not help."""
_LONGEST_PAUSE = 60.0
_STALE = 3.0
"""Seconds after which a worker that says nothing more has no say."""
_FORGIVEN = 10.0
"""Seconds without a complaint after which a path is met as if nothing had been."""
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


@dataclass(slots=True)
class _Path:
    reports: dict[int, tuple[float, Lack]] = field(default_factory=dict)
    tries: int = 0
    not_before: float = 0.0
    complained: float = 0.0
    """When it was last lacked."""


class Mending:
    """Fed with what workers say, asked for the paths to mend."""

    def __init__(self) -> None:
        self._paths: dict[str, _Path] = {}

    def report(self, worker: int, lacks: Mapping[str, Lack], now: float) -> None:
        """All that one worker has to say: of a path that is not in it, nobody lacks anything."""
        for name, path in self._paths.items():
            if name not in lacks:
                path.reports.pop(worker, None)
        for name, lack in lacks.items():
            path = self._paths.setdefault(name, _Path())
            path.complained = now
            path.reports[worker] = (now, lack)

    def renewed(self, name: str, now: float) -> None:
        """A path's endpoint has just been added, by whomever: connections are at it already."""
        path = self._paths.setdefault(name, _Path())
        path.reports.clear()
        path.not_before = max(path.not_before, now + _FIRST_PAUSE)

    def due(self, now: float) -> list[str]:
        """The paths to mend now; counts as done."""
        found = []
        for name, path in self._paths.items():
            path.reports = {
                worker: (at, lack) for worker, (at, lack) in path.reports.items() if now - at < _STALE
            }
            if now - path.complained > max(_FORGIVEN, path.not_before - path.complained):
                path.tries = 0
            lacks = [lack for _, lack in path.reports.values()]
            if lacks and now >= path.not_before and max(each.longest for each in lacks) >= _patience(lacks):
                path.reports.clear()
                path.not_before = now + min(_FIRST_PAUSE * float(2**path.tries), _LONGEST_PAUSE)
                path.tries += 1
                found.append(name)
        return found

    def hopeless(self, name: str) -> bool:
        """Whether nothing that was tried has helped so far."""
        return name in self._paths and self._paths[name].tries >= _HOPELESS


def _patience(lacks: list[Lack]) -> float:
    without = sum(each.count for each in lacks)
    well = max(0, sum(each.looked for each in lacks) - without)
    return min(_LONGEST_PATIENCE, _PATIENCE * (1 + well / max(without, 1)))
