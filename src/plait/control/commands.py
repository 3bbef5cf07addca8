"""Running the owner's commands: each in a process group of its own, with an end, and with few words.

What a command prints goes to the log, its first lines; what it started and left behind is ended with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Mapping, Sequence

log = logging.getLogger(__name__)

LIMIT = 60.0
"""Seconds that a command may take."""
_GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL."""
_LINES = 10
"""Most lines of one command that are logged."""
_LONGEST = 500
_OURS = ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "WATCHDOG_USEC", "WATCHDOG_PID")
"""Of the environment: what systemd says to us alone."""


async def run(title: str, words: Sequence[str], extra: Mapping[str, str], limit: float = LIMIT) -> bool:
    """Run a program; whether it ended with status 0 in time. Never raises for what the program does."""
    environment = {key: value for key, value in os.environ.items() if key not in _OURS} | dict(extra)
    # A pipe of our own: asyncio's would wait for all who hold its other end, not for the program alone.
    ours, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    os.set_blocking(theirs, True)
    reader = asyncio.StreamReader()
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", 0)
    )
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        log.warning("%s: can't run %s: %s", title, words[0], error.strerror)
        pipe.close()
        return False
    finally:
        os.close(theirs)
    reading = asyncio.create_task(_log(title, reader))
    try:
        async with asyncio.timeout(limit):
            status = await process.wait()
    except TimeoutError:
        log.warning("%s: ended, as it took more than %g s", title, limit)
        return False
    finally:
        await asyncio.shield(_end(process))
        # All who could write are gone.
        await asyncio.wait([reading], timeout=_GRACE)
        reading.cancel()
        pipe.close()
    if status:
        log.warning("%s: ended with status %d", title, status)
    return status == 0


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the process if it still runs, and all of its group."""
    group = process.pid
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await process.wait()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    await process.wait()


async def _log(title: str, stream: asyncio.StreamReader) -> None:
    """Say the first lines; read the rest all the same, or the command would wait for us."""
    told = 0
    rest = b""
    while data := await stream.read(65536):
        *lines, rest = (rest + data).split(b"\n")
        rest = rest[:_LONGEST]
        for line in lines:
            told += 1
            if told <= _LINES:
                log.info("%s: %s", title, line[:_LONGEST].decode(errors="replace"))
            elif told == _LINES + 1:
                log.info("%s: says more than %d lines", title, _LINES)
    if rest and told < _LINES:
        log.info("%s: %s", title, rest.decode(errors="replace"))
