"""The courier's keeper: starts it, restarts it, tells it what to probe and hears what it found.

Control opens the exit's UDP ports and keeps them, so that a courier that is restarted finds them with
the datagrams still in their queues.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from plait.config.model import Config
from plait.control.domains import Domains
from plait.control.ending import end
from plait.control.errands import (
    Shared,
    TunnelEnds,
    UdpDoor,
    away_order,
    home_order,
    names_order,
    open_port,
    udp_doors,
)
from plait.control.faces import Lender
from plait.courier.orders import CourierJob
from plait.errors import PlaitError
from plait.kernel.sockets import pack
from plait.paths.model import Way
from plait.relay.orders import JsonObject, Lines, line

log = logging.getLogger(__name__)

_READY = 20.0
"""Seconds that it may take to be ready: a small router imports slowly."""
_ANSWER = 3.0
_STOP = 5.0
_BACKOFF = (0.05, 0.2, 1.0, 2.0, 5.0)
_STEADY = 60.0
"""A courier that lived so long starts with a clean record."""


class Listener(Protocol):
    """Who hears what the courier found. ``sent`` is monotonic seconds, ``rtt`` seconds."""

    def echo(self, exit: str, path: str, sent: float, rtt: float) -> None:
        """An echo that was sent at ``sent`` over ``path`` has been answered."""

    def silent(self, exit: str, path: str, sent: float) -> None:
        """An echo that was sent at ``sent`` has had no answer within its patience."""

    def capacity(self, exit: str, path: str, up: int | None, down: int | None) -> None:
        """What a train found, in bits a second; None for what it did not find out."""

    def session(self, exit: str, up: bool, why: str) -> None:
        """Whether an exit answers sealed datagrams at all; ``why`` not, in words."""


@dataclass(eq=False, slots=True)
class _Process:
    process: asyncio.subprocess.Process
    channel: asyncio.StreamWriter
    ready: asyncio.Future[None]
    questions: dict[int, asyncio.Future[JsonObject]]


class Courier:
    """One courier at a time."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._doors: dict[UdpDoor, socket.socket] = {}
        self._lender: Lender | None = None
        self._own: list[str] = []
        self._lead: dict[str, list[str]] = {}
        self._serving: dict[str, str] = {}
        self._job: CourierJob | None = None
        """What the running one was told to do, or the next one will be."""
        self._running: _Process | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ways: dict[str, object] = {}
        self._paces: dict[str, float] = {}
        self._terms: dict[str, object] = {}
        self._barred: list[str] = []
        self._domains = Domains()
        self._asked = 0
        self._stopping = False
        self._counted: tuple[_Process | None, JsonObject] = (None, {})
        """What the newest one said of users last."""
        self._retired: dict[str, list[int]] = {}
        """What those said that are no more, by user: payload bytes up, and down."""
        self.lodged: Callable[[str, list[str], int], None] | None = None
        """Told when an exit has given our tunnel addresses, and an MTU."""
        self.offered: Callable[[str, bool], None] | None = None
        """Told whether an exit serves a tunnel."""
        self.lodger: Callable[[list[str], list[str], int], None] | None = None
        """Told the addresses of a gateway at our exit, the networks behind it, and the bytes of a packet that
        fits through to it."""
        self.started: Callable[[int], None] | None = None
        """Told the pid of each that is started."""
        self.restarts = 0
        """Couriers that died and were replaced."""

    @property
    def pid(self) -> int | None:
        """Of the one that runs."""
        return self._running.process.pid if self._running else None

    async def renew(
        self,
        config: Config,
        *,
        identity: bytes,
        uid: int,
        gid: int,
        verbose: int,
        tunnel: TunnelEnds | None = None,
        shared: Shared | None = None,
    ) -> None:
        """Start it, or after a reload another one if anything has changed for it.

        Raises PlaitError when a port can't be had or it does not get ready; a former one goes on then.
        """
        wanted = udp_doors(config)
        former_doors = dict(self._doors)
        try:
            for door in wanted:
                if door not in self._doors:
                    sock = await open_port(door)
                    if sock is not None:
                        self._doors[door] = sock
        except PlaitError:
            self._keep(former_doors)
            raise
        fds = [(door, self._doors[door].fileno()) for door in wanted if door in self._doors]
        job = CourierJob(
            identity=identity.hex(),
            aways=[
                away_order(config, peer, [fd for door, fd in fds if door.exit == peer.name])
                for peer in config.peers
            ],
            home=home_order(config, [fd for door, fd in fds if not door.handed], shared),
            names=names_order(config, [fd for door, fd in fds if door.names]),
            uid=uid,
            gid=gid,
            verbose=verbose,
        )
        if tunnel is not None:
            job = tunnel.joined(job)
        if self._running is not None and self._job is not None and _lasting(job) == _lasting(self._job):
            if job != self._job and job.home is not None:
                # Users and lists change without a gap; and nobody's tunnel begins anew.
                self._tell({"home": asdict(job.home)})
            self._job = job
            self._keep(wanted)
            return
        former, former_job, self._job = self._running, self._job, job
        try:
            # Two at once would take each other's datagrams: the former one goes first, which costs the
            # sessions a round trip to begin anew.
            await self._end(former)
            await self._start(job)
        except PlaitError:
            self._job = former_job
            if former_job is not None:
                with contextlib.suppress(PlaitError):
                    await self._start(former_job)
            raise
        self._keep(wanted)

    def ways(self, ways: Mapping[str, Sequence[Way]]) -> None:
        """Every path that could be probed now, by exit."""
        found: dict[str, object] = {
            name: [
                {
                    "path": way.path,
                    "remote": str(way.remote),
                    "port": way.port,
                    "local": str(way.local),
                    "interface": way.interface,
                }
                for way in each
            ]
            for name, each in ways.items()
        }
        if found != self._ways:
            self._ways = found
            self._tell({"ways": found})

    def lead(self, ways: Mapping[str, Sequence[Way]]) -> None:
        """The ways that work, best first, by exit: Shadowsocks datagrams go by those."""
        found = {name: list(dict.fromkeys(way.path for way in each)) for name, each in ways.items()}
        if found != self._lead:
            self._lead = found
            self._tell({"lead": found})

    def serving(self, serving: Mapping[str, str]) -> None:
        """Which exit serves new clients that are meant for each."""
        found = dict(serving)
        if found != self._serving:
            self._serving = found
            self._tell({"serving": found})

    def own(self, addresses: Iterable[str]) -> None:
        """The host's addresses."""
        found = sorted(addresses)
        if found != self._own:
            self._own = found
            self._tell({"own": found})
            if self._lender is not None:
                self._lender.own = frozenset(map(pack, found))

    def pace(self, paces: Mapping[str, float]) -> None:
        """Seconds between two echoes, by path."""
        news = {path: each for path, each in paces.items() if self._paces.get(path) != each}
        if news:
            self._paces |= news
            self._tell({"pace": news})

    def terms(self, terms: Mapping[str, tuple[str, float, bool]]) -> None:
        """How the tunnel may use each path: mode, weight, and whether it works."""
        found: dict[str, object] = {path: list(each) for path, each in terms.items()}
        if found != self._terms:
            self._terms = found
            self._tell({"terms": found})

    def bar(self, users: Iterable[str]) -> None:
        """Whose datagrams our exit carries no more."""
        self._barred = list(users)
        self._tell({"bar": self._barred})

    def burst(self, paths: Iterable[str]) -> None:
        """Find out at once about these paths: four echoes within 120 ms on each."""
        self._tell({"burst": list(paths)})

    def train(self, paths: Iterable[str]) -> None:
        """Find out these paths' capacity."""
        self._tell({"train": list(paths)})

    async def tally(self) -> JsonObject | None:
        """What it has counted; None when it does not answer."""
        running = self._running
        if running is None or not running.ready.done():
            return None
        self._asked += 1
        number = self._asked
        answer = running.questions[number] = asyncio.get_running_loop().create_future()
        self._tell({"ask": number, "what": "tally"})
        await asyncio.wait([answer], timeout=_ANSWER)
        running.questions.pop(number, None)
        if not answer.done() or answer.cancelled():
            answer.cancel()
            return None
        tally = answer.result()["tally"]
        assert isinstance(tally, dict)
        udp = tally.get("udp")
        if isinstance(udp, dict) and isinstance(users := udp.get("users"), dict):
            udp["users"] = self._with_retired(running, users)
        return tally

    def _with_retired(self, running: _Process, users: JsonObject) -> JsonObject:
        """What users have carried, with what couriers had counted that are no more: a volume must not begin
        anew with each of them."""
        former, counted = self._counted
        if former is not running:
            self._retired = _added(self._retired, counted)
        self._counted = running, users
        return dict(_added(self._retired, users))

    async def stop(self) -> None:
        """End it, and close its ports."""
        self._stopping = True
        await self._end(self._running)
        if self._lender is not None:
            self._lender.close()
        self._domains.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._keep(())

    async def _end(self, running: _Process | None) -> None:
        if running is None:
            return
        self._running = None
        await end(running.process, _STOP)

    async def _start(self, job: CourierJob) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        inherited = [theirs.fileno(), *(job.home.doors if job.home else ())]
        inherited += [fd for away in job.aways for fd in away.doors]
        inherited += job.names.doors if job.names else ()
        inherited += [tunnel.tun for tunnel in job.tunnels]
        if (home := job.home) is not None:
            inherited += [fd for fd in (home.tun, home.rates_fd, home.seen_fd) if fd >= 0]
        if self._lender is not None:
            self._lender.close()
            self._lender = None
        if job.names is not None or any(away.doors for away in job.aways):
            self._lender = Lender(frozenset(map(pack, self._own)))
            job = replace(job, lender=self._lender.theirs.fileno())
            inherited.append(job.lender)
        try:
            # -P: never import from the directory that we happen to be started in.
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "plait.courier.process",
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=inherited,
            )
        except OSError as error:
            ours.close()
            raise PlaitError(
                f"can't start the courier: {error.strerror}", "is the host overloaded?"
            ) from None
        finally:
            theirs.close()
            if self._lender is not None:
                self._lender.theirs.close()
        if self.started is not None:
            self.started(process.pid)
        reader, channel = await asyncio.open_unix_connection(sock=ours)
        running = _Process(process, channel, asyncio.get_running_loop().create_future(), {})
        self._running = running
        self._tell({"job": job.to_json()})
        self._tell({"terms": self._terms, "ways": self._ways, "pace": self._paces})
        self._tell({"lead": self._lead, "own": self._own, "serving": self._serving, "bar": self._barred})
        task = asyncio.create_task(self._attend(running, reader), name="courier")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            async with asyncio.timeout(_READY):
                await asyncio.shield(running.ready)
        except TimeoutError:
            if self._running is running:
                self._running = None
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise PlaitError("the courier was not ready in time", "is the host overloaded?") from None

    async def _attend(self, running: _Process, reader: asyncio.StreamReader) -> None:
        born = asyncio.get_running_loop().time()
        lines = Lines()
        try:
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(65536):
                    for message in lines.feed(data):
                        self._hear(running, message)
            status = await running.process.wait()
        finally:
            running.channel.close()
        for question in running.questions.values():
            question.cancel()
        if not running.ready.done():
            running.ready.set_exception(
                PlaitError(f"the courier ended before it was ready (status {status})", "see the log above")
            )
            running.ready.exception()
            if self._running is running:
                self._running = None
            return
        if self._stopping or self._running is not running:
            return
        self._running = None
        lived = asyncio.get_running_loop().time() - born
        self.restarts += 1
        log.warning("the courier (pid %d) died, status %d; starting another", running.process.pid, status)
        delay = _BACKOFF[0] if lived > _STEADY else _BACKOFF[min(self.restarts, len(_BACKOFF)) - 1]
        while not self._stopping and self._running is None and self._job is not None:
            await asyncio.sleep(delay)
            try:
                await self._start(self._job)
            except PlaitError as error:
                log.error("%s; trying again", error)
                delay = _BACKOFF[-1]

    def _hear(self, running: _Process, message: JsonObject) -> None:
        if message.get("ready") and not running.ready.done():
            running.ready.set_result(None)
        number = message.get("answer")
        if isinstance(number, int):
            question = running.questions.pop(number, None)
            if question is not None and not question.done():
                question.set_result(message)
        match message:
            case {"echo": {"exit": str(name), "path": str(path), "sent": float(sent), "rtt_us": int(rtt)}}:
                self._listener.echo(name, path, sent, rtt / 1e6)
            case {"silent": {"exit": str(name), "path": str(path), "sent": float(sent)}}:
                self._listener.silent(name, path, sent)
            case {"capacity": {"exit": str(name), "path": str(path), "up_bps": up, "down_bps": down}}:
                self._listener.capacity(name, path, up, down)
            case {"learn": int(told), "found": list(found)}:
                names = self._job.names if self._job is not None else None
                # Of no use or not: the answer waits for nothing any longer.
                kept = self._domains.learn(names.sets if names is not None else (), found)
                self._tell({"learnt": told, "kept": kept})
            case {"offer": {"exit": str(name), "serves": bool(serves)}}:
                if self.offered is not None:
                    self.offered(name, serves)
            case {"tunnel": {"exit": str(name), "addresses": list(addresses), "mtu": int(mtu)}}:
                if self.lodged is not None:
                    self.lodged(name, [str(address) for address in addresses], mtu)
            case {"lodger": {"addresses": list(addresses), "networks": list(networks), "mtu": int(mtu)}}:
                if self.lodger is not None:
                    self.lodger(list(map(str, addresses)), list(map(str, networks)), mtu)
            case {"session": {"exit": str(name), "state": str(state), "why": str(why)}}:
                self._listener.session(name, state == "up", why)

    def _tell(self, message: JsonObject) -> None:
        if self._running is not None and not self._running.channel.is_closing():
            self._running.channel.write(line(message))

    def _keep(self, wanted: Iterable[UdpDoor]) -> None:
        wanted = set(wanted)
        for door in [door for door in self._doors if door not in wanted]:
            self._doors.pop(door).close()


def _lasting(job: CourierJob) -> CourierJob:
    """What of it takes another courier when it changes."""
    return replace(job, home=job.home.lasting() if job.home is not None else None)


def _added(one: Mapping[str, object], other: Mapping[str, object]) -> dict[str, list[int]]:
    """Counts by user, of both."""
    sums: dict[str, list[int]] = {}
    for counts in (one, other):
        for user, said in counts.items():
            assert isinstance(said, list)
            known = sums.get(user, [0] * len(said))
            sums[user] = [a + b for a, b in zip(known, said, strict=True)]
    return sums
