"""What may be asked of a running plait, and by whom: over the control socket, and by the web page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from plait.config.values import suggest
from plait.control.events import MOST, Events
from plait.control.report import Question, Reporter
from plait.control.server import Request, Routes, UnknownName
from plait.control.sessions import Wanted
from plait.control.snapshot import plain
from plait.errors import UsageError
from plait.relay.rows import SORTS

_LISTED = 1000
"""Sessions that are listed when nobody says how many."""
_MOST_LISTED = 100_000
_FEWEST_SECONDS, _MOST_SECONDS = 0.5, 3600.0
_KEYS = ("connections", "sort", "client", "exit", "text", "clients", "events", "since", "every")

SetMode = Callable[[str, str], Mapping[str, str]]


class Answers:
    """``set_mode`` takes a path and a mode, and gives the modes of all; ``stop`` ends plait, and gives our
    pid."""

    def __init__(
        self, reporter: Reporter, events: Events, set_mode: SetMode, stop: Callable[[], int]
    ) -> None:
        self._reporter = reporter
        self._events = events
        self._set_mode = set_mode
        self._stop = stop

    def routes(self) -> Routes:
        """What root may ask for."""
        return {
            ("GET", "/v1/status"): self._status,
            ("GET", "/v1/connections"): self._connections,
            ("GET", "/v1/events"): self._later_events,
            ("GET", "/v1/paths"): self._paths,
            ("GET", "/v1/picture"): self._picture,
            ("GET", "/v1/history"): self._history,
            ("GET", "/v1/stream"): self._stream,
            ("POST", "/v1/paths/*"): self._mode,
            ("POST", "/v1/stop"): self._end,
        }

    def for_page(self) -> Mapping[str, Callable[[Mapping[str, object]], Awaitable[object]]]:
        """What the web page's process may ask for, by name: the paths alone, the snapshot, and a mode."""
        return {"pulse": self._page_pulse, "status": self._page_status, "mode": self._page_mode}

    async def _status(self, request: Request) -> object:
        again = "every" in request.query
        return (await self._reporter.status(self._question(request.query, again=again))).to_json()

    async def _connections(self, request: Request) -> object:
        query = {"connections": str(_LISTED), **request.query}
        if "limit" in query:
            query["connections"] = query.pop("limit")
        status = await self._reporter.status(self._question(query))
        return {
            "at": status.at,
            "matched": status.matched,
            "connections": [plain(each) for each in status.connections],
            "clients": [plain(each) for each in status.clients],
        }

    async def _later_events(self, request: Request) -> object:
        query = dict(request.query)
        wait = _seconds(query.pop("wait", "0"), "wait", 0.0)
        question = self._question({"events": str(MOST), **query})
        if wait:
            await self._events.more(question.since, wait)
        return {"events": [plain(each) for each in self._events.since(question.since, question.events)]}

    async def _paths(self, _: Request) -> object:
        return {"paths": [plain(each) for each in self._reporter.pulse()]}

    async def _history(self, _: Request) -> object:
        return {"every": 1.0, "paths": self._reporter.history()}

    async def _picture(self, _: Request) -> object:
        return self._reporter.picture().to_json()

    def _stream(self, request: Request) -> AsyncIterator[object]:
        every = _seconds(request.query.get("every", "1"), "every", _FEWEST_SECONDS)
        # A wrong query is to be refused before the first line.
        self._question(request.query)
        return self._snapshots(request.query, every)

    async def _snapshots(self, query: Mapping[str, object], every: float) -> AsyncIterator[object]:
        loop = asyncio.get_running_loop()
        due = loop.time()
        since = 0
        while True:
            # Asked anew each time: a device may have got another address meanwhile.
            question = self._question(query, again=True, since=since)
            status = await self._reporter.status(question)
            since = max([since, *(event.id for event in status.events)])
            yield status.to_json()
            due = max(due + every, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _mode(self, request: Request) -> object:
        word = request.body.get("mode")
        if not isinstance(word, str):
            raise UsageError("no mode is given", 'send for example {"mode": "backup"}')
        names = [path.name for path in self._reporter.pulse()]
        if request.name not in names:
            raise UnknownName(f"no path is named {request.name}", suggest(request.name, names, quote=""))
        return {"modes": self._set_mode(request.name, word)}

    async def _end(self, _: Request) -> object:
        return {"pid": self._stop()}

    async def _page_pulse(self, _: Mapping[str, object]) -> object:
        return [plain(each) for each in self._reporter.pulse()]

    async def _page_status(self, question: Mapping[str, object]) -> object:
        query = {key: value for key, value in question.items() if key in _KEYS}
        return (await self._reporter.status(self._question(query, again=True))).to_json()

    async def _page_mode(self, question: Mapping[str, object]) -> object:
        return self._set_mode(str(question.get("path")), str(question.get("mode")))

    def _question(
        self, query: Mapping[str, object], *, again: bool = False, since: int | None = None
    ) -> Question:
        """Raises UsageError for what is no good."""
        for key in query:
            if key not in _KEYS:
                raise UsageError(f"{key} is not asked for", suggest(key, _KEYS, quote=""))
        sort = str(query.get("sort", "rate"))
        if sort not in SORTS:
            raise UsageError(f"{sort} is not an order", suggest(sort, SORTS, quote=""))
        client = str(query.get("client", ""))
        return Question(
            sessions=Wanted(
                limit=_whole(query, "connections", 0),
                sort=sort,
                addresses=self._reporter.addresses(client) if client else None,
                exit=str(query.get("exit", "")),
                text=str(query.get("text", "")),
            ),
            clients=_whole(query, "clients", Question().clients),
            events=_whole(query, "events", Question().events),
            since=_whole(query, "since", 0) if since is None or not since else since,
            again=again,
        )


def _whole(query: Mapping[str, object], key: str, default: int) -> int:
    text = str(query.get(key, default))
    if not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise UsageError(f"{key} must be a number, not {text}")
    return int(text) if key == "since" else min(int(text), _MOST_LISTED)


def _seconds(text: str, key: str, least: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not least <= value <= _MOST_SECONDS:
        raise UsageError(f"{key} must be between {least:g} and {_MOST_SECONDS:g} seconds, not {text}")
    return value
