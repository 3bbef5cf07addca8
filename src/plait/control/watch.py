"""Watching the exits: a probe through the real transport every few seconds.

What follows from it is judged elsewhere (`plait.paths.exits`), together with what the paths say. A probe
of an exit whose host is silent takes seconds to fail, so the next one does not wait for it.
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
_TICK = 0.1
_SERVES = ("up", "foreign")


@dataclass(frozen=True, slots=True)
class ExitView:
    """What the last probe of an exit has shown."""

    name: str
    state: str = "unknown"
    """``up``, ``foreign`` (answers but can't echo: no plait), ``silent``, ``down``, or ``unknown`` yet."""
    rtt_ms: float | None = None
    """Time of the last TCP handshake with it."""
    why: str = ""
    failures: int = 0


class Watch:
    """Probes each exit; ``probed`` is told the name, the state and why."""

    def __init__(
        self, names: list[str], supervisor: Supervisor, probed: Callable[[str, str, str], None]
    ) -> None:
        self.exits = {name: ExitView(name) for name in names}
        self._supervisor = supervisor
        self._probed = probed
        self.plain: Callable[[str], None] = lambda interface: None
        """Told over which interface a probe went that was not MPTCP."""
        self._due: dict[str, float] = {}
        self._served: dict[str, float] = {}
        """When the last probe began that found an exit well."""
        self._probes: set[asyncio.Task[None]] = set()

    def replace(self, names: list[str]) -> None:
        """The config has other exits now."""
        self.exits = {name: self.exits.get(name, ExitView(name)) for name in names}
        self.look()

    @property
    def foreign(self) -> frozenset[str]:
        """Exits that answer and are no plait."""
        return frozenset(name for name, view in self.exits.items() if view.state == "foreign")

    def look(self) -> None:
        """Something has changed: probe now."""
        self._due.clear()

    async def run(self) -> None:
        """Probe for ever."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                now = loop.time()
                for name, view in self.exits.items():
                    if self._due.get(name, now) <= now:
                        self._due[name] = now + (EVERY if view.state in _SERVES else DOUBTFUL)
                        task = asyncio.create_task(self._probe(name), name=f"probe of {name}")
                        self._probes.add(task)
                        task.add_done_callback(self._probes.discard)
                await asyncio.sleep(_TICK)
        finally:
            for task in self._probes:
                task.cancel()

    async def _probe(self, name: str) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        answers = await self._supervisor.ask("probe", one=True, exit=name)
        result = answers[0].get("probe") if answers else None
        if not isinstance(result, dict) or name not in self.exits:
            return
        old = self.exits[name]
        state, why = str(result["state"]), str(result["why"])
        if result.get("mptcp") is False:
            self.plain(str(result["interface"]))
        if state in _SERVES:
            self._served[name] = max(begun, self._served.get(name, begun))
            new = ExitView(name, state, float(result["rtt_ms"]), why)
        elif begun <= self._served.get(name, 0.0):
            return  # an old question; a later one was answered
        else:
            rtt = float(result["rtt_ms"]) if state != "down" else None
            new = ExitView(name, state, rtt, why, old.failures + 1)
            self._due[name] = min(self._due.get(name, begun), loop.time() + DOUBTFUL)
        self.exits[name] = new
        # One failed dial is no news, two are; anything else is said as soon as it is seen.
        first_down = state == "down" and new.failures == 2
        if first_down or (state != "down" and state != old.state):
            _say(new)
        self._probed(name, state, why)


def _say(view: ExitView) -> None:
    fields = {"fields": {"exit": view.name, "state": view.state, "why": view.why}}
    if view.state == "up":
        log.info("exit %s: up, %.1f ms", view.name, view.rtt_ms, extra=fields)
    elif view.state == "foreign":
        log.info("exit %s: answers, but is no plait (%s)", view.name, view.why, extra=fields)
    else:
        log.warning("exit %s: %s: %s", view.name, view.state, view.why, extra=fields)
