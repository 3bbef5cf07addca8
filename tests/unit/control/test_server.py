from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from plait.control.server import ControlServer
from plait.errors import PlaitError, UsageError
from plait.views.ask import ask


async def _double(question: Mapping[str, object]) -> object:
    value = question["value"]
    assert isinstance(value, int)
    return {"doubled": 2 * value}


async def _serve(directory: Path, lines: list[bytes]) -> list[dict[str, object]]:
    server = ControlServer(directory / "control.sock", {"double": _double})
    await server.start()
    reader, writer = await asyncio.open_unix_connection(directory / "control.sock")
    answers = []
    for text in lines:
        writer.write(text + b"\n")
        answers.append(json.loads(await reader.readline()))
    writer.close()
    await writer.wait_closed()
    await server.stop()
    return answers


def test_questions_and_answers(tmp_path: Path) -> None:
    good = json.dumps({"do": "double", "value": 4}).encode()
    answers = asyncio.run(_serve(tmp_path, [good, b"{", b"[1]", b'{"do": "halve"}', good]))
    assert answers[0] == answers[4] == {"result": {"doubled": 8}}
    assert answers[1] == {"error": "not JSON"}
    for answer in answers[2:4]:
        assert "unknown request" in str(answer["error"])
        assert "double" in str(answer["error"])


def test_a_refusal_arrives_as_the_error_that_it_is(tmp_path: Path) -> None:
    async def refuse(question: Mapping[str, object]) -> object:
        raise UsageError("no path is named x", "known: wan1")

    async def check() -> None:
        server = ControlServer(tmp_path / "control.sock", {"mode": refuse})
        await server.start()
        with pytest.raises(PlaitError) as refused:
            await asyncio.to_thread(ask, tmp_path, {"do": "mode"})
        await server.stop()
        assert (refused.value.message, refused.value.hint) == ("no path is named x", "known: wan1")
        assert refused.value.exit_status == 2

    asyncio.run(check())


def test_only_its_owner_may_ask_and_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    path.touch()

    async def check() -> None:
        server = ControlServer(path, {"double": _double})
        await server.start()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        answer = await asyncio.to_thread(ask, tmp_path, {"do": "double", "value": 3})
        assert answer == {"doubled": 6}
        with pytest.raises(PlaitError, match="unknown request"):
            await asyncio.to_thread(ask, tmp_path, {"do": "nothing"})
        await server.stop()
        assert not path.exists()
        await server.stop()

    asyncio.run(check())
