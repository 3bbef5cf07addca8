"""A host that is a value: for tests and simulations, held to the same suite as the real one.

It does what Linux does as far as plait relies on it: a route needs its link up
and vanishes with it, an endpoint's address must be free, ids are unique.
The world is changed by the test (``set_link``, ``set_addresses``, ``add_route``).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from errno import EEXIST, EINVAL, ENETDOWN, ENODEV, ENOENT, ESRCH

from plait.errors import KernelError
from plait.paths.changes import (
    AddEndpoint,
    AddRule,
    Change,
    DeleteEndpoint,
    DeleteRoute,
    DeleteRule,
    DropTable,
    FlagEndpoint,
    LoadTable,
    PutRoute,
    SetLimits,
    SetSysctl,
)
from plait.paths.marks import PROTOCOL
from plait.paths.model import (
    Address,
    Endpoint,
    Interest,
    Link,
    MptcpLimits,
    PolicyRule,
    Route,
    Snapshot,
)
from plait.paths.reach import contains


class FakeHost:
    """A host in memory."""

    def __init__(self) -> None:
        self.links: dict[str, Link] = {}
        self.addresses: list[Address] = []
        self.routes: list[Route] = []
        self.rules: list[PolicyRule] = []
        self.endpoints: dict[int, Endpoint] = {}
        self.limits = MptcpLimits(subflows=2, add_addr_accepted=0)
        self.sysctls: dict[str, str] = {
            "net/mptcp/enabled": "1",
            "net/mptcp/blackhole_timeout": "3600",
            "net/mptcp/syn_retrans_before_tcp_fallback": "2",
            "net/mptcp/close_timeout": "60",
            "net/mptcp/stale_loss_cnt": "4",
            "net/ipv4/tcp_rmem": "4096\t131072\t6291456",
            "net/ipv4/tcp_wmem": "4096\t16384\t4194304",
            "net/ipv4/conf/all/rp_filter": "0",
        }
        self.nft_digest: str | None = None
        self.applied: list[Change] = []
        """All that was carried out, in order, for tests to read."""
        self.set_link("lo", loopback=True)

    def close(self) -> None:
        """Nothing to give back."""

    # What tests do to the world.

    def set_link(
        self,
        name: str,
        *,
        up: bool = True,
        carrier: bool = True,
        point_to_point: bool = False,
        loopback: bool = False,
    ) -> Link:
        """Make a link, or change it. A link that goes down loses its routes, as with Linux."""
        known = self.links.get(name)
        index = known.index if known else max((link.index for link in self.links.values()), default=0) + 1
        link = Link(
            index=index,
            name=name,
            up=up,
            carrier=up and carrier,
            point_to_point=point_to_point,
            loopback=loopback,
        )
        self.links[name] = link
        self.sysctls.setdefault(f"net/ipv4/conf/{name}/rp_filter", "0")
        if not up:
            self.routes = [route for route in self.routes if route.oif != index]
        return link

    def remove_link(self, name: str) -> None:
        """The device is pulled out; its addresses and routes go, endpoints and rules stay."""
        gone = self.links.pop(name)
        self.addresses = [address for address in self.addresses if address.index != gone.index]
        self.routes = [route for route in self.routes if route.oif != gone.index]

    def set_addresses(self, name: str, *addresses: Address) -> None:
        """Give a link these addresses and no others."""
        index = self.links[name].index
        self.addresses = [address for address in self.addresses if address.index != index]
        self.addresses += [replace(address, index=index) for address in addresses]

    def add_route(self, route: Route) -> None:
        """A route of the owner's."""
        self.routes.append(route)

    # What plait does.

    def carriers(self, names: Iterable[str]) -> tuple[bool, ...]:
        """Whether each link has its carrier."""
        return tuple(name in self.links and self.links[name].carrier for name in names)

    def observe(self, interest: Interest) -> Snapshot:
        """The host as it is now, as far as ``interest`` reaches."""
        watched = {link.index for link in self.links.values() if link.name in interest.interfaces}
        return Snapshot(
            links=tuple(self.links.values()),
            addresses=tuple(self.addresses),
            routes=tuple(
                route
                for route in self.routes
                if route.protocol == PROTOCOL or (route.oif in watched and _matters(route, interest))
            ),
            rules=tuple(self.rules),
            endpoints=tuple(self.endpoints.values()),
            limits=self.limits,
            sysctls={key: self.sysctls[key] for key in interest.sysctls if key in self.sysctls},
            nft_digest=self.nft_digest,
        )

    def apply(self, changes: Sequence[Change]) -> list[KernelError]:
        """Carry out changes in order; what is refused is collected and the rest done all the same."""
        failures = []
        for change in changes:
            code = self._apply(change)
            if code == 0:
                self.applied.append(change)
            elif code not in _QUIET.get(type(change), ()):
                failures.append(KernelError(f"{change.line()}: {os.strerror(code)}"))
        return failures

    def _apply(self, change: Change) -> int:
        """Zero, or an errno."""
        match change:
            case AddEndpoint(endpoint):
                return self._add_endpoint(endpoint)
            case DeleteEndpoint(endpoint):
                return 0 if self.endpoints.pop(endpoint.id, None) else EINVAL
            case FlagEndpoint(endpoint):
                if endpoint.id not in self.endpoints:
                    return EINVAL
                self.endpoints[endpoint.id] = endpoint
            case SetLimits(limits):
                self.limits = limits
            case PutRoute(route):
                return self._put_route(route)
            case DeleteRoute(route):
                if route not in self.routes:
                    return ESRCH
                self.routes.remove(route)
            case AddRule(rule):
                if rule in self.rules:
                    return EEXIST
                self.rules.append(rule)
            case DeleteRule(rule):
                if rule not in self.rules:
                    return ENOENT
                self.rules.remove(rule)
            case SetSysctl(key, value):
                if key not in self.sysctls:
                    return ENOENT
                self.sysctls[key] = value
            case LoadTable(ruleset):
                self.nft_digest = ruleset.digest
            case DropTable():
                self.nft_digest = None
        return 0

    def _add_endpoint(self, endpoint: Endpoint) -> int:
        if any(present.address == endpoint.address for present in self.endpoints.values()):
            return EEXIST
        if endpoint.id in self.endpoints:
            return EEXIST
        self.endpoints[endpoint.id] = endpoint
        return 0

    def _put_route(self, route: Route) -> int:
        link = next((link for link in self.links.values() if link.index == route.oif), None)
        if link is None:
            return ENODEV
        if not link.up:
            return ENETDOWN
        same = (route.dst, route.table, route.metric, route.kind)
        self.routes = [
            present
            for present in self.routes
            if (present.dst, present.table, present.metric, present.kind) != same
        ]
        self.routes.append(route)
        return 0


_QUIET: dict[type[Change], tuple[int, ...]] = {
    DeleteEndpoint: (EINVAL,),
    FlagEndpoint: (EINVAL,),
    DeleteRoute: (ESRCH,),
    DeleteRule: (ENOENT,),
    AddRule: (EEXIST,),
    PutRoute: (ENODEV, ENETDOWN),
    SetSysctl: (ENOENT,),
}


def _matters(route: Route, interest: Interest) -> bool:
    return route.dst.prefixlen == 0 or any(contains(route.dst, each) for each in interest.destinations)
