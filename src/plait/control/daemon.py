"""``plait gateway``, ``exit`` and ``node``: the order of things from start to stop.

Start: lock, parameters, routes and endpoints, listen, workers, interception, ``ready``. The LAN is taken
only once somebody serves it, and whatever fails on the way is taken back. Stop: interception first, so that
new connections go out directly while the old ones are ended.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from plait.config.model import Config, Method
from plait.config.notes import notes
from plait.config.sources import Sources
from plait.control.answers import Answers
from plait.control.courier import Courier
from plait.control.doors import Door, Doors, wanted
from plait.control.errands import Shared, identity_of
from plait.control.events import Events
from plait.control.hooks import Hooks
from plait.control.jobs import GREETINGS, SALTS, Jobs, Salts, listed, unprivileged, workers
from plait.control.judgement import Judgement
from plait.control.keeper import Keeper, View
from plait.control.ladder import Ladder
from plait.control.loading import demand, load_for, ready
from plait.control.mender import Mender
from plait.control.modes import Modes
from plait.control.names import AGAIN, LOST, Names
from plait.control.notify import notify
from plait.control.report import Reporter
from plait.control.rundir import RunDir
from plait.control.server import ControlServer
from plait.control.serving import Serving
from plait.control.sizes import Sizes
from plait.control.snapshot import by_user
from plait.control.supervisor import Supervisor
from plait.control.tunnel import TunnelHost, terms
from plait.control.users import Ledger, state_file
from plait.control.watch import Watch
from plait.control.web import WebHost
from plait.errors import PlaitError
from plait.kernel.linux import Host
from plait.paths.intercept import ports
from plait.paths.state import states
from plait.relay.orders import Job, JsonObject, Lacking, Traffic

log = logging.getLogger("plait")


_PATIENCE = 3.0
"""Seconds that a former courier may take to end."""
_COURIER_AGAIN = 30.0
"""Seconds after which one is started again when none could be."""


class Daemon:
    """One running plait."""

    def __init__(self, sources: Sources, role: str, run_dir: Path, *, verbose: int) -> None:
        self._sources = sources
        self._role = role
        self._verbose = verbose
        self._rundir = RunDir(run_dir)
        self._config = load_for(role, sources)
        self._modes = Modes({}, self._rundir.remember_modes)
        self._started = time.monotonic()
        self._doors = Doors()
        self._wanted: list[Door] = []
        self._salts = Salts("plait-salts", SALTS)
        self._greetings = Salts("plait-greetings", GREETINGS)
        self._stop = asyncio.Event()
        self._hung_up = asyncio.Event()
        self._offered = asyncio.Event()
        """An exit serves the tunnel."""
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """From start to stop. Raises PlaitError when it can't start, or can't go on."""
        demand(self._config)
        for remark in notes(self._config):
            log.warning("%s", remark)
        self._rundir.acquire()
        self._modes = Modes(self._rundir.remembered_modes(), self._rundir.remember_modes)
        try:
            await self._serve()
        finally:
            self._rundir.release()

    async def _serve(self) -> None:
        config = self._config
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_internal_fault)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        # From now on, too: its default is to end the process, and what we have begun would stay.
        loop.add_signal_handler(signal.SIGHUP, self._hung_up.set)
        self._host = Host()
        self._names = Names(config.peers)
        await self._names.refresh()
        self._supervisor = Supervisor(self._job, self._rundir.remember_workers)
        self._keeper = Keeper(
            self._host,
            self._modes.merged(config),
            self._names.addresses(),
            changed=self._view_changed,
            before=self._rundir.remember_host,
        )
        self._hooks = Hooks()
        self._judgement = Judgement(self._keeper.config, self._keeper, self._supervisor, self._exits_changed)
        self._watch = Watch([peer.name for peer in config.peers], self._supervisor, self._judgement.probed)
        self._courier = Courier(self._judgement)
        self._judgement.prober = self._courier
        self._tunnel = TunnelHost(self._tunnel_changed)
        self._courier.lodged = self._tunnel.lodged
        self._courier.offered = self._tunnel_offered
        self._courier.lodger = self._tunnel.lodger
        self._courier.started = self._rundir.remember_courier
        self._serving = Serving(self._judgement, self._keeper, self._supervisor.tell, self._courier.serving)
        self._mender = Mender(self._keeper)
        self._ladder = Ladder(self._keeper)
        self._sizes = Sizes(self._keeper, unprivileged)
        self._watch.plain = self._mender.hopeless = self._judgement.suspect
        self._keeper.renewed = self._mender.renewed
        self._supervisor.told = self._told
        self._events = Events(time.time)
        self._supervisor.died = lambda pid, cause: self._events.note("worker", str(pid), "died", cause)
        self._keeper.looked = self._paths_seen
        self._reporter = Reporter(
            self._role,
            self._started,
            self._host,
            self._keeper,
            self._supervisor,
            self._watch,
            self._judgement,
            self._courier,
            self._events,
        )
        self._reporter.configured = {path.name: path.mode for path in config.paths}
        barring = (self._supervisor.tell, self._courier.bar)
        self._ledger = Ledger(state_file(self._rundir.path), self._carried, *barring)
        self._ledger.configure(config.users, time.time())
        self._jobs = Jobs(self._doors, self._ledger, self._salts, verbose=self._verbose)
        self._jobs.plain = self._judgement.plain_exits
        self._reporter.users = self._ledger.statuses
        answers = Answers(self._reporter, self._events, self._asked_for_mode, self._asked_to_stop)
        self._web = WebHost(self._rundir.path, answers.for_page())
        server = ControlServer(
            self._rundir.socket,
            answers.routes(),
        )
        try:
            await self._start()
            await server.start()
            await self._renew_web()
            self._tasks = [
                asyncio.create_task(coroutine, name=name)
                for name, coroutine in (
                    ("keeper", self._keeper.run()),
                    ("watch", self._watch.run()),
                    ("rates", self._reporter.run()),
                    ("names", self._refresh_names()),
                    ("sizes", self._sizes.run()),
                    ("users", self._ledger.run()),
                    ("reload", self._reload_when_told()),
                    ("tunnel", self._open_tunnel_when_offered()),
                )
            ]
            print(ready(self._config, workers(self._config)), flush=True)
            notify("READY=1")
            stop = asyncio.create_task(self._stop.wait())
            done, _ = await asyncio.wait([stop, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stop}:
                # None of them ever ends by itself: it has failed, and we with it.
                await task
        finally:
            notify("STOPPING=1")
            await self._shut_down(server)

    async def _start(self) -> None:
        config = self._config
        self._tunnel.take_over(config)
        self._keeper.tunnels = self._tunnel.devices
        # Interception may be left from a crash, with workers that still serve it: leave it to them.
        self._keeper.reconcile(interception=False)
        # After the kernel's parameters: accepted sockets get the buffers that the listening one had first.
        self._open_doors(config)
        await self._supervisor.renew(workers(config))
        await self._end_former_courier()
        await self._renew_courier(config)
        self._keeper.reconcile()
        orphans = self._rundir.signal_orphans(signal.SIGUSR1, self._supervisor.pids)
        if orphans:
            log.info("%d workers of a former plait finish their sessions", orphans)

    async def _end_former_courier(self) -> None:
        """It has gone on since its control was killed; two at once would take each other's datagrams."""
        if self._rundir.signal_courier(signal.SIGTERM) is None:
            return
        log.info("the courier of a former plait makes room for a new one")
        until = time.monotonic() + _PATIENCE
        while self._rundir.orphan_courier() is not None:
            if time.monotonic() > until:
                self._rundir.signal_courier(signal.SIGKILL)
            await asyncio.sleep(0.005)

    async def _shut_down(self, server: ControlServer) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await server.stop()
        await self._web.stop()
        await self._judgement.stop()
        await self._courier.stop()
        self._tunnel.close()
        await self._hooks.stop()
        self._keeper.let_go()
        # Before their endpoints go: a connection that has lost its last subflow can't tell the exit that it
        # ends, and would be waited for until it has idled too long.
        await self._supervisor.stop()
        self._keeper.withdraw(self._rundir.remembered_host())
        self._rundir.forget_host()
        self._keeper.close()
        self._doors.close()
        self._ledger.save()
        self._ledger.close()
        self._host.close()
        self._salts.close()
        self._greetings.close()

    async def _renew_courier(self, config: Config) -> None:
        links = self._keeper.view.snapshot.links
        near = config.gateway.lan if config.gateway else ()
        macs = [link.mac for link in links if link.name in near and link.mac]
        uid, gid = unprivileged()
        self._sizes.identity = identity_of(self._rundir.path, macs)
        self._courier.lead(self._keeper.view.ways)
        self._courier.own(self._keeper.view.own)
        await self._courier.renew(
            config,
            identity=identity_of(self._rundir.path, macs),
            uid=uid,
            gid=gid,
            verbose=self._verbose,
            tunnel=self._tunnel.ends(config),
            shared=Shared(self._ledger.rates, self._ledger.cells, self._ledger.rates_fd, self._greetings.fd),
        )
        self._tunnel_changed()

    async def _renew_web(self) -> None:
        uid, gid = unprivileged()
        await self._web.renew(self._config, uid=uid, gid=gid, verbose=self._verbose)

    def _open_doors(self, config: Config) -> None:
        self._wanted = wanted(config, ports(config))
        self._doors.adjust(self._wanted, workers(config), mptcp=True)
        if config.exit is not None and config.exit.method is not Method.NONE:
            self._salts.open()
            self._greetings.open()

    def _job(self, index: int) -> Job:
        return self._jobs.job(self._config, index, self._wanted, self._serving.now(), self._keeper.view)

    # What changes while we run.

    def _view_changed(self, view: View) -> None:
        self._supervisor.tell({"ways": listed(view), "own": list(view.own)})
        self._courier.lead(view.ways)
        self._courier.own(view.own)
        self._watch.look()

    def _paths_seen(self) -> None:
        keeper = self._keeper
        self._judgement.looked()
        self._courier.terms(terms(keeper.config, keeper.health))
        led = self._ladder.look(open=bool(self._tunnel.devices))
        self._tunnel.look(led, keeper.peers, self._judgement.serving(), self._watch.foreign)
        seen = states(keeper.config, keeper.view.snapshot, keeper.peers, keeper.health)
        self._events.paths(seen)
        self._hooks.saw(seen)

    def _tunnel_offered(self, exit_name: str, serves: bool) -> None:
        if self._tunnel.offered(self._config, exit_name, serves):
            self._offered.set()
        self._keeper.wake()

    def _tunnel_changed(self) -> None:
        self._keeper.tunnels = self._tunnel.devices
        self._keeper.wake()

    async def _open_tunnel_when_offered(self) -> None:
        while True:
            await self._offered.wait()
            self._offered.clear()
            try:
                await self._renew_courier(self._config)
            except PlaitError as error:
                log.error("no tunnel: %s", error)
                if self._courier.pid is None:
                    # Neither the new one nor the former one has begun: without this there would be none ever.
                    await asyncio.sleep(_COURIER_AGAIN)
                    self._offered.set()

    def _told(self, worker: int, message: JsonObject) -> None:
        """What a worker says unasked."""
        if isinstance(traffic := message.get("traffic"), list):
            self._judgement.traffic([Traffic.from_json(each) for each in traffic])
        if isinstance(lacking := message.get("subflows"), list):
            self._mender.heard(worker, [Lacking.from_json(each) for each in lacking])

    def _exits_changed(self) -> None:
        # An exit that was silent answers, or one that answered is silent: know more of it at once.
        self._watch.look()
        self._serving.changed(self._config)

    async def _refresh_names(self) -> None:
        due = time.monotonic() + AGAIN
        while True:
            await asyncio.sleep(LOST)
            lost = any(other != name for name, other in self._judgement.serving().items())
            if self._names.fixed or not (lost or time.monotonic() >= due):
                continue
            due = time.monotonic() + AGAIN
            if await self._names.refresh():
                self._keeper.peers = self._names.addresses()
                self._keeper.wake()

    async def _carried(self) -> Mapping[str, Sequence[int]]:
        """What users have carried, told by all who count."""
        tallies = [answer["tally"] for answer in await self._supervisor.ask("tally")]
        found = [tally for tally in tallies if isinstance(tally, dict)]
        told = await self._courier.tally()
        udp = told.get("udp") if told is not None else None
        return by_user([*found, *self._supervisor.retired], udp if isinstance(udp, dict) else None)

    def _asked_to_stop(self) -> int:
        self._stop.set()
        return os.getpid()

    def _asked_for_mode(self, name: str, word: str) -> dict[str, str]:
        """Set the mode of a path, for all connections at once, those that exist included."""
        self._modes.put(self._config, name, word)
        log.info("path %s: mode set to %s", name, word)
        self._events.note("path", name, f"mode {word}", "set while running")
        self._adopt(self._config)
        self._keeper.reconcile()
        return {path.name: path.mode.value for path in self._keeper.config.paths}

    def _adopt(self, config: Config) -> None:
        """Let the keeper hold the host to a config, with the modes set live."""
        self._ledger.configure(config.users, time.time())
        self._keeper.config = self._modes.merged(config)
        self._reporter.configured = {path.name: path.mode for path in config.paths}

    async def _reload_when_told(self) -> None:
        """One reload at a time; those asked for meanwhile are one more."""
        while True:
            await self._hung_up.wait()
            self._hung_up.clear()
            await self._reload()

    async def _reload(self) -> None:
        """Take a changed config over without touching a session; a wrong one changes nothing."""
        notify("RELOADING=1")
        former = self._config
        try:
            config = load_for(self._role, self._sources)
            demand(config)
            self._config = config
            self._open_doors(config)
            self._names = Names(config.peers)
            await self._names.refresh()
            self._adopt(config)
            self._keeper.peers = self._names.addresses()
            self._judgement.configure(config)
            self._keeper.reconcile(interception=False)
            await self._supervisor.renew(workers(config))
            await self._renew_courier(config)
            self._watch.replace([peer.name for peer in config.peers])
            # Exits that were lost may be gone from the config, and those of it not be known yet.
            self._exits_changed()
            self._keeper.reconcile()
            self._doors.keep(self._wanted)
            await self._renew_web()
            log.info("config reloaded")
            self._events.note("plait", "", "config reloaded")
        except (PlaitError, OSError) as error:
            for text in str(error).splitlines():
                log.error("%s", text)
            log.error("the config stays as it was")
            self._events.note("plait", "", "config not reloaded", str(error))
            if self._config is not former:
                self._config = former
                self._adopt(former)
                self._judgement.configure(former)
                self._wanted = wanted(former, ports(former))
                self._names = Names(former.peers)
                await self._names.refresh()
                self._keeper.peers = self._names.addresses()
                self._keeper.reconcile()
                self._doors.keep(self._wanted)
        notify("READY=1")


def _internal_fault(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """What no task has handled: a fault of ours. One line; with -vv, where it came from."""
    error = context.get("exception")
    told = isinstance(error, BaseException) and log.isEnabledFor(logging.DEBUG)
    log.error("internal fault: %s: %r", context.get("message"), error, exc_info=error if told else None)  # type: ignore[arg-type]
