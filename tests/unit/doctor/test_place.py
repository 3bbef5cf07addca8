"""Where options get lost, and who translates addresses."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from plait.doctor.facts import Hop
from plait.doctor.place import is_inner, is_lost_on_the_way, place, translators
from plait.wire.segments import Options

KEPT, LOST, DARK = Options.INTACT, Options.STRIPPED, Options.UNKNOWN


def hops(*states: Options, first: int = 1) -> list[Hop]:
    return [
        Hop(distance=number, address=ip_address(f"198.51.100.{number}"), mptcp=state)
        for number, state in enumerate(states, first)
    ]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ([], "at a place that no router tells"),
        (hops(DARK, DARK), "at a place that no router tells"),
        (hops(KEPT, LOST), "between hop 1 (198.51.100.1) and hop 2 (198.51.100.2)"),
        (hops(KEPT, DARK, DARK, LOST, LOST), "between hop 1 (198.51.100.1) and hop 4 (198.51.100.4)"),
        (hops(LOST, LOST), "before hop 1 (198.51.100.1)"),
        (hops(KEPT, KEPT), "beyond hop 2 (198.51.100.2), or on the way back"),
        (hops(LOST, first=3), "before hop 3 (198.51.100.3)"),
        # A router with another way back may tell of a SYN that went elsewhere.
        (hops(KEPT, LOST, KEPT), "between hop 1 (198.51.100.1) and hop 2 (198.51.100.2)"),
    ],
)
def test_place(found: list[Hop], text: str) -> None:
    assert place(found) == text
    assert place(list(reversed(found))) == text
    assert is_lost_on_the_way(found) is any(hop.mptcp is LOST for hop in found)


@pytest.mark.parametrize(
    ("local", "seen", "routers", "count"),
    [
        ("8.8.4.4", "8.8.4.4", [], 0),
        ("192.168.1.2", "192.168.1.2", ["192.168.1.1", "10.0.0.1"], 0),
        ("192.168.1.2", "8.8.4.4", ["192.168.1.1", "8.8.4.1"], 1),
        ("192.168.1.2", "8.8.4.4", [], 1),
        ("192.168.1.2", "8.8.4.4", ["192.168.1.1", "100.64.0.1"], 2),
        ("192.168.1.2", "8.8.4.4", ["192.168.1.1", "10.0.0.1", "8.8.4.1"], 2),
        # All of it is a private network: inner routers prove nothing.
        ("192.168.1.2", "10.9.0.2", ["192.168.1.1", "10.0.0.1"], 1),
        ("fd00::2", "2001:4860::7", ["fd00::1", "2001:4860::1"], 1),
    ],
)
def test_translators(local: str, seen: str, routers: list[str], count: int) -> None:
    found = [
        Hop(distance=number, address=ip_address(router), mptcp=KEPT)
        for number, router in enumerate(routers, 1)
    ]
    assert translators(ip_address(local), ip_address(seen), found) == count


@pytest.mark.parametrize(
    ("address", "inner"),
    [("100.64.0.1", True), ("100.128.0.1", False), ("10.1.1.1", True), ("fd00::1", True), ("8.8.8.8", False)],
)
def test_inner(address: str, inner: bool) -> None:
    assert is_inner(ip_address(address)) is inner
