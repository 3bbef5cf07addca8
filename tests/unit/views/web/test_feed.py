from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from plait.errors import PlaitError
from plait.views.web.feed import Feed
from plait.views.web.history import History
from plait.views.web.link import Link, Silent


def path(name: str, rx: int, state: str = "up") -> dict[str, object]:
    return {"name": name, "tx_bps": rx // 10, "rx_bps": rx, "rtt_ms": 20.0, "loss": None, "state": state}


class Control:
    """What answers, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.paths = [path("wan1", 1000), path("wan2", 0, "down")]
        self.silent = False

    async def ask(self, what: str, **details: object) -> object:
        self.asked.append(what)
        await asyncio.sleep(0)
        if self.silent:
            raise Silent("plait does not answer")
        if what == "pulse":
            return self.paths
        if what == "mode" and details["path"] == "nope":
            raise PlaitError("no path is named nope")
        return {
            "paths": self.paths,
            "connections": [details.get("text")],
            "matched": 7,
            "at": len(self.asked),
        }


class Kept(History):
    def __init__(self) -> None:
        super().__init__([])
        self.added: list[Any] = []

    def add(self, now: float, samples: Any) -> None:
        self.added.append((now, samples))


def run(check: Any) -> None:
    async def inside() -> None:
        control, history = Control(), Kept()
        times = iter(range(10, 10_000))
        feed = Feed(control, history, lambda: float(next(times)))  # type: ignore[arg-type]
        await check(control, history, feed)

    asyncio.run(inside())


def test_while_nobody_watches_only_the_paths_are_asked_for() -> None:
    async def check(control: Control, history: Kept, feed: Feed) -> None:
        await feed._look()
        assert control.asked == ["pulse"]
        [(now, samples)] = history.added
        assert now == 10.0
        assert (samples["wan1"].rx, samples["wan1"].up, samples["wan2"].up) == (1000.0, True, False)
        assert (samples["wan1"].rtt, samples["wan2"].rtt) == (20.0, None), "what is down has no round trip"
        recent: Any = feed.recent()
        assert recent["times"] == [10.0]
        assert recent["paths"]["wan1"]["rx"] == [1000.0]

    run(check)


def test_all_who_watch_get_one_snapshot() -> None:
    async def check(control: Control, history: Kept, feed: Feed) -> None:
        feed.watchers = 3
        waiting = [asyncio.create_task(feed.next()) for _ in range(3)]
        await asyncio.sleep(0)
        await feed._look()
        texts = await asyncio.gather(*waiting)
        assert len(set(texts)) == 1
        assert json.loads(texts[0])["matched"] == 7
        assert control.asked == ["status"]
        assert len(history.added) == 1

    run(check)


def test_one_who_leaves_takes_nobody_along() -> None:
    async def check(control: Control, history: Kept, feed: Feed) -> None:
        feed.watchers = 2
        leaving, staying = (asyncio.create_task(feed.next()) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.sleep(0)
        await feed._look()
        assert json.loads(await staying)["matched"] == 7

    run(check)


def test_many_who_ask_at_once_are_one_question() -> None:
    async def check(control: Control, history: Kept, feed: Feed) -> None:
        found = await asyncio.gather(*(feed.status() for _ in range(20)))
        assert control.asked == ["status"]
        assert all(each is found[0] for each in found)

    run(check)


def test_silence_is_told_and_leaves_a_gap() -> None:
    async def check(control: Control, history: Kept, feed: Feed) -> None:
        feed.watchers = 1
        control.silent = True
        waiting = asyncio.create_task(feed.next())
        await asyncio.sleep(0)
        await feed._look()
        assert json.loads(await waiting) == {"silent": "plait does not answer"}
        assert (history.added, feed.silent) == ([], True)
        with pytest.raises(Silent):
            await feed.status()
        control.silent = False
        await feed._look()
        assert not feed.silent
        assert len(history.added) == 1

    run(check)


def test_sessions_and_modes_are_passed_on() -> None:
    async def check(control: Control, history: Kept, feed: Feed) -> None:
        assert await feed.connections("rate", 5, "10.0") == {"connections": ["10.0"], "matched": 7}
        with pytest.raises(PlaitError, match="no path is named nope"):
            await feed.mode("nope", "on")

    run(check)


def test_a_link_keeps_questions_apart_and_ends_with_control() -> None:
    async def check() -> None:
        reader = asyncio.StreamReader()

        class Writer:
            sent: list[dict[str, Any]] = []  # noqa: RUF012

            def write(self, data: bytes) -> None:
                self.sent.append(json.loads(data))

        link = Link(reader, Writer())  # type: ignore[arg-type]
        running = asyncio.create_task(link.run())
        one, two, three = (asyncio.create_task(link.ask(what)) for what in ("a", "b", "c"))
        await asyncio.sleep(0)
        numbers = [said["ask"] for said in Writer.sent]
        reader.feed_data(json.dumps({"answer": numbers[1], "result": [2]}).encode() + b"\n")
        reader.feed_data(json.dumps({"answer": 999, "result": 0}).encode() + b"\n")
        reader.feed_data(json.dumps({"answer": numbers[0], "error": "no", "hint": "try"}).encode() + b"\n")
        assert await two == [2]
        with pytest.raises(PlaitError) as refused:
            await one
        assert (refused.value.message, refused.value.hint) == ("no", "try")
        reader.feed_eof()
        await running
        assert link.gone.is_set()
        with pytest.raises(Silent):
            await three
        assert not three.cancelled(), "that would end the process with a traceback"

    asyncio.run(check())
