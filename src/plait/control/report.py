"""Putting the snapshot together: what the keeper, the watch, the links and the workers know."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from plait import __version__
from plait.config.model import Mode
from plait.control.courier import Courier
from plait.control.devices import Neighbourhood
from plait.control.events import Events
from plait.control.judgement import Judgement
from plait.control.keeper import Keeper
from plait.control.picture import Picture
from plait.control.rates import Rates
from plait.control.sessions import Wanted, connection, merged
from plait.control.snapshot import (
    ClientStatus,
    Connection,
    ExitStatus,
    PathStatus,
    Status,
    UserStatus,
    WorkerStatus,
    add_up,
    by_key,
    datagrams,
)
from plait.control.supervisor import Supervisor
from plait.control.tunnel_status import tunnels
from plait.control.watch import Watch
from plait.kernel.linux import Host
from plait.kernel.rtnl import LinkCounters
from plait.paths.exits import ExitStanding, ExitState
from plait.paths.model import EndpointFlags
from plait.paths.state import states
from plait.relay.orders import JsonObject
from plait.relay.rows import CountRow, PathRow

_EVERY = 1.0
"""Seconds over which rates are taken."""
_REMEMBERED = 300
"""Seconds of them that are kept."""
_LOOKS = 256
"""Connections of each worker whose subflows are looked at for one answer."""
_FEW_LOOKS = 8
"""The same beside those that are listed, for one who asks once a second."""
_STALE = 5.0
"""Seconds after which what workers know of rates is too old: they are asked twice."""
_TWICE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a snapshot is to hold beside what it always holds."""

    sessions: Wanted = field(default_factory=Wanted)
    clients: int = 100
    """At most so many of the devices."""
    events: int = 20
    """At most so many of the last events."""
    since: int = 0
    """Only events after this one."""
    again: bool = False
    """The asker comes once a second."""


class Reporter:
    """Answers "what is going on?"."""

    def __init__(
        self,
        role: str,
        started: float,
        host: Host,
        keeper: Keeper,
        supervisor: Supervisor,
        watch: Watch,
        judgement: Judgement,
        courier: Courier,
        events: Events,
    ) -> None:
        self._role = role
        self._started = started
        self._host = host
        self._keeper = keeper
        self._supervisor = supervisor
        self._watch = watch
        self._judgement = judgement
        self._courier = courier
        self._events = events
        self._growth = Rates()
        # So that a rate is one of the last seconds for whoever asks once an hour, too.
        supervisor.tallied = lambda tally: self._growth.take([tally], time.monotonic())
        self._surveyed = float("-inf")
        self._neighbourhood = Neighbourhood(host.neighbours)
        self._last: tuple[float, dict[str, LinkCounters]] = (time.monotonic(), host.counters())
        self._rates: dict[str, tuple[int, int]] = {}
        self._history: dict[str, deque[tuple[int, int]]] = {}
        self.users: Callable[[], tuple[UserStatus, ...]] = tuple
        """How the users of our exit stand."""
        self.configured: dict[str, Mode] = {}
        """The modes that the config gives, by path."""

    def picture(self) -> Picture:
        """What is taken for granted now beside config and host, for a plan."""
        keeper = self._keeper
        modes = {path.name: path.mode for path in keeper.config.paths}
        return Picture(
            modes={name: mode for name, mode in modes.items() if mode is not self.configured.get(name, mode)},
            health=keeper.health,
            taking=keeper.taking,
            tunnelled=keeper.tunnelled,
            tunnels=keeper.tunnels,
            away=keeper.away,
            detours=keeper.steering,
        )

    async def run(self) -> None:
        """Take the rates, and note what has changed of exits and users, for ever."""
        while True:
            await asyncio.sleep(_EVERY)
            self._events.exits(self._exits(()))
            self._events.users(self.users())
            if self._keeper.config.gateway is not None:
                self._events.lan(taken=self._keeper.taking)
            then, before = self._last
            try:
                now, counters = time.monotonic(), self._host.counters()
            except OSError:
                # The next second tells.
                continue
            self._last = (now, counters)
            self._rates = {
                name: (
                    _rate(before[name].tx_bytes, count.tx_bytes, now - then),
                    _rate(before[name].rx_bytes, count.rx_bytes, now - then),
                )
                for name, count in counters.items()
                if name in before
            }
            for interface in {path.interface for path in self._keeper.config.paths}:
                sent, received = self._rates.get(interface, (0, 0))
                self._history.setdefault(interface, deque(maxlen=_REMEMBERED)).append((received, sent))

    async def status(self, question: Question) -> Status:
        """The snapshot."""
        answers = await self._survey(question)
        now = time.monotonic()
        figures = [_dict(answer["tally"]) for answer in answers]
        surveys = [_dict(answer["survey"]) for answer in answers]
        self._growth.take(figures, now)
        self._growth.keep(self._supervisor.pids)
        clients = self._clients(figures, now)
        self._events.exits(exits := self._exits(figures))
        told = await self._courier.tally()
        return Status(
            role=self._role,
            version=__version__,
            pid=os.getpid(),
            at=round(time.time(), 3),
            uptime=round(now - self._started, 1),
            sessions=add_up([*figures, *self._supervisor.retired]),
            datagrams=datagrams(told),
            tunnels=tunnels(told),
            exits=exits,
            paths=self._paths([survey["paths"] for survey in surveys]),  # type: ignore[misc]
            users=self.users(),
            workers=tuple(WorkerStatus(pid=tally["pid"], open=tally["open"]) for tally in figures),  # type: ignore[arg-type]
            restarts=self._supervisor.restarts,
            intercepting=self._keeper.taking and self._keeper.view.snapshot.nft_digest is not None,
            clients=clients[: question.clients],
            connections=self._connections(figures, surveys, question.sessions),
            matched=sum(survey["matched"] for survey in surveys),  # type: ignore[misc]
            events=self._events.since(question.since, question.events),
        )

    def pulse(self) -> tuple[PathStatus, ...]:
        """The paths alone: nobody is asked, so subflows are not counted."""
        return self._paths([])

    def history(self) -> dict[str, list[tuple[int, int]]]:
        """Rates of the paths' links in the last minutes, one each second: received and sent, in bits a
        second."""
        paths = self._keeper.config.paths
        return {path.name: list(self._history.get(path.interface, ())) for path in paths}

    def addresses(self, device: str) -> tuple[str, ...]:
        """Of a client of the LAN, given by name, MAC or address; as it is when nobody is known by that."""
        return self._neighbourhood.addresses(device, time.monotonic())

    async def _survey(self, question: Question) -> list[JsonObject]:
        wanted = question.sessions
        details = wanted.to_json() | {"looks": _FEW_LOOKS if question.again else _LOOKS}
        if wanted.limit and time.monotonic() - self._surveyed > _STALE:
            # Rates need two looks. That of just now would be one over the whole life of a session.
            first = await self._supervisor.ask("survey", one=False, **details)
            self._growth.take([_dict(answer["tally"]) for answer in first], time.monotonic())
            await asyncio.sleep(_TWICE)
        answers = await self._supervisor.ask("survey", one=False, **details)
        if wanted.limit:
            self._surveyed = time.monotonic()
        return answers

    def _clients(self, figures: Sequence[Mapping[str, object]], now: float) -> tuple[ClientStatus, ...]:
        counts = by_key([*figures, *self._supervisor.retired], "clients")
        rows = {address: CountRow(*count) for address, count in counts.items()}
        return self._neighbourhood.devices(rows, self._growth.of("clients"), now)

    def _connections(
        self, figures: Sequence[JsonObject], surveys: Sequence[JsonObject], wanted: Wanted
    ) -> tuple[Connection, ...]:
        if not wanted.limit:
            return ()
        keeper = self._keeper
        seen = states(keeper.config, keeper.view.snapshot, keeper.peers, keeper.health)
        owners = [
            (str(source.address), each.reach.path.name) for each in seen for source in each.reach.sources
        ]
        places = [place for place, _ in owners]
        # An address that two paths have (identical modems) says nothing of either.
        paths = {place: name for place, name in owners if places.count(place) == 1}
        endpoints = keeper.view.snapshot.endpoints
        backups = {str(each.address) for each in endpoints if each.flags & EndpointFlags.BACKUP}
        found = []
        for tally, survey in zip(figures, surveys, strict=True):
            rows, pid = survey["rows"], tally["pid"]
            assert isinstance(rows, list)
            assert isinstance(pid, int)
            found += [connection(pid, row, paths, backups) for row in rows]
        return merged(found, wanted)

    def _exits(self, figures: Sequence[Mapping[str, object]]) -> tuple[ExitStatus, ...]:
        """What is judged of each, in the words of the last probe where that says more."""
        counts = by_key([*figures, *self._supervisor.retired], "exits")
        rates = self._growth.of("exits")
        standings = self._judgement.exit_standings()
        found = []
        for view in self._watch.exits.values():
            standing = standings.get(view.name, ExitStanding())
            why = view.why if view.state != "up" else standing.why
            state = standing.state
            if view.state == "silent" or (state is ExitState.UNKNOWN and view.failures):
                # It will be judged after the second failure; nothing good is known until then.
                state = ExitState.DOWN
            carried = CountRow(*counts.get(view.name, (0, 0, 0, 0)))
            up_bps, down_bps = rates.get(view.name, (0, 0))
            found.append(
                ExitStatus(
                    name=view.name,
                    state=state.value,
                    rtt_ms=view.rtt_ms if state is not ExitState.DOWN else None,
                    why=why or standing.why,
                    open=carried.open,
                    total=carried.total,
                    up_bytes=carried.up,
                    down_bytes=carried.down,
                    up_bps=up_bps,
                    down_bps=down_bps,
                )
            )
        return tuple(found)

    def _paths(self, carried: list[Mapping[str, list[int]]]) -> tuple[PathStatus, ...]:
        keeper = self._keeper
        counters = self._last[1]
        found = []
        for each in states(keeper.config, keeper.view.snapshot, keeper.peers, keeper.health):
            reach, path = each.reach, each.reach.path
            count = counters.get(path.interface)
            tx_bps, rx_bps = self._rates.get(path.interface, (0, 0))
            places = [str(source.address) for source in reach.sources]
            flows = [PathRow(*rows[place]) for rows in carried for place in places if place in rows]
            sent = sum(flow.segments for flow in flows)
            measured = self._judgement.figures(path.name)
            rtt, loss = measured.rtt, measured.loss
            if rtt is None and flows:
                rtt = max(flows, key=lambda flow: flow.flows).rtt_us / 1e6
            if loss is None and sent:
                loss = sum(flow.retrans for flow in flows) / sent
            found.append(
                PathStatus(
                    name=path.name,
                    interface=path.interface,
                    mode=path.mode.value,
                    configured=self.configured.get(path.name, path.mode).value,
                    state=each.state.value,
                    why=each.why,
                    rtt_ms=None if rtt is None else round(1e3 * rtt, 3),
                    jitter_ms=None if measured.jitter is None else round(1e3 * measured.jitter, 3),
                    loss=None if loss is None else round(loss, 5),
                    tx_bytes=count.tx_bytes if count else 0,
                    rx_bytes=count.rx_bytes if count else 0,
                    tx_bps=tx_bps,
                    rx_bps=rx_bps,
                    subflows=sum(flow.flows for flow in flows),
                )
            )
        return tuple(found)


def _dict(value: object) -> JsonObject:
    assert isinstance(value, dict)
    return value


def _rate(before: int, after: int, seconds: float) -> int:
    """Bits a second. A counter that went backwards is that of a new link of the same name."""
    return max(0, round((after - before) * 8 / seconds)) if seconds > 0 else 0
