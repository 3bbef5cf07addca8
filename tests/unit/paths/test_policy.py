from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.config.model import Config, Exit, Gateway, Intercept, IPAddress, Mode, Path, TcpVia, UdpVia
from plait.paths import policy
from plait.paths.choice import ways
from plait.paths.diff import diff
from plait.paths.marks import TABLE_TUNNEL
from plait.paths.model import Endpoint, EndpointFlags, HostState, Snapshot
from plait.paths.standing import Condition, Standing

from .scene import ATTIC, FAR, config, host, index, path, told, with_routes

WANS = host(wan1="10.1.1.78/24", wan2="10.2.2.78/24", wan3="10.3.3.78/24")
DEFAULTS = ["default via 10.1.1.1 dev wan1", "default via 10.2.2.1 dev wan2 metric 5"]


def want(
    configured: Config,
    snapshot: Snapshot = WANS,
    health: dict[str, bool] | None = None,
    peers: dict[str, tuple[IPAddress, ...]] = ATTIC,
) -> HostState:
    return policy.desired(configured, snapshot, peers, told(health))


def endpoints(state: HostState) -> str:
    """``201 202b``: ids, with b for backup."""
    return " ".join(
        f"{each.id}{'b' if EndpointFlags.BACKUP in each.flags else ''}" for each in state.endpoints
    )


def dialled(configured: Config, snapshot: Snapshot = WANS, health: dict[str, bool] | None = None) -> str:
    return " ".join(way.interface for way in ways(configured, snapshot, ATTIC, told(health))["attic"])


def plan(state: HostState, snapshot: Snapshot = WANS) -> list[str]:
    return [change.line() for change in diff(snapshot, state)]


CUT = host(wan1="10.1.1.78/24 no-carrier", wan2="10.2.2.78/24")
DARK = host(wan1="10.1.1.78/24 no-carrier", wan2="10.2.2.78/24 no-carrier")
BAD = {"wan1": False}
ALL_BAD = {"wan1": False, "wan2": False}


@pytest.mark.parametrize(
    ("first", "second", "snapshot", "health", "expected_endpoints", "expected_ways"),
    [
        # the five words, alone
        (Mode.ON, Mode.ON, WANS, {}, "201 202", "wan1 wan2"),
        (Mode.ON, Mode.MASTER, WANS, {}, "201 202", "wan2 wan1"),
        (Mode.ON, Mode.OFF, WANS, {}, "201", "wan1"),
        (Mode.ON, Mode.BACKUP, WANS, {}, "201 202b", "wan1 wan2"),
        (Mode.BACKUP, Mode.ON, WANS, {}, "201b 202", "wan2 wan1"),
        (Mode.ON, Mode.HANDOVER, WANS, {}, "201", "wan1"),
        (Mode.HANDOVER, Mode.BACKUP, WANS, {}, "202b", "wan2"),
        (Mode.OFF, Mode.OFF, WANS, {}, "", ""),
        # the first link is cut
        (Mode.ON, Mode.ON, CUT, {}, "202", "wan2"),
        (Mode.MASTER, Mode.BACKUP, CUT, {}, "202b", "wan2"),
        (Mode.ON, Mode.HANDOVER, CUT, {}, "202", "wan2"),
        (Mode.ON, Mode.OFF, CUT, {}, "", ""),
        (Mode.ON, Mode.ON, DARK, {}, "", ""),
        # the prober says that the first is bad
        (Mode.ON, Mode.ON, WANS, BAD, "202", "wan2"),
        (Mode.ON, Mode.HANDOVER, WANS, BAD, "202", "wan2"),
        (Mode.ON, Mode.OFF, WANS, BAD, "201", "wan1"),
        (Mode.BACKUP, Mode.ON, WANS, {"wan2": False}, "201b", "wan1"),
        # bad everywhere is nobody's fault: nothing is touched
        (Mode.ON, Mode.ON, WANS, ALL_BAD, "201 202", "wan1 wan2"),
        (Mode.ON, Mode.HANDOVER, WANS, ALL_BAD, "201", "wan1"),
        # bad and cut
        (Mode.ON, Mode.ON, CUT, {"wan2": False}, "202", "wan2"),
        (Mode.HANDOVER, Mode.HANDOVER, WANS, {}, "201 202", "wan1 wan2"),
    ],
)
def test_modes_and_health(
    first: Mode,
    second: Mode,
    snapshot: Snapshot,
    health: dict[str, bool],
    expected_endpoints: str,
    expected_ways: str,
) -> None:
    configured = config(path("wan1", first), path("wan2", second))
    assert endpoints(want(configured, snapshot, health)) == expected_endpoints
    assert dialled(configured, snapshot, health) == expected_ways


@pytest.mark.parametrize(
    ("plain", "expected"), [((), "201 202"), (("wan1",), "202"), (("wan1", "wan2"), "201 202")]
)
def test_no_subflow_is_tried_where_mptcp_does_not_work(plain: tuple[str, ...], expected: str) -> None:
    health = {name: Standing(condition=Condition.UP, plain="stripped") for name in plain}
    state = policy.desired(config(path("wan1"), path("wan2")), WANS, ATTIC, health)
    assert endpoints(state) == expected
    assert any(route.table == 18801 for route in state.routes), "it is a path all the same"


def test_an_endpoint_is_bound_to_its_link() -> None:
    state = want(config(path("wan1"), path("wan2")))
    assert state.endpoints == (
        Endpoint(id=201, address=ip_address("10.1.1.78"), flags=EndpointFlags.SUBFLOW, ifindex=3),
        Endpoint(id=202, address=ip_address("10.2.2.78"), flags=EndpointFlags.SUBFLOW, ifindex=4),
    )


def test_the_seeds_tables() -> None:
    """The exit's address on the other bridge is reached by way of its address on this one."""
    lines = plan(want(config(path("wan1"), path("wan2"))))
    assert [line for line in lines if line.startswith("ip route") and "local" not in line] == [
        "ip route replace 10.1.1.0/24 dev wan1 table 18801 proto 178 metric 1024",
        "ip route replace 10.2.2.0/24 dev wan2 table 18802 proto 178 metric 1024",
        "ip route replace 10.2.2.70 via 10.1.1.70 dev wan1 table 18801 proto 178 metric 1024",
        "ip route replace 10.1.1.70 via 10.2.2.70 dev wan2 table 18802 proto 178 metric 1024",
    ]


def test_a_mesh_without_default_routes_goes_by_the_hop_that_it_knows() -> None:
    snapshot = with_routes(WANS, "10.7.7.0/24 via 10.1.1.5 dev wan1")
    peers = {"attic": (ip_address("10.7.7.70"), ip_address("10.8.8.70"))}
    state = policy.desired(config(path("wan1")), snapshot, peers, {})
    assert "ip route replace 10.8.8.70 via 10.1.1.5 dev wan1 table 18801 proto 178 metric 1024" in plan(state)


def test_no_detour_where_the_owner_has_a_route_or_a_default_route_will_do() -> None:
    snapshot = with_routes(WANS, "10.2.2.0/24 via 10.1.1.5 dev wan1")
    hosts = [each for each in want(config(path("wan1")), snapshot).routes if each.dst.prefixlen == 32]
    assert hosts == []
    snapshot = with_routes(WANS, "198.51.100.0/24 via 10.1.1.5 dev wan1", DEFAULTS[0])
    peers = {"attic": (ip_address("198.51.100.7"), ip_address("203.0.113.7"))}
    state = policy.desired(config(path("wan1")), snapshot, peers, {})
    assert [each for each in state.routes if each.dst.prefixlen == 32] == []


@pytest.mark.parametrize(
    ("first", "second", "snapshot", "health", "table"),
    [
        (Mode.MASTER, Mode.ON, WANS, {}, 18801),
        (Mode.ON, Mode.MASTER, WANS, {}, 18802),
        (Mode.ON, Mode.ON, WANS, {}, None),
        (Mode.MASTER, Mode.ON, CUT, {}, 18802),
        (Mode.MASTER, Mode.ON, WANS, BAD, 18802),
        (Mode.MASTER, Mode.BACKUP, CUT, {}, 18802),
        (Mode.MASTER, Mode.HANDOVER, CUT, {}, 18802),
        (Mode.MASTER, Mode.OFF, CUT, {}, None),
        (Mode.MASTER, Mode.ON, DARK, {}, None),
    ],
)
def test_the_master_is_the_way_of_all_the_rest(
    first: Mode, second: Mode, snapshot: Snapshot, health: dict[str, bool], table: int | None
) -> None:
    configured = config(path("wan1", first), path("wan2", second))
    state = want(configured, with_routes(snapshot, *DEFAULTS), health)
    rules = [rule for rule in state.rules if rule.priority in (890, 891)]
    if table is None:
        assert rules == []
    else:
        assert [(rule.priority, rule.table, rule.suppress) for rule in rules] == [
            (890, 254, 0),
            (891, table, None),
        ]


def test_a_master_without_a_default_route_leaves_the_rest_alone() -> None:
    state = want(config(path("wan1", Mode.MASTER)))
    assert [rule for rule in state.rules if rule.priority >= 890] == []


def test_the_master_may_have_a_default_route_in_one_family_only() -> None:
    snapshot = with_routes(host(wan1="10.1.1.78/24 2001:db8:1::78/64"), "default via fe80::1 dev wan1")
    state = want(config(path("wan1", Mode.MASTER)), snapshot)
    assert {rule.family for rule in state.rules if rule.priority >= 890} == {6}


def test_rules_of_a_path() -> None:
    state = want(config(path("wan1")), with_routes(host(wan1="10.1.1.78/24 2001:db8:1::78/64")))
    own = [
        (rule.priority, rule.family, rule.oif or str(rule.source), rule.table)
        for rule in state.rules
        if rule.priority > 800
    ]
    assert own == [
        (810, 4, "wan1", 254),
        (811, 4, "wan1", 18801),
        (810, 6, "wan1", 254),
        (811, 6, "wan1", 18801),
        (820, 4, "10.1.1.78/32", 254),
        (821, 4, "10.1.1.78/32", 18801),
        (820, 6, "2001:db8:1::78/128", 254),
        (821, 6, "2001:db8:1::78/128", 18801),
    ]


def test_a_path_that_is_off_leaves_no_trace() -> None:
    on, off = config(path("wan1")), config(path("wan1"), path("wan2", Mode.OFF))
    assert replace(want(on), sysctls={}) == replace(want(off), sysctls={})


def test_both_families_have_an_endpoint_the_dialled_one_first() -> None:
    snapshot = with_routes(
        host(wan1="10.1.1.78/24 2001:db8:1::78/64", wan2="10.2.2.78/24 2001:db8:2::78/64"),
        *DEFAULTS,
        "default via fe80::1 dev wan1",
        "default via fe80::2 dev wan2",
    )
    state = policy.desired(config(path("wan1"), path("wan2")), snapshot, FAR, {})
    assert {each.id: str(each.address) for each in state.endpoints} == {
        201: "10.1.1.78",
        202: "10.2.2.78",
        203: "2001:db8:1::78",
        204: "2001:db8:2::78",
    }
    turned = {"attic": FAR["attic"][::-1]}
    state = policy.desired(config(path("wan1"), path("wan2")), snapshot, turned, {})
    assert {each.id: each.address.version for each in state.endpoints} == {201: 6, 202: 6, 203: 4, 204: 4}


def test_a_family_in_which_no_exit_can_be_reached_takes_no_endpoint() -> None:
    snapshot = with_routes(host(wan1="10.1.1.78/24 2001:db8:1::78/64"), DEFAULTS[0])
    state = policy.desired(config(path("wan1")), snapshot, FAR, {})
    assert [str(each.address) for each in state.endpoints] == ["10.1.1.78"]


def test_a_path_that_reaches_no_exit_is_not_up() -> None:
    """Handover steps in, for instance while DHCP has not brought a route yet."""
    snapshot = with_routes(WANS, "default via 10.2.2.1 dev wan2")
    configured = config(path("wan1"), path("wan2", Mode.HANDOVER))
    state = policy.desired(configured, snapshot, FAR, {})
    assert [each.id for each in state.endpoints] == [202]


def test_while_names_are_not_resolved_every_path_counts() -> None:
    state = policy.desired(config(path("wan1"), path("wan2")), WANS, {}, {})
    assert endpoints(state) == "201 202"


def test_ids_do_not_move_when_another_path_comes_or_goes() -> None:
    configured = config(path("wan1"), path("wan2"), path("wan3"))
    peers = {"attic": (*ATTIC["attic"], ip_address("10.3.3.70"))}
    whole = {each.address: each.id for each in policy.desired(configured, WANS, peers, {}).endpoints}
    for lost in ("wan1", "wan2", "wan3"):
        links = tuple(replace(link, carrier=link.name != lost) for link in WANS.links)
        state = policy.desired(configured, replace(WANS, links=links), peers, {})
        assert len(state.endpoints) == 2
        assert all(whole[each.address] == each.id for each in state.endpoints)


def test_a_ninth_path_has_no_endpoint_and_says_so() -> None:
    paths = tuple(Path(interface="wan1", name=f"p{number}") for number in range(9))
    links = tuple(link for link in WANS.links if link.name == "wan1")
    many = replace(
        WANS,
        links=links + tuple(replace(links[0], index=100 + number, name=f"w{number}") for number in range(9)),
        addresses=tuple(
            replace(
                WANS.addresses[1],
                index=100 + number,
                address=ip_address(f"10.1.1.{100 + number}"),
            )
            for number in range(9)
        ),
    )
    configured = config(*(replace(each, interface=f"w{number}") for number, each in enumerate(paths)))
    state = want(configured, many)
    assert len(state.endpoints) == 8
    assert state.notes == ("p8: no MPTCP endpoint left, the kernel has but eight",)


def test_another_programs_endpoint_is_respected_and_named() -> None:
    foreign = Endpoint(id=1, address=ip_address("10.1.1.78"), flags=EndpointFlags.SUBFLOW, ifindex=3)
    state = want(config(path("wan1"), path("wan2")), replace(WANS, endpoints=(foreign,)))
    assert endpoints(state) == "202"
    assert state.notes[0].startswith("wan1: MPTCP endpoint 1 on 10.1.1.78 is another program's")


def test_interception_plumbing_only_where_it_is_used() -> None:
    def tables(gateway: Gateway) -> set[int]:
        return {route.table for route in want(config(path("wan1"), gateway=gateway)).routes}

    assert 18800 in tables(Gateway(lan=("lan",)))
    assert 18800 not in tables(Gateway(lan=("lan",), intercept=Intercept.REDIRECT))
    assert 18800 not in tables(Gateway(lan=("lan",), tcp=TcpVia.DIRECT))
    assert 18800 in tables(Gateway(lan=("lan",), tcp=TcpVia.DIRECT, udp=UdpVia.SHADOWSOCKS))
    assert 18800 in tables(Gateway(lan=("lan",), intercept=Intercept.REDIRECT, udp=UdpVia.SHADOWSOCKS))


def test_tcp_direct_takes_nothing_and_has_no_endpoints() -> None:
    state = want(config(path("wan1"), gateway=Gateway(lan=("lan",), tcp=TcpVia.DIRECT)))
    assert (state.ruleset, state.endpoints) == (None, ())


def test_an_exit_wants_limits_and_sysctls() -> None:
    state = policy.desired(Config(exit=Exit()), WANS, {}, {})
    assert state == HostState(limits=policy.LIMITS, sysctls=state.sysctls)
    assert state.sysctls["net/mptcp/blackhole_timeout"] == "0"
    assert policy.desired(Config(), WANS, {}, {}) == HostState()


def test_what_is_of_interest() -> None:
    found = policy.interest(config(path("wan1"), path("eth0.2")), ATTIC)
    assert found.interfaces == ("wan1", "eth0.2")
    assert found.destinations == ATTIC["attic"]
    assert "net/ipv4/conf/eth0.2/rp_filter" in found.sysctls
    assert not [key for key in policy.interest(Config(exit=Exit()), {}).sysctls if "rp_filter" in key]


MODES = st.sampled_from(list(Mode))
LINKS = st.sampled_from(["10.{0}.{0}.78/24", "10.{0}.{0}.78/24 no-carrier", "", "2001:db8:{0}::78/64"])


@given(st.lists(MODES, min_size=3, max_size=3), st.lists(LINKS, min_size=3, max_size=3), st.data())
def test_whatever_happens(modes: list[Mode], links: list[str], data: st.DataObject) -> None:
    """Some truths about every host, whatever the modes, the links and their health."""
    names = ("wan1", "wan2", "wan3")
    configured = config(*(path(name, mode) for name, mode in zip(names, modes, strict=True)))
    snapshot = host(
        **{name: link.format(i) for i, (name, link) in enumerate(zip(names, links, strict=True), 1)}
    )
    health = data.draw(st.dictionaries(st.sampled_from(names), st.booleans()))
    state = policy.desired(configured, snapshot, ATTIC, told(health))
    found = ways(configured, snapshot, ATTIC, told(health))["attic"]
    indices = {link.index: link for link in snapshot.links}
    assert all(indices[each.ifindex].carrier for each in state.endpoints)
    assert len({each.id for each in state.endpoints}) == len(state.endpoints)
    assert len(set(state.rules)) == len(state.rules)
    assert {way.interface for way in found} == {indices[each.ifindex].name for each in state.endpoints}
    assert Mode.OFF not in {way.mode for way in found}
    if {way.mode for way in found} - {Mode.HANDOVER}:
        assert Mode.HANDOVER not in {way.mode for way in found}
    if any(health.get(way.path, True) for way in found):
        assert all(health.get(way.path, True) for way in found)
    assert state == policy.desired(configured, snapshot, ATTIC, told(health))


def test_networks_are_compared_within_their_family() -> None:
    """Each pair of families, so that no table holds a route of the wrong one."""
    for local, remote in product(("10.1.1.78/24", "2001:db8:1::78/64"), FAR["attic"]):
        snapshot = with_routes(host(wan1=local), DEFAULTS[0], "default via fe80::1 dev wan1")
        state = policy.desired(config(path("wan1")), snapshot, {"attic": (remote,)}, {})
        family = ip_network(local, strict=False).version
        assert {each.dst.version for each in state.routes if each.table == 18801} == {family}
        assert len(state.endpoints) == (remote.version == family)


@pytest.mark.parametrize(
    ("addresses", "versions"),
    [("10.188.0.2/16 fe80::1/64", {4}), ("fd18::2/64 fe80::1/64", {6}), ("10.188.0.2/16 fd18::2/64", {4, 6})],
)
def test_the_tunnel_carries_what_it_has_addresses_for(addresses: str, versions: set[int]) -> None:
    """The kernel gives every device a link-local address: that must not draw IPv6 into an IPv4 tunnel."""
    snapshot = host(wan1="10.1.1.78/24", tun0=addresses)
    state = policy.desired(config(path("wan1")), snapshot, ATTIC, told({}), tunnels={0: index("tun0")})
    assert {route.dst.version for route in state.routes if route.table == TABLE_TUNNEL} == versions
    assert {rule.family for rule in state.rules if rule.table == TABLE_TUNNEL} == versions
