"""Evidence in, standings out: the judgement of the paths, with a clock and with hands.

The courier's echoes, the workers' traffic, TCP handshakes and the keeper's looks at the links go to the
judge (`plait.paths.judge`, which is pure). What it finds goes to the keeper: a path that has died loses
its endpoint at once, before anything is looked at. What it wishes goes to those who probe.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from plait.config.model import Config, TcpVia
from plait.control.keeper import Keeper
from plait.control.supervisor import Supervisor
from plait.paths.choice import probe_ways
from plait.paths.estimate import Figures
from plait.paths.exits import ExitStanding, ExitState
from plait.paths.judge import Judge
from plait.paths.model import Way
from plait.paths.options import Options, Trial
from plait.paths.pair import Carried
from plait.paths.standing import Condition, Standing
from plait.relay.orders import Traffic

log = logging.getLogger(__name__)


_LEAST = 0.002
"""Seconds between two rounds of thought: whatever a deadline says, others have work, too."""


class Prober(Protocol):
    """Who sends echoes (the courier)."""

    def ways(self, ways: Mapping[str, Sequence[Way]]) -> None:
        """Every way that can be probed, by exit."""

    def pace(self, paces: Mapping[str, float]) -> None:
        """Seconds between two echoes, by path."""

    def burst(self, paths: Iterable[str]) -> None:
        """Ask at once over these paths."""

    def train(self, paths: Iterable[str]) -> None:
        """Measure the capacity of these paths, once."""


class Judgement:
    """Holds the judge of all paths and exits; ``exits_changed`` is called when an exit is lost or back,
    or another one takes over."""

    def __init__(
        self, config: Config, keeper: Keeper, supervisor: Supervisor, exits_changed: Callable[[], None]
    ) -> None:
        self._keeper = keeper
        self._supervisor = supervisor
        self._config = config
        self._judge = Judge(config, self._now())
        self._exits_changed = exits_changed
        self._exits = self._exits_now()
        self._ways: Mapping[str, tuple[Way, ...]] = {}
        self._owners: dict[tuple[str, str], str] = {}
        self._settling: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._connects: set[asyncio.Task[None]] = set()
        self._options = Options()
        self._plain: list[str] = []
        """Exits to which only plain TCP gets through."""
        self._options.configure({path.name: path.metered for path in config.paths})
        self.prober: Prober | None = None

    def configure(self, config: Config) -> None:
        """Other exits or paths; what is known of those that stay is kept."""
        self._config = config
        self._judge.configure(config, self._now())
        self._options.configure({path.name: path.metered for path in config.paths})
        self._soon()

    def figures(self, path: str) -> Figures:
        """What a path measures now."""
        return self._judge.figures(path)

    @property
    def all_lost(self) -> bool:
        """Whether no exit is left."""
        return self._judge.exits.all_lost

    def exit_standings(self) -> Mapping[str, ExitStanding]:
        """How each exit stands."""
        return self._judge.exit_standings()

    def serving(self) -> Mapping[str, str | None]:
        """Which exit serves new connections that are meant for each; None while none can."""
        return self._judge.exits.serving()

    async def stop(self) -> None:
        """Judge no more."""
        for handle in (self._settling, self._timer):
            if handle is not None:
                handle.cancel()
        for task in self._connects:
            task.cancel()
        await asyncio.gather(*self._connects, return_exceptions=True)

    def plain_exits(self) -> list[str]:
        """Exits to which SYNs with MPTCP's options get over no path."""
        return self._plain

    # Evidence.

    def looked(self) -> None:
        """The keeper has looked at the host."""
        keeper, now = self._keeper, self._now()
        if keeper.config is not self._config:
            self.configure(keeper.config)  # a mode was set live
        ways = probe_ways(keeper.config, keeper.view.snapshot, keeper.peers)
        if ways != self._ways:
            before = _places(self._ways)
            here = _places(ways)
            self._ways = ways
            self._owners = _owners(ways)
            if self.prober is not None:
                self.prober.ways(ways)
            for path in here.keys() & before.keys():
                if here[path] != before[path]:
                    self._judge.moved(path, now)
                    self._options.moved(path, now)
        linked = {way.path for each in ways.values() for way in each}
        self._judge.links({path.name: path.name in linked for path in keeper.config.paths}, now)
        self._soon()

    def echo(self, exit: str, path: str, sent: float, rtt: float) -> None:
        """An echo that was sent at ``sent`` has come back after ``rtt`` seconds."""
        self._judge.echo(exit, path, sent, rtt, self._now())
        self._soon()

    def silent(self, exit: str, path: str, sent: float) -> None:
        """An echo that was sent at ``sent`` has had no answer for longer than is usual."""
        self._judge.silent(exit, path, sent, self._now())
        self._soon()

    def capacity(self, exit: str, path: str, up: int | None, down: int | None) -> None:
        """What a train found, in bits a second."""
        log.debug("path %s to %s: %s bit/s up, %s down", path, exit, up, down)
        self._judge.train(path, up, down, self._now())
        self._soon()

    def session(self, exit: str, up: bool, why: str) -> None:
        """Whether an exit answers sealed datagrams at all."""
        log.info("exit %s: %s", exit, "answers echoes" if up else f"no echoes: {why}")
        self._judge.session(exit, up)
        self._soon()

    def suspect(self, path: str) -> None:
        """No subflow comes up on a path, or a connection that began there is no MPTCP: try it soon. It may be
        named by its interface."""
        for each in self._config.paths:
            if path in (each.name, each.interface):
                self._options.moved(each.name, self._now())
        self._soon()

    def probed(self, exit: str, state: str, why: str) -> None:
        """A probe through the real transport has ended."""
        self._judge.probed(exit, state, why, self._now())
        self._soon()

    def traffic(self, reports: Iterable[Traffic]) -> None:
        """What a worker's connections show."""
        now = self._now()
        for each in reports:
            path = self._owners.get((each.exit, each.local))
            if path is not None:
                self._judge.traffic(each.exit, path, _carried(each), now)
        self._soon()

    # Verdicts and wishes.

    def _soon(self) -> None:
        """Settle when all that has arrived by now is known."""
        if self._settling is None:
            self._settling = asyncio.get_running_loop().call_soon(self._settle)

    def _settle(self) -> None:
        self._settling = None
        keeper, now = self._keeper, self._now()
        before, standings = keeper.health, self._judged(now)
        if standings != before:
            keeper.health = standings
            died = any(
                not standing.usable and (name not in before or before[name].usable)
                for name, standing in standings.items()
            )
            if died:
                keeper.sever()
            else:
                keeper.wake()
        asks = self._judge.asks(now)
        if self.prober is not None:
            self.prober.pace(asks.pace)
            if asks.bursts:
                self.prober.burst(asks.bursts)
            if asks.trains:
                self.prober.train(asks.trains)
        for exit_name, path in asks.connects:
            self._connect(exit_name, path)
        exits = self._exits_now()
        if exits != self._exits:
            self._exits = exits
            self._exits_changed()
        self._wait(now)

    def _judged(self, now: float) -> dict[str, Standing]:
        """The standings; and paths whose options nobody knows are tried."""
        standings = self._judge.standings(now)
        if self._config.gateway is None or self._config.gateway.tcp is not TcpVia.MPTCP:
            return standings
        up = [name for name, standing in standings.items() if standing.condition is Condition.UP]
        self._options.standing(up, now)
        for path in self._options.due(now):
            self._try(path)
        plain = [peer.name for peer in self._config.peers] if self._options.dropping(up) else []
        if plain != self._plain:
            self._plain = plain
            self._supervisor.tell({"plain": plain})
        return self._options.marked(standings)

    def _exits_now(self) -> tuple[Mapping[str, str | None], Mapping[str, ExitState]]:
        states = {name: standing.state for name, standing in self.exit_standings().items()}
        return self.serving(), states

    def _wait(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        times = (self._judge.deadline(now), self._options.deadline())
        deadline = min((at for at in times if at is not None), default=None)
        if deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(max(deadline, now + _LEAST), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._judge.tick(self._now())
        self._settle()

    def _connect(self, exit_name: str, path: str) -> None:
        way = next((way for way in self._ways.get(exit_name, ()) if way.path == path), None)
        if way is not None:
            task = asyncio.create_task(self._handshake(exit_name, way), name=f"handshake over {path}")
            self._connects.add(task)
            task.add_done_callback(self._connects.discard)

    def _try(self, path: str) -> None:
        """Find out whether MPTCP's options get through over a path, to the first exit that it reaches."""
        standings = self.exit_standings()
        ways = [way for each in self._ways.values() for way in each if way.path == path]
        ways.sort(key=lambda way: standings.get(way.exit_name, ExitStanding()).state is ExitState.DOWN)
        if not ways:
            self._options.took(path, Trial.NOTHING, self._now())
            return
        task = asyncio.create_task(self._trial(ways[0]), name=f"trial over {path}")
        self._connects.add(task)
        task.add_done_callback(self._connects.discard)

    async def _trial(self, way: Way) -> None:
        question = {"exit": way.exit_name, "way": _listed(way)}
        trial = Trial.NOTHING
        answers = await self._supervisor.ask("probe", one=True, **question)
        result = answers[0].get("probe") if answers else None
        if isinstance(result, dict):
            if result.get("mptcp") is not None:
                trial = Trial.KEPT if result["mptcp"] else Trial.STRIPPED
            else:
                answers = await self._supervisor.ask("connect", one=True, path=way.path, **question)
                plain = answers[0].get("connect") if answers else None
                if isinstance(plain, dict) and plain["ok"]:
                    trial = Trial.DROPPED
        log.debug("path %s: MPTCP's options: %s", way.path, trial.value)
        self._options.took(way.path, trial, self._now())
        self._soon()

    async def _handshake(self, exit_name: str, way: Way) -> None:
        sent = self._now()
        answers = await self._supervisor.ask(
            "connect", one=True, exit=exit_name, path=way.path, way=_listed(way)
        )
        result = answers[0].get("connect") if answers else None
        if isinstance(result, dict):
            rtt = float(result["rtt_ms"]) / 1e3 if result["ok"] else None
            self._judge.connect(exit_name, way.path, sent, rtt, self._now())
            self._soon()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _listed(way: Way) -> list[str | int | float]:
    """As a worker is told of it."""
    return [str(way.remote), way.port, str(way.local), way.interface, way.path, 0]


def _places(ways: Mapping[str, Sequence[Way]]) -> dict[str, set[tuple[str, str, str]]]:
    """Between which addresses each path runs."""
    found: dict[str, set[tuple[str, str, str]]] = {}
    for each in ways.values():
        for way in each:
            found.setdefault(way.path, set()).add((way.exit_name, str(way.local), str(way.remote)))
    return found


def _owners(ways: Mapping[str, Sequence[Way]]) -> dict[tuple[str, str], str]:
    """Which path subflows are on, by exit and local address. Workers know addresses; one that several
    paths have (identical modems) says nothing of either."""
    found: dict[tuple[str, str], str] = {}
    shared = set()
    for exit_name, each in ways.items():
        for way in each:
            key = (exit_name, str(way.local))
            if found.setdefault(key, way.path) != way.path:
                shared.add(key)
    return {key: path for key, path in found.items() if key not in shared}


def _carried(report: Traffic) -> Carried:
    return Carried(
        at=report.at,
        acked=report.acked,
        received=report.received,
        sent=report.sent,
        lost=report.retrans,
        heard=report.heard_ms / 1e3,
        waiting=report.waiting_ms / 1e3,
        quiet=report.quiet_ms / 1e3,
        outrun=report.outrun_ms / 1e3,
        suspicious=report.suspicious,
        rtt=report.rtt_ms / 1e3,
        rate=report.rate_bps,
    )
