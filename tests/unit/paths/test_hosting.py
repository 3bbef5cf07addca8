"""The table of an exit's tunnels."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from plait.config.model import Config, Exit, IPNetwork, Secret, Tunnel
from plait.paths.hosting import far_table

from .test_carrying import chain

FOUR, SIX = ip_network("10.188.0.0/16"), ip_network("fd88::/64")


def config(masquerade: bool = True) -> Config:
    return Config(
        exit=Exit(
            password=Secret("x"), allow=(ip_network("10.9.0.0/16"),), deny=(ip_network("10.9.9.0/24"),)
        ),
        tunnel=Tunnel(masquerade=masquerade),
    )


@pytest.mark.parametrize("masquerade", [True, False])
def test_an_exit_admits_what_it_would_dial(masquerade: bool) -> None:
    text = far_table(config(masquerade), "plait0", (FOUR, SIX)).text
    assert chain(text, "admit")[1:] == [
        'oifname "plait0" iifname != "plait0" ip daddr @routed4 accept',
        'oifname "plait0" iifname != "plait0" ip6 daddr @routed6 accept',
        'oifname "plait0" ct state != { established, related } drop',
        'iifname != "plait0" return',
        "ip saddr != @lodging4 drop",
        "ip6 saddr != @lodging6 drop",
        "ip daddr @deny4 reject",
        "ip daddr @allow4 accept",
        "ip daddr @reserved4 reject",
        "ip6 daddr @deny6 reject",
        "ip6 daddr @allow6 accept",
        "ip6 daddr @reserved6 reject",
    ]
    assert chain(text, "guard_host")[-3:] == [
        "ip daddr 10.188.0.1 meta l4proto { icmp, ipv6-icmp } accept",
        "ip6 daddr fd88::1 meta l4proto { icmp, ipv6-icmp } accept",
        "drop",
    ]
    assert ("masquerade" in text) == masquerade
    assert "10.9.0.0/16," in text


@pytest.mark.parametrize("subnet", [FOUR, SIX])
def test_what_is_not_carried_does_not_come_out(subnet: IPNetwork) -> None:
    lines = chain(far_table(config(), "plait0", (subnet,)).text, "admit")
    assert f"meta nfproto != ipv{subnet.version} drop" in lines
    assert not [line for line in lines if line.startswith("ip6 " if subnet.version == 4 else "ip ")]


def test_what_gateways_may_have_behind_them() -> None:
    wanted = replace(config(), tunnel=Tunnel(networks=(ip_network("192.168.5.0/24"),)))
    text = far_table(wanted, "plait0", (FOUR, SIX)).text
    for name in ("lodging4", "routed4"):
        assert "192.168.5.0/24," in text.partition(f"set {name} {{")[2].partition("}\n")[0]
    assert "10.188.0.0/16," in text.partition("set lodging4 {")[2].partition("}\n")[0]


def test_digests_tell_tables_apart() -> None:
    one = far_table(config(), "plait0", (FOUR, SIX))
    assert one == far_table(config(), "plait0", (FOUR, SIX))
    assert one.digest != far_table(config(masquerade=False), "plait0", (FOUR, SIX)).digest
    assert one.digest in one.text
