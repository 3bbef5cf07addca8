"""Watching the exits: a probe through the real transport every few seconds, and what follows from it.

An exit counts as lost after two failed probes in a row, half a second apart, and as back after one
good one. What is done about it (taking the LAN's TCP or not) is the daemon's business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from plait.control.supervisor import Supervisor

log = logging.getLogger(__name__)

EVERY = 5.0
"""Seconds between probes of an exit that is well."""
DOUBTFUL = 0.5
"""… after a probe that failed, and while an exit is lost."""
_FAILURES = 2
_USELESS = ("down", "silent")


@dataclass(frozen=True, slots=True)
class ExitView:
    """What is known of an exit."""

    name: str
    state: str = "unknown"
    """``up``, ``foreign`` (answers but can't echo: no plait), ``silent``, ``down``, or ``unknown`` yet."""
    rtt_ms: float | None = None
    """Time of the last TCP handshake with it."""
    why: str = ""
    failures: int = 0

    @property
    def lost(self) -> bool:
        """Whether nothing can be expected of it now: it is not there, or it does not know our key."""
        return self.state in _USELESS and self.failures >= _FAILURES


class Watch:
    """Probes each exit; ``changed`` is called when one is lost or back."""

    def __init__(self, names: list[str], supervisor: Supervisor, changed: Callable[[], None]) -> None:
        self.exits = {name: ExitView(name) for name in names}
        self._supervisor = supervisor
        self._changed = changed
        self._soon = asyncio.Event()

    @property
    def all_lost(self) -> bool:
        """Whether no exit is left."""
        return bool(self.exits) and all(view.lost for view in self.exits.values())

    def replace(self, names: list[str]) -> None:
        """The config has other exits now."""
        self.exits = {name: self.exits.get(name, ExitView(name)) for name in names}
        self._soon.set()

    def look(self) -> None:
        """The ways have changed: probe now."""
        self._soon.set()

    async def run(self) -> None:
        """Probe for ever."""
        while True:
            await asyncio.gather(*(self._probe(name) for name in list(self.exits)))
            doubtful = any(view.failures or view.state == "unknown" for view in self.exits.values())
            try:
                async with asyncio.timeout(DOUBTFUL if doubtful else EVERY):
                    await self._soon.wait()
            except TimeoutError:
                pass
            self._soon.clear()

    async def _probe(self, name: str) -> None:
        answers = await self._supervisor.ask("probe", one=True, exit=name)
        result = answers[0].get("probe") if answers else None
        if not isinstance(result, dict) or name not in self.exits:
            return
        old = self.exits[name]
        state, why = str(result["state"]), str(result["why"])
        rtt = float(result["rtt_ms"]) if state != "down" else None
        new = ExitView(name, state, rtt, why, old.failures + 1 if state in _USELESS else 0)
        self.exits[name] = new
        # One failed dial is no news, two are; anything else is said as soon as it is seen.
        known_down = old.state == "down" and old.lost
        news = new.lost and not known_down if state == "down" else state != old.state
        if news:
            _say(new)
        if new.lost != old.lost:
            self._changed()


def _say(view: ExitView) -> None:
    if view.state == "up":
        log.info("exit %s: up, %.1f ms", view.name, view.rtt_ms)
    elif view.state == "foreign":
        log.info("exit %s: answers, but is no plait (%s)", view.name, view.why)
    else:
        log.warning("exit %s: %s: %s", view.name, view.state, view.why)
