"""What follows when a path changes: a line in the log, the owner's command, and the watchdog.

Commands of one path run one at a time, in the order of what happened; what a path was meanwhile for a
moment is skipped, so that a flapping link never makes a queue.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Iterable

from plait.config.model import Path as ConfigPath
from plait.control import commands, remedies
from plait.control.watchdog import Watchdog
from plait.paths.state import PathState, State

log = logging.getLogger(__name__)


class Hooks:
    """Told of the paths' states whenever they may have changed."""

    def __init__(self) -> None:
        self._attendants: dict[str, _Attendant] = {}

    def saw(self, states: Iterable[PathState]) -> None:
        """Act upon what is new in ``states``: those of all paths there are."""
        seen = set()
        for state in states:
            path = state.reach.path
            seen.add(path.name)
            known = self._attendants.get(path.name)
            if known is None:
                known = self._attendants[path.name] = _Attendant(path)
            known.saw(path, state.state, state.why)
        for name in self._attendants.keys() - seen:
            self._attendants.pop(name).stop()

    async def stop(self) -> None:
        """End what runs."""
        tasks = [task for each in self._attendants.values() for task in each.stop()]
        await asyncio.gather(*tasks, return_exceptions=True)
        self._attendants.clear()


class _Attendant:
    """One path's."""

    def __init__(self, path: ConfigPath) -> None:
        self._path = path
        self._state: State | None = None
        self._why = ""
        self._told: State | None = None
        self._pending: State | None = None
        self._hook: asyncio.Task[None] | None = None
        self._attempt: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watchdog = _watchdog(path)

    def saw(self, path: ConfigPath, state: State, why: str) -> None:
        """Take the path's state in."""
        if _settings(path) != _settings(self._path):
            self._watchdog = _watchdog(path)
        self._path = path
        before, self._state, self._why = self._state, state, why
        if state is not before:
            level = logging.WARNING if state is State.DOWN else logging.INFO
            fields = {"path": path.name, "state": state.value, "why": why}
            more = f", {why}" if why else ""
            log.log(level, "path %s: %s%s", path.name, state.value, more, extra={"fields": fields})
            self._run_hook(state)
        self._watchdog.saw(state is State.DOWN, self._now())
        self._arm()

    def stop(self) -> list[asyncio.Task[None]]:
        """Begin no more, end what runs; gives the tasks that end now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        tasks = [task for task in (self._hook, self._attempt) if task is not None]
        for task in tasks:
            task.cancel()
        return tasks

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    # Hooks.

    def _run_hook(self, state: State) -> None:
        self._pending = state
        if self._hook is None or self._hook.done():
            self._hook = asyncio.create_task(self._run_hooks(), name=f"hooks of {self._path.name}")

    async def _run_hooks(self) -> None:
        while (state := self._pending) is not None:
            self._pending = None
            if state is self._told:
                continue
            self._told = state
            command = {
                State.UP: self._path.on_up,
                State.DOWN: self._path.on_down,
                State.STANDBY: self._path.on_standby,
            }.get(state, "")
            if command:
                await self._command(f"on_{state.value} of {self._path.name}", ("/bin/sh", "-c", command))

    async def _command(self, title: str, words: tuple[str, ...]) -> bool:
        environment = {
            "PLAIT_PATH": self._path.name,
            "PLAIT_INTERFACE": self._path.interface,
            "PLAIT_STATE": self._state.value if self._state else "",
            "PLAIT_WHY": self._why,
        }
        return await commands.run(title, words, environment)

    # Watchdog.

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at = self._watchdog.deadline() if self._path.watchdog else None
        if at is not None:
            self._timer = asyncio.get_running_loop().call_at(at, self._wake)

    def _wake(self) -> None:
        running = self._attempt is not None and not self._attempt.done()
        if self._watchdog.due(self._now()) and not running:
            self._attempt = asyncio.create_task(self._try(), name=f"watchdog of {self._path.name}")
        self._arm()

    async def _try(self) -> None:
        path, kind = self._path, self._path.watchdog
        log.warning("path %s: down for long (%s); its watchdog tries %s", path.name, self._why, kind)
        if kind == remedies.PPPD:
            remedies.hang_up(path)
            return
        chosen = remedies.steps(kind, path)
        if kind == remedies.IFUP and shutil.which(remedies.UBUS[0]):
            name = remedies.openwrt_name(await _output(remedies.UBUS), path.interface)
            chosen = (("ifup", name or path.name),)
        for words in chosen:
            await self._command(f"watchdog of {path.name}", words)


def _watchdog(path: ConfigPath) -> Watchdog:
    return Watchdog(path.watchdog_after, path.watchdog_limit)


def _settings(path: ConfigPath) -> tuple[str, float, int]:
    return (path.watchdog, path.watchdog_after, path.watchdog_limit)


async def _output(words: tuple[str, ...]) -> str:
    """What a program of the system prints; nothing when it fails."""
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(5.0):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return ""
    return said.decode(errors="replace")
