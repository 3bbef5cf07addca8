"""What a host is, and what it should be: frozen values without behaviour.

``Snapshot`` is observed by ``plait.kernel``; ``HostState`` is wanted by
``plait.paths.policy``; ``plait.paths.diff`` lies between them. Interfaces are
kernel indices here (names can be reused by another link), but for policy
rules, which the kernel itself keeps by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntFlag

from plait.config.model import IPAddress, IPNetwork, Mode

TABLE_MAIN = 254


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A network interface."""

    index: int
    name: str
    up: bool
    """Set up by the administrator (IFF_UP)."""
    carrier: bool
    """The far end is there (IFF_LOWER_UP and IFF_RUNNING)."""
    point_to_point: bool = False
    """TUN, PPP and their like: needs no next hop."""
    loopback: bool = False
    mac: str = ""
    mtu: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address of this host."""

    index: int
    """Of the link that has it."""
    address: IPAddress
    network: IPNetwork
    """What is on-link through it; for a point-to-point link the far address alone."""
    ready: bool = True
    """Neither tentative (RFC 4862, 5.4), nor refused by DAD, nor deprecated."""
    secondary: bool = False
    """IPv4: not the first of its prefix. IPv6: a temporary one (RFC 8981)."""


class RouteKind(Enum):
    """The two types of route that plait sets (``RTN_*``)."""

    UNICAST = 1
    LOCAL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route. ``gateway`` may be IPv6 for an IPv4 destination (RFC 5549)."""

    dst: IPNetwork
    oif: int
    table: int
    gateway: IPAddress | None = None
    metric: int = 0
    protocol: int = 0
    kind: RouteKind = RouteKind.UNICAST
    onlink: bool = False
    """The gateway is on the link even though no prefix says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """One policy rule whose action is a table lookup."""

    priority: int
    family: int
    """4 or 6."""
    table: int
    source: IPNetwork | None = None
    oif: str | None = None
    mark: int = 0
    mask: int = 0
    suppress: int | None = None
    """``suppress_prefixlength``: routes this short or shorter are overlooked."""
    protocol: int = 0


class EndpointFlags(IntFlag):
    """``MPTCP_PM_ADDR_FLAG_*`` (include/uapi/linux/mptcp.h)."""

    NONE = 0
    SIGNAL = 1
    SUBFLOW = 2
    BACKUP = 4
    FULLMESH = 8
    IMPLICIT = 16
    LAMINAR = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An MPTCP endpoint of the in-kernel path manager."""

    id: int
    address: IPAddress
    flags: EndpointFlags
    ifindex: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MptcpLimits:
    """How many subflows beside the first a connection may have, made and accepted."""

    subflows: int
    add_addr_accepted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Interest:
    """What of a host matters to a config: keeps a look at a router with 10,000 routes cheap."""

    interfaces: tuple[str, ...] = ()
    """Links whose routes matter."""
    destinations: tuple[IPAddress, ...] = ()
    """Far addresses; a route of those links is kept when it is a default one or covers one of these."""
    sysctls: tuple[str, ...] = ()
    """Keys below /proc/sys, with slashes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A host as observed, as far as an :class:`Interest` reached."""

    links: tuple[Link, ...] = ()
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    """Ours (by protocol), and those of interest."""
    rules: tuple[PolicyRule, ...] = ()
    """Ours only."""
    endpoints: tuple[Endpoint, ...] = ()
    limits: MptcpLimits | None = None
    """None when the kernel has no MPTCP path manager."""
    sysctls: Mapping[str, str] = field(default_factory=dict)
    """Those asked for that exist on this kernel."""
    nft_digest: str | None = None
    """None without our table; the digest kept in its comment, or "" when it has none."""

    def link(self, name: str) -> Link | None:
        """The link called ``name``, if it is there."""
        return next((link for link in self.links if link.name == name), None)

    def device(self, index: int) -> str:
        """Name of the link ``index``; ``if7`` for one that has gone."""
        return next((link.name for link in self.links if link.index == index), f"if{index}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Detour:
    """Over one link an exit is met at another of its addresses than the connection was begun with.

    The kernel's path manager sends every further subflow to the address that the first one went to.
    An exit with an address on each of several networks should see each subflow arrive at the address
    of the network it came through: then it can give up one address and keep the subflows of the others.
    """

    interface: str
    address: IPAddress
    """Where the kernel wants to go."""
    port: int
    instead: IPAddress
    """Where it is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruleset:
    """Our nftables table as text for ``nft -f -``, with the digest written into its comment."""

    text: str
    digest: str
    kept: tuple[str, ...] = ()
    """Sets whose elements others add: they stay when the table is put in place anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """A host as wanted. What does not carry our mark is not in here, but for limits and sysctls."""

    routes: tuple[Route, ...] = ()
    rules: tuple[PolicyRule, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    limits: MptcpLimits | None = None
    """None leaves them as they are."""
    sysctls: Mapping[str, str] = field(default_factory=dict)
    ruleset: Ruleset | None = None
    notes: tuple[str, ...] = ()
    """What could not be had and why, one line each, for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How one connection to an exit is to be dialled: which socket options, and where to."""

    exit_name: str
    path: str
    """The path's name."""
    interface: str
    """For SO_BINDTODEVICE."""
    mode: Mode
    local: IPAddress
    """For bind()."""
    remote: IPAddress
    port: int
    rtt: float | None = None
    """Seconds that a round trip over it takes, settled; None while nobody knows."""
