"""Probing exits: how often, and which answers count. The supervisor is played by the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from plait.control.watch import Watch


class Workers:
    """Answers probes as told, after as long as told."""

    def __init__(self) -> None:
        self.answers: list[tuple[float, dict[str, object]]] = []
        self.asked = 0

    async def ask(self, what: str, *, one: bool, exit: str) -> list[dict[str, object]]:
        assert (what, one, exit) == ("probe", True, "attic")
        self.asked += 1
        after, result = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await asyncio.sleep(after)
        return [{"probe": result}]


UP: dict[str, object] = {"state": "up", "rtt_ms": 12.0, "why": ""}
DOWN: dict[str, object] = {"state": "down", "rtt_ms": 0.0, "why": "timed out"}


def watch(
    answers: list[tuple[float, dict[str, object]]], until: Callable[[list[str]], bool], linger: float = 0.0
) -> tuple[list[str], Watch, Workers]:
    """Watch until ``until`` of the states told so far is true, and ``linger`` seconds more."""
    told: list[str] = []
    workers = Workers()
    workers.answers = answers

    async def main() -> Watch:
        found = Watch(["attic"], workers, lambda name, state, why: told.append(state))  # type: ignore[arg-type]
        task = asyncio.create_task(found.run())
        async with asyncio.timeout(20):
            while not until(told):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await asyncio.sleep(linger)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return found

    return told, asyncio.run(main()), workers


def test_a_lost_exit_is_asked_often_and_a_slow_failure_holds_nothing_up() -> None:
    told, found, workers = watch([(0.0, DOWN), (5.0, DOWN), (0.0, UP)], lambda told: "up" in told)
    assert told == ["down", "up"], "the second one is still waiting for its failure"
    assert found.exits["attic"].state == "up"
    assert found.exits["attic"].rtt_ms == 12.0
    assert workers.asked == 3


def test_a_failure_that_is_older_than_a_success_does_not_count() -> None:
    told, found, _ = watch(
        [(0.0, DOWN), (1.2, DOWN), (0.0, UP), (30.0, UP)], lambda told: "up" in told, linger=1.5
    )
    assert told == ["down", "up"]
    assert found.exits["attic"].failures == 0


def test_what_is_news_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    watch([(0.0, DOWN), (0.0, DOWN), (0.0, DOWN), (0.0, UP), (30.0, UP)], lambda told: "up" in told)
    assert [record.message for record in caplog.records] == [
        "exit attic: down: timed out",
        "exit attic: up, 12.0 ms",
    ]
