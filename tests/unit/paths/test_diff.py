from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.kernel.fake import FakeHost
from plait.paths.changes import (
    AddEndpoint,
    AddRule,
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
from plait.paths.diff import diff, teardown
from plait.paths.marks import PROTOCOL
from plait.paths.model import (
    Endpoint,
    EndpointFlags,
    HostState,
    Interest,
    MptcpLimits,
    PolicyRule,
    Route,
    Ruleset,
    Snapshot,
)

LIMITS = MptcpLimits(subflows=8, add_addr_accepted=8)
RULES = Ruleset(text="table inet plait {\n}\n", digest="new")


def endpoint(number: int, address: str = "10.1.1.78", *, ifindex: int = 3, backup: bool = False) -> Endpoint:
    flags = EndpointFlags.SUBFLOW | (EndpointFlags.BACKUP if backup else EndpointFlags.NONE)
    return Endpoint(id=number, address=ip_address(address), flags=flags, ifindex=ifindex)


def route(dst: str, table: int = 18801, *, via: str | None = None, oif: int = 3) -> Route:
    return Route(
        dst=ip_network(dst),
        oif=oif,
        table=table,
        gateway=ip_address(via) if via else None,
        metric=1024,
        protocol=PROTOCOL,
    )


def rule(priority: int, table: int = 18801) -> PolicyRule:
    return PolicyRule(priority=priority, family=4, table=table, oif="wan1", protocol=PROTOCOL)


def kinds(snapshot: Snapshot, state: HostState) -> list[str]:
    return [type(change).__name__ for change in diff(snapshot, state)]


def test_the_order_of_a_failover() -> None:
    snapshot = Snapshot(
        routes=(route("10.1.1.0/24"), route("0.0.0.0/0", via="10.1.1.1")),
        rules=(rule(811), rule(891)),
        endpoints=(endpoint(201), endpoint(202, "10.2.2.78")),
        limits=MptcpLimits(subflows=2, add_addr_accepted=0),
        sysctls={"net/mptcp/enabled": "0"},
    )
    state = HostState(
        routes=(route("0.0.0.0/0", 18802, via="10.2.2.1"), route("10.2.2.0/24", 18802)),
        rules=(rule(811), rule(891, 18802)),
        endpoints=(endpoint(202, "10.2.2.78", backup=True), endpoint(203, "10.3.3.78")),
        limits=LIMITS,
        sysctls={"net/mptcp/enabled": "1", "net/mptcp/not_on_this_kernel": "1"},
        ruleset=RULES,
    )
    assert diff(snapshot, state) == [
        DeleteEndpoint(endpoint(201), "if3"),
        SetSysctl("net/mptcp/enabled", "1", "0"),
        SetLimits(LIMITS),
        PutRoute(route("10.2.2.0/24", 18802), "if3"),  # what carries the next hop comes before it
        PutRoute(route("0.0.0.0/0", 18802, via="10.2.2.1"), "if3"),
        AddRule(rule(891, 18802)),
        DeleteRule(rule(891)),
        DeleteRoute(route("10.1.1.0/24"), "if3"),
        DeleteRoute(route("0.0.0.0/0", via="10.1.1.1"), "if3"),
        FlagEndpoint(endpoint(202, "10.2.2.78", backup=True)),
        AddEndpoint(endpoint(203, "10.3.3.78"), "if3"),
        LoadTable(RULES),
    ]


@pytest.mark.parametrize(
    ("present", "wanted", "expected"),
    [
        ([endpoint(201)], [endpoint(201)], []),
        ([], [endpoint(201)], ["AddEndpoint"]),
        ([endpoint(201)], [], ["DeleteEndpoint"]),
        ([endpoint(201)], [endpoint(201, "10.1.1.99")], ["DeleteEndpoint", "AddEndpoint"]),
        ([endpoint(201)], [endpoint(201, ifindex=9)], ["DeleteEndpoint", "AddEndpoint"]),
        ([endpoint(201)], [endpoint(201, backup=True)], ["FlagEndpoint"]),
        ([endpoint(201)], [endpoint(201, ifindex=9, backup=True)], ["DeleteEndpoint", "AddEndpoint"]),
        # two paths that exchange their addresses: both go before either comes
        ([endpoint(201), endpoint(202, "10.2.2.78")], [endpoint(201, "10.2.2.78"), endpoint(202)],
         ["DeleteEndpoint", "DeleteEndpoint", "AddEndpoint", "AddEndpoint"]),
        # other programs' stay, but for what the kernel made by itself on an address of ours
        ([endpoint(1)], [], []),
        ([replace(endpoint(1), flags=EndpointFlags.IMPLICIT)], [], []),
        ([replace(endpoint(1), flags=EndpointFlags.IMPLICIT)], [endpoint(201)],
         ["DeleteEndpoint", "AddEndpoint"]),
    ],
)  # fmt: skip
def test_endpoints(present: list[Endpoint], wanted: list[Endpoint], expected: list[str]) -> None:
    assert kinds(Snapshot(endpoints=tuple(present)), HostState(endpoints=tuple(wanted))) == expected


@pytest.mark.parametrize(
    ("present", "wanted", "expected"),
    [
        ([route("10.0.0.0/24")], [route("10.0.0.0/24")], []),
        # IPv4 is replaced in one step; IPv6 may end up beside it, so that the old one is named
        ([route("0.0.0.0/0", via="10.1.1.1")], [route("0.0.0.0/0", via="10.1.1.2")], ["PutRoute"]),
        ([route("::/0", via="fe80::1")], [route("::/0", via="fe80::2")], ["PutRoute", "DeleteRoute"]),
        ([route("0.0.0.0/0", oif=3)], [route("0.0.0.0/0", oif=4)], ["PutRoute"]),
        ([replace(route("0.0.0.0/0"), table=254)], [], []),
        ([replace(route("0.0.0.0/0"), protocol=4)], [], []),
    ],
)
def test_routes(present: list[Route], wanted: list[Route], expected: list[str]) -> None:
    assert kinds(Snapshot(routes=tuple(present)), HostState(routes=tuple(wanted))) == expected


def test_a_second_copy_of_a_rule_is_removed() -> None:
    twice = Snapshot(rules=(rule(811), rule(811)))
    assert diff(twice, HostState(rules=(rule(811),))) == [DeleteRule(rule(811))]


@pytest.mark.parametrize(
    ("present", "wanted", "expected"),
    [
        (None, None, []),
        (None, RULES, ["LoadTable"]),
        ("old", RULES, ["LoadTable"]),
        ("", RULES, ["LoadTable"]),
        ("new", RULES, []),
        ("old", None, ["DropTable"]),
        ("", None, ["DropTable"]),
    ],
)
def test_the_table(present: str | None, wanted: Ruleset | None, expected: list[str]) -> None:
    assert kinds(Snapshot(nft_digest=present), HostState(ruleset=wanted)) == expected


def test_a_kernel_without_a_path_manager_gets_no_limits() -> None:
    assert diff(Snapshot(limits=None), HostState(limits=LIMITS)) == []


def test_teardown_lets_the_lan_go_first_and_keeps_what_has_no_mark() -> None:
    snapshot = Snapshot(
        routes=(route("10.1.1.0/24"), replace(route("0.0.0.0/0"), table=254, protocol=3)),
        rules=(rule(811), rule(1001)),
        endpoints=(endpoint(201), endpoint(1, "10.9.9.9")),
        limits=LIMITS,
        nft_digest="new",
    )
    assert teardown(snapshot) == [
        DropTable(),
        DeleteEndpoint(endpoint(201), "if3"),
        DeleteRule(rule(811)),
        DeleteRoute(route("10.1.1.0/24"), "if3"),
    ]


ROUTES = st.builds(
    route,
    st.sampled_from(["0.0.0.0/0", "10.1.1.0/24", "10.2.2.70/32"]),
    st.sampled_from([18801, 18802]),
    via=st.sampled_from([None, "10.1.1.1", "10.1.1.2"]),
    oif=st.sampled_from([2, 3]),
)
STATES = st.builds(
    HostState,
    routes=st.lists(ROUTES, max_size=6, unique_by=lambda each: (each.dst, each.table)).map(tuple),
    rules=st.lists(st.builds(rule, st.integers(800, 803)), max_size=4, unique=True).map(tuple),
    endpoints=st.lists(
        st.builds(endpoint, st.integers(201, 204), st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
                  backup=st.booleans()),
        max_size=3, unique_by=(lambda each: each.id, lambda each: each.address),
    ).map(tuple),
    limits=st.sampled_from([None, LIMITS]),
    ruleset=st.sampled_from([None, RULES, replace(RULES, digest="other")]),
)  # fmt: skip


@given(st.lists(STATES, min_size=1, max_size=5))
def test_any_state_can_follow_any_other(states: list[HostState]) -> None:
    host = FakeHost()
    host.set_link("wan1")
    host.set_link("wan2")
    for state in states:
        assert host.apply(diff(host.observe(Interest()), state)) == []
        assert diff(host.observe(Interest()), state) == []
    assert host.apply(teardown(host.observe(Interest()))) == []
    assert teardown(host.observe(Interest())) == []
    assert (host.routes, host.rules, host.endpoints, host.nft_digest) == ([], [], {}, None)
