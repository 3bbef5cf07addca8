"""Links, addresses, routes and policy rules, by rtnetlink.

Source: include/uapi/linux/{rtnetlink,if_link,if_addr,fib_rules}.h. Routes are
asked for with filters that the kernel applies (protocol, or outgoing link), so
that a router with a full table costs a look no more than another.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from plait.config.model import IPAddress, IPNetwork
from plait.kernel.netlink import (
    F_CREATE,
    F_EXCL,
    F_REPLACE,
    NETLINK_ROUTE,
    Netlink,
    attribute,
    attributes,
    number,
    string,
    text,
    u32,
)
from plait.paths.model import Address, Link, PolicyRule, Route, RouteKind

_RTM_GETLINK = 18
_RTM_GETADDR = 22
_RTM_NEWROUTE, _RTM_DELROUTE, _RTM_GETROUTE = 24, 25, 26
_RTM_GETNEIGH = 30
_RTM_NEWRULE, _RTM_DELRULE, _RTM_GETRULE = 32, 33, 34

_IFINFO = struct.Struct("=BxHiII")
_IFADDR = struct.Struct("=BBBBI")
_NDMSG = struct.Struct("=BxxxiHBB")
_RTMSG = struct.Struct("=BBBBBBBBI")
_NEXTHOP = struct.Struct("=HBBi")

_IFF_UP, _IFF_LOOPBACK, _IFF_POINTOPOINT, _IFF_RUNNING, _IFF_LOWER_UP = 0x1, 0x8, 0x10, 0x40, 0x10000
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_STATS64, _IFLA_EXT_MASK = 1, 3, 4, 23, 29
_SKIP_STATS = 8
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_IFA_F_SECONDARY, _IFA_F_DADFAILED, _IFA_F_DEPRECATED, _IFA_F_TENTATIVE = 0x01, 0x08, 0x20, 0x40
_IFA_F_OPTIMISTIC = 0x04
_NDA_DST, _NDA_LLADDR = 1, 2
_NUD_INCOMPLETE, _NUD_FAILED, _NUD_NOARP = 0x01, 0x20, 0x40
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY = 1, 4, 5, 6
_RTA_MULTIPATH, _RTA_TABLE, _RTA_VIA = 9, 15, 18
_RTNH_F_ONLINK = 4
_RTM_F_CLONED = 0x200
_SCOPE_UNIVERSE, _SCOPE_LINK, _SCOPE_HOST = 0, 253, 254
_FRA_SRC, _FRA_PRIORITY, _FRA_FWMARK, _FRA_SUPPRESS = 2, 6, 10, 14
_FRA_TABLE, _FRA_FWMASK, _FRA_OIFNAME, _FRA_PROTOCOL = 15, 16, 17, 21
_FR_ACT_TO_TBL = 1
_KINDS = {kind.value: kind for kind in RouteKind}

_FAMILY = {4: int(socket.AF_INET), 6: int(socket.AF_INET6)}
_VERSION = {family: version for version, family in _FAMILY.items()}

# Multicast groups, as bits: link, IPv4 addresses, routes, rules; IPv6 the same (RTNLGRP_*).
_MONITORED = 1 << 0 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 18


@dataclass(frozen=True, slots=True)
class LinkCounters:
    """What a link has carried since it was made, in bytes and packets (``rtnl_link_stats64``)."""

    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int


def open_monitor() -> socket.socket:
    """A non-blocking socket that becomes readable when links, addresses, routes or rules change.

    What it says is not to be read as truth (DESIGN.md, rule 4): drain it, then look. ENOBUFS from
    ``recv`` means that events were lost, which is one more reason to look.
    """
    monitor = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, NETLINK_ROUTE
    )
    try:
        monitor.bind((0, _MONITORED))
    except BaseException:
        monitor.close()
        raise
    return monitor


class Rtnl:
    """Asks and changes the routing of the network namespace in which it was made."""

    def __init__(self) -> None:
        self._netlink = Netlink(NETLINK_ROUTE)

    def close(self) -> None:
        """Give the descriptor back."""
        self._netlink.close()

    def links(self) -> list[Link]:
        """All interfaces."""
        asked = _IFINFO.pack(0, 0, 0, 0, 0) + u32(_IFLA_EXT_MASK, _SKIP_STATS)
        return [_link(body) for body in self._netlink.dump(_RTM_GETLINK, asked)]

    def counters(self) -> dict[str, LinkCounters]:
        """What each interface has carried, by name."""
        result = {}
        for body in self._netlink.dump(_RTM_GETLINK, _IFINFO.pack(0, 0, 0, 0, 0)):
            found = dict(attributes(body, _IFINFO.size))
            if _IFLA_STATS64 in found:
                rx_packets, tx_packets, rx_bytes, tx_bytes = struct.unpack_from("=4Q", found[_IFLA_STATS64])
                result[string(found[_IFLA_IFNAME])] = LinkCounters(rx_bytes, tx_bytes, rx_packets, tx_packets)
        return result

    def addresses(self) -> list[Address]:
        """All addresses of both families."""
        bodies = self._netlink.dump(_RTM_GETADDR, _IFADDR.pack(0, 0, 0, 0, 0))
        return [address for body in bodies if (address := _address(body)) is not None]

    def neighbours(self) -> dict[str, str]:
        """MAC addresses of the hosts on all links, by address of either family."""
        found = {}
        for body in self._netlink.dump(_RTM_GETNEIGH, _NDMSG.pack(0, 0, 0, 0, 0)):
            family, _index, state, _flags, _kind = _NDMSG.unpack_from(body)
            said = dict(attributes(body, _NDMSG.size))
            mac = said.get(_NDA_LLADDR, b"")
            if family in _VERSION and not state & (_NUD_INCOMPLETE | _NUD_FAILED | _NUD_NOARP) and any(mac):
                found[str(_ip(said[_NDA_DST]))] = mac.hex(":")
        return found

    def routes_by_protocol(self, protocol: int) -> Iterator[Route]:
        """Routes in any table that a protocol has set."""
        for family in _VERSION:
            asked = _RTMSG.pack(family, 0, 0, 0, 0, protocol, 0, 0, 0)
            for body in self._netlink.dump(_RTM_GETROUTE, asked):
                if body[5] == protocol:  # kernels before 4.20 do not filter
                    yield from _routes(body)

    def routes_by_link(self, ifindex: int, destinations: Iterable[IPAddress]) -> Iterator[Route]:
        """Routes over a link, in any table, that are default ones or cover one of ``destinations``."""
        covered = {4: [int(a) for a in destinations if a.version == 4]}
        covered[6] = [int(a) for a in destinations if a.version == 6]
        for version, family in _FAMILY.items():
            asked = _RTMSG.pack(family, 0, 0, 0, 0, 0, 0, RouteKind.UNICAST.value, 0)
            for body in self._netlink.dump(_RTM_GETROUTE, asked + u32(_RTA_OIF, ifindex)):
                if body[7] == RouteKind.UNICAST.value and _matters(body, covered[version]):
                    for route in _routes(body):
                        if route.oif == ifindex:
                            yield route

    def put_route(self, route: Route) -> None:
        """Add a route, or replace the one of the same destination, table and metric."""
        self._netlink.request(_RTM_NEWROUTE, _route_body(route), F_CREATE | F_REPLACE)

    def delete_route(self, route: Route) -> None:
        """Remove a route."""
        self._netlink.request(_RTM_DELROUTE, _route_body(route))

    def rules(self) -> list[PolicyRule]:
        """All policy rules that look up a table."""
        rules = []
        for family in _VERSION:
            for body in self._netlink.dump(_RTM_GETRULE, _RTMSG.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)):
                if body[7] == _FR_ACT_TO_TBL:
                    rules.append(_rule(body))
        return rules

    def add_rule(self, rule: PolicyRule) -> None:
        """Add a policy rule; EEXIST when there is the same already."""
        self._netlink.request(_RTM_NEWRULE, _rule_body(rule), F_CREATE | F_EXCL)

    def delete_rule(self, rule: PolicyRule) -> None:
        """Remove a policy rule."""
        self._netlink.request(_RTM_DELRULE, _rule_body(rule))


def _ip(payload: bytes) -> IPAddress:
    return IPv4Address(payload) if len(payload) == 4 else IPv6Address(payload)


def _network(version: int, payload: bytes | None, length: int) -> IPNetwork:
    if version == 4:
        return IPv4Network((payload or bytes(4), length), strict=False)
    return IPv6Network((payload or bytes(16), length), strict=False)


def _link(body: bytes) -> Link:
    _family, _type, index, flags, _change = _IFINFO.unpack_from(body)
    found = dict(attributes(body, _IFINFO.size))
    return Link(
        index=index,
        name=string(found.get(_IFLA_IFNAME, b"")),
        up=bool(flags & _IFF_UP),
        carrier=flags & (_IFF_RUNNING | _IFF_LOWER_UP) == _IFF_RUNNING | _IFF_LOWER_UP,
        point_to_point=bool(flags & _IFF_POINTOPOINT),
        loopback=bool(flags & _IFF_LOOPBACK),
        mac=found.get(_IFLA_ADDRESS, b"").hex(":"),
        mtu=number(found.get(_IFLA_MTU, b"")),
    )


def _address(body: bytes) -> Address | None:
    family, length, flags, _scope, index = _IFADDR.unpack_from(body)
    found = dict(attributes(body, _IFADDR.size))
    if _IFA_FLAGS in found:
        flags = number(found[_IFA_FLAGS])
    # IFA_LOCAL is ours and IFA_ADDRESS the far end's on a point-to-point link; IPv6 may have only the latter.
    local = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)
    if local is None or family not in _VERSION:
        return None
    unready = flags & (_IFA_F_DADFAILED | _IFA_F_DEPRECATED)
    # An optimistic address is tentative, and usable all the same (RFC 4429).
    unready |= flags & _IFA_F_TENTATIVE and not flags & _IFA_F_OPTIMISTIC
    return Address(
        index=index,
        address=_ip(local),
        network=_network(_VERSION[family], found.get(_IFA_ADDRESS, local), length),
        ready=not unready,
        secondary=bool(flags & _IFA_F_SECONDARY),
    )


def _matters(body: bytes, destinations: list[int]) -> bool:
    """Whether a route is a default one or covers a destination; looks at bytes, as there may be many."""
    length = body[1]
    if length == 0:
        return True
    if not destinations:
        return False
    for kind, value in attributes(body, _RTMSG.size):
        if kind == _RTA_DST:
            shift = len(value) * 8 - length
            prefix = int.from_bytes(value, "big") >> shift
            return any(destination >> shift == prefix for destination in destinations)
    return False


def _routes(body: bytes) -> Iterator[Route]:
    """The routes in one message: one, or one for each next hop of a multipath route."""
    family, length, _src, _tos, table, protocol, _scope, kind, flags = _RTMSG.unpack_from(body)
    if family not in _VERSION or kind not in _KINDS or flags & _RTM_F_CLONED:
        return
    found = dict(attributes(body, _RTMSG.size))
    hops = [(number(found[_RTA_OIF]), flags, found)] if _RTA_OIF in found else []
    hops += _multipath(found.get(_RTA_MULTIPATH, b""))
    for oif, hop_flags, hop in hops:
        gateway = hop.get(_RTA_GATEWAY)
        if gateway is None and _RTA_VIA in hop:
            gateway = hop[_RTA_VIA][2:]  # struct rtvia: the family, then the address
        yield Route(
            dst=_network(_VERSION[family], found.get(_RTA_DST), length),
            oif=oif,
            table=number(found[_RTA_TABLE]) if _RTA_TABLE in found else table,
            gateway=_ip(gateway) if gateway else None,
            metric=number(found.get(_RTA_PRIORITY, b"")),
            protocol=protocol,
            kind=_KINDS[kind],
            onlink=bool(hop_flags & _RTNH_F_ONLINK),
        )


def _multipath(data: bytes) -> list[tuple[int, int, dict[int, bytes]]]:
    hops = []
    offset = 0
    while offset + _NEXTHOP.size <= len(data):
        length, flags, _weight, oif = _NEXTHOP.unpack_from(data, offset)
        if length < _NEXTHOP.size:
            break
        hops.append((oif, flags, dict(attributes(data[: offset + length], offset + _NEXTHOP.size))))
        offset += (length + 3) & ~3
    return hops


def _route_body(route: Route) -> bytes:
    family = _FAMILY[route.dst.version]
    scope = _SCOPE_UNIVERSE
    if family == socket.AF_INET and route.gateway is None:
        scope = _SCOPE_HOST if route.kind is RouteKind.LOCAL else _SCOPE_LINK
    body = _RTMSG.pack(
        family,
        route.dst.prefixlen,
        0,
        0,
        route.table if route.table < 256 else 0,
        route.protocol,
        scope,
        route.kind.value,
        _RTNH_F_ONLINK if route.onlink else 0,
    )
    body += attribute(_RTA_DST, route.dst.network_address.packed) if route.dst.prefixlen else b""
    body += u32(_RTA_TABLE, route.table) + u32(_RTA_OIF, route.oif) + u32(_RTA_PRIORITY, route.metric)
    if route.gateway is not None:
        packed = route.gateway.packed
        if route.gateway.version == route.dst.version:
            body += attribute(_RTA_GATEWAY, packed)
        else:
            body += attribute(_RTA_VIA, struct.pack("=H", _FAMILY[route.gateway.version]) + packed)
    return body


def _rule(body: bytes) -> PolicyRule:
    family, _dst_length, src_length, _tos, table, *_rest = _RTMSG.unpack_from(body)
    found = dict(attributes(body, _RTMSG.size))
    suppress = number(found.get(_FRA_SUPPRESS, b"\xff\xff\xff\xff"))
    mark = number(found.get(_FRA_FWMARK, b""))
    return PolicyRule(
        priority=number(found.get(_FRA_PRIORITY, b"")),
        family=_VERSION[family],
        table=number(found[_FRA_TABLE]) if _FRA_TABLE in found else table,
        source=_network(_VERSION[family], found[_FRA_SRC], src_length) if _FRA_SRC in found else None,
        oif=string(found[_FRA_OIFNAME]) if _FRA_OIFNAME in found else None,
        mark=mark,
        mask=number(found.get(_FRA_FWMASK, b"")) if _FRA_FWMARK in found or mark else 0,
        suppress=None if suppress == 0xFFFFFFFF else suppress,
        protocol=number(found.get(_FRA_PROTOCOL, b"")),
    )


def _rule_body(rule: PolicyRule) -> bytes:
    source_length = rule.source.prefixlen if rule.source else 0
    table = rule.table if rule.table < 256 else 0
    body = _RTMSG.pack(_FAMILY[rule.family], 0, source_length, 0, table, 0, 0, _FR_ACT_TO_TBL, 0)
    body += u32(_FRA_TABLE, rule.table) + u32(_FRA_PRIORITY, rule.priority)
    body += attribute(_FRA_PROTOCOL, bytes([rule.protocol]))
    if rule.source is not None:
        body += attribute(_FRA_SRC, rule.source.network_address.packed)
    if rule.oif is not None:
        body += text(_FRA_OIFNAME, rule.oif)
    if rule.mark or rule.mask:
        body += u32(_FRA_FWMARK, rule.mark) + u32(_FRA_FWMASK, rule.mask)
    if rule.suppress is not None:
        body += u32(_FRA_SUPPRESS, rule.suppress)
    return body


def drain(monitor: socket.socket) -> None:
    """Forget what a monitor has said so far."""
    while True:
        try:
            monitor.recv(65536)
        except OSError as error:
            # More was said than fitted: that is gone already, what came later is not.
            if error.errno != errno.ENOBUFS:
                return
