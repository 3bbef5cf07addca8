"""Elements that live for a while, in real sets: they come by netlink and outlive another table."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable

import pytest

from plait.kernel import nft
from plait.kernel.netlink import NetlinkError
from plait.kernel.nftset import SetFiller
from plait.paths.model import Ruleset

from .namespaces import Namespace

ONE, TWO = bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))
SIX = bytes.fromhex("20010db8000000000000000000000001")
TEXT = """
table inet plait
delete table inet plait
table inet plait {
    set seen_av4 { type ipv4_addr; flags timeout; timeout 60s; size 512; }
    set seen_av6 { type ipv6_addr; flags timeout; timeout 60s; size 512; }
}
"""
RULESET = Ruleset(text=TEXT, digest="", kept=("seen_av4", "seen_av6"))


def lives(namespace: Namespace, name: str) -> dict[str, int]:
    """Seconds that each element of a set was given, as nft tells; of the default it tells none."""
    listed = namespace.sh(f"nft list set inet plait {name}")
    found = re.findall(r"([0-9a-f.:]+) (?:timeout (\w+) )?expires", listed)
    units = {"h": 3600, "m": 60, "s": 1}
    return {
        address: sum(int(n) * units[u] for n, u in re.findall(r"(\d+)([hms])(?!s)", life)) or 60
        for address, life in found
    }


def test_elements_live_as_long_as_the_last_one_said(namespace: Callable[[], Namespace]) -> None:
    here = namespace()
    with here.inside():
        nft.load(RULESET)
        filler = SetFiller()
    filler.add([("seen_av4", ONE, 60), ("seen_av4", TWO, 600), ("seen_av6", SIX, 3600)])
    assert lives(here, "seen_av4") == {"192.0.2.1": 60, "192.0.2.2": 600}
    assert lives(here, "seen_av6") == {"2001:db8::1": 3600}
    filler.add([("seen_av4", ONE, 1200), ("seen_av4", ONE, 300)])
    assert lives(here, "seen_av4") == {"192.0.2.1": 300, "192.0.2.2": 600}
    with here.inside():
        nft.load(RULESET)
    left = lives(here, "seen_av4")
    assert 200 < left["192.0.2.1"] <= 300
    assert 500 < left["192.0.2.2"] <= 600
    filler.add([])
    filler.close()


def test_all_or_none(namespace: Callable[[], Namespace]) -> None:
    here = namespace()
    with here.inside():
        nft.load(RULESET)
        filler = SetFiller()
    with pytest.raises(NetlinkError) as caught:
        filler.add([("seen_av4", ONE, 60), ("nowhere", TWO, 60)])
    assert caught.value.errno == errno.ENOENT
    assert lives(here, "seen_av4") == {}
    for part in range(5):
        filler.add([("seen_av4", bytes((10, 0, part, n)), 600) for n in range(100)])
    with pytest.raises(NetlinkError) as caught:
        filler.add([("seen_av4", bytes((10, 0, 9, n)), 600) for n in range(100)])
    assert caught.value.errno == errno.ENFILE
    assert len(lives(here, "seen_av4")) == 500
    filler.add([("seen_av6", SIX, 60)])
    assert lives(here, "seen_av6") == {"2001:db8::1": 60}
    filler.close()
