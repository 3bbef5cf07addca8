"""Live connections that lack a subflow get it back: what workers see, decided upon, done by the keeper."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from plait.control.keeper import Keeper
from plait.paths.mending import Lack, Mending
from plait.paths.standing import Condition
from plait.relay.orders import Lacking

log = logging.getLogger(__name__)


class Mender:
    """Compares the subflows that connections should have with those they have (as workers count them)."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._mending = Mending()
        self._said: set[str] = set()
        self.hopeless: Callable[[str], None] = lambda path: None
        """Told of a path on which no subflow comes up."""

    def heard(self, worker: int, lacking: Iterable[Lacking]) -> None:
        """What a worker says, all of it: an empty list says that its connections have what they should."""
        now = asyncio.get_running_loop().time()
        self._mending.report(worker, self._by_path(lacking), now)
        # Where the path itself is in doubt, a new subflow would come up no better.
        health = self._keeper.health
        sound = {
            name
            for name, standing in health.items()
            if standing.condition is Condition.UP and not standing.plain
        }
        due = self._mending.due(now, sound)
        for name in due:
            log.info("path %s: connections have lost their subflow on it; making it anew", name)
        if due:
            self._keeper.renew(due)
        for name in due:
            if self._mending.hopeless(name):
                self.hopeless(name)
            if self._mending.hopeless(name) and name not in self._said:
                self._said.add(name)
                log.warning("path %s: no subflow comes up on it: are MPTCP's options taken out?", name)

    def renewed(self, path: str) -> None:
        """A path's endpoint has been added: connections are making subflows already."""
        self._mending.renewed(path, asyncio.get_running_loop().time())

    def _by_path(self, lacking: Iterable[Lacking]) -> dict[str, Lack]:
        """Workers know addresses. One that several paths have (identical modems) says nothing of either."""
        owners: dict[str, set[str]] = {}
        for ways in self._keeper.view.ways.values():
            for way in ways:
                owners.setdefault(str(way.local), set()).add(way.path)
        found: dict[str, Lack] = {}
        for each in lacking:
            names = owners.get(each.local, set())
            if len(names) != 1:
                continue
            (name,) = names
            other = found.get(name, Lack(0, 0, 0.0))
            found[name] = Lack(
                count=other.count + each.count,
                looked=other.looked + each.looked,
                longest=max(other.longest, each.longest_s),
                moving=other.moving + each.moving,
                stranded=other.stranded + each.stranded,
                gained=other.gained + each.gained,
            )
        return found
