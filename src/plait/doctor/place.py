"""Where on a path MPTCP's options get lost, as far as routers told; and who translates addresses there."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network

from plait.config.model import IPAddress
from plait.doctor.facts import Hop
from plait.wire.segments import Options

_SHARED = IPv4Network("100.64.0.0/10")
"""Between a provider's translator and its customers (RFC 6598)."""


def place(hops: Sequence[Hop]) -> str:
    """Between which routers the option was lost, or what is known instead; a phrase to follow a verb."""
    told = sorted((hop for hop in hops if hop.mptcp is not Options.UNKNOWN), key=lambda hop: hop.distance)
    lost = next((hop for hop in told if hop.mptcp is Options.STRIPPED), None)
    kept = [
        hop for hop in told if hop.mptcp is Options.INTACT and (lost is None or hop.distance < lost.distance)
    ]
    if lost is not None and kept:
        return f"between {_name(kept[-1])} and {_name(lost)}"
    if lost is not None:
        return f"before {_name(lost)}"
    if kept:
        return f"beyond {_name(kept[-1])}, or on the way back"
    return "at a place that no router tells"


def is_lost_on_the_way(hops: Sequence[Hop]) -> bool:
    """Whether a router has seen the SYN without its option: then it is not the exit that lacks MPTCP."""
    return any(hop.mptcp is Options.STRIPPED for hop in hops)


def translators(local: IPAddress, seen: IPAddress, hops: Sequence[Hop]) -> int:
    """How many times addresses are translated on the way, at least; 2 stands for more, too.

    One is certain when the exit sees another address than ours. There is most likely another when the
    way leads on through private addresses behind the first router.
    """
    if local == seen:
        return 0
    beyond = [hop for hop in hops if hop.distance > 1 and is_inner(hop.address)]
    return 2 if beyond and not is_inner(seen) else 1


def is_inner(address: IPAddress) -> bool:
    """Whether an address is of no use in the Internet."""
    return address.is_private or (address.version == 4 and address in _SHARED)


def _name(hop: Hop) -> str:
    return f"hop {hop.distance} ({hop.address})"
