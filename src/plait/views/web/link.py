"""The web process's end of the socket pair to control."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

from plait.control.web_orders import WebJob
from plait.errors import PlaitError
from plait.relay.orders import JsonObject, line

PATIENCE = 5.0
"""Seconds that control may take to answer."""
_LONGEST = 1 << 26
"""Bytes of an answer: many thousand sessions."""


class Silent(PlaitError):
    """Control does not answer."""


class Link:
    """Asks control, several questions at a time. `gone` ends when control has."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._asked = 0
        self._waiting: dict[int, asyncio.Future[JsonObject]] = {}
        self.gone = asyncio.Event()

    @classmethod
    async def open(cls, fd: int) -> Link:
        """Over a socket that was inherited."""
        return cls(*await asyncio.open_unix_connection(sock=socket.socket(fileno=fd), limit=_LONGEST))

    async def job(self) -> WebJob | None:
        """What control says first; None when it says nothing."""
        first = await self._reader.readline()
        return WebJob.from_json(json.loads(first)["job"]) if first else None

    def ready(self, *, lacks: bool) -> None:
        """Tell control that we serve; with ``lacks`` a reload is to start another one, which may have all."""
        self._writer.write(line({"ready": True, "lacks": lacks}))

    async def run(self) -> None:
        """Take answers until control is gone."""
        with contextlib.suppress(ConnectionError):
            while text := await self._reader.readline():
                answer = json.loads(text)
                future = self._waiting.pop(answer.get("answer", 0), None)
                if future is not None and not future.done():
                    future.set_result(answer)
        self.gone.set()
        for future in self._waiting.values():
            # Not cancelled: that would end who waits, and not only what it waits for.
            if not future.done():
                future.set_exception(ConnectionResetError())

    async def ask(self, what: str, **details: object) -> object:
        """The answer to a question. Raises PlaitError as control does, and `Silent`."""
        self._asked += 1
        number = self._asked
        future: asyncio.Future[JsonObject] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._writer.write(line({"ask": number, "what": what, **details}))
            async with asyncio.timeout(PATIENCE):
                answer = await future
        except (TimeoutError, ConnectionError):
            raise Silent("plait does not answer", "it may be restarting") from None
        finally:
            self._waiting.pop(number, None)
        if "result" not in answer:
            hint = answer.get("hint")
            raise PlaitError(str(answer.get("error")), None if hint is None else str(hint))
        return answer["result"]

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
