"""Workers: started, given their job, restarted when they die, replaced as a generation on reload.

A reload never touches a session: new workers take over the listening sockets, old ones drain.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from plait.control.snapshot import fold
from plait.errors import PlaitError
from plait.relay.orders import Job, JsonObject, Lines, line

log = logging.getLogger(__name__)

_READY = 20.0
"""Seconds that a worker may take to be ready: a small router imports slowly."""
_ANSWER = 3.0
_STOP = 5.0
_BACKOFF = (0.05, 0.2, 1.0, 2.0, 5.0)
_STEADY = 60.0
"""A worker that lived so long starts with a clean record."""


@dataclass(eq=False, slots=True)
class _Worker:
    index: int
    generation: int
    process: asyncio.subprocess.Process
    channel: asyncio.StreamWriter
    ready: asyncio.Future[None]
    questions: dict[int, asyncio.Future[JsonObject]] = field(default_factory=dict)
    first: bool = False
    """Of a generation that is only starting: its failure is that of the start."""
    draining: bool = False
    tally: JsonObject | None = None
    """What it told last."""


class Supervisor:
    """Keeps ``count`` workers serving. ``job(index)`` says what worker ``index`` is to do, at any time."""

    def __init__(self, job: Callable[[int], Job], changed: Callable[[list[int]], None]) -> None:
        self._job = job
        self._changed = changed
        self._workers: set[_Worker] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._generation = 0
        self._asked = 0
        self._stopping = False
        self.told: Callable[[int, JsonObject], None] = lambda pid, message: None
        """Called with what a worker says without having been asked."""
        self.retired: list[JsonObject] = []
        """What workers that are no more had counted, as far as they told."""
        self.restarts = 0
        """Workers that died and were replaced."""
        self.tallied: Callable[[JsonObject], None] = lambda tally: None
        """Called with what a worker has counted, when it tells that by itself: every few seconds."""
        self.died: Callable[[int, str], None] = lambda pid, cause: None
        """Called with the pid and the cause when one dies and is to be replaced."""

    @property
    def pids(self) -> list[int]:
        """All of them, draining ones included."""
        return [worker.process.pid for worker in self._workers]

    async def renew(self, count: int) -> None:
        """A new generation of ``count`` workers; when it is ready, the former one drains."""
        former = list(self._workers)
        self._generation += 1
        try:
            async with asyncio.timeout(_READY):
                fresh = [await self._start(index, self._generation, first=True) for index in range(count)]
                await asyncio.gather(*(worker.ready for worker in fresh))
        except (OSError, PlaitError) as error:
            # The former ones go on as if nothing had been tried.
            self._generation -= 1
            for worker in self._workers.difference(former):
                worker.draining = True
                with contextlib.suppress(ProcessLookupError):
                    worker.process.kill()
            if isinstance(error, PlaitError):
                raise
            why = "none was ready in time" if isinstance(error, TimeoutError) else error.strerror
            raise PlaitError(f"can't start workers: {why}", "is the host overloaded?") from None
        for worker in former:
            worker.draining = True
            self._tell(worker, {"drain": True})

    def tell(self, message: JsonObject) -> None:
        """Tell all workers something."""
        for worker in list(self._workers):
            self._tell(worker, message)

    async def ask(self, what: str, *, one: bool = False, **details: object) -> list[JsonObject]:
        """Ask all workers (or ``one`` of the newest); those that don't answer in time are left out."""
        workers = [worker for worker in self._workers if worker.ready.done()]
        if one:
            workers = [worker for worker in workers if not worker.draining][:1]
        answers = []
        for worker in workers:
            self._asked += 1
            answer = worker.questions[self._asked] = asyncio.get_running_loop().create_future()
            self._tell(worker, {"ask": self._asked, "what": what, **details})
            answers.append(answer)
        if not answers:
            return []
        done, late = await asyncio.wait(answers, timeout=_ANSWER + (5.0 if what == "probe" else 0.0))
        for answer in late:
            answer.cancel()
        for worker in workers:
            # One that hangs must not be remembered for each question.
            for number in [number for number, answer in worker.questions.items() if answer in late]:
                del worker.questions[number]
        return [answer.result() for answer in done if not answer.cancelled() and answer.exception() is None]

    async def stop(self) -> None:
        """End all workers, and with them their sessions."""
        self._stopping = True
        workers = list(self._workers)
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                worker.process.send_signal(signal.SIGTERM)
        waits = [asyncio.ensure_future(worker.process.wait()) for worker in workers]
        if waits:
            await asyncio.wait(waits, timeout=_STOP)
        for worker in workers:
            if worker.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    worker.process.kill()
                await worker.process.wait()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _start(self, index: int, generation: int, *, first: bool = False) -> _Worker:
        job = self._job(index)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        inherited = [theirs.fileno(), *(order.fd for order in job.listeners)]
        if job.door is not None:
            inherited += [fd for fd in (job.door.salts_fd, job.door.rates_fd) if fd >= 0]
        try:
            # -P: never import from the directory that we happen to be started in.
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "plait.relay.worker",
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=inherited,
            )
        finally:
            theirs.close()
        reader, channel = await asyncio.open_unix_connection(sock=ours)
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        worker = _Worker(index, generation, process, channel, ready, first=first)
        self._workers.add(worker)
        self._changed(self.pids)
        self._tell(worker, {"job": job.to_json()})
        task = asyncio.create_task(self._attend(worker, reader), name=f"worker {index}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return worker

    async def _attend(self, worker: _Worker, reader: asyncio.StreamReader) -> None:
        born = asyncio.get_running_loop().time()
        lines = Lines()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                for message in lines.feed(data):
                    self._hear(worker, message)
        status = await worker.process.wait()
        self._workers.discard(worker)
        self._retire(worker)
        worker.channel.close()
        for question in worker.questions.values():
            question.cancel()
        self._changed(self.pids)
        if not worker.ready.done():
            worker.ready.set_exception(
                PlaitError(f"a worker ended before it was ready (status {status})", "see the log above")
            )
            worker.ready.exception()
            if worker.first:
                return
        if self._stopping or worker.draining or worker.generation != self._generation:
            return
        self.restarts += 1
        lived = asyncio.get_running_loop().time() - born
        delay = _BACKOFF[0] if lived > _STEADY else _BACKOFF[min(self.restarts, len(_BACKOFF)) - 1]
        log.warning(
            "worker %d (pid %d) died, %s; starting another", worker.index, worker.process.pid, _cause(status)
        )
        self.died(worker.process.pid, _cause(status))
        await asyncio.sleep(delay)
        while not self._stopping and worker.generation == self._generation:
            try:
                await self._start(worker.index, worker.generation)
                return
            except OSError as error:
                log.error("can't start a worker: %s; trying again", error.strerror)
                await asyncio.sleep(_BACKOFF[-1])

    def _hear(self, worker: _Worker, message: JsonObject) -> None:
        if message.get("ready") and not worker.ready.done():
            worker.ready.set_result(None)
        if isinstance(tally := message.get("tally"), dict) and "answer" not in message:
            worker.tally = tally
            self.tallied(tally)
        number = message.get("answer")
        if number is None:
            self.told(worker.process.pid, message)
        if isinstance(number, int):
            question = worker.questions.pop(number, None)
            if question is not None and not question.done():
                question.set_result(message)

    def _retire(self, worker: _Worker) -> None:
        """Keep its counts, folded into one: workers come and go for months."""
        if worker.tally is not None:
            self.retired = [fold([*self.retired, worker.tally])]

    def _tell(self, worker: _Worker, message: JsonObject) -> None:
        if not worker.channel.is_closing():
            worker.channel.write(line(message))


def _cause(status: int) -> str:
    if status < 0:
        try:
            return f"killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"killed by signal {-status}"
    return f"status {status}"
