"""Which paths take MPTCP's options out, told by connections that were tried over each. No clock.

Such a path can't be the first of a connection: it would be plain TCP, and have no other path ever. So
connections begin elsewhere, and no subflow is tried over it. Where all paths are like that, TCP had
better go through the tunnel, which needs none of them.

One odd trial is asked again at once, and two of the same kind count: a SYN that is lost a few times is sent
without options by the kernel, and looks the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from math import inf

from plait.config.model import Mode
from plait.paths.standing import HEALTHY, Condition, Health, Standing

EVERY, EVERY_METERED = 120.0, 900.0
"""Seconds between two trials of a path that is well."""
AGAIN, AGAIN_METERED = 30.0, 300.0
"""… of one that takes options out: it may have become another."""
_DOUBT = 1.0
_FIRST = 0.5
"""Seconds after which a path that has come up is tried."""
_ENOUGH = 2
"""Trials of the same kind that are believed."""


class Trial(Enum):
    """What a connection has shown."""

    KEPT = "kept"
    STRIPPED = "stripped"
    """It was established, and is plain TCP."""
    DROPPED = "dropped"
    """It was not established, and a plain one is."""
    NOTHING = "nothing"
    """It says nothing of options: nobody answers."""


_WORDS = {
    Trial.STRIPPED: "MPTCP's options are taken out on the way: no subflows",
    Trial.DROPPED: "SYNs with MPTCP's options vanish on the way: no subflows",
}


@dataclass(slots=True)
class _Path:
    metered: bool = False
    verdict: Trial = Trial.KEPT
    last: Trial = Trial.NOTHING
    alike: int = 0
    """Trials of the kind of the last one, one after the other."""
    due: float = inf
    asked: bool = False
    """A trial is under way."""


class Options:
    """Fed with trials, asked which to make."""

    def __init__(self) -> None:
        self._paths: dict[str, _Path] = {}

    def configure(self, metered: Mapping[str, bool]) -> None:
        """The paths; what is known of those that stay is kept."""
        former = self._paths
        self._paths = {name: former.get(name) or _Path() for name in metered}
        for name, each in metered.items():
            self._paths[name].metered = each

    def standing(self, usable: Iterable[str], now: float) -> None:
        """Which paths answer now. One that has begun to is tried soon; of others nothing is known."""
        up = set(usable)
        for name, path in self._paths.items():
            if name not in up:
                path.due, path.asked = inf, False
            elif path.due == inf and not path.asked:
                path.due = now + _FIRST

    def moved(self, name: str, now: float) -> None:
        """A path has another address or next hop: it may be another line altogether."""
        path = self._paths.get(name)
        if path is not None and path.due < inf:
            path.due = min(path.due, now + _FIRST)

    def due(self, now: float) -> list[str]:
        """The paths to try now; each must be told of in `took`."""
        found = [name for name, path in self._paths.items() if path.due <= now and not path.asked]
        for name in found:
            self._paths[name].asked = True
        return found

    def deadline(self) -> float | None:
        """When a path is due next."""
        times = [path.due for path in self._paths.values() if path.due < inf and not path.asked]
        return min(times, default=None)

    def took(self, name: str, trial: Trial, now: float) -> None:
        """What a trial over a path has shown."""
        path = self._paths.get(name)
        if path is None:
            return
        path.asked = False
        usual = EVERY_METERED if path.metered else EVERY
        if trial is not Trial.NOTHING:
            path.alike = path.alike + 1 if trial is path.last else 1
            path.last = trial
            if path.alike >= _ENOUGH or path.verdict is trial:
                path.verdict = trial
            elif trial is not path.verdict:
                usual = _DOUBT
        if usual != _DOUBT and path.verdict is not Trial.KEPT:
            usual = AGAIN_METERED if path.metered else AGAIN
        if path.due < inf:
            path.due = now + usual

    def marked(self, standings: Mapping[str, Standing]) -> dict[str, Standing]:
        """The standings, with what is wrong with each path's options in them."""
        return {
            name: replace(standing, plain=_WORDS[self._paths[name].verdict])
            if name in self._paths and self._paths[name].verdict is not Trial.KEPT
            else standing
            for name, standing in standings.items()
        }

    def dropping(self, names: Collection[str]) -> bool:
        """Whether SYNs with options vanish on every one of these paths: only plain TCP gets through."""
        return bool(names) and all(
            name in self._paths and self._paths[name].verdict is Trial.DROPPED for name in names
        )


def none_left(modes: Mapping[str, Mode], health: Health) -> bool:
    """Whether MPTCP works over no path that may be used; false as long as that is not certain."""
    usable = [
        standing
        for name, mode in modes.items()
        if mode is not Mode.OFF
        and (standing := health.get(name, HEALTHY)).usable
        and standing.condition is not Condition.UNKNOWN
    ]
    return bool(usable) and all(standing.plain for standing in usable)
