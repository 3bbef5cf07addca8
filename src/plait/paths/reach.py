"""What each configured path amounts to on this host, and whom it can reach.

The first step of every judgement. A :class:`Reach` holds, of one path, what
its link has right now: the addresses one may dial from, the prefixes that are
on-link, and the next hop of each family. It knows nothing of modes or health.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Network

from plait.config.model import Config, IPAddress, IPNetwork, Path
from plait.paths.marks import PROTOCOL, table_of
from plait.paths.model import TABLE_MAIN, Address, Link, Route, RouteKind, Snapshot

_UNIQUE_LOCAL = IPv6Network("fc00::/7")


@dataclass(frozen=True, slots=True)
class Hop:
    """A next hop: an address on the link, or None where the link itself is enough."""

    gateway: IPAddress | None
    onlink: bool = False


@dataclass(frozen=True, slots=True)
class Reach:
    """One configured path as it is on this host."""

    path: Path
    index: int
    """Position in the config."""
    link: Link | None
    sources: tuple[Address, ...]
    """Addresses one may dial from."""
    connected: tuple[IPNetwork, ...]
    """Prefixes on the link."""
    hops: Mapping[int, Hop]
    """Next hop of the default route by IP version; none where no way out is known."""
    specific: tuple[Route, ...]
    """Routes of interest over this link that are not default ones."""

    @property
    def table(self) -> int:
        """The path's routing table."""
        return table_of(self.index)

    @property
    def ready(self) -> bool:
        """Whether the link has all that a connection needs of it: carrier and an address."""
        return self.link is not None and self.link.up and self.link.carrier and bool(self.sources)

    def is_connected(self, address: IPAddress) -> bool:
        """Whether ``address`` is on the link."""
        return any(contains(network, address) for network in self.connected)

    def specific_route(self, address: IPAddress) -> Route | None:
        """The longest route over this link, other than a default one, that covers ``address``."""
        covering = [route for route in self.specific if contains(route.dst, address)]
        return max(covering, key=lambda route: route.dst.prefixlen, default=None)

    def source_for(self, address: IPAddress) -> IPAddress | None:
        """The address to dial ``address`` from: of the same prefix if there is one, lasting, and of
        the same scope (a unique-local address can't reach the Internet, RFC 4193)."""
        unique_local = _is_unique_local(address)
        candidates = [source for source in self.sources if source.address.version == address.version]
        best = min(
            candidates,
            key=lambda source: (
                not contains(source.network, address),
                _is_unique_local(source.address) != unique_local,
                source.secondary,
            ),
            default=None,
        )
        return best.address if best else None

    def dial(self, addresses: Iterable[IPAddress]) -> tuple[IPAddress, IPAddress] | None:
        """Which of an exit's addresses to dial over this path, and from which of ours.

        On-link ones come first, then ones to which a route of their own leads over this link, then
        the first that the default route can reach.
        """
        best: tuple[int, IPAddress, IPAddress] | None = None
        for address in addresses:
            local = self.source_for(address)
            if local is None:
                continue
            if self.is_connected(address):
                rank = 0
            elif self.specific_route(address) is not None:
                rank = 1
            elif address.version in self.hops:
                rank = 2
            else:
                continue
            if best is None or rank < best[0]:
                best = (rank, address, local)
        return (best[1], best[2]) if best else None


def survey(config: Config, snapshot: Snapshot) -> tuple[Reach, ...]:
    """Look at every configured path, in the order of the config."""
    return tuple(_reach(path, index, snapshot) for index, path in enumerate(config.paths))


def _reach(path: Path, index: int, snapshot: Snapshot) -> Reach:
    link = snapshot.link(path.interface)
    if link is None or not link.up:
        return Reach(path, index, link, (), (), {}, ())
    # Link-local ones (169.254/16 too, which means that DHCP failed) lead to no exit.
    sources = tuple(
        address
        for address in snapshot.addresses
        if address.index == link.index and address.ready and not address.address.is_link_local
    )
    connected = tuple(dict.fromkeys(source.network for source in sources if not _is_host(source)))
    routes = [
        route
        for route in snapshot.routes
        if route.oif == link.index and route.protocol != PROTOCOL and route.kind is RouteKind.UNICAST
    ]
    hops = {}
    for version in (4, 6):
        if any(source.address.version == version for source in sources):
            hop = _default_hop(path, version, link, routes, connected)
            if hop is not None:
                hops[version] = hop
    specific = tuple(route for route in routes if route.dst.prefixlen > 0)
    return Reach(path, index, link, sources, connected, hops, specific)


def _default_hop(
    path: Path, version: int, link: Link, routes: list[Route], connected: tuple[IPNetwork, ...]
) -> Hop | None:
    for gateway in path.gateway:
        if gateway.version == version:
            return _hop(gateway, connected)
    defaults = [route for route in routes if route.dst.version == version and route.dst.prefixlen == 0]
    best = min(defaults, key=lambda route: (route.table != TABLE_MAIN, route.metric), default=None)
    if best is not None:
        return _hop(best.gateway, connected)
    return Hop(None) if link.point_to_point else None


def _hop(gateway: IPAddress | None, connected: tuple[IPNetwork, ...]) -> Hop:
    if gateway is None or (gateway.version == 6 and gateway.is_link_local):
        return Hop(gateway)  # the kernel takes a link-local IPv6 next hop as on-link by itself
    return Hop(gateway, onlink=not any(contains(network, gateway) for network in connected))


def contains(network: IPNetwork, address: IPAddress) -> bool:
    """``address in network``, for any mix of versions."""
    return network.version == address.version and address in network


def _is_unique_local(address: IPAddress) -> bool:
    return address.version == 6 and address in _UNIQUE_LOCAL


def _is_host(source: Address) -> bool:
    """A prefix that holds our own address alone puts nothing else on the link."""
    return source.network.num_addresses == 1 and source.address in source.network
