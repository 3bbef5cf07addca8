"""The process of the web page: ``python -m plait.views.web.process FD``, started by `plait.control.web`.

It opens its history while it still may, gives up every privilege, and serves the sockets that it was handed
until control hangs up.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import sys
import time

from aiohttp import web

from plait.control.snapshot import Sessions, Status
from plait.control.web_orders import WebJob
from plait.kernel import logs
from plait.relay import privileges
from plait.views.web import metrics
from plait.views.web.app import Site
from plait.views.web.feed import Feed
from plait.views.web.guard import Gate, Guard
from plait.views.web.history import open_history
from plait.views.web.link import Link

log = logging.getLogger("plait.web")

_BACKLOG = 64
_END = 1.0
"""Seconds that answers may take to be sent when we end."""


async def serve(fd: int) -> None:
    """Until control is gone, or SIGTERM."""
    link = await Link.open(fd)
    job = await link.job()
    if job is None:
        return
    logging.getLogger().setLevel(logging.DEBUG if job.verbose > 1 else logging.INFO)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    # Ctrl-C goes to the whole process group; ending us is control's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    history = open_history(job.directory, job.paths, job.history)
    feed = Feed(link, history)
    gate = Gate()
    site = Site(job, feed, history, gate)
    _load_the_rest()
    privileges.drop(job.uid, job.gid)
    runner = web.AppRunner(
        site.application(),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=_END,
        keepalive_timeout=10.0,
    )
    await runner.setup()
    servers = [await _listen(job, runner, gate, fd) for fd in job.listeners]
    link.ready(lacks=bool(history.why and job.history and job.paths))
    # What exists now stays for good: leave it out of every later collection.
    gc.collect()
    gc.freeze()
    tasks = [asyncio.create_task(each) for each in (link.run(), feed.run(), link.gone.wait(), stop.wait())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for server in servers:
            server.close()
        for task in tasks:
            task.cancel()
        history.close(time.time())
        await runner.cleanup()
        link.close()


def _load_the_rest() -> None:
    """What is else loaded when it is first needed: our files may be closed to whom we become."""
    metrics.page(Status(role="", version="", pid=0, uptime=0.0, sessions=Sessions()).to_json())
    "x".encode("idna")


async def _listen(job: WebJob, runner: web.AppRunner, gate: Gate, fd: int) -> asyncio.Server:
    serve = runner.server
    assert serve is not None
    sock = socket.socket(fileno=fd)
    return await asyncio.get_running_loop().create_server(
        lambda: Guard(gate, serve()), sock=sock, backlog=_BACKLOG
    )


def main() -> int:
    """The process."""
    logs.begin(logs.chosen(), logging.WARNING, "%(levelname)s %(name)s[%(process)d]: %(message)s")
    # What peers send is their affair; faults of ours are told by `Site`.
    for name in ("asyncio", "aiohttp"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1])))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
