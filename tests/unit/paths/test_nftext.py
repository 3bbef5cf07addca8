"""Words of nftables."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from plait.config.model import Rule, Verdict
from plait.paths.nftext import addresses, braces, collapsed, indent, matches, port_ranges, return_to


def test_sets_of_both_families() -> None:
    lines = addresses("some", [ip_network("192.0.2.0/25"), ip_network("192.0.2.128/25"), ip_address("::1")])
    text = "\n".join(lines)
    assert "set some4" in text
    assert "192.0.2.0/24," in text
    assert "::1," in text
    assert "elements" not in "\n".join(addresses("none", []))
    assert return_to("some") == ["ip daddr @some4 return", "ip6 daddr @some6 return"]


def test_one_address_is_written_without_a_length() -> None:
    assert collapsed([ip_network("192.0.2.1/32"), ip_network("fd00::/8")], 4) == ["192.0.2.1"]


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([], []),
        ([(80, 80)], ["80"]),
        ([(443, 443), (80, 90), (85, 100), (101, 102)], ["80-102", "443"]),
    ],
)
def test_ranges_of_ports(ranges: list[tuple[int, int]], expected: list[str]) -> None:
    assert port_ranges(ranges) == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule(to=Verdict.DIRECT, port=((53, 53),)), ["udp dport { 53 }"]),
        (Rule(to=Verdict.DIRECT), [""]),
        (Rule(to="attic"), ["ip daddr != @reserved4", "ip6 daddr != @reserved6"]),
        (
            Rule(to="attic", destination=(ip_network("10.9.0.0/16"),), source=(ip_network("10.1.0.0/16"),)),
            ["ip saddr { 10.1.0.0/16 } ip daddr { 10.9.0.0/16 }"],
        ),
        (
            Rule(to="attic", destination=(ip_network("10.9.0.0/16"),), source=(ip_network("fd00::/8"),)),
            [],
        ),
    ],
)
def test_what_a_rule_matches(rule: Rule, expected: list[str]) -> None:
    assert matches(rule, "udp") == expected


def test_text() -> None:
    assert braces(["a", 1]) == "{ a, 1 }"
    assert indent(["a", ""]) == ["\ta", ""]
