"""What others' nftables rules do, told from a listing."""

from __future__ import annotations

import pytest

from plait.doctor.listing import Others, others


def table(name: str, rule: str) -> str:
    head = f"table {name} {{\n\tchain pre {{\n\t\ttype filter hook prerouting priority 0;\n"
    return f"{head}\t\t{rule}\n\t}}\n}}\n"


@pytest.mark.parametrize(
    ("rule", "taken"),
    [
        ("tcp dport 80 tproxy to :3128", True),
        ('xt target "TPROXY"', True),
        ("meta mark set 0x01000000 accept", True),
        ("meta mark set meta mark & 0xfffffff0 | 0x00000001", False),
        ("meta mark set meta mark & 0xf0ffffff | 0x02000000", True),
        ("meta mark set meta mark | 0x04000000", True),
        ("ct mark set 0x00000012", False),
        ("ct mark set 16777216", True),
        ("meta mark 0x01000000 accept", False),
        ("masquerade", False),
    ],
)
def test_takers(rule: str, taken: bool) -> None:
    found = others(table("inet other", rule))
    assert bool(found.takers) is taken
    if taken:
        assert found.takers[0].startswith("inet other: ")
    assert others(table("inet plait", rule)) == Others(), "our own"
    assert others(table("inet plait_near", rule)) == Others()


def test_offload() -> None:
    found = others(table("inet fw4", "meta l4proto { tcp, udp } flow add @ft") * 2)
    assert found.offloaders == ("inet fw4: meta l4proto { tcp, udp } flow add @ft",)


@pytest.mark.parametrize("listing", ["", "nonsense", "\ttproxy to :1\n"])
def test_nothing(listing: str) -> None:
    assert others(listing) == Others()
