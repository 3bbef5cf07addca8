from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from plait.control import events as module
from plait.control.events import Events
from plait.control.snapshot import ExitStatus, UserStatus
from plait.paths.state import State


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def path(name: str, state: State, why: str = "") -> Any:
    return SimpleNamespace(reach=SimpleNamespace(path=SimpleNamespace(name=name)), state=state, why=why)


def said(events: Events) -> list[tuple[str, str, str, str]]:
    return [(each.kind, each.name, each.what, each.why) for each in events.since(0)]


def test_events_are_numbered_and_dated() -> None:
    events = Events(Clock())
    events.note("plait", "", "config reloaded")
    events.note("path", "wan1", "mode backup", "set while running")
    assert [(each.id, each.at) for each in events.since(0)] == [(1, 1001.0), (2, 1002.0)]
    assert [each.id for each in events.since(1)] == [2]
    assert [each.id for each in events.since(0, 1)] == [2]
    assert events.since(0, 0) == events.since(2) == ()


def test_a_path_that_changes_is_an_event_with_its_cause() -> None:
    events = Events(Clock())
    events.paths([path("wan1", State.UP), path("wan2", State.OFF, "switched off")])
    events.paths([path("wan1", State.UP, "answers are missing")])
    events.paths([path("wan1", State.DOWN, "no carrier")])
    events.paths([path("wan1", State.DOWN, "no address")])
    events.paths([path("wan1", State.STANDBY, "another path works")])
    events.paths([path("wan1", State.STANDBY, "benched: too slow")])
    assert said(events) == [
        ("path", "wan1", "up", ""),
        ("path", "wan1", "down", "no carrier"),
        ("path", "wan1", "standby", "another path works"),
        ("path", "wan1", "benched", "benched: too slow"),
    ]


def test_a_path_that_the_config_drops_and_has_again_begins_anew() -> None:
    events = Events(Clock())
    for seen in ([path("wan1", State.UP)], [], [path("wan1", State.UP)]):
        events.paths(seen)
    assert said(events) == [("path", "wan1", "up", "")] * 2


def test_exits_and_users() -> None:
    events = Events(Clock())
    for state, why in (("unknown", ""), ("up", ""), ("up", "no echo"), ("down", "no answer")):
        events.exits([ExitStatus(name="attic", state=state, rtt_ms=None, why=why)])
    user = {"name": "roof", "open": 0, "total": 0, "up_bytes": 0, "down_bytes": 0, "rate": 0, "volume": 0}
    for word in ("ok", "ok", "spent", "ok"):
        events.users([UserStatus(state=word, used_bytes=0, **user)])  # type: ignore[arg-type]
    assert said(events) == [
        ("exit", "attic", "up", ""),
        ("exit", "attic", "down", "no answer"),
        ("user", "roof", "spent", ""),
        ("user", "roof", "ok", ""),
    ]


def test_the_lan() -> None:
    events = Events(Clock())
    for taken in (True, True, False, False, True):
        events.lan(taken=taken)
    assert [(each.what, each.why) for each in events.since(0)] == [
        ("the LAN is taken", ""),
        ("the LAN is not taken", "no exit answers"),
        ("the LAN is taken", ""),
    ]


def test_only_the_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 500)
    events = Events(Clock())
    for number in range(600):
        events.note("worker", str(number), "died")
    kept = events.since(0)
    assert (len(kept), kept[0].id, kept[-1].id) == (500, 101, 600)


def test_one_may_wait_for_the_next() -> None:
    async def run() -> None:
        events = Events(Clock())
        assert await events.more(0, 0.01) == ()
        waiting = asyncio.create_task(events.more(0, 20.0))
        await asyncio.sleep(0)
        events.note("plait", "", "config reloaded")
        assert [each.id for each in await waiting] == [1]
        assert [each.id for each in await events.more(0, 20.0)] == [1], "there is one already"

    asyncio.run(run())
