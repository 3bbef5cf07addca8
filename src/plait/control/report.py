"""Putting the snapshot together: what the keeper, the watch, the links and the workers know."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping

from plait import __version__
from plait.config.model import Mode
from plait.control.courier import Courier
from plait.control.judgement import Judgement
from plait.control.keeper import Keeper
from plait.control.snapshot import (
    ExitStatus,
    PathStatus,
    Status,
    UserStatus,
    WorkerStatus,
    add_up,
    datagrams,
)
from plait.control.supervisor import Supervisor
from plait.control.watch import Watch
from plait.kernel.linux import Host
from plait.kernel.rtnl import LinkCounters
from plait.paths.exits import ExitStanding, ExitState
from plait.paths.state import states
from plait.relay.rows import PathRow

_EVERY = 1.0
"""Seconds over which rates are taken."""
_LOOKS = 256
"""Connections of each worker whose subflows are looked at for one answer."""


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
    ) -> None:
        self._role = role
        self._started = started
        self._host = host
        self._keeper = keeper
        self._supervisor = supervisor
        self._watch = watch
        self._judgement = judgement
        self._courier = courier
        self._last: tuple[float, dict[str, LinkCounters]] = (time.monotonic(), host.counters())
        self._rates: dict[str, tuple[int, int]] = {}
        self.users: Callable[[], tuple[UserStatus, ...]] = tuple
        """How the users of our exit stand."""
        self.configured: dict[str, Mode] = {}
        """The modes that the config gives, by path."""

    async def run(self) -> None:
        """Take the rates, for ever."""
        while True:
            await asyncio.sleep(_EVERY)
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

    async def status_json(self) -> dict[str, object]:
        """The snapshot, as it travels."""
        return (await self.status()).to_json()

    async def status(self) -> Status:
        """The snapshot."""
        figures, paths = [], []
        for answer in await self._supervisor.ask("survey", looks=_LOOKS):
            tally, survey = answer["tally"], answer["survey"]
            assert isinstance(tally, dict)
            assert isinstance(survey, dict)
            figures.append(tally)
            paths.append(survey["paths"])
        return Status(
            role=self._role,
            version=__version__,
            pid=os.getpid(),
            uptime=round(time.monotonic() - self._started, 1),
            sessions=add_up([*figures, *self._supervisor.retired]),
            datagrams=datagrams(await self._courier.tally()),
            exits=self._exits(),
            paths=self._paths(paths),
            users=self.users(),
            workers=tuple(WorkerStatus(pid=tally["pid"], open=tally["open"]) for tally in figures),
            restarts=self._supervisor.restarts,
            intercepting=self._keeper.taking and self._keeper.view.snapshot.nft_digest is not None,
        )

    def _exits(self) -> tuple[ExitStatus, ...]:
        """What is judged of each, in the words of the last probe where that says more."""
        standings = self._judgement.exit_standings()
        found = []
        for view in self._watch.exits.values():
            standing = standings.get(view.name, ExitStanding())
            why = view.why if view.state != "up" else standing.why
            state = standing.state
            if view.state == "silent" or (state is ExitState.UNKNOWN and view.failures):
                # It will be judged after the second failure; nothing good is known until then.
                state = ExitState.DOWN
            found.append(
                ExitStatus(
                    name=view.name,
                    state=state.value,
                    rtt_ms=view.rtt_ms if state is not ExitState.DOWN else None,
                    why=why or standing.why,
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


def _rate(before: int, after: int, seconds: float) -> int:
    """Bits a second. A counter that went backwards is that of a new link of the same name."""
    return max(0, round((after - before) * 8 / seconds)) if seconds > 0 else 0
