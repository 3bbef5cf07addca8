"""The path keeper: holds the host to what the config wants, whatever happens to the links.

It knows one way: observe → desired → diff → apply. The kernel's events only say when. A lost carrier
is acted upon at once (the dead path's endpoint goes first of all, then the kernel sends what was in
flight elsewhere), so there is no debounce; what limits us instead is a budget of looks a second.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from plait.config.model import Config, IPAddress, WhenExitLost
from plait.control.quarrels import Quarrels, contenders, introduce
from plait.errors import PlaitError
from plait.kernel import nft
from plait.kernel.api import HostApi
from plait.kernel.capabilities import has_net_admin
from plait.kernel.rtnl import drain, open_monitor
from plait.paths import policy
from plait.paths.changes import (
    AddEndpoint,
    Change,
    DeleteEndpoint,
    DropTable,
    LoadTable,
    SetLimits,
    SetSysctl,
)
from plait.paths.choice import ways
from plait.paths.clamping import Clamp
from plait.paths.diff import diff, teardown
from plait.paths.marks import ENDPOINT_IDS
from plait.paths.model import Detour, EndpointFlags, HostState, Interest, MptcpLimits, Snapshot, Way
from plait.paths.standing import Health
from plait.paths.steering import detours

log = logging.getLogger(__name__)

_AGAIN = 30.0
"""Seconds between looks that nobody asked for."""
_MEET = 300.0
"""Seconds between questions after other programs that do what we do."""
_BUDGET = 50
"""Looks in one second; beyond it we wait a little (a storm of events, or a fight with another program)."""
_REST = 0.25
_CARRIERS = 0.015
"""Seconds between questions after carriers; one costs 5 µs a link."""


_GAP, _LONGEST_GAP = 0.15, 1.5


@dataclass(frozen=True, slots=True)
class View:
    """What the keeper knows, for those who dial and those who watch."""

    snapshot: Snapshot = field(default_factory=Snapshot)
    ways: Mapping[str, tuple[Way, ...]] = field(default_factory=dict)
    own: tuple[str, ...] = ()
    """The host's addresses."""


class Keeper:
    """Applies a config to the host, and again whenever the host changes."""

    def __init__(
        self,
        host: HostApi,
        config: Config,
        peers: Mapping[str, tuple[IPAddress, ...]],
        *,
        changed: Callable[[View], None],
        before: Callable[[Mapping[str, str]], None],
    ) -> None:
        self._host = host
        self._changed = changed
        self._before = before
        self.config = config
        self.peers = peers
        self.taking = True
        """Whether the LAN's TCP is taken: an exit answers."""
        self.tunnelled = False
        """Whether it is left to the tunnel instead: MPTCP works over no path."""
        self.tunnels: Mapping[int, int] = {}
        """Indices of the TUN devices that packets may be led into, by slot."""
        self.clamps: tuple[Clamp, ...] = ()
        """Links that let through less than they take."""
        self.health: Health = {}
        self.view = View()
        self.looked: Callable[[], None] = lambda: None
        """Called after every look at the host."""
        self.renewed: Callable[[str], None] = lambda path: None
        """Called when a path's endpoint has been added, or added again."""
        self._quarrels = Quarrels()
        self._introduced: set[str] = set()
        self._renew: set[str] = set()
        self._away: dict[str, float] = {}
        """Paths whose endpoint is deleted until then, to be added anew."""
        self._returns: dict[str, int] = {}
        self._detours: tuple[Detour, ...] = ()
        self._carriers: tuple[bool, ...] = ()
        self._asking: asyncio.TimerHandle | None = None
        self._monitors = [open_monitor()]
        if config.gateway is not None:
            # Hearing of rulesets takes a privilege that an exit alone can do without.
            self._monitors.append(nft.open_monitor())
        self._wake = asyncio.Event()
        self._said: set[str] = set()
        self._looks: list[float] = []

    def close(self) -> None:
        """Give the netlink sockets back."""
        if self._asking is not None:
            self._asking.cancel()
        for monitor in self._monitors:
            asyncio.get_running_loop().remove_reader(monitor)
            monitor.close()

    def wake(self) -> None:
        """Look again soon."""
        self._wake.set()

    @property
    def away(self) -> frozenset[str]:
        """Paths whose endpoint is deleted for a moment, to be added anew."""
        return frozenset(self._away)

    @property
    def steering(self) -> tuple[Detour, ...]:
        """Where subflows are sent to another of an exit's addresses."""
        return self._detours

    def sever(self) -> None:
        """Take the endpoints away that health forbids, at once and by what the last look has shown; then
        look. A look takes some milliseconds, in which connections wait on a path that is dead."""
        snapshot = self.view.snapshot
        wanted = {each.id for each in self._desired(snapshot).endpoints}
        dead: list[Change] = [
            DeleteEndpoint(each, snapshot.device(each.ifindex))
            for each in snapshot.endpoints
            if each.id in ENDPOINT_IDS and each.id not in wanted
        ]
        if dead and self.config.gateway is not None:
            self._apply(dead)
            self.view = replace(
                self.view,
                snapshot=replace(
                    snapshot, endpoints=tuple(each for each in snapshot.endpoints if each.id in wanted)
                ),
            )
        self._wake.set()

    def renew(self, paths: Iterable[str]) -> None:
        """Delete the endpoints of these paths with the next look, and add them again a moment later, so
        that every connection makes a new subflow over them."""
        self._renew.update(paths)
        self._wake.set()

    def reconcile(self, *, interception: bool = True) -> list[Change]:
        """One round: bring the host to what is wanted; returns what had to be changed.

        With ``interception`` false the nftables table is left as it is: rules are changed only when
        somebody serves those whom they take.
        """
        interest = policy.interest(self.config, self.peers)
        snapshot = self._host.observe(interest)
        self._detours = detours(self.config, snapshot, self.peers, self._detours)
        state = self._desired(snapshot)
        self._remember(snapshot, state)
        withheld = self._withheld(snapshot)
        if withheld:
            kept = tuple(each for each in state.endpoints if each.ifindex not in withheld)
            state = replace(state, endpoints=kept)
        now = asyncio.get_running_loop().time()
        changes = self._ours(self._quarrels.sift(diff(snapshot, state), state, now))
        if not interception:
            changes = [change for change in changes if not isinstance(change, LoadTable | DropTable)]
        if changes:
            self._apply(changes)
            snapshot = self._host.observe(interest)
        for note in set(state.notes) - self._said:
            log.warning("%s", note)
        self._said = set(state.notes)
        self._publish(snapshot)
        for change in changes:
            if isinstance(change, AddEndpoint):
                self._tell_renewed(snapshot, change.endpoint.ifindex)
        self.looked()
        return changes

    def let_go(self) -> None:
        """Take the LAN's TCP no more; what serves those who were taken stays."""
        snapshot = self._host.observe(Interest())
        self._apply([change for change in self._ours(teardown(snapshot)) if isinstance(change, DropTable)])

    def withdraw(self, remembered: Mapping[str, str]) -> None:
        """Take everything of ours out of the host, and put back what was there before."""
        snapshot = self._host.observe(Interest(sysctls=tuple(remembered)))
        self._apply(self._ours(teardown(snapshot)))
        restore(self._host, remembered)

    async def run(self) -> None:
        """Reconcile for ever: on events, on `wake`, and every now and then."""
        loop = asyncio.get_running_loop()
        for monitor in self._monitors:
            loop.add_reader(monitor, self._event, monitor)
        self._ask_carriers()
        met = -_MEET
        while True:
            if self.config.gateway is not None and loop.time() > met + _MEET:
                met = loop.time()
                introduce(contenders(), self._introduced)
            again = self._quarrels.deadline(loop.time())
            try:
                async with asyncio.timeout(_AGAIN if again is None else max(0.0, again - loop.time())):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            now = loop.time()
            self._looks = [look for look in self._looks if look > now - 1.0]
            if len(self._looks) >= _BUDGET:
                await asyncio.sleep(_REST)
            self._looks.append(loop.time())
            try:
                self.reconcile()
            except (OSError, PlaitError) as error:
                # A link that goes while it is being looked at, or a kernel out of memory: the next look
                # may see more. To end for it would take the LAN down with us.
                log.warning("a look at this host failed: %s; looking again", error)
                await asyncio.sleep(_REST)
                self._wake.set()

    def _desired(self, snapshot: Snapshot) -> HostState:
        return policy.desired(
            not_refusing(self.config) if self.tunnelled else self.config,
            snapshot,
            self.peers,
            self.health,
            taking=self.taking and not self.tunnelled,
            steering=self._detours,
            clamps=self.clamps,
            tunnels=self.tunnels,
        )

    def _withheld(self, snapshot: Snapshot) -> set[int]:
        """The links whose endpoints are away for a moment, to be added anew."""
        now = asyncio.get_running_loop().time()
        for name, standing in self.health.items():
            if standing.returns != self._returns.setdefault(name, standing.returns):
                self._returns[name] = standing.returns
                self._renew.add(name)
        here = {
            path.name: link.index
            for path in self.config.paths
            if (link := snapshot.link(path.interface)) is not None
        }
        present = {each.ifindex for each in snapshot.endpoints if each.id in ENDPOINT_IDS}
        for name in self._renew:
            # One that has no endpoint gets a new one anyway.
            if here.get(name) in present:
                self._away[name] = now + self._gap()
        self._renew.clear()
        self._away = {name: until for name, until in self._away.items() if until > now}
        if self._away:
            asyncio.get_running_loop().call_at(min(self._away.values()), self._wake.set)
        return {here[name] for name in self._away if name in here}

    def _gap(self) -> float:
        """Seconds between deleting an endpoint and adding it again. The far end is told of the deletion
        over another path, and must not hear of it after the new subflow: it would take that one away."""
        longest = max((standing.rtt or 0.0 for standing in self.health.values()), default=0.0)
        return min(_LONGEST_GAP, _GAP + 2 * longest)

    def _tell_renewed(self, snapshot: Snapshot, index: int) -> None:
        for path in self.config.paths:
            link = snapshot.link(path.interface)
            if link is not None and link.index == index:
                self.renewed(path.name)

    def _event(self, monitor: socket.socket) -> None:
        drain(monitor)
        self._wake.set()

    def _ask_carriers(self) -> None:
        """Events of lost carriers can be a second late (see `plait.kernel.carrier`), so we ask."""
        carriers = self._host.carriers([path.interface for path in self.config.paths])
        if carriers != self._carriers:
            self._carriers = carriers
            self._wake.set()
        self._asking = asyncio.get_running_loop().call_later(_CARRIERS, self._ask_carriers)

    def _publish(self, snapshot: Snapshot) -> None:
        own = tuple(sorted({str(address.address) for address in snapshot.addresses}))
        view = View(snapshot, ways(self.config, snapshot, self.peers, self.health), own)
        if (view.ways, view.own) != (self.view.ways, self.view.own):
            self.view = view
            self._changed(view)
        else:
            self.view = replace(self.view, snapshot=snapshot)

    def _apply(self, changes: list[Change]) -> None:
        for change in changes:
            log.info("[#] %s", change.line().partition("\n")[0])
        for error in self._host.apply(changes):
            log.warning("%s", error)

    def _ours(self, changes: list[Change]) -> list[Change]:
        """An exit alone has no routes, rules, endpoints or table: those that are there belong to a gateway
        beside it, with a run directory of its own."""
        if self.config.gateway is not None:
            return changes
        return [change for change in changes if isinstance(change, SetSysctl | SetLimits)]

    def _remember(self, snapshot: Snapshot, state: HostState) -> None:
        """What we are about to change. What is as wanted already was made so by another plait, or by us
        before a crash: then the file on disk knows better."""
        before = {
            key: value
            for key, value in snapshot.sysctls.items()
            if key in state.sysctls and state.sysctls[key] != value
        }
        before[_IMPLICIT] = " ".join(_implicit(snapshot))
        limits = snapshot.limits
        if limits is not None and state.limits is not None and limits != state.limits:
            before[_LIMITS] = f"{limits.subflows} {limits.add_addr_accepted}"
        self._before(before)


_LIMITS = "mptcp limits"
"""Key under which the MPTCP limits are remembered, beside the sysctls'."""
_IMPLICIT = "mptcp implicit endpoints"
"""… and the endpoints that the kernel had made by itself. It makes one when a subflow arrives at another
address than its connection's first (`mptcp_pm_nl_append_new_local_addr`), and never takes it away."""


def not_refusing(config: Config) -> Config:
    """What is not taken here is the tunnel's to take or to refuse."""
    assert config.gateway is not None
    return replace(config, gateway=replace(config.gateway, when_exit_lost=WhenExitLost.DIRECT))


def _implicit(snapshot: Snapshot) -> list[str]:
    return [str(each.address) for each in snapshot.endpoints if EndpointFlags.IMPLICIT in each.flags]


def restore(host: HostApi, remembered: Mapping[str, str]) -> None:
    """Put sysctls and MPTCP limits back to what they were before us, and clear what our sessions left."""
    changes: list[Change] = []
    if _IMPLICIT in remembered and has_net_admin():
        known = set(remembered[_IMPLICIT].split())
        changes += [
            DeleteEndpoint(each, "")
            for each in host.observe(Interest()).endpoints
            if EndpointFlags.IMPLICIT in each.flags and str(each.address) not in known
        ]
    for key, value in remembered.items():
        if key == _IMPLICIT:
            continue
        if key == _LIMITS:
            subflows, accepted = map(int, value.split())
            changes.append(SetLimits(MptcpLimits(subflows=subflows, add_addr_accepted=accepted)))
        else:
            changes.append(SetSysctl(key, value, ""))
    for change in changes:
        for error in host.apply([change]):
            log.warning("%s", error)
