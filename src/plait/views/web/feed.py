"""What is known now, for everybody who looks: control is asked once a second, however many watch.

While nobody does, only the paths are asked for, which costs control next to nothing; they go into the
history, and the last minutes of them are kept for the chart of whoever comes.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from plait.errors import PlaitError
from plait.relay.orders import JsonObject
from plait.views.web.history import History, Sample
from plait.views.web.link import Link

EVERY = 1.0
KEPT = 300
"""Moments that are kept for the live chart."""
EVENTS = 100
"""Events that a page shows."""
_WORKS = ("up", "standby")
_FRESH = 0.5
"""Seconds for which a status is as good as a new one."""


class Feed:
    """The last snapshot, and who waits for the next."""

    def __init__(self, link: Link, history: History, clock: Callable[[], float] = time.time) -> None:
        self._link = link
        self._history = history
        self._clock = clock
        self._recent: deque[tuple[float, dict[str, Sample]]] = deque(maxlen=KEPT)
        self._status: JsonObject | None = None
        self._at = 0.0
        self._asking: asyncio.Task[JsonObject] | None = None
        self._news: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.watchers = 0
        self.silent = False
        """Control has not answered lately."""

    async def run(self) -> None:
        """For ever."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + EVERY, loop.time())
            await self._look()
            await asyncio.sleep(due - loop.time())

    async def status(self) -> JsonObject:
        """A snapshot of just now. Many who ask at once get the same one. Raises PlaitError."""
        if self._status is not None and 0 <= self._clock() - self._at < _FRESH:
            return self._status
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    async def connections(self, sort: str, limit: int, matching: str) -> JsonObject:
        """Sessions, as `plait connections` shows them. Raises PlaitError."""
        found = await self._object("status", connections=limit, sort=sort, text=matching, events=0)
        return {name: found[name] for name in ("connections", "matched")}

    async def mode(self, path: str, mode: str) -> JsonObject:
        """Set the mode of a path. Raises PlaitError."""
        return await self._object("mode", path=path, mode=mode)

    async def next(self) -> bytes:
        """The next message of the stream: a JSON text."""
        return await asyncio.shield(self._news)

    def recent(self) -> dict[str, object]:
        """The last minutes, in the form of `History.curves`."""
        moments = list(self._recent)
        names = list(dict.fromkeys(name for _, samples in moments for name in samples))
        curves: dict[str, dict[str, list[float | None]]] = {}
        for name in names:
            found = [samples.get(name) for _, samples in moments]
            curves[name] = {
                "tx": [None if each is None else each.tx for each in found],
                "rx": [None if each is None else each.rx for each in found],
                "rtt": [None if each is None else each.rtt for each in found],
                "loss": [None if each is None else each.loss for each in found],
            }
        return {"step": EVERY, "times": [round(at, 1) for at, _ in moments], "paths": curves, "why": ""}

    async def _look(self) -> None:
        message: JsonObject
        try:
            if self.watchers:
                message = await self._ask()
                paths = message["paths"]
            else:
                paths = await self._link.ask("pulse")
                message = {}
        except PlaitError as error:
            self.silent = True
            message = {"silent": error.message}
        else:
            self.silent = False
            samples = taken(cast("Sequence[Mapping[str, object]]", paths))
            now = self._clock()
            self._recent.append((now, samples))
            self._history.add(now, samples)
        if message:
            text = json.dumps(message, separators=(",", ":")).encode()
            former, self._news = self._news, asyncio.get_running_loop().create_future()
            former.set_result(text)

    async def _ask(self) -> JsonObject:
        found = await self._object("status", events=EVENTS)
        self._status, self._at = found, self._clock()
        return found

    async def _object(self, what: str, **details: object) -> JsonObject:
        return cast("JsonObject", await self._link.ask(what, **details))


def taken(paths: Sequence[Mapping[str, object]]) -> dict[str, Sample]:
    """What a snapshot says of each path. What was last known of one that is down is no figure of now."""
    return {
        str(path["name"]): Sample(
            tx=float(cast("float", path["tx_bps"])),
            rx=float(cast("float", path["rx_bps"])),
            rtt=cast("float | None", path["rtt_ms"]) if path["state"] in _WORKS else None,
            loss=cast("float | None", path["loss"]) if path["state"] in _WORKS else None,
            up=path["state"] in _WORKS,
        )
        for path in paths
    }
