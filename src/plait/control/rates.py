"""How fast what workers count grows: by exit, by client."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from plait.relay.orders import JsonObject

KINDS = ("exits", "clients")
_SHORTEST = 0.3
"""Seconds over which a rate is taken at least."""

_Totals = dict[str, tuple[int, int]]
_Speeds = dict[str, tuple[float, float]]


class _Source:
    """What one worker said, and how fast it grew."""

    __slots__ = ("at", "speeds", "totals")

    def __init__(self, at: float, tally: JsonObject) -> None:
        self.at = at
        self.totals = {kind: _totals(tally, kind) for kind in KINDS}
        self.speeds: dict[str, _Speeds] = {kind: {} for kind in KINDS}


class Rates:
    """Bits a second up and down, from what workers tell one time after the other."""

    def __init__(self) -> None:
        self._sources: dict[int, _Source] = {}

    def take(self, tallies: Iterable[JsonObject], now: float) -> None:
        """What workers say at ``now``, in seconds. Workers that say nothing any more drop out in `keep`."""
        for tally in tallies:
            pid = tally["pid"]
            assert isinstance(pid, int)
            known = self._sources.get(pid)
            if known is None:
                self._sources[pid] = _Source(now, tally)
                continue
            passed = now - known.at
            if passed < _SHORTEST:
                continue
            fresh = _Source(now, tally)
            for kind in KINDS:
                before = known.totals[kind]
                for key, (up, down) in fresh.totals[kind].items():
                    was_up, was_down = before.get(key, (0, 0))
                    grown = (max(0, up - was_up), max(0, down - was_down))
                    if any(grown):
                        fresh.speeds[kind][key] = (grown[0] * 8 / passed, grown[1] * 8 / passed)
            self._sources[pid] = fresh

    def keep(self, pids: Iterable[int]) -> None:
        """These are the workers that there are."""
        living = set(pids)
        self._sources = {pid: source for pid, source in self._sources.items() if pid in living}

    def of(self, kind: str) -> Mapping[str, tuple[int, int]]:
        """One of `KINDS`, over all workers."""
        found: _Speeds = {}
        for source in self._sources.values():
            for key, (up, down) in source.speeds[kind].items():
                before = found.get(key, (0.0, 0.0))
                found[key] = (before[0] + up, before[1] + down)
        return {key: (round(up), round(down)) for key, (up, down) in found.items()}


def _totals(tally: JsonObject, kind: str) -> _Totals:
    found = tally[kind]
    assert isinstance(found, dict)
    return {key: (row[2], row[3]) for key, row in found.items()}
