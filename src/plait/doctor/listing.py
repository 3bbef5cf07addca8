"""What other programs' nftables rules do that concerns plait, told from nft's own listing."""

from __future__ import annotations

import re
from dataclasses import dataclass

from plait.paths.marks import FWMARK_MASK, NFT_FAR_TABLE, NFT_NEAR_TABLE, NFT_TABLE

_TABLE = re.compile(r"^table (\w+ \S+) \{")
_OURS = {f"inet {name}" for name in (NFT_TABLE, NFT_NEAR_TABLE, NFT_FAR_TABLE)}
_SETS = re.compile(r"\bmark set (?:\w+ mark .*?(?:\||or|\^|xor) )?(0x[0-9a-f]+|\d+)")
_LONGEST = 100


@dataclass(frozen=True, slots=True)
class Others:
    """Rules of others, each as its table and its text."""

    takers: tuple[str, ...] = ()
    """Those that hand packets to local programs, or set bits of the mark that are ours."""
    offloaders: tuple[str, ...] = ()
    """Tables with a flowtable that is used."""


def others(listing: str) -> Others:
    """Read ``nft list ruleset``. Lines that it does not know are passed over."""
    table = ""
    takers: list[str] = []
    offloaders: list[str] = []
    for line in listing.splitlines():
        begun = _TABLE.match(line)
        if begun is not None:
            table = begun[1]
            continue
        if not table or table in _OURS:
            continue
        text = " ".join(line.split())
        if "flow add @" in text or "flow offload @" in text:
            offloaders.append(f"{table}: {text[:_LONGEST]}")
        elif "tproxy" in text.lower() or _takes_our_bits(text):
            takers.append(f"{table}: {text[:_LONGEST]}")
    return Others(tuple(dict.fromkeys(takers)), tuple(dict.fromkeys(offloaders)))


def _takes_our_bits(text: str) -> bool:
    return any(int(value, 0) & FWMARK_MASK for value in _SETS.findall(text))
