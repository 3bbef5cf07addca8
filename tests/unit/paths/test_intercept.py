"""The table as text. What it does in a kernel is tested in tests/netns/hands/test_interception.py."""

from __future__ import annotations

import os
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path as File

import pytest

from plait.config.model import (
    Config,
    Gateway,
    Intercept,
    IPAddress,
    Peer,
    Protocol,
    Proxy,
    Rule,
    Secret,
    TcpVia,
    UdpVia,
    Verdict,
    Web,
    WhenExitLost,
)
from plait.config.model import Path as Link
from plait.paths.intercept import for_dnsmasq, guards_doors, names_port, ports, ruleset, takes_names
from plait.paths.model import Detour
from plait.paths.nftext import RESERVED, learnt, seen

GOLDEN = File(__file__).parents[2] / "golden" / "nft"

PLAIN = Config(gateway=Gateway(lan=("lan",)), peers=(Peer(name="attic", address=("10.1.1.70",)),))
FULL = Config(
    gateway=Gateway(
        lan=("br-lan", "guest"),
        bypass=(ip_network("203.0.113.0/24"), ip_network("203.0.113.128/25"), ip_network("2001:db8:9::/48")),
        port=7000,
    ),
    peers=(
        Peer(name="attic", address=("attic.example",)),
        Peer(name="vps", address=("198.51.100.1",)),
    ),
    rules=(
        Rule(to="vps", source=(ip_network("192.168.5.32/27"), ip_network("fd00:5::/64"))),
        Rule(to=Verdict.BLOCK, port=((25, 25), (8050, 8100), (8000, 8060))),
        Rule(to="attic", destination=(ip_network("192.168.70.0/24"), ip_network("fd00:70::/64"))),
        Rule(
            to="vps",
            source=(ip_network("192.168.5.0/24"),),
            destination=(ip_network("fd00:71::/64"), ip_network("192.168.71.0/24")),
            port=((443, 443),),
        ),
        Rule(to=Verdict.DIRECT, source=(ip_network("192.168.5.7/32"), ip_network("192.168.5.6/31"))),
        Rule(to=Verdict.DIRECT, port=((22, 22),)),
    ),
)
ADDRESSES: dict[str, tuple[IPAddress, ...]] = {
    "attic": (ip_address("10.2.2.70"), ip_address("10.1.1.70"), ip_address("2001:db8::1")),
    "vps": (ip_address("198.51.100.1"),),
}


def other(config: Config, **changes: object) -> Config:
    assert config.gateway is not None
    return replace(config, gateway=replace(config.gateway, **changes))  # type: ignore[arg-type]


CASES = {
    "plain-tproxy": (PLAIN, True),
    "plain-redirect": (other(PLAIN, intercept=Intercept.REDIRECT), True),
    "full-tproxy": (FULL, True),
    "full-udp": (other(FULL, udp=UdpVia.SHADOWSOCKS), True),
    "only-udp": (other(PLAIN, tcp=TcpVia.DIRECT, udp=UdpVia.SHADOWSOCKS), True),
    "lost-block-udp": (other(PLAIN, udp=UdpVia.SHADOWSOCKS, when_exit_lost=WhenExitLost.BLOCK), False),
    "steered-tproxy": (replace(PLAIN, rules=FULL.rules[2:3]), True),
    "full-redirect": (other(FULL, intercept=Intercept.REDIRECT), True),
    "lost-direct-tproxy": (FULL, False),
    "lost-block-tproxy": (other(FULL, when_exit_lost=WhenExitLost.BLOCK), False),
    "lost-block-redirect": (
        other(FULL, intercept=Intercept.REDIRECT, when_exit_lost=WhenExitLost.BLOCK),
        False,
    ),
}

DETOURS = tuple(
    Detour(interface=interface, address=ip_address(address), port=8388, instead=ip_address(instead))
    for interface, address, instead in (
        ("wan1", "10.2.2.70", "10.1.1.70"),
        ("wan2", "10.1.1.70", "10.2.2.70"),
        ("wan2", "2001:db8::1", "2001:db8:2::1"),
    )
)


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    """PLAIT_GOLDEN=write writes them anew; the review is then the diff."""
    config, taking = CASES[name]
    steering = DETOURS if name.startswith("steered") else ()
    text = ruleset(config, ADDRESSES, taking=taking, detours=steering).text
    golden = GOLDEN / f"{name}.nft"
    if os.environ.get("PLAIT_GOLDEN") == "write":
        golden.write_text(text)
    assert text == golden.read_text()


def test_every_golden_has_its_case() -> None:
    assert {file.stem for file in GOLDEN.glob("*.nft")} == set(CASES)


def test_each_exit_has_a_port_of_its_own() -> None:
    assert ports(FULL) == {"attic": 7000, "vps": 7001}
    assert ports(Config()) == {}


def test_the_digest_tells_texts_apart_and_stands_in_them() -> None:
    rulesets = [ruleset(config, ADDRESSES, taking=taking) for config, taking in CASES.values()]
    assert len({each.digest for each in rulesets}) == len(rulesets)
    assert all(f'comment "{each.digest}"' in each.text for each in rulesets)
    assert ruleset(PLAIN, ADDRESSES) == ruleset(PLAIN, ADDRESSES)


def test_the_order_in_which_names_resolve_changes_nothing() -> None:
    turned = {name: addresses[::-1] for name, addresses in ADDRESSES.items()}
    assert ruleset(FULL, turned) == ruleset(FULL, ADDRESSES)


def test_a_rule_for_families_that_never_meet_matches_nothing() -> None:
    never = Rule(to="attic", source=(ip_network("10.0.0.0/8"),), destination=(ip_network("fd00::/8"),))
    assert ruleset(replace(PLAIN, rules=(never,)), ADDRESSES) == ruleset(PLAIN, ADDRESSES)


def test_open_proxies_are_closed_to_the_links() -> None:
    proxies = (
        Proxy(listen=(ip_address("192.168.78.1"), 1081), exit="attic"),
        Proxy(listen=(ip_address("fd00::1"), 1082), exit="attic"),
        Proxy(listen=(ip_address("0.0.0.0"), 1083), exit="attic", username="app", password=Secret("geheim")),
    )
    links = (Link(interface="wan1", name="wan1"), Link(interface="wan2", name="two"))
    lines = ruleset(replace(PLAIN, proxies=proxies, paths=links), ADDRESSES).text.splitlines()
    assert [line.strip() for line in lines if "108" in line and "dport { 1080 }" not in line][-2:] == [
        'iifname { "wan1", "wan2" } ip daddr 192.168.78.1 tcp dport 1081 reject with tcp reset',
        'iifname { "wan1", "wan2" } ip6 daddr fd00::1 tcp dport 1082 reject with tcp reset',
    ]
    assert not any("1083" in line or "geheim" in line for line in lines)


def test_a_config_without_a_gateway_has_no_table() -> None:
    with pytest.raises(ValueError, match="gateway"):
        ruleset(Config(), {})


@pytest.mark.parametrize("public", ["192.0.2.1", "198.18.0.1", "203.0.113.1", "8.8.8.8", "2001:db8::1"])
def test_documentation_and_benchmark_ranges_are_not_reserved(public: str) -> None:
    address = ip_address(public)
    assert not any(address in network for network in RESERVED if network.version == address.version)


@pytest.mark.parametrize(
    "reserved",
    ["0.1.2.3", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.1.1", "172.31.0.1", "192.168.1.1",
     "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fd00::1", "ff02::1"],
)  # fmt: skip
def test_reserved_ranges(reserved: str) -> None:
    address = ip_address(reserved)
    assert any(address in network for network in RESERVED if network.version == address.version)


def test_rules_by_domain_have_sets_that_outlive_the_table() -> None:
    rules = (
        Rule(to=Verdict.DIRECT, domain=("example.org",)),
        Rule(to="attic", domain=("b.example", "a.example"), port=((443, 443),)),
        Rule(to=Verdict.BLOCK, domain=("a.example", "b.example")),
    )
    config = replace(PLAIN, rules=rules)
    found = ruleset(config, ADDRESSES)
    one, two = learnt(rules[0]), learnt(rules[1])
    assert learnt(rules[2]) == two, "the same domains have the same sets, in any order"
    own, other_own = seen(rules[0]), seen(rules[1])
    names = (one, own, two, other_own)
    assert found.kept == tuple(f"{name}v{version}" for name in names for version in (4, 6))
    lines = [line.strip() for line in found.text.splitlines()]
    assert lines.count(f"set {two}v4 {{") == 1
    assert f"ip daddr @{one}v4 return" in lines
    assert f"ip6 daddr @{one}v6 return" in lines
    assert f"ip6 daddr @{own}v6 return" in lines
    assert any(
        line.startswith(f"ip daddr != @reserved4 ip daddr @{two}v4 tcp dport {{ 443 }} meta l4proto tcp")
        for line in lines
    )
    assert for_dnsmasq(config) == [
        f"nftset=/example.org/4#inet#plait#{one}v4,6#inet#plait#{one}v6",
        f"nftset=/a.example/b.example/4#inet#plait#{two}v4,6#inet#plait#{two}v6",
    ]
    again = replace(config, rules=(rules[2], rules[0]))
    assert set(ruleset(again, ADDRESSES).kept) == set(found.kept)


def test_rules_by_protocol_and_client() -> None:
    rules = (
        Rule(to=Verdict.BLOCK, protocol=(Protocol.UDP,), port=((443, 443),)),
        Rule(to=Verdict.DIRECT, mac=("02:00:5e:10:00:01", "02:00:5e:10:00:02")),
        Rule(to="attic", protocol=(Protocol.TCP,), mac=("02:00:5e:10:00:03",), port=((80, 80),)),
    )
    both = replace(other(PLAIN, udp=UdpVia.SHADOWSOCKS), rules=rules)
    text = ruleset(both, ADDRESSES).text
    tcp, udp = (text.split(f"chain {name} {{")[1].split("}\n\n")[0] for name in ("take", "take_udp"))
    assert "443" not in tcp
    assert "ip daddr != @reserved4 udp dport { 443 } reject" in udp
    for chain in (tcp, udp):
        assert "ether saddr { 02:00:5e:10:00:01, 02:00:5e:10:00:02 } return" in chain
    assert "ip daddr != @reserved4 ether saddr { 02:00:5e:10:00:03 } tcp dport { 80 } meta l4proto tcp" in tcp
    assert "02:00:5e:10:00:03" not in udp


@pytest.mark.parametrize(
    ("changes", "looked_at"),
    [
        ({}, True),
        ({"intercept": Intercept.REDIRECT}, False),
        ({"intercept": Intercept.REDIRECT, "udp": UdpVia.SHADOWSOCKS}, True),
        ({"tcp": TcpVia.DIRECT}, False),
        ({"tcp": TcpVia.DIRECT, "udp": UdpVia.SHADOWSOCKS}, True),
    ],
)
def test_where_dns_answers_are_looked_at(changes: dict[str, object], looked_at: bool) -> None:
    """Only for rules by domain, and where TPROXY is needed anyway."""
    plain = other(PLAIN, **changes)
    assert not takes_names(plain)
    assert "hear_names" not in ruleset(plain, ADDRESSES).text
    ruled = replace(plain, rules=(Rule(to=Verdict.DIRECT, domain=("example.org",)),))
    assert takes_names(ruled) is looked_at
    text = ruleset(ruled, ADDRESSES).text
    assert ("chain hear_names" in text) is looked_at
    if looked_at:
        port = names_port(ruled)
        assert port not in ports(ruled).values()
        assert f"@th,64,16 @asked6 meta l4proto udp tproxy ip6 to :{port} meta mark set" in text
        assert f"udp dport {port} meta mark & 0x0f000000 != 0x01000000 drop" in text
        assert text.count("notrack") == 1
    assert not takes_names(Config())


@pytest.mark.parametrize("exposed", [False, True])
def test_the_page_is_closed_to_the_links_unless_it_is_to_be_exposed(exposed: bool) -> None:
    where = (ip_address("192.168.1.1"), 8390), (ip_address("fd00::1"), 8390)
    web = Web(listen=where, exposed=exposed)
    config = replace(
        PLAIN, web=web, paths=(Link(interface="wan1", name="a"), Link(interface="wan2", name="b"))
    )
    text = ruleset(config, ADDRESSES).text
    closed = [f'iifname {{ "wan1", "wan2" }} {kind} tcp dport 8390 reject with tcp reset' for kind in (
        "ip daddr 192.168.1.1", "ip6 daddr fd00::1"
    )]  # fmt: skip
    assert [line in text for line in closed] == [not exposed] * 2
    assert guards_doors(config) != exposed
