"""Sentences about the host."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plait.doctor.facts import HostFacts, Lack
from plait.doctor.finding import Severity
from plait.doctor.host import judge

GATEWAY = HostFacts(kernel="6.18.0", gateway=True, sysctls={"net/ipv4/ip_forward": "1"}, run_dir="/run/plait")
PROBLEM, NOTE = Severity.PROBLEM, Severity.NOTE


@pytest.mark.parametrize(
    ("changes", "id", "severity", "words"),
    [
        ({"lacks": (Lack(text="no nft", remedy="install it"),)}, "host.lacks", PROBLEM, "no nft; install it"),
        ({"contenders": (("mptcpd", "stop it"),)}, "host.contender", NOTE, "mptcpd: it runs on this host"),
        ({"sysctls": {"net/mptcp/pm_type": "1"}}, "host.path-manager", PROBLEM, "pm_type=0"),
        ({"sysctls": {"net/mptcp/path_manager": "userspace"}}, "host.path-manager", PROBLEM, "pm_type=0"),
        ({"sysctls": {"net/ipv4/ip_forward": "0"}}, "host.forwarding", PROBLEM, "not TCP ends here"),
        (
            {"running": True, "sysctls": {"net/mptcp/blackhole_timeout": "3600"}},
            "host.blackhole-timeout",
            PROBLEM,
            "3600 s",
        ),
        ({"missing_lans": ("lan",)}, "host.lan", PROBLEM, "lan: there is no such interface"),
        ({"large_receive": ("wan1",)}, "host.offload", PROBLEM, "ethtool -K wan1 lro off"),
        ({"foreign_rules": ("100: from all lookup 7",)}, "host.rule", NOTE, "lookup 7"),
        ({"foreign_tables": ("inet x: tproxy",)}, "host.nft", NOTE, "mask 0xf000000"),
        ({"flowtables": ("inet fw4: flow add @ft",)}, "host.flowtable", NOTE, "fw4"),
        ({"foreign_endpoints": ("id 1 on 10.0.0.1",)}, "host.endpoint", NOTE, "id 1 on 10.0.0.1"),
        ({"descriptors": 1024, "descriptors_wanted": 40256}, "host.descriptors", NOTE, "1024"),
        ({"conntrack": (950, 1000)}, "host.conntrack", PROBLEM, "nf_conntrack_max=2000"),
        ({"run_dir_free": 100_000}, "host.disk", PROBLEM, "/run/plait has 97 kB left"),
        ({"udp_direct": True}, "dns.direct", NOTE, "directly"),
        ({"udp_direct": True, "blocks": True}, "dns.direct", PROBLEM, "directly"),
        ({"resolvers": ("9.9.9.9",)}, "dns.leak", NOTE, "asks 9.9.9.9 itself"),
        ({"resolvers": ("9.9.9.9",), "blocks": True}, "dns.leak", PROBLEM, "9.9.9.9"),
        ({"notes": ("every path is off",)}, "config.note", NOTE, "config: every path is off"),
    ],
)
def test_sentences(changes: dict[str, object], id: str, severity: Severity, words: str) -> None:
    found = [each for each in judge(replace(GATEWAY, **changes)) if each.id == id]  # type: ignore[arg-type]
    assert [each.severity for each in found] == [severity]
    assert words in found[0].sentence


def test_an_exit_that_does_not_forward() -> None:
    exit_host = HostFacts(serves_tunnel=True, sysctls={"net/ipv4/ip_forward": "0"})
    assert [each.id for each in judge(exit_host)] == ["host.forwarding"]
    assert judge(HostFacts(sysctls={"net/ipv4/ip_forward": "0"}))[0].id == "host.fine"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"descriptors": 50_000, "descriptors_wanted": 40_256},
        {"conntrack": (10, 1000)},
        {"conntrack": (0, 0)},
        {"run_dir_free": 1 << 30},
        {"sysctls": {"net/mptcp/blackhole_timeout": "3600", "net/mptcp/pm_type": "0"}},
    ],
)
def test_a_host_that_is_well(changes: dict[str, object]) -> None:
    assert [each.id for each in judge(replace(GATEWAY, **changes))] == ["host.fine"]  # type: ignore[arg-type]


def test_problems_come_first() -> None:
    found = judge(replace(GATEWAY, notes=("a",), missing_lans=("lan",), udp_direct=True))
    assert [each.severity for each in found] == [PROBLEM, NOTE, NOTE]
