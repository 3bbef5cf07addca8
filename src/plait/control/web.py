"""The keeper of the web page: opens its sockets, starts its process, restarts it, and answers what it asks.

The page is worth less than the relaying: whatever goes wrong with it is logged and tried again, and never
ends or holds up anything else. It ends with control, whose end of the socket pair it reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import secrets
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from plait.config.model import Config, Web
from plait.control.ending import end
from plait.control.web_orders import WebJob
from plait.errors import PlaitError
from plait.kernel.sockets import listen_plainly
from plait.relay.orders import JsonObject, line

log = logging.getLogger("plait")

Answer = Callable[[Mapping[str, object]], Awaitable[object]]

_STOP = 3.0
_BACKOFF = (0.1, 1.0, 5.0, 15.0)
_STEADY = 60.0
_LONGEST = 1 << 16
"""Bytes of a question."""
_AT_ONCE = 16
"""Questions that are being answered; more wait in the socket."""
_KEY = 32

Where = tuple[str, int]


@dataclass(eq=False, slots=True)
class _Running:
    process: asyncio.subprocess.Process
    channel: asyncio.StreamWriter
    task: asyncio.Task[None] | None = None
    lacks: bool = False
    """It could not do all that it was to do, and another one may."""


class WebHost:
    """At most one such process. ``answers`` are what it may ask for, by name."""

    def __init__(self, run_dir: Path, answers: Mapping[str, Answer]) -> None:
        self._run_dir = run_dir
        self._answers = answers
        self._open: dict[Where, socket.socket] = {}
        self._job: WebJob | None = None
        self._running: _Running | None = None
        self._restarting: asyncio.Task[None] | None = None
        self._stopping = False
        self.restarts = 0
        """Processes that died and were replaced."""

    @property
    def pid(self) -> int | None:
        """Of the one that runs."""
        return self._running.process.pid if self._running else None

    async def renew(self, config: Config, *, uid: int, gid: int, verbose: int) -> None:
        """Serve as the config says, from now on. Never raises: what can't be had is logged."""
        web = config.web
        wanted = [(str(address), port) for address, port in web.listen] if web is not None else []
        for where in [where for where in self._open if where not in wanted]:
            self._open.pop(where).close()
        for where in wanted:
            self._listen(where)
        job = None
        if web is not None and self._open:
            job = self._order(web, [path.name for path in config.paths], uid, gid, verbose)
        if job == self._job and (job is None or (self._running is not None and not self._running.lacks)):
            return
        self._job = job
        await self._end()
        if job is not None:
            await self._start(job)

    async def stop(self) -> None:
        """End it, and close its sockets."""
        self._stopping = True
        await self._end()
        for sock in self._open.values():
            sock.close()
        self._open = {}

    def _listen(self, where: Where) -> None:
        if where in self._open:
            return
        try:
            self._open[where] = listen_plainly(*where)
        except OSError as error:
            shown = f"[{where[0]}]:{where[1]}" if ":" in where[0] else f"{where[0]}:{where[1]}"
            taken = error.errno == errno.EADDRINUSE
            why = "is taken" if taken else f"can't be listened on: {error.strerror}"
            log.error("no web page on %s: it %s", shown, why)

    def _order(self, web: Web, paths: Sequence[str], uid: int, gid: int, verbose: int) -> WebJob:
        return WebJob(
            listeners=[sock.fileno() for sock in self._open.values()],
            names=list(web.names),
            paths=list(paths),
            directory=web.history_directory or str(_history_directory(self._run_dir)),
            history=web.history,
            metrics=web.metrics,
            password=web.password.reveal(),
            token=web.token.reveal(),
            key=self._cookie_key().hex(),
            uid=uid,
            gid=gid,
            verbose=verbose,
        )

    def _cookie_key(self) -> bytes:
        """Outlives us, so that nobody has to log in again after a restart; not a reboot."""
        path = self._run_dir / "web.key"
        with contextlib.suppress(OSError):
            found = path.read_bytes()
            if len(found) == _KEY:
                return found
        fresh = secrets.token_bytes(_KEY)
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(fresh)
        return fresh

    async def _start(self, job: WebJob) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # -P: never import from the directory that we happen to be started in.
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "plait.views.web.process",
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), *job.listeners],
            )
        except OSError as error:
            log.error("no web page: can't start its process: %s", error.strerror)
            ours.close()
            self._restarting = asyncio.create_task(self._again(_BACKOFF[-1]))
            return
        finally:
            theirs.close()
        reader, channel = await asyncio.open_unix_connection(sock=ours, limit=_LONGEST)
        running = self._running = _Running(process, channel)
        channel.write(line({"job": job.to_json()}))
        running.task = asyncio.create_task(self._attend(running, reader), name="web")

    async def _attend(self, running: _Running, reader: asyncio.StreamReader) -> None:
        born = asyncio.get_running_loop().time()
        try:
            await self._converse(running, reader)
        except (ConnectionError, ValueError):
            # It says what it may not, and is of no more use.
            with contextlib.suppress(ProcessLookupError):
                running.process.kill()
        running.channel.close()
        status = await running.process.wait()
        if self._running is not running or self._stopping:
            return
        self._running = None
        self.restarts += 1
        lived = asyncio.get_running_loop().time() - born
        delay = _BACKOFF[0] if lived > _STEADY else _BACKOFF[min(self.restarts, len(_BACKOFF)) - 1]
        log.warning(
            "the web page's process (pid %d) died, status %d; starting another", running.process.pid, status
        )
        self._restarting = asyncio.create_task(self._again(delay))

    async def _again(self, delay: float) -> None:
        await asyncio.sleep(delay)
        if self._job is not None and self._running is None and not self._stopping:
            await self._start(self._job)

    async def _converse(self, running: _Running, reader: asyncio.StreamReader) -> None:
        answering: set[asyncio.Task[None]] = set()
        try:
            while text := await reader.readline():
                question = json.loads(text)
                if isinstance(question, dict) and "ready" in question:
                    running.lacks = bool(question.get("lacks"))
                if isinstance(question, dict) and "ask" in question:
                    answering.add(asyncio.create_task(self._answer(running, question)))
                while len(answering) >= _AT_ONCE:
                    _, answering = await asyncio.wait(answering, return_when=asyncio.FIRST_COMPLETED)
                answering = {task for task in answering if not task.done()}
        finally:
            for task in answering:
                task.cancel()

    async def _answer(self, running: _Running, question: JsonObject) -> None:
        answer: JsonObject = {"answer": question["ask"]}
        handler = self._answers.get(str(question.get("what")))
        if handler is None:
            answer |= {"error": "unknown request", "hint": None}
        else:
            try:
                answer["result"] = await handler(question)
            except PlaitError as error:
                answer |= {"error": error.message, "hint": error.hint}
            except Exception as error:
                log.error("internal fault: the web page asked for %s: %r", question.get("what"), error)
                answer |= {"error": "a fault in plait; its log says more", "hint": None}
        if not running.channel.is_closing():
            running.channel.write(line(answer))
            with contextlib.suppress(ConnectionError):
                await running.channel.drain()

    async def _end(self) -> None:
        if self._restarting is not None:
            self._restarting.cancel()
            self._restarting = None
        running, self._running = self._running, None
        if running is None:
            return
        await end(running.process, _STOP)
        if running.task is not None:
            await asyncio.wait([running.task], timeout=_STOP)


def _history_directory(run_dir: Path) -> Path:
    """In systemd's state directory for us, else in the run directory, which a reboot empties."""
    state = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(state or run_dir) / "history"
