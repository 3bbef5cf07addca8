from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from plait.config.model import Path as ConfigPath
from plait.control.hooks import Hooks
from plait.paths.reach import Reach
from plait.paths.state import PathState, State


def at(path: ConfigPath, state: State, why: str = "") -> PathState:
    return PathState(Reach(path, 0, None, (), (), {}, ()), state, why)


async def until(truth: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not truth():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def play(scene: Callable[[Hooks], object]) -> None:
    async def main() -> None:
        hooks = Hooks()
        try:
            await scene(hooks)  # type: ignore[misc]
        finally:
            await hooks.stop()

    asyncio.run(main())


def noting(file: Path, *words: str) -> dict[str, str]:
    """Hooks that write down that they were called, and with what."""
    command = f'echo "$PLAIT_PATH $PLAIT_INTERFACE $PLAIT_STATE $PLAIT_WHY" >> {file}'
    return dict.fromkeys(words, command)


def test_each_change_calls_its_hook_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    file = tmp_path / "said"
    path = ConfigPath(interface="wwan0", name="lte", **noting(file, "on_up", "on_down", "on_standby"))  # type: ignore[arg-type]

    async def scene(hooks: Hooks) -> None:
        for count, (state, why) in enumerate(
            [(State.UP, ""), (State.DOWN, "no carrier"), (State.STANDBY, "another path works")], 1
        ):
            hooks.saw([at(path, state, why)])
            hooks.saw([at(path, state, why)])
            await until(lambda count=count: len(lines(file)) == count)
        hooks.saw([at(path, State.OFF, "switched off")])

    play(scene)
    assert lines(file) == [
        "lte wwan0 up ",
        "lte wwan0 down no carrier",
        "lte wwan0 standby another path works",
    ]
    said = [message for message in caplog.messages if message.startswith("path lte: ")]
    assert said == [
        "path lte: up",
        "path lte: down, no carrier",
        "path lte: standby, another path works",
        "path lte: off, switched off",
    ]


def test_a_flapping_path_makes_no_queue(tmp_path: Path) -> None:
    file, gate = tmp_path / "said", tmp_path / "gate"
    command = f'echo "$PLAIT_STATE" >> {file}; until [ -e {gate} ]; do sleep 0.02; done'
    path = ConfigPath(interface="wwan0", name="lte", on_up=command, on_down=command)

    async def scene(hooks: Hooks) -> None:
        hooks.saw([at(path, State.UP)])
        await until(lambda: lines(file))
        for _ in range(50):
            hooks.saw([at(path, State.DOWN)])
            hooks.saw([at(path, State.UP)])
        hooks.saw([at(path, State.DOWN)])
        gate.touch()
        await until(lambda: len(lines(file)) > 1)
        await asyncio.sleep(0.2)

    play(scene)
    assert lines(file) == ["up", "down"]


def test_the_watchdog_tries_a_path_that_stays_down(tmp_path: Path) -> None:
    file = tmp_path / "tried"
    path = ConfigPath(
        interface="wwan0", name="lte", watchdog=f"echo $PLAIT_WHY >> {file}",
        watchdog_after=0.05, watchdog_limit=2,
    )  # fmt: skip

    async def scene(hooks: Hooks) -> None:
        hooks.saw([at(path, State.UP)])
        await asyncio.sleep(0.2)
        assert lines(file) == []
        hooks.saw([at(path, State.DOWN, "no answer")])
        await until(lambda: len(lines(file)) == 2)
        await asyncio.sleep(0.5)

    play(scene)
    assert lines(file) == ["no answer"] * 2, "the limit holds"


def test_what_runs_is_ended_with_us_or_with_its_path(tmp_path: Path) -> None:
    started = [tmp_path / "one", tmp_path / "two"]

    def path(name: str, file: Path) -> ConfigPath:
        return ConfigPath(interface=name, name=name, on_up=f"touch {file}; sleep 100")

    begun = time.monotonic()

    async def scene(hooks: Hooks) -> None:
        both: Iterable[PathState] = [
            at(path(name, file), State.UP) for name, file in zip(("a", "b"), started, strict=True)
        ]
        hooks.saw(both)
        await until(lambda: all(file.exists() for file in started))
        hooks.saw(list(both)[:1])

    play(scene)
    assert time.monotonic() - begun < 60
