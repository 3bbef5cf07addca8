from __future__ import annotations

import dataclasses
from ipaddress import ip_address, ip_network
from typing import get_args

import pytest

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
from plait.paths.model import (
    Endpoint,
    EndpointFlags,
    MptcpLimits,
    PolicyRule,
    Route,
    RouteKind,
    Ruleset,
)

ENDPOINT = Endpoint(id=201, address=ip_address("10.1.1.78"), flags=EndpointFlags.SUBFLOW, ifindex=3)
BACKUP = dataclasses.replace(ENDPOINT, flags=EndpointFlags.SUBFLOW | EndpointFlags.BACKUP)
ROUTE = Route(dst=ip_network("10.1.1.0/24"), oif=3, table=18801, metric=1024, protocol=178)
RULE = PolicyRule(priority=811, family=4, table=18801, oif="wan1", protocol=178)


def route(**changes: object) -> Route:
    return dataclasses.replace(ROUTE, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (AddEndpoint(ENDPOINT, "wan1"), "ip mptcp endpoint add 10.1.1.78 dev wan1 id 201 subflow"),
        (AddEndpoint(BACKUP, "wan1"), "ip mptcp endpoint add 10.1.1.78 dev wan1 id 201 subflow backup"),
        (DeleteEndpoint(ENDPOINT, "wan1"), "ip mptcp endpoint delete id 201"),
        (FlagEndpoint(ENDPOINT), "ip mptcp endpoint change id 201 nobackup"),
        (FlagEndpoint(BACKUP), "ip mptcp endpoint change id 201 backup"),
        (SetLimits(MptcpLimits(subflows=8, add_addr_accepted=2)),
         "ip mptcp limits set subflows 8 add_addr_accepted 2"),
        (PutRoute(ROUTE, "wan1"),
         "ip route replace 10.1.1.0/24 dev wan1 table 18801 proto 178 metric 1024"),
        (DeleteRoute(ROUTE, "wan1"),
         "ip route delete 10.1.1.0/24 dev wan1 table 18801 proto 178 metric 1024"),
        (PutRoute(route(dst=ip_network("0.0.0.0/0"), gateway=ip_address("10.9.9.9"), onlink=True), "wan1"),
         "ip route replace default via 10.9.9.9 dev wan1 table 18801 proto 178 metric 1024 onlink"),
        (PutRoute(route(dst=ip_network("::/0"), gateway=ip_address("fe80::1")), "wan1"),
         "ip -6 route replace default via fe80::1 dev wan1 table 18801 proto 178 metric 1024"),
        (PutRoute(route(dst=ip_network("0.0.0.0/0"), gateway=ip_address("fe80::1")), "wan1"),
         "ip route replace default via inet6 fe80::1 dev wan1 table 18801 proto 178 metric 1024"),
        (PutRoute(route(dst=ip_network("10.2.2.70/32"), gateway=ip_address("10.1.1.70")), "wan1"),
         "ip route replace 10.2.2.70 via 10.1.1.70 dev wan1 table 18801 proto 178 metric 1024"),
        (PutRoute(route(dst=ip_network("::/0"), kind=RouteKind.LOCAL, table=18800), "lo"),
         "ip -6 route replace local default dev lo table 18800 proto 178 metric 1024"),
        (AddRule(RULE), "ip rule add pref 811 oif wan1 lookup 18801 protocol 178"),
        (DeleteRule(RULE), "ip rule delete pref 811 oif wan1 lookup 18801 protocol 178"),
        (AddRule(PolicyRule(priority=820, family=6, table=254, source=ip_network("2001:db8::1"), suppress=0,
                            protocol=178)),
         "ip -6 rule add pref 820 from 2001:db8::1 lookup main suppress_prefixlength 0 protocol 178"),
        (AddRule(PolicyRule(priority=800, family=4, table=18800, mark=0x1000000, mask=0xF000000,
                            protocol=178)),
         "ip rule add pref 800 fwmark 0x1000000/0xf000000 lookup 18800 protocol 178"),
        (SetSysctl("net/mptcp/enabled", "1", "0"), "sysctl -w net/mptcp/enabled=1"),
        (SetSysctl("net/ipv4/tcp_wmem", "1\t2\t3", "1\t2\t2"), 'sysctl -w net/ipv4/tcp_wmem="1 2 3"'),
        (LoadTable(Ruleset(text="table inet plait {\n}\n", digest="d")),
         "nft -f - <<'EOF'\ntable inet plait {\n}\nEOF"),
        (DropTable(), "nft delete table inet plait"),
    ],
)  # fmt: skip
def test_each_change_is_a_line_one_could_type(change: Change, line: str) -> None:
    assert change.line() == line


def test_all_changes_are_frozen_values() -> None:
    kinds = get_args(Change)
    assert len(kinds) == 11
    for kind in kinds:
        assert kind.__dataclass_params__.frozen
        assert hash(kind) is not None
