from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from plait.config.model import Path
from plait.paths.marks import PROTOCOL
from plait.paths.model import RouteKind, Snapshot
from plait.paths.reach import Reach, contains, survey

from .scene import address, config, host, path, route, with_addresses, with_routes

BOTH = config(path("wan1"), path("wan2"))


def look(snapshot: Snapshot, *paths: Path) -> Reach:
    return survey(config(*(paths or (path("wan1"),))), snapshot)[0]


def hop(reach: Reach, version: int = 4) -> str:
    found = reach.hops.get(version)
    if found is None:
        return "none"
    return f"{found.gateway}{' onlink' if found.onlink else ''}"


@pytest.mark.parametrize(
    ("words", "ready"),
    [
        ("10.1.1.78/24", True),
        ("10.1.1.78/24 no-carrier", False),
        ("10.1.1.78/24 down", False),
        ("", False),
        ("169.254.7.7/16", False),  # DHCP has failed
        ("fe80::1/64", False),
        ("fe80::1/64 2001:db8::1/64", True),
    ],
)
def test_what_makes_a_link_ready(words: str, ready: bool) -> None:
    assert look(host(wan1=words)).ready is ready


def test_a_link_that_is_not_there() -> None:
    reach = look(host())
    assert (reach.link, reach.ready, reach.dial([ip_address("192.0.2.1")])) == (None, False, None)


def test_an_address_that_is_not_ready_yet() -> None:
    snapshot = with_addresses(host(wan1=""), address("wan1", "2001:db8:1::78/64", ready=False))
    assert not look(snapshot).ready


@pytest.mark.parametrize(
    ("via", "routes", "expected"),
    [
        ((), [], "none"),
        ((), ["default via 10.1.1.1 dev wan1"], "10.1.1.1"),
        ((), ["default via 10.2.2.1 dev wan2"], "none"),
        ((), ["default via 10.1.1.1 dev wan1", "default via 10.1.1.2 dev wan1 metric 5"], "10.1.1.1"),
        (("10.1.1.9",), ["default via 10.1.1.1 dev wan1"], "10.1.1.9"),
        (("2001:db8::9",), ["default via 10.1.1.1 dev wan1"], "10.1.1.1"),
        (("172.31.1.1",), [], "172.31.1.1 onlink"),
        ((), ["default via fe80::1 dev wan1"], "none"),  # of the other family
    ],
)
def test_the_next_hop(via: tuple[str, ...], routes: list[str], expected: str) -> None:
    snapshot = with_routes(host(wan1="10.1.1.78/24", wan2="10.2.2.78/24"), *routes)
    assert hop(look(snapshot, path("wan1", via=via))) == expected


def test_the_main_table_is_asked_before_others_and_ours_never() -> None:
    snapshot = replace(
        host(wan1="10.1.1.78/24"),
        routes=(
            route("default via 10.1.1.3 dev wan1", table=18801, protocol=PROTOCOL),
            route("default via 10.1.1.2 dev wan1", table=7),
            route("default via 10.1.1.1 dev wan1 metric 500"),
        ),
    )
    assert hop(look(snapshot)) == "10.1.1.1"
    assert hop(look(replace(snapshot, routes=snapshot.routes[:2]))) == "10.1.1.2"
    assert hop(look(replace(snapshot, routes=snapshot.routes[:1]))) == "none"


def test_a_local_route_is_no_way_out() -> None:
    local = replace(route("default dev wan1"), kind=RouteKind.LOCAL)
    assert hop(look(replace(host(wan1="10.1.1.78/24"), routes=(local,)))) == "none"


def test_ipv6_by_router_advertisement() -> None:
    snapshot = with_routes(
        host(wan1="10.1.1.78/24 2001:db8:1::78/64"), "default via fe80::1 dev wan1 metric 1024"
    )
    assert hop(look(snapshot), 6) == "fe80::1"


def test_a_tunnel_is_its_own_next_hop() -> None:
    reach = look(host(tun0="10.8.0.2/24"), path("tun0"))
    assert (hop(reach), hop(reach, 6)) == ("None", "none")


@pytest.mark.parametrize(
    ("exits", "routes", "expected"),
    [
        # on-link first, wherever it stands
        (["198.51.100.7", "10.1.1.70"], ["default via 10.1.1.1 dev wan1"], ("10.1.1.70", "10.1.1.78")),
        # then one that has a route of its own over this link
        (
            ["198.51.100.7", "203.0.113.7"],
            ["default via 10.1.1.1 dev wan1", "203.0.113.0/24 via 10.1.1.5 dev wan1"],
            ("203.0.113.7", "10.1.1.78"),
        ),
        # then the first that the default route reaches
        (["198.51.100.7", "203.0.113.7"], ["default via 10.1.1.1 dev wan1"], ("198.51.100.7", "10.1.1.78")),
        # the family must have an address and a route
        (["2001:db8:f::7", "198.51.100.7"], ["default via 10.1.1.1 dev wan1"], ("198.51.100.7", "10.1.1.78")),
        (["2001:db8:f::7"], ["default via fe80::1 dev wan1"], ("2001:db8:f::7", "2001:db8:1::78")),
        (["198.51.100.7"], ["default via fe80::1 dev wan1"], None),
        (["198.51.100.7"], ["198.51.100.0/24 via 10.2.2.5 dev wan2"], None),
        ([], ["default via 10.1.1.1 dev wan1"], None),
    ],
)
def test_which_address_of_an_exit_is_dialled(
    exits: list[str], routes: list[str], expected: tuple[str, str] | None
) -> None:
    snapshot = with_routes(host(wan1="10.1.1.78/24 2001:db8:1::78/64", wan2="10.2.2.78/24"), *routes)
    dialled = look(snapshot).dial(ip_address(each) for each in exits)
    assert (tuple(map(str, dialled)) if dialled else None) == expected


@pytest.mark.parametrize(
    ("towards", "expected"),
    [
        ("2001:db8:f::7", "2001:db8:1::78"),  # not the temporary one, not the unique-local one
        ("fd00:1::70", "fd00:1::78"),
        ("fd00:9::70", "fd00:1::78"),
        ("10.1.1.70", "10.1.1.78"),
        ("10.5.5.70", "10.5.5.78"),  # the prefix of a second address
    ],
)
def test_which_address_of_ours_is_dialled_from(towards: str, expected: str) -> None:
    snapshot = with_addresses(
        host(wan1="fd00:1::78/64 10.1.1.78/24"),
        address("wan1", "10.5.5.78/24", secondary=True),
        address("wan1", "2001:db8:1::abcd/64", secondary=True),
        address("wan1", "2001:db8:1::78/64"),
        address("wan1", "2001:db8:1::99/64", ready=False),
    )
    assert str(look(snapshot).source_for(ip_address(towards))) == expected


def test_the_longest_route_is_the_specific_one() -> None:
    snapshot = with_routes(
        host(wan1="10.1.1.78/24"), "10.0.0.0/8 via 10.1.1.2 dev wan1", "10.9.0.0/16 via 10.1.1.3 dev wan1"
    )
    found = look(snapshot).specific_route(ip_address("10.9.9.9"))
    assert found is not None
    assert found.dst == ip_network("10.9.0.0/16")


def test_a_prefix_that_holds_but_oneself_connects_nothing() -> None:
    """DHCPv6 and PPP give /128 and /32."""
    assert look(host(wan1="2001:db8::5/128 192.0.2.5/32")).connected == ()


def test_tables_follow_the_order_of_the_config() -> None:
    assert [reach.table for reach in survey(BOTH, host())] == [18801, 18802]


def test_contains_is_false_across_versions() -> None:
    assert not contains(ip_network("::/0"), ip_address("10.0.0.1"))
    assert not contains(ip_network("0.0.0.0/0"), ip_address("::1"))
