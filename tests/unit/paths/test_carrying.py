"""The tunnel's tables and routes."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from plait.config.model import (
    Config,
    Exit,
    Gateway,
    Path,
    Peer,
    Protocol,
    Rule,
    Secret,
    TcpVia,
    Tunnel,
    UdpVia,
    Verdict,
    WhenExitLost,
)
from plait.paths.carrying import far_table, near_table, routing, wants_tunnel
from plait.paths.marks import FWMARK_MASK, FWMARK_TUNNEL, PROTOCOL, TABLE_TUNNEL
from plait.paths.model import TABLE_MAIN
from plait.paths.policy import desired

from .scene import config as scene_config
from .scene import host

EXITS = {"attic": (ip_address("192.0.2.70"), ip_address("2001:db8::70"))}


def config(
    *,
    tcp: TcpVia = TcpVia.MPTCP,
    udp: UdpVia = UdpVia.TUNNEL,
    lost: WhenExitLost = WhenExitLost.DIRECT,
    rules: tuple[Rule, ...] = (),
    masquerade: bool = True,
) -> Config:
    return Config(
        gateway=Gateway(
            lan=("lan", "wlan"),
            tcp=tcp,
            udp=udp,
            when_exit_lost=lost,
            bypass=(ip_network("198.51.100.0/24"),),
        ),
        peers=tuple(
            Peer(name=name, address=("192.0.2.70",), password=Secret("x")) for name in ("attic", "cellar")
        ),
        paths=(Path(interface="wan1", name="wan1"),),
        rules=rules,
        exit=Exit(
            password=Secret("x"), allow=(ip_network("10.9.0.0/16"),), deny=(ip_network("10.9.9.0/24"),)
        ),
        tunnel=Tunnel(masquerade=masquerade),
    )


def chain(text: str, name: str) -> list[str]:
    inside = text.partition(f"chain {name} {{\n")[2].partition("\t}\n")[0]
    return [line.strip() for line in inside.splitlines()]


def near(config: Config, *, taking: bool = True) -> str:
    return near_table(config, EXITS, "plait0", taking=taking).text


@pytest.mark.parametrize(
    ("tcp", "udp", "expected"),
    [
        (TcpVia.MPTCP, UdpVia.TUNNEL, True),
        (TcpVia.TUNNEL, UdpVia.DIRECT, True),
        (TcpVia.MPTCP, UdpVia.DIRECT, False),
        (TcpVia.DIRECT, UdpVia.SHADOWSOCKS, False),
    ],
)
def test_who_wants_a_tunnel(tcp: TcpVia, udp: UdpVia, expected: bool) -> None:
    assert wants_tunnel(Gateway(lan=("lan",), tcp=tcp, udp=udp)) == expected


@pytest.mark.parametrize(
    ("tcp", "udp", "line"),
    [
        (TcpVia.MPTCP, UdpVia.TUNNEL, "meta l4proto tcp return"),
        (TcpVia.TUNNEL, UdpVia.DIRECT, "meta l4proto != tcp return"),
        (TcpVia.TUNNEL, UdpVia.TUNNEL, None),
    ],
)
def test_what_is_carried(tcp: TcpVia, udp: UdpVia, line: str | None) -> None:
    lines = chain(near(config(tcp=tcp, udp=udp)), "carry")
    assert [each for each in lines if "l4proto" in each] == ([line] if line else [])


def test_the_order_of_decisions_at_a_gateway() -> None:
    rules = (
        Rule(to=Verdict.BLOCK, port=((25, 25),)),
        Rule(to="cellar", source=(ip_network("192.168.1.9/32"),)),
        Rule(to="attic", destination=(ip_network("10.7.0.0/16"),)),
        Rule(to=Verdict.DIRECT, protocol=(Protocol.UDP,), mac=("02:00:00:00:00:01",)),
        Rule(to=Verdict.BLOCK, protocol=(Protocol.TCP,)),
    )
    lines = chain(near(config(rules=rules)), "carry")
    assert lines[1] == 'iifname != { "lan", "wlan" } return'
    order = [
        "ct mark & 0x0f000000 == 0x03000000",  # what is in the tunnel stays there
        "ct state != new return",  # what is not, never comes into it
        "fib daddr type",
        'fib daddr oifname { "lan", "wlan" } return',
        "ip daddr @exits4 return",
        "ip daddr @bypass4 return",
        "meta l4proto udp ip daddr != @reserved4 udp dport { 25 } reject",
        "ip saddr { 192.168.1.9 } ip daddr != @reserved4 return",
        "ip daddr { 10.7.0.0/16 } ct mark set",
        "meta l4proto udp ether saddr { 02:00:00:00:00:01 } return",
        "ip daddr @reserved4 return",
        "ct mark set",
    ]
    places = [next(at for at, line in enumerate(lines) if line.startswith(start)) for start in order]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("lost", "taking", "last"),
    [
        (WhenExitLost.DIRECT, True, "accept"),
        (WhenExitLost.BLOCK, True, "accept"),
        (WhenExitLost.DIRECT, False, "return"),
        (WhenExitLost.BLOCK, False, "reject"),
    ],
)
def test_when_the_exit_is_lost(lost: WhenExitLost, taking: bool, last: str) -> None:
    lines = chain(near(config(lost=lost), taking=taking), "carry")
    assert lines[-1].endswith(last)
    assert any(line.startswith("ct mark &") for line in lines), "what is in the tunnel waits there"


def test_nobody_at_the_far_end_begins_anything() -> None:
    text = near(config())
    for name in ("guard", "guard_host"):
        assert chain(text, name)[1] == 'iifname "plait0" ct state != { established, related } drop'
    assert chain(text, "leave")[1] == 'oifname "plait0" masquerade'


@pytest.mark.parametrize("masquerade", [True, False])
def test_an_exit_admits_what_it_would_dial(masquerade: bool) -> None:
    text = far_table(config(masquerade=masquerade), "plait0", ip_network("10.188.0.0/16")).text
    assert chain(text, "admit")[1:] == [
        'oifname "plait0" ct state != { established, related } drop',
        'iifname != "plait0" return',
        "ip saddr != 10.188.0.0/16 drop",
        "ip daddr @deny4 reject",
        "ip daddr @allow4 accept",
        "ip daddr @reserved4 reject",
    ]
    assert chain(text, "guard_host")[-2:] == [
        "ip daddr 10.188.0.1 meta l4proto { icmp, ipv6-icmp } accept",
        "drop",
    ]
    assert ("masquerade" in text) == masquerade
    assert "10.9.0.0/16," in text


def test_digests_tell_tables_apart() -> None:
    one = near_table(config(), EXITS, "plait0", taking=True)
    assert one == near_table(config(), EXITS, "plait0", taking=True)
    assert one.digest != near_table(config(), EXITS, "plait0", taking=False).digest
    assert one.digest in one.text


def test_marked_packets_are_led_into_the_device() -> None:
    routes, rules = routing(9, [4, 6, 4])
    assert [(str(route.dst), route.oif, route.table) for route in routes] == [
        ("0.0.0.0/0", 9, TABLE_TUNNEL),
        ("::/0", 9, TABLE_TUNNEL),
    ]
    assert {(rule.mark, rule.mask, rule.protocol, rule.table) for rule in rules} == {
        (FWMARK_TUNNEL, FWMARK_MASK, PROTOCOL, TABLE_TUNNEL)
    }
    assert TABLE_TUNNEL != TABLE_MAIN
    assert routing(9, []) == ([], [])


def test_the_host_is_wanted_with_a_way_into_the_tunnel() -> None:
    snapshot = host()
    device = snapshot.links[0].index
    state = desired(scene_config(), snapshot, {}, {}, tunnel=device)
    assert [route.oif for route in state.routes if route.table == TABLE_TUNNEL] == [device] * len(
        {each.address.version for each in snapshot.addresses if each.index == device}
    )
    without = desired(scene_config(), snapshot, {}, {})
    assert not [route for route in without.routes if route.table == TABLE_TUNNEL]
