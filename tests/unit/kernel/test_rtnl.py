"""Messages of rtnetlink, from bytes. The real kernel is asked in tests/netns/hands."""

from __future__ import annotations

import struct
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.config.model import IPNetwork
from plait.kernel import rtnl
from plait.kernel.netlink import attribute, u32
from plait.paths.model import PolicyRule, Route, RouteKind

NETWORKS = st.one_of(
    st.builds(lambda n, p: ip_network((n, p), strict=False), st.ip_addresses(v=4), st.integers(0, 32)),
    st.builds(lambda n, p: ip_network((n, p), strict=False), st.ip_addresses(v=6), st.integers(0, 128)),
)


@given(
    NETWORKS,
    st.one_of(st.none(), st.ip_addresses()),
    st.integers(1, 2**31 - 1),
    st.integers(1, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.sampled_from(RouteKind),
    st.booleans(),
)
def test_a_route_is_read_as_it_was_written(
    dst: IPNetwork,
    gateway: ip_address,  # type: ignore[valid-type]
    oif: int,
    table: int,
    metric: int,
    kind: RouteKind,
    onlink: bool,
) -> None:
    route = Route(
        dst=dst, oif=oif, table=table, gateway=gateway, metric=metric, protocol=178, kind=kind, onlink=onlink
    )
    assert list(rtnl._routes(rtnl._route_body(route))) == [route]


@given(
    st.integers(1, 2**31),
    st.integers(1, 2**31),
    st.one_of(st.none(), NETWORKS),
    st.one_of(st.none(), st.sampled_from(["wan1", "eth0.2", "a-name-of-15ch."])),
    st.integers(0, 2**32 - 1),
    st.one_of(st.none(), st.integers(0, 128)),
)
def test_a_rule_is_read_as_it_was_written(
    priority: int,
    table: int,
    source: IPNetwork | None,
    oif: str | None,
    mark: int,
    suppress: int | None,
) -> None:
    rule = PolicyRule(
        priority=priority,
        family=source.version if source else 6,
        table=table,
        source=source,
        oif=oif,
        mark=mark,
        mask=0xFFFFFFFF if mark else 0,
        suppress=suppress,
        protocol=178,
    )
    assert rtnl._rule(rtnl._rule_body(rule)) == rule


def multipath() -> bytes:
    """``default nexthop via 10.1.1.1 dev 3 nexthop via 10.2.2.1 dev 4``"""
    hops = b""
    for oif, gateway in ((3, "10.1.1.1"), (4, "10.2.2.1")):
        inner = attribute(5, ip_address(gateway).packed)
        hops += struct.pack("=HBBi", 8 + len(inner), 0, 0, oif) + inner
    return struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 3, 0, 1, 0) + attribute(9, hops)


def test_each_hop_of_a_multipath_route_is_a_route() -> None:
    assert [(route.oif, str(route.gateway)) for route in rtnl._routes(multipath())] == [
        (3, "10.1.1.1"),
        (4, "10.2.2.1"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 3, 0, 6, 0) + u32(4, 3),  # blackhole
        struct.pack("=BBBBBBBBI", 10, 0, 0, 0, 254, 3, 0, 1, 0x200) + u32(4, 3),  # a cached clone
        struct.pack("=BBBBBBBBI", 28, 0, 0, 0, 254, 3, 0, 1, 0) + u32(4, 3),  # MPLS
        struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 3, 0, 1, 0),  # leads nowhere
    ],
)
def test_what_is_no_way_to_anywhere_is_overlooked(body: bytes) -> None:
    assert list(rtnl._routes(body)) == []


@given(NETWORKS, st.lists(st.ip_addresses(), max_size=4))
def test_which_routes_matter(network: IPNetwork, destinations: list[ip_address]) -> None:  # type: ignore[valid-type]
    body = rtnl._route_body(Route(dst=network, oif=3, table=254, protocol=3))
    numbers = [int(each) for each in destinations if each.version == network.version]
    covered = any(each.version == network.version and each in network for each in destinations)
    assert rtnl._matters(body, numbers) == (network.prefixlen == 0 or covered)


@pytest.mark.parametrize(
    ("flags", "ready", "secondary"),
    [
        (0x80, True, False),
        (0x40, False, False),  # tentative
        (0x44, True, False),  # tentative, and optimistic
        (0x08, False, False),  # refused by duplicate address detection
        (0x20, False, False),  # deprecated
        (0x01, True, True),
    ],
)
def test_which_addresses_are_ready(flags: int, ready: bool, secondary: bool) -> None:
    body = struct.pack("=BBBBI", 10, 64, flags & 0xFF, 0, 3)
    body += attribute(1, ip_address("2001:db8::78").packed) + u32(8, flags)
    address = rtnl._address(body)
    assert address is not None
    assert (address.ready, address.secondary) == (ready, secondary)
    assert (str(address.address), str(address.network)) == ("2001:db8::78", "2001:db8::/64")


def test_a_point_to_point_address_connects_the_far_end() -> None:
    body = struct.pack("=BBBBI", 2, 32, 0, 0, 3)
    body += attribute(1, ip_address("10.8.0.1").packed) + attribute(2, ip_address("10.8.0.2").packed)
    address = rtnl._address(body)
    assert address is not None
    assert (str(address.address), str(address.network)) == ("10.8.0.2", "10.8.0.1/32")
