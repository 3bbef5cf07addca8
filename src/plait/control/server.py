"""The control socket: one JSON object a line in, one out. Root's alone (mode 0600)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from plait.errors import PlaitError

Handler = Callable[[Mapping[str, object]], Awaitable[object]]

_LONGEST = 65536


class ControlServer:
    """Answers questions by name."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self._path = path
        self._handlers = handlers
        self._server: asyncio.Server | None = None

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
        self._server = await asyncio.start_unix_server(self._serve, sock=sock, limit=_LONGEST)

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ValueError, asyncio.IncompleteReadError):
            while text := await reader.readline():
                writer.write(json.dumps(await self._answer(text)).encode() + b"\n")
                await writer.drain()
        writer.close()

    async def _answer(self, text: bytes) -> dict[str, object]:
        try:
            question = json.loads(text)
        except ValueError:
            return {"error": "not JSON"}
        name = question.get("do") if isinstance(question, dict) else None
        handler = self._handlers.get(str(name))
        if handler is None:
            return {"error": f"unknown request {name!r}; known: {', '.join(sorted(self._handlers))}"}
        try:
            return {"result": await handler(question)}
        except PlaitError as error:
            return {"error": error.message, "hint": error.hint, "status": error.exit_status}
