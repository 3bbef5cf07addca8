"""Which of an exit's addresses a subflow shall arrive at."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from plait.config.model import IPAddress, Mode
from plait.paths.model import Detour
from plait.paths.steering import detours

from .scene import ATTIC, FAR, config, host, path

BOTH = config(path("wan1"), path("wan2"))
WANS = host(wan1="10.1.1.78/24", wan2="10.2.2.78/24")
STEERED = ("wan1: 10.2.2.70:8388 > 10.1.1.70", "wan2: 10.1.1.70:8388 > 10.2.2.70")


def told(found: tuple[Detour, ...]) -> tuple[str, ...]:
    return tuple(f"{each.interface}: {each.address}:{each.port} > {each.instead}" for each in found)


def test_each_link_leads_to_the_address_on_its_own_network() -> None:
    assert told(detours(BOTH, WANS, ATTIC)) == STEERED


@pytest.mark.parametrize(
    "peers",
    [
        # one address, or all of them behind the default route: nothing to choose
        {"attic": (ip_address("10.1.1.70"),)},
        FAR,
        # all on the same link
        {"attic": (ip_address("10.1.1.70"), ip_address("10.1.1.71"))},
        # the other address is of another family
        {"attic": (ip_address("10.1.1.70"), ip_address("fd00::70"))},
        {},
    ],
)
def test_nothing_to_steer(peers: dict[str, tuple[IPAddress, ...]]) -> None:
    assert detours(BOTH, WANS, peers) == ()


def test_ipv6() -> None:
    peers: dict[str, tuple[IPAddress, ...]] = {"attic": (ip_address("fd01::70"), ip_address("fd02::70"))}
    snapshot = host(wan1="fd01::78/64", wan2="fd02::78/64")
    assert told(detours(BOTH, snapshot, peers)) == (
        "wan1: fd02::70:8388 > fd01::70",
        "wan2: fd01::70:8388 > fd02::70",
    )


def test_a_link_that_comes_and_goes_changes_nothing() -> None:
    before = detours(BOTH, WANS, ATTIC)
    for cut in (host(wan1="no-carrier", wan2="10.2.2.78/24"), host(wan2="10.2.2.78/24"), host()):
        assert detours(BOTH, cut, ATTIC, before) == before


def test_a_renumbered_link_says_something_new() -> None:
    before = detours(BOTH, WANS, ATTIC)
    moved = host(wan1="10.9.9.78/24", wan2="10.2.2.78/24")
    assert told(detours(BOTH, moved, ATTIC, before)) == STEERED[1:]


def test_a_path_that_is_off_is_left_alone() -> None:
    off = replace(BOTH, paths=(path("wan1", Mode.OFF), path("wan2")))
    assert told(detours(off, WANS, ATTIC)) == STEERED[1:]
