"""From the host as it is to the host as wanted: the ordered list of changes.

The order is the point. A dead path's endpoints go first of all, as that is
what makes the kernel send again elsewhere what was in flight; then routing is
made whole (adding before removing, so that no packet finds a gap); then new
endpoints, which need the routing; the interception comes last on the way up
and goes first on the way down.

``diff(s, w)`` is empty when ``s`` is what applying ``diff(…, w)`` gave.
"""

from __future__ import annotations

from ipaddress import IPv4Network

from plait.config.model import IPAddress, IPNetwork
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
from plait.paths.marks import ENDPOINT_IDS, is_our_route, is_our_rule
from plait.paths.model import Endpoint, EndpointFlags, HostState, PolicyRule, Route, RouteKind, Snapshot


def diff(snapshot: Snapshot, state: HostState) -> list[Change]:
    """What to change, in order, so that the host is as wanted."""
    gone, new, flagged = _endpoints(snapshot, state)
    changes: list[Change] = [DeleteEndpoint(endpoint, snapshot.device(endpoint.ifindex)) for endpoint in gone]
    changes += _sysctls(snapshot, state)
    if state.limits is not None and snapshot.limits is not None and state.limits != snapshot.limits:
        changes.append(SetLimits(state.limits))
    put, dropped = _routes(snapshot, state)
    changes += [PutRoute(route, snapshot.device(route.oif)) for route in put]
    ours = [rule for rule in snapshot.rules if is_our_rule(rule.priority, rule.protocol)]
    changes += [AddRule(rule) for rule in state.rules if rule not in ours]
    changes += [DeleteRule(rule) for rule in _surplus(ours, state)]
    changes += [DeleteRoute(route, snapshot.device(route.oif)) for route in dropped]
    changes += [FlagEndpoint(endpoint) for endpoint in flagged]
    changes += [AddEndpoint(endpoint, snapshot.device(endpoint.ifindex)) for endpoint in new]
    if state.ruleset is not None and state.ruleset.digest != snapshot.nft_digest:
        changes.append(LoadTable(state.ruleset))
    elif state.ruleset is None and snapshot.nft_digest is not None:
        changes.append(DropTable())
    return changes


def teardown(snapshot: Snapshot) -> list[Change]:
    """Remove all that carries our mark. Needs no config: the marks are enough.

    Limits and sysctls have no mark and stay: they harm no other program, and what they were before
    a crash nobody knows.
    """
    changes = diff(snapshot, HostState())
    # Interception first: from here on the LAN goes its way without us.
    changes.sort(key=lambda change: not isinstance(change, DropTable))
    return changes


def _endpoints(snapshot: Snapshot, state: HostState) -> tuple[list[Endpoint], list[Endpoint], list[Endpoint]]:
    """Endpoints to delete, to add, and to flag."""
    wanted = {endpoint.id: endpoint for endpoint in state.endpoints}
    gone: list[Endpoint] = []
    flagged: list[Endpoint] = []
    kept: set[int] = set()
    for present in snapshot.endpoints:
        if present.id not in ENDPOINT_IDS:
            # The kernel makes implicit endpoints by itself, and refuses ours while one holds the address
            # (EINVAL, mptcp_pm_nl_append_new_local_addr in net/mptcp/pm_kernel.c).
            if EndpointFlags.IMPLICIT in present.flags and any(
                endpoint.address == present.address for endpoint in state.endpoints
            ):
                gone.append(present)
            continue
        want = wanted.get(present.id)
        if want == present:
            kept.add(present.id)
        elif want is not None and _same_but_for_backup(present, want):
            kept.add(present.id)
            flagged.append(want)
        else:
            gone.append(present)
    return gone, [endpoint for endpoint in state.endpoints if endpoint.id not in kept], flagged


def _same_but_for_backup(present: Endpoint, want: Endpoint) -> bool:
    return (
        present.address == want.address
        and present.ifindex == want.ifindex
        and present.flags ^ want.flags == EndpointFlags.BACKUP
    )


def _sysctls(snapshot: Snapshot, state: HostState) -> list[Change]:
    """Only those that exist here: older kernels lack some, and are served without them."""
    return [
        SetSysctl(key, value, snapshot.sysctls[key])
        for key, value in state.sysctls.items()
        if key in snapshot.sysctls and snapshot.sysctls[key] != value
    ]


def _surplus(ours: list[PolicyRule], state: HostState) -> list[PolicyRule]:
    """Rules that are not wanted, and second copies of those that are (the kernel takes duplicates)."""
    seen: set[PolicyRule] = set()
    surplus = []
    for rule in ours:
        if rule not in state.rules or rule in seen:
            surplus.append(rule)
        seen.add(rule)
    return surplus


_RouteIdentity = tuple[IPNetwork, int, int, RouteKind]
_RouteKey = tuple[_RouteIdentity, int, IPAddress | None, bool]


def _identity(route: Route) -> _RouteIdentity:
    """What the kernel replaces by: one route of an identity exists at most."""
    return (route.dst, route.table, route.metric, route.kind)


def _key(route: Route) -> _RouteKey:
    return (_identity(route), route.oif, route.gateway, route.onlink)


def _routes(snapshot: Snapshot, state: HostState) -> tuple[list[Route], list[Route]]:
    """Routes to put and routes to delete. Those without a gateway are put first: they carry the others."""
    present = [route for route in snapshot.routes if is_our_route(route.table, route.protocol)]
    have = {_key(route) for route in present}
    put = [route for route in state.routes if _key(route) not in have]
    put.sort(key=lambda route: route.gateway is not None)
    # IPv6 looks for a next hop of its own by metric and would add beside, not replace, when the old one has
    # no gateway and the new one has (fib6_add_rt2node); so a replaced IPv6 route is removed by name.
    wanted_keys = {_key(route) for route in state.routes}
    replaced = {_identity(route) for route in put if isinstance(route.dst, IPv4Network)}
    dropped = [
        route for route in present if _key(route) not in wanted_keys and _identity(route) not in replaced
    ]
    return put, dropped
