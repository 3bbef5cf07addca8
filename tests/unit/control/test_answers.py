from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import pytest

from plait.control.answers import Answers
from plait.control.events import Events
from plait.control.report import Question
from plait.control.server import Request, UnknownName
from plait.control.snapshot import Event, PathStatus, Sessions, Status
from plait.errors import UsageError

PATH = PathStatus(name="wan1", interface="eth1", mode="on", state="up")


class Reporter:
    def __init__(self) -> None:
        self.questions: list[Question] = []

    async def status(self, question: Question) -> Status:
        self.questions.append(question)
        events = (Event(id=7, at=1.0, kind="path", name="wan1", what="up"),) if question.since < 7 else ()
        return Status(role="gateway", version="1", pid=1, uptime=1.0, sessions=Sessions(), events=events)

    def pulse(self) -> tuple[PathStatus, ...]:
        return (PATH,)

    def history(self) -> dict[str, list[tuple[int, int]]]:
        return {"wan1": [(1, 2)]}

    def addresses(self, device: str) -> tuple[str, ...]:
        return {"phone": ("192.168.5.7", "fd78::7")}.get(device, (device,))


class House:
    def __init__(self) -> None:
        self.reporter = Reporter()
        self.events = Events(lambda: 5.0)
        self.modes: list[tuple[str, str]] = []
        self.answers = Answers(cast("Any", self.reporter), self.events, self._set, lambda: 4711)

    def _set(self, name: str, word: str) -> Mapping[str, str]:
        self.modes.append((name, word))
        return {name: word}

    def ask(
        self, method: str, path: str, query: Mapping[str, str] | None = None, **body: object
    ) -> dict[str, Any]:
        name = ""
        if path not in {known for _, known in self.answers.routes()}:
            path, _, name = path.rpartition("/")
            path += "/*"
        handler = self.answers.routes()[method, path]
        outcome = handler(Request(name=name, query=query or {}, body=body))
        assert not isinstance(outcome, AsyncIterator)
        return cast("dict[str, Any]", asyncio.run(cast("Any", outcome)))


@pytest.fixture
def house() -> House:
    return House()


def test_the_status_lists_no_sessions_unless_asked(house: House) -> None:
    assert house.ask("GET", "/v1/status")["role"] == "gateway"
    house.ask("GET", "/v1/status", {"connections": "5", "events": "0", "clients": "7", "sort": "age"})
    house.ask("GET", "/v1/status", {"every": "1"})
    first, second, third = house.reporter.questions
    assert (second.again, third.again) == (False, True)
    assert (first.sessions.limit, first.events, first.clients, first.again) == (0, 20, 100, False)
    assert (second.sessions.limit, second.sessions.sort, second.events, second.clients) == (5, "age", 0, 7)


def test_connections_of_a_device_by_its_name(house: House) -> None:
    answer = house.ask("GET", "/v1/connections", {"client": "phone", "exit": "attic", "text": "443"})
    assert set(answer) == {"at", "matched", "connections", "clients"}
    house.ask("GET", "/v1/connections", {"limit": "3", "client": "10.0.0.9"})
    first, second = (question.sessions for question in house.reporter.questions)
    assert (first.limit, first.addresses) == (1000, ("192.168.5.7", "fd78::7"))
    assert (first.exit, first.text) == ("attic", "443")
    assert (second.limit, second.addresses) == (3, ("10.0.0.9",))


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"connections": "many"}, "connections must be a number, not many"),
        ({"connections": "-1"}, "connections must be a number"),
        ({"events": "\u0661"}, "events must be a number"),
        ({"sort": "rat"}, "rat is not an order"),
        ({"colour": "red"}, "colour is not asked for"),
    ],
)
def test_bad_questions(house: House, query: dict[str, str], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        house.ask("GET", "/v1/status", query)


def test_events_are_given_and_waited_for(house: House) -> None:
    house.events.note("path", "wan1", "down", "no carrier")
    house.events.note("path", "wan1", "up")
    told = house.ask("GET", "/v1/events")["events"]
    assert [(each["id"], each["what"], each["why"]) for each in told] == [
        (1, "down", "no carrier"),
        (2, "up", ""),
    ]
    assert [each["id"] for each in house.ask("GET", "/v1/events", {"since": "1"})["events"]] == [2]
    assert [each["id"] for each in house.ask("GET", "/v1/events", {"events": "1"})["events"]] == [2]
    assert house.ask("GET", "/v1/events", {"since": "2", "wait": "0.01"})["events"] == []
    for wait in ("soon", "-1", "nan", "1e9"):
        with pytest.raises(UsageError, match="wait must be between"):
            house.ask("GET", "/v1/events", {"wait": wait})


def test_a_stream_asks_again_and_tells_each_event_once(house: House) -> None:
    async def run() -> None:
        handler = house.answers.routes()["GET", "/v1/stream"]
        stream = cast("Any", handler(Request(name="", query={"every": "0.5", "connections": "4"}, body={})))
        told = [await anext(stream) for _ in range(2)]
        await stream.aclose()
        assert [len(each["events"]) for each in told] == [1, 0]
        assert [question.since for question in house.reporter.questions] == [0, 7]
        assert all(question.again and question.sessions.limit == 4 for question in house.reporter.questions)

    asyncio.run(run())
    for query in ({"every": "0.1"}, {"every": "x"}, {"sort": "x"}):
        with pytest.raises(UsageError):
            house.answers.routes()["GET", "/v1/stream"](Request(name="", query=query, body={}))


def test_modes(house: House) -> None:
    assert house.ask("POST", "/v1/paths/wan1", mode="backup") == {"modes": {"wan1": "backup"}}
    with pytest.raises(UnknownName, match="no path is named wan3"):
        house.ask("POST", "/v1/paths/wan3", mode="backup")
    with pytest.raises(UsageError, match="no mode is given"):
        house.ask("POST", "/v1/paths/wan1")
    assert house.modes == [("wan1", "backup")]
    assert house.ask("GET", "/v1/paths")["paths"][0]["interface"] == "eth1"
    assert house.ask("GET", "/v1/history") == {"every": 1.0, "paths": {"wan1": [(1, 2)]}}
    assert house.ask("POST", "/v1/stop") == {"pid": 4711}


def test_what_the_web_page_may_ask_for(house: House) -> None:
    page = house.answers.for_page()
    assert set(page) == {"pulse", "status", "mode"}

    async def run() -> None:
        assert cast("Any", await page["pulse"]({}))[0]["name"] == "wan1"
        status = cast("Any", await page["status"]({"ask": 3, "what": "status", "connections": 9}))
        assert status["role"] == "gateway"
        await page["mode"]({"path": "wan1", "mode": "off"})

    asyncio.run(run())
    (question,) = house.reporter.questions
    assert (question.sessions.limit, question.again) == (9, True)
    assert house.modes == [("wan1", "off")]
