"""The tunnel's tables and routes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from plait.config.model import (
    Config,
    Exit,
    Gateway,
    OwnVia,
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
from plait.paths.carrying import NearEnd, Offers, device_of, near_table, routing, wants_tunnel
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


ATTIC = NearEnd(exit="attic", slot=0, device="plait0", versions=frozenset({4, 6}))
CELLAR = NearEnd(exit="cellar", slot=1, device="plait1", versions=frozenset({4, 6}))
WELL = {"attic": "attic", "cellar": "cellar"}
LOST: dict[str, str | None] = {"attic": None, "cellar": None}


def offers(
    *ends: NearEnd, serving: Mapping[str, str | None] = WELL, without: Iterable[str] = ("cellar",)
) -> Offers:
    return Offers(ends={end.exit: end for end in ends}, without=frozenset(without), serving=serving)


def near(config: Config, known: Offers | None = None) -> str:
    table = near_table(config, EXITS, known or offers(ATTIC))
    assert table is not None
    return table.text


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
        "ct mark & 0x0f000000 vmap { 0x03000000 : goto into_0 }",  # what is in the tunnel stays there
        "ct state != new return",  # what is not, never comes into it
        "fib daddr type",
        'fib daddr oifname { "lan", "wlan" } return',
        "ip daddr @exits4 return",
        "ip daddr @bypass4 return",
        "meta l4proto udp ip daddr != @reserved4 udp dport { 25 } goto refuse",
        "ip saddr { 192.168.1.9 } ip daddr != @reserved4 goto into_0",  # the cellar serves none
        "ip daddr @reserved4 ip daddr { 10.7.0.0/16 } goto into_0",
        "ip daddr { 10.7.0.0/16 } goto into_0",
        "meta l4proto udp ether saddr { 02:00:00:00:00:01 } return",
        "ip daddr @reserved4 return",
        "goto into_0",
    ]
    places = [next(at for at, line in enumerate(lines) if line.startswith(start)) for start in order]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("lost", "known", "last"),
    [
        (WhenExitLost.DIRECT, offers(ATTIC), ["goto into_0"]),
        (WhenExitLost.BLOCK, offers(ATTIC), ["goto into_0"]),
        (WhenExitLost.DIRECT, offers(ATTIC, serving=LOST), ["return"]),
        (WhenExitLost.BLOCK, offers(ATTIC, serving=LOST), ["goto refuse"]),
        # The first exit is lost: the second one's tunnel, if it has one.
        (WhenExitLost.BLOCK, offers(ATTIC, CELLAR, serving={**WELL, "attic": "cellar"}), ["goto into_1"]),
        (WhenExitLost.BLOCK, offers(ATTIC, serving={**WELL, "attic": "cellar"}), ["goto refuse"]),
        # It has none, and the second one has.
        (WhenExitLost.DIRECT, offers(CELLAR, without=["attic"]), ["goto into_1"]),
        # It carries one version only.
        (
            WhenExitLost.BLOCK,
            offers(replace(ATTIC, versions=frozenset({4}))),
            ["meta nfproto ipv4 goto into_0", "meta nfproto ipv6 return"],
        ),
        # Before anything is known, nothing leaks.
        (WhenExitLost.BLOCK, offers(without=[]), ["goto refuse"]),
        (WhenExitLost.BLOCK, offers(without=["attic"], serving=LOST), ["goto refuse"]),
    ],
)
def test_who_carries_what_no_rule_is_about(lost: WhenExitLost, known: Offers, last: list[str]) -> None:
    text = near(config(lost=lost), known)
    assert chain(text, "carry")[-len(last) :] == last
    assert ("chain stay" in text) == (lost is WhenExitLost.BLOCK)
    for end in known.ends.values():
        mark = f"0x0{3 + end.slot}000000"
        assert any(f"{mark} : goto into_{end.slot}" in line for line in chain(text, "carry")), (
            "it stays there"
        )
        assert f"| {mark} accept" in chain(text, f"into_{end.slot}")[0]


@pytest.mark.parametrize(
    ("lost", "known"),
    [
        (WhenExitLost.DIRECT, offers(without=[])),
        (WhenExitLost.DIRECT, offers(serving=LOST)),
        (WhenExitLost.BLOCK, offers(without=["attic", "cellar"])),
    ],
)
def test_no_table_where_it_would_change_nothing(lost: WhenExitLost, known: Offers) -> None:
    assert near_table(config(lost=lost), EXITS, known) is None


def test_rules_lead_into_the_tunnels_of_their_exits() -> None:
    rules = (
        Rule(to="cellar", source=(ip_network("192.168.1.9/32"),)),
        Rule(to="cellar", destination=(ip_network("10.7.0.0/16"),)),
    )
    both = offers(ATTIC, CELLAR)
    lines = chain(near(config(rules=rules), both), "carry")
    assert "ip saddr { 192.168.1.9 } ip daddr != @reserved4 goto into_1" in lines
    assert "ip daddr { 10.7.0.0/16 } goto into_1" in lines
    # Private destinations are behind their own exit or nowhere.
    lost = offers(ATTIC, CELLAR, serving={**WELL, "cellar": "attic"})
    lines = chain(near(config(rules=rules), lost), "carry")
    assert "ip saddr { 192.168.1.9 } ip daddr != @reserved4 goto into_0" in lines
    assert "ip daddr @reserved4 ip daddr { 10.7.0.0/16 } return" in lines
    blocked = chain(near(config(rules=rules, lost=WhenExitLost.BLOCK), lost), "carry")
    assert "ip daddr @reserved4 ip daddr { 10.7.0.0/16 } goto refuse" in blocked


@pytest.mark.parametrize(
    ("own", "chains"),
    [(OwnVia.DIRECT, []), (OwnVia.DNS, ["own", "own_new"]), (OwnVia.TUNNEL, ["own", "own_new"])],
)
def test_what_the_gateway_itself_sends(own: OwnVia, chains: list[str]) -> None:
    wanted = config(lost=WhenExitLost.BLOCK)
    assert wanted.gateway is not None
    wanted = replace(wanted, gateway=replace(wanted.gateway, own=own))
    text = near(wanted)
    assert [name for name in ("own", "own_new") if f"chain {name} " in text] == chains
    if chains:
        assert ("dport { 53, 853 }" in text) == (own is OwnVia.DNS)
        lines = chain(text, "own_new")
        assert "ip daddr @exits4 return" in lines, "or the tunnel would go into itself"
        assert lines[-2:] == ["meta nfproto ipv4 goto into_0", "meta nfproto ipv6 goto into_0"]
        lost = near(wanted, offers(ATTIC, serving=LOST))
        assert not [line for line in chain(lost, "own_new") if "goto" in line], "never refused"


def test_tcp_is_taken_from_its_beginning_only() -> None:
    line = "tcp flags & (fin | syn | rst | ack) != syn return"
    assert line in chain(near(config(tcp=TcpVia.TUNNEL)), "carry")
    assert line not in chain(near(config()), "carry")


@pytest.mark.parametrize(
    ("name", "slot", "device"),
    [
        ("plait0", 0, "plait0"),
        ("plait0", 1, "plait1"),
        ("plait7", 3, "plait10"),
        ("tun", 2, "tun2"),
        ("longest-name-15", 9, "longest-name-24"),
        ("abcdefghijklmn9", 1, "abcdefghijklm10"),
    ],
)
def test_devices_are_counted(name: str, slot: int, device: str) -> None:
    assert device_of(name, slot) == device
    assert len(device) <= 15


def test_nobody_at_the_far_end_begins_anything() -> None:
    text = near(config())
    for name in ("guard", "guard_host"):
        assert chain(text, name)[1] == 'iifname { "plait0" } ct state != { established, related } drop'
    assert chain(text, "leave")[1:] == [
        'oifname { "plait0" } meta nfproto ipv4 masquerade',
        'oifname { "plait0" } meta nfproto ipv6 masquerade',
    ]


def test_routed_networks_keep_their_addresses_and_are_answered_through_the_tunnel() -> None:
    wanted = config()
    assert wanted.gateway is not None
    wanted = replace(wanted, gateway=replace(wanted.gateway, routed=(ip_network("192.168.5.0/24"),)))
    text = near(wanted, offers(ATTIC, CELLAR))
    assert chain(text, "leave")[1] == (
        'oifname { "plait0", "plait1" } ip saddr != { 192.168.5.0/24 } masquerade'
    )
    guard = chain(text, "guard")
    assert [line.split()[1] for line in guard[1:3]] == ['"plait0"', '"plait1"']
    assert "| 0x04000000 return" in guard[2]
    assert guard[3].endswith("drop")
    assert "192.168.5.0/24" not in "".join(chain(text, "guard_host"))


def test_digests_tell_tables_apart() -> None:
    one = near_table(config(), EXITS, offers(ATTIC))
    other = near_table(config(), EXITS, offers(ATTIC, serving=LOST))
    assert one is not None
    assert other is not None
    assert one == near_table(config(), EXITS, offers(ATTIC))
    assert one.digest != other.digest
    assert one.digest in one.text


def test_marked_packets_are_led_into_the_device() -> None:
    routes, rules = routing(0, 9, [4, 6, 4])
    assert [(str(route.dst), route.oif, route.table) for route in routes] == [
        ("0.0.0.0/0", 9, TABLE_TUNNEL),
        ("::/0", 9, TABLE_TUNNEL),
    ]
    assert {(rule.mark, rule.mask, rule.protocol, rule.table) for rule in rules} == {
        (FWMARK_TUNNEL, FWMARK_MASK, PROTOCOL, TABLE_TUNNEL)
    }
    assert TABLE_TUNNEL != TABLE_MAIN
    assert routing(0, 9, []) == ([], [])


def test_the_host_is_wanted_with_a_way_into_the_tunnel() -> None:
    snapshot = host()
    device = snapshot.links[0].index
    state = desired(scene_config(), snapshot, {}, {}, tunnels={0: device})
    assert [route.oif for route in state.routes if route.table == TABLE_TUNNEL] == [device] * len(
        {each.address.version for each in snapshot.addresses if each.index == device}
    )
    without = desired(scene_config(), snapshot, {}, {})
    assert not [route for route in without.routes if route.table == TABLE_TUNNEL]
