"""The control socket: HTTP/1.1 with JSON on a unix socket, root's alone (mode 0600).

It serves a handful of views at a time, so it is written for being small: asyncio's streams, and a parser
that refuses whatever is not plain (`plait.wire.http_origin`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from plait.errors import PlaitError, UsageError
from plait.wire.http import Refusal
from plait.wire.http_origin import Asked, answer_head, chunk, parse_asked

log = logging.getLogger(__name__)

_LONGEST_HEAD = 16384
_LONGEST_BODY = 65536
_AT_ONCE = 64
_IDLE = 60.0
"""Seconds that a client may take to ask, and to take an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a handler gets."""

    name: str
    """What stands in the path where the route has ``*``."""
    query: Mapping[str, str]
    body: Mapping[str, object]


class UnknownName(UsageError):
    """What is named in the path does not exist."""


Handler = Callable[[Request], Awaitable[object]]
Streamer = Callable[[Request], AsyncIterator[object]]
Routes = Mapping[tuple[str, str], Handler | Streamer]
"""By method and path; one that ends in ``/*`` takes a name. A handler gives what is to be sent as JSON; a
streamer one object after the other, each of which becomes a line."""


class ControlServer:
    """Answers by `Routes`."""

    def __init__(self, path: Path, routes: Routes) -> None:
        self._path = path
        self._routes = routes
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. A socket file that a crash left is replaced: the caller holds the lock."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # The mode must be right from the first moment on, not after a chmod.
        mask = os.umask(0o177)
        try:
            sock.bind(str(self._path))
        finally:
            os.umask(mask)
        self._server = await asyncio.start_unix_server(self._accepted, sock=sock, limit=_LONGEST_HEAD)

    async def stop(self) -> None:
        """Stop listening, and let go of those who still listen to us."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
        for task in list(self._clients):
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            # A client that breaks rules, vanishes or dawdles is not our fault, and nobody else's business.
            with contextlib.suppress(ConnectionError, TimeoutError, asyncio.IncompleteReadError):
                while await self._converse(reader, writer):
                    pass
        except asyncio.CancelledError:
            # We are being stopped. Who has half of a stream sees it break off.
            pass
        finally:
            self._clients.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One question and its answer; whether another one may follow."""
        try:
            async with asyncio.timeout(_IDLE):
                head = await reader.readuntil(b"\r\n\r\n")
                asked = parse_asked(head)
                if asked.length > _LONGEST_BODY:
                    raise Refusal(413, "too long a body")
                if len(self._clients) > _AT_ONCE:
                    raise Refusal(503, "too many ask at once")
                body = await reader.readexactly(asked.length)
        except asyncio.LimitOverrunError:
            await _send(writer, 431, {"error": "too long a head", "hint": None}, keep=False)
            return False
        except asyncio.IncompleteReadError:
            return False
        except Refusal as refusal:
            await _send(writer, refusal.status, {"error": str(refusal), "hint": None}, keep=False)
            return False
        return await self._answer(writer, asked, body)

    async def _answer(self, writer: asyncio.StreamWriter, asked: Asked, body: bytes) -> bool:
        found = self._route("GET" if asked.method == "HEAD" else asked.method, asked.path)
        if isinstance(found, str):
            known = any(path == found or _fits(path, asked.path) for _, path in self._routes)
            return await self._refuse(writer, asked, 405 if known else 404)
        handler, name = found
        bare = asked.method == "HEAD"
        try:
            said = json.loads(body) if body else {}
            if not isinstance(said, dict):
                raise ValueError
        except ValueError:
            problem = {"error": "the body is not a JSON object", "hint": 'for example {"mode": "backup"}'}
            return await _send(writer, 400, problem, keep=asked.keep)
        try:
            outcome = handler(Request(name=name, query=asked.query, body=said))
            if not isinstance(outcome, AsyncIterator):
                return await _send(writer, 200, await outcome, keep=asked.keep, bare=bare)
        except UnknownName as error:
            return await _send(writer, 404, _told(error), keep=asked.keep, bare=bare)
        except PlaitError as error:
            return await _send(writer, 400 if error.exit_status == 2 else 409, _told(error), keep=asked.keep)
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:
            log.error("internal fault: asked for %s: %r", asked.path, error, exc_info=log.isEnabledFor(10))
            fault = {"error": "a fault in plait; its log says more", "hint": "please report it"}
            return await _send(writer, 500, fault, keep=False, bare=bare)
        try:
            await _stream(writer, outcome, bare=bare)
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:
            # Too late for a status: it breaks off.
            log.error("internal fault: while %s was told: %r", asked.path, error)
        return False

    def _route(self, method: str, path: str) -> tuple[Handler | Streamer, str] | str:
        """What answers, and the name in the path; just the path when nothing does."""
        exact = self._routes.get((method, path))
        if exact is not None:
            return exact, ""
        for (each, pattern), handler in self._routes.items():
            if each == method and _fits(pattern, path):
                return handler, path[len(pattern) - 1 :]
        return path

    async def _refuse(self, writer: asyncio.StreamWriter, asked: Asked, status: int) -> bool:
        known = sorted(f"{method} {path}" for method, path in self._routes)
        what = f"nothing is at {asked.path}" if status == 404 else f"{asked.method} is not for {asked.path}"
        refused = {"error": what, "hint": "known: " + ", ".join(known)}
        return await _send(writer, status, refused, keep=asked.keep, bare=asked.method == "HEAD")


def _fits(pattern: str, path: str) -> bool:
    prefix = pattern.removesuffix("*")
    return pattern.endswith("/*") and path.startswith(prefix) and len(path) > len(prefix)


def _told(error: PlaitError) -> dict[str, object]:
    return {"error": error.message, "hint": error.hint, "status": error.exit_status}


async def _send(
    writer: asyncio.StreamWriter, status: int, value: object, *, keep: bool, bare: bool = False
) -> bool:
    """Send an answer, of which HEAD wants the head alone; gives ``keep`` back."""
    content = json.dumps(value, separators=(",", ":")).encode() + b"\n"
    writer.write(answer_head(status, len(content), keep=keep) + (b"" if bare else content))
    await _drained(writer)
    return keep


async def _stream(writer: asyncio.StreamWriter, values: AsyncIterator[object], *, bare: bool) -> None:
    """Send lines until the client has enough. One that takes them slowly misses some, and one that takes
    none for long is let go."""
    writer.write(answer_head(200, None, keep=False))
    if bare:
        await _drained(writer)
        return
    async for value in values:
        writer.write(chunk(json.dumps(value, separators=(",", ":")).encode() + b"\n"))
        await _drained(writer)
    writer.write(chunk(b""))
    await _drained(writer)


async def _drained(writer: asyncio.StreamWriter) -> None:
    async with asyncio.timeout(_IDLE):
        await writer.drain()
