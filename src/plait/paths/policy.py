"""Modes and health, turned into a host as wanted.

``desired`` (here) and ``ways`` (in `plait.paths.choice`) are where the judgement
ends: everything else observes or carries out. What the rules and tables are for:

====  ========================  =====================================================
 800  our fwmark                intercepted packets are delivered to this host
 805  the tunnel's fwmark       into the TUN device
 810  oif LINK, main            a socket bound to the link: what the owner routes over
                                it specially comes first, so that a mesh stays a mesh
 811  oif LINK, its table       … then the link's own default route
 820  from ADDRESS, main        answers of this host to whom the owner routes specially
 821  from ADDRESS, its table   … leave by the link whose address they bear
 890  main                      with a ``master``: specific routes as before,
 891  the master's table        … and its default route for all the rest
====  ========================  =====================================================

"main" above is always without its default route (``suppress_prefixlength 0``).
Each path's table holds the link's prefixes, its default route, and a route for
those addresses of an exit that are on *another* path's link, by way of the
exit's address on this one: the kernel aims every further subflow at the address
that the first one went to, whichever link that subflow is to leave by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from plait.config.model import Config, Intercept, IPAddress, IPNetwork, Mode, TcpVia
from plait.paths import carrying, intercept, tuning
from plait.paths.choice import Chosen, Peers, chosen
from plait.paths.clamping import Clamp
from plait.paths.marks import (
    ENDPOINT_IDS,
    FWMARK,
    FWMARK_MASK,
    PRIORITY_INTERCEPT,
    PRIORITY_LINK,
    PRIORITY_LINK_SPECIFIC,
    PRIORITY_MASTER,
    PRIORITY_MASTER_SPECIFIC,
    PRIORITY_SOURCE,
    PRIORITY_SOURCE_SPECIFIC,
    PROTOCOL,
    ROUTE_METRIC,
    TABLE_INTERCEPT,
)
from plait.paths.model import (
    TABLE_MAIN,
    Detour,
    Endpoint,
    EndpointFlags,
    HostState,
    Interest,
    MptcpLimits,
    PolicyRule,
    Route,
    RouteKind,
    Snapshot,
)
from plait.paths.reach import Reach, survey
from plait.paths.standing import Health

LIMITS = MptcpLimits(subflows=8, add_addr_accepted=8)
"""As many as the kernel allows (MPTCP_PM_ADDR_MAX)."""

_RP_FILTER_ALL = "net/ipv4/conf/all/rp_filter"
_ANY: Mapping[int, IPNetwork] = {4: IPv4Network("0.0.0.0/0"), 6: IPv6Network("::/0")}


def interest(config: Config, peers: Peers) -> Interest:
    """What of the host ``desired`` and ``ways`` will ask about."""
    interfaces = tuple(path.interface for path in config.paths)
    destinations = tuple(dict.fromkeys(address for addresses in peers.values() for address in addresses))
    filters = (_RP_FILTER_ALL, *map(_rp_filter, interfaces)) if interfaces else ()
    links = (key for interface in interfaces for key in tuning.link_keys(interface))
    return Interest(
        interfaces=interfaces, destinations=destinations, sysctls=(*tuning.KEYS, *filters, *links)
    )


def desired(
    config: Config,
    snapshot: Snapshot,
    peers: Peers,
    health: Health,
    *,
    taking: bool = True,
    steering: Sequence[Detour] = (),
    clamps: Sequence[Clamp] = (),
    tunnels: Mapping[int, int] | None = None,
) -> HostState:
    """The host as wanted. ``taking`` is whether the LAN's TCP is taken now (an exit answers); ``tunnels``
    are the indices of the TUN devices that packets may be led into, by slot."""
    if config.gateway is None:
        return HostState(limits=LIMITS, sysctls=tuning.tuned(snapshot)) if config.exit else HostState()
    reaches = survey(config, snapshot)
    used = chosen(config, reaches, peers, health)
    mptcp = config.gateway.tcp is TcpVia.MPTCP
    udp = intercept.takes_udp(config.gateway)
    serves = mptcp or udp or intercept.guards_doors(config)
    endpoints, notes = _endpoints(config, snapshot, used, peers) if mptcp else ((), ())
    routes: list[Route] = []
    rules: list[PolicyRule] = []
    if udp or (mptcp and config.gateway.intercept is Intercept.TPROXY):
        routes, rules = _delivery(snapshot)
    for slot, device in sorted((tunnels or {}).items()):
        # The kernel gives the device a link-local address, whatever the tunnel carries.
        versions = {
            each.address.version
            for each in snapshot.addresses
            if each.index == device and not each.address.is_link_local
        }
        into, by = carrying.routing(slot, device, versions)
        routes += into
        rules += by
    wanted = [reach for reach in reaches if reach.path.mode is not Mode.OFF and reach.sources]
    for reach in wanted:
        routes += _table(reach, peers)
    rules += _link_rules(wanted) + _source_rules(wanted)
    if any(path.mode is Mode.MASTER for path in config.paths):
        rules += _master_rules(used)
    return HostState(
        routes=tuple(routes),
        rules=tuple(rules),
        endpoints=endpoints,
        limits=LIMITS,
        sysctls=_sysctls(config, snapshot),
        ruleset=intercept.ruleset(config, peers, taking=taking, detours=steering, clamps=clamps)
        if serves
        else None,
        notes=notes,
    )


def _delivery(snapshot: Snapshot) -> tuple[list[Route], list[PolicyRule]]:
    """Packets that nftables has marked are for this host, whatever their destination says."""
    loopback = next((link.index for link in snapshot.links if link.loopback), 1)
    routes = [
        Route(
            dst=_ANY[family],
            oif=loopback,
            table=TABLE_INTERCEPT,
            metric=ROUTE_METRIC,
            protocol=PROTOCOL,
            kind=RouteKind.LOCAL,
        )
        for family in (4, 6)
    ]
    rules = [
        PolicyRule(
            priority=PRIORITY_INTERCEPT,
            family=family,
            table=TABLE_INTERCEPT,
            mark=FWMARK,
            mask=FWMARK_MASK,
            protocol=PROTOCOL,
        )
        for family in (4, 6)
    ]
    return routes, rules


def _table(reach: Reach, peers: Peers) -> list[Route]:
    """The routes of one path's table."""
    assert reach.link is not None  # no sources without a link
    oif = reach.link.index

    def route(dst: IPNetwork, gateway: IPAddress | None = None, onlink: bool = False) -> Route:
        return Route(
            dst=dst,
            oif=oif,
            table=reach.table,
            gateway=gateway,
            metric=ROUTE_METRIC,
            protocol=PROTOCOL,
            onlink=onlink,
        )

    routes = [route(network) for network in reach.connected if network.prefixlen > 0]
    routes += [route(_ANY[version], hop.gateway, hop.onlink) for version, hop in reach.hops.items()]
    taken = {each.dst for each in routes}
    for addresses in peers.values():
        for address in addresses:
            host: IPNetwork = ip_network(address)
            if host not in taken and not reach.is_connected(address):
                by = _by_way_of(reach, address, addresses)
                if by is not None:
                    routes.append(route(host, by.gateway, by.onlink))
                    taken.add(host)
    return routes


def _by_way_of(reach: Reach, address: IPAddress, addresses: tuple[IPAddress, ...]) -> Route | None:
    """A route to an exit's ``address`` by way of another of its ``addresses`` that is on this link, or
    by the next hop that leads to another one when the link has no default route (a mesh)."""
    if reach.specific_route(address) is not None:
        return None
    for other in addresses:
        if other.version == address.version and other != address and reach.is_connected(other):
            return Route(dst=ip_network(address), oif=0, table=0, gateway=other)
    if address.version in reach.hops:
        return None
    for other in addresses:
        known = reach.specific_route(other) if other.version == address.version else None
        if known is not None:
            return known
    return None


def _link_rules(reaches: list[Reach]) -> list[PolicyRule]:
    rules = []
    for reach in reaches:
        for family in _families(reach):
            rules += _pair(
                family, PRIORITY_LINK_SPECIFIC, PRIORITY_LINK, reach.table, oif=reach.path.interface
            )
    return rules


def _source_rules(reaches: list[Reach]) -> list[PolicyRule]:
    rules = []
    taken: set[IPAddress] = set()  # two identical modems may give the same address: the first link has it
    for reach in reaches:
        for source in reach.sources:
            if source.address not in taken:
                taken.add(source.address)
                rules += _pair(
                    source.address.version,
                    PRIORITY_SOURCE_SPECIFIC,
                    PRIORITY_SOURCE,
                    reach.table,
                    source=ip_network(source.address),
                )
    return rules


def _master_rules(used: list[Chosen]) -> list[PolicyRule]:
    """All other traffic by the master, or by the next best path while the master is not usable."""
    rules = []
    for family in (4, 6):
        best = next((each.reach for each in used if family in each.reach.hops), None)
        if best is not None:
            rules += _pair(family, PRIORITY_MASTER_SPECIFIC, PRIORITY_MASTER, best.table)
    return rules


def _pair(
    family: int,
    specific: int,
    priority: int,
    table: int,
    *,
    oif: str | None = None,
    source: IPNetwork | None = None,
) -> list[PolicyRule]:
    """Look up main without its default route, then ``table``."""

    def rule(at: int, lookup: int, suppress: int | None) -> PolicyRule:
        return PolicyRule(
            priority=at,
            family=family,
            table=lookup,
            source=source,
            oif=oif,
            suppress=suppress,
            protocol=PROTOCOL,
        )

    return [rule(specific, TABLE_MAIN, 0), rule(priority, table, None)]


def _endpoints(
    config: Config, snapshot: Snapshot, used: list[Chosen], peers: Peers
) -> tuple[tuple[Endpoint, ...], tuple[str, ...]]:
    """Where subflows may start. Ids depend on the config alone, so that no path's coming or going
    disturbs another: path *i* has ``201 + i`` for the family in which it reaches the first exit, and
    for the other family one of those that no path needs, while they last."""
    foreign = {
        endpoint.address: endpoint.id
        for endpoint in snapshot.endpoints
        if endpoint.id not in ENDPOINT_IDS and EndpointFlags.IMPLICIT not in endpoint.flags
    }
    everyone = [address for addresses in peers.values() for address in addresses]
    # Where MPTCP's options are taken out a subflow can't come up, and trying costs others theirs.
    used = [each for each in used if not each.standing.plain] or used
    endpoints: list[Endpoint] = []
    notes: list[str] = []
    for each in sorted(used, key=lambda each: each.reach.index):
        reach = each.reach
        for position, address in enumerate(_subflow_sources(reach, everyone)):
            slot = reach.index + position * len(config.paths)
            assert reach.link is not None  # it is usable
            if slot >= len(ENDPOINT_IDS):
                if position == 0:
                    notes.append(f"{reach.path.name}: no MPTCP endpoint left, the kernel has but eight")
            elif address in foreign:
                notes.append(
                    f"{reach.path.name}: MPTCP endpoint {foreign[address]} on {address} is another program's"
                    " (NetworkManager or mptcpd?), plait can't manage this path"
                )
            elif any(address == other.address for other in endpoints):
                notes.append(
                    f"{reach.path.name}: {address} is the address of another link too;"
                    " MPTCP can use it on one link only"
                )
            else:
                flags = EndpointFlags.SUBFLOW
                if each.backup:
                    flags |= EndpointFlags.BACKUP
                endpoints.append(
                    Endpoint(id=ENDPOINT_IDS[slot], address=address, flags=flags, ifindex=reach.link.index)
                )
    return tuple(endpoints), tuple(notes)


def _subflow_sources(reach: Reach, everyone: list[IPAddress]) -> list[IPAddress]:
    """One address of each family in which an exit can be reached, the family of the first choice first."""
    first = reach.dial(everyone)
    if first is None:
        return [source.address for source in reach.sources[:1]]
    other = reach.dial(address for address in everyone if address.version != first[0].version)
    return [first[1]] + ([other[1]] if other else [])


def _families(reach: Reach) -> list[int]:
    return sorted({source.address.version for source in reach.sources})


def _sysctls(config: Config, snapshot: Snapshot) -> Mapping[str, str]:
    """Subflows come back by another link than the routing table would choose: where the filter is
    strict, make it loose (RFC 3704, 2.4). The kernel takes the larger of the two values."""
    wanted = dict(tuning.tuned(snapshot))
    for path in config.paths:
        key = _rp_filter(path.interface)
        values = [snapshot.sysctls.get(each, "0") for each in (_RP_FILTER_ALL, key)]
        if path.mode is not Mode.OFF:
            wanted |= tuning.tuned_link(snapshot, path.interface)
            if max(values) == "1":
                wanted[key] = "2"
    return wanted


def _rp_filter(interface: str) -> str:
    return f"net/ipv4/conf/{interface}/rp_filter"
