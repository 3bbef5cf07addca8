from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from plait.control import server as module
from plait.control.server import ControlServer, Request, Routes, UnknownName
from plait.errors import PlaitError, UsageError
from plait.views.ask import NobodyThere, ask, follow

_PATIENCE = 20.0


async def _double(request: Request) -> object:
    return {"doubled": 2 * int(request.query["value"])}


async def _echo(request: Request) -> object:
    return {"name": request.name, "body": request.body}


async def _refuse(_: Request) -> object:
    raise UsageError("no mode x", "known: on")


async def _missing(_: Request) -> object:
    raise UnknownName("no path is named x", "known: wan1")


async def _fail(_: Request) -> object:
    raise PlaitError("not now")


async def _break(_: Request) -> object:
    raise RuntimeError("secret details")


def _count(request: Request) -> AsyncIterator[object]:
    last = int(request.query.get("to", "3"))

    async def numbers() -> AsyncIterator[object]:
        for number in range(last):
            yield {"number": number}
        if last == 7:
            raise RuntimeError("half-way")

    return numbers()


ROUTES: Routes = {
    ("GET", "/double"): _double,
    ("POST", "/names/*"): _echo,
    ("GET", "/refuse"): _refuse,
    ("GET", "/missing"): _missing,
    ("GET", "/fail"): _fail,
    ("GET", "/break"): _break,
    ("GET", "/v1/stream"): _count,
}


def served(directory: Path, use: Callable[[], object]) -> None:
    """Call something in a thread while the server runs."""

    async def run() -> None:
        server = ControlServer(directory / "control.sock", ROUTES)
        await server.start()
        try:
            async with asyncio.timeout(_PATIENCE):
                await asyncio.to_thread(use)
        finally:
            await server.stop()

    asyncio.run(run())


async def _raw(path: Path, data: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    writer.write_eof()
    async with asyncio.timeout(_PATIENCE):
        said = await reader.read()
    writer.close()
    return said


def raw(directory: Path, data: bytes) -> bytes:
    async def run() -> bytes:
        server = ControlServer(directory / "control.sock", ROUTES)
        await server.start()
        try:
            return await _raw(directory / "control.sock", data)
        finally:
            await server.stop()

    return asyncio.run(run())


def test_questions_and_answers(tmp_path: Path) -> None:
    def use() -> None:
        assert ask(tmp_path, "/double", {"value": 4, "nothing": None}) == {"doubled": 8}
        assert ask(tmp_path, "/names/wan%201", body={"mode": "on"}) == {
            "name": "wan 1",
            "body": {"mode": "on"},
        }

    served(tmp_path, use)


@pytest.mark.parametrize(
    ("path", "message", "hint", "status"),
    [
        ("/refuse", "no mode x", "known: on", 2),
        ("/missing", "no path is named x", "known: wan1", 2),
        ("/fail", "not now", None, 1),
        ("/break", "a fault in plait; its log says more", "please report it", 1),
        ("/nothing", "nothing is at /nothing", "known: GET /break, GET /double", 1),
        ("/names/", "nothing is at /names/", "known: ", 1),
        ("/names/x", "GET is not for /names/x", "known: ", 1),
    ],
)
def test_a_refusal_arrives_as_the_error_that_it_is(
    tmp_path: Path, path: str, message: str, hint: str | None, status: int
) -> None:
    def use() -> None:
        with pytest.raises(PlaitError) as refused:
            ask(tmp_path, path)
        assert message in refused.value.message
        assert (refused.value.hint or "").startswith(hint or "")
        assert refused.value.exit_status == status

    served(tmp_path, use)


def test_what_breaks_is_logged_and_its_details_stay_here(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = raw(tmp_path, b"GET /break HTTP/1.1\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 500 ")
    assert b"secret" not in said
    assert "internal fault: asked for /break: RuntimeError('secret details')" in caplog.text


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET /double HTTP/3.0\r\n\r\n", 505),
        (b"GET /double HTTP/1.1\r\nX: " + b"x" * 40000 + b"\r\n\r\n", 431),
        (b"POST /names/x HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"POST /names/x HTTP/1.1\r\nContent-Length: 2\r\n\r\n[]", 400),
        (b"POST /names/x HTTP/1.1\r\nContent-Length: 1\r\n\r\n{", 400),
        (b"DELETE /double HTTP/1.1\r\n\r\n", 405),
        (b"GET /nowhere HTTP/1.1\r\n\r\n", 404),
        (b"GET /missing HTTP/1.1\r\n\r\n", 404),
        (b"GET /refuse HTTP/1.1\r\n\r\n", 400),
        (b"GET /fail HTTP/1.1\r\n\r\n", 409),
    ],
)
def test_bad_requests(tmp_path: Path, data: bytes, status: int) -> None:
    said = raw(tmp_path, data)
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert {"error", "hint"} <= json.loads(body).keys()


def test_half_a_request_gets_no_answer(tmp_path: Path) -> None:
    assert raw(tmp_path, b"GET /dou") == b""
    assert raw(tmp_path, b"POST /names/x HTTP/1.1\r\nContent-Length: 9\r\n\r\n{}") == b""


def test_several_questions_on_one_connection_and_head(tmp_path: Path) -> None:
    said = raw(
        tmp_path,
        b"GET /double?value=1 HTTP/1.1\r\n\r\n"
        b"HEAD /double?value=2 HTTP/1.1\r\n\r\n"
        b"GET /double?value=3 HTTP/1.1\r\nConnection: close\r\n\r\n"
        b"GET /double?value=4 HTTP/1.1\r\n\r\n",
    )
    assert said.count(b"HTTP/1.1 200 OK") == 3
    assert said.count(b"doubled") == 2
    assert b'"doubled":6' in said


def test_a_stream_is_a_line_each(tmp_path: Path) -> None:
    def use() -> None:
        stream = follow(tmp_path, {"to": 2})
        assert [next(stream), next(stream)] == [{"number": 0}, {"number": 1}]
        with pytest.raises(NobodyThere, match="says nothing any more"):
            next(stream)

    served(tmp_path, use)


def test_a_stream_that_breaks_off(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def use() -> None:
        seen: list[object] = []
        with pytest.raises(NobodyThere):
            seen.extend(follow(tmp_path, {"to": 7}))
        assert not seen or len(seen) == 7

    served(tmp_path, use)
    assert "half-way" in caplog.text


def test_too_many_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 2)

    async def run() -> None:
        server = ControlServer(tmp_path / "control.sock", ROUTES)
        await server.start()
        idle = [await asyncio.open_unix_connection(tmp_path / "control.sock") for _ in range(2)]
        said = b""
        async with asyncio.timeout(_PATIENCE):
            while b"503" not in said:
                said = await _raw(tmp_path / "control.sock", b"GET /double?value=1 HTTP/1.1\r\n\r\n")
        await server.stop()
        for _, writer in idle:
            writer.close()

    asyncio.run(run())


def test_a_server_that_stops_lets_go_of_who_listens(tmp_path: Path) -> None:
    async def run() -> None:
        server = ControlServer(tmp_path / "control.sock", ROUTES)
        await server.start()
        reader, writer = await asyncio.open_unix_connection(tmp_path / "control.sock")
        writer.write(b"GET /double?value=1 HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"}\n")
        async with asyncio.timeout(_PATIENCE):
            await server.stop()
            assert await reader.read() == b""
        writer.close()

    asyncio.run(run())


def test_only_its_owner_may_ask_and_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    path.touch()

    async def check() -> None:
        server = ControlServer(path, ROUTES)
        await server.start()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert await asyncio.to_thread(ask, tmp_path, "/double", {"value": 3}) == {"doubled": 6}
        await server.stop()
        assert not path.exists()
        await server.stop()

    asyncio.run(check())
