"""What the status tells of a gateway's tunnels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelPathStatus:
    """One path of a tunnel."""

    name: str
    tx_bytes: int
    """Datagrams to the exit since the courier began, sealed, probes among them."""
    rx_bytes: int
    """The same from there."""
    fits: int | None
    """Bytes of an inner packet that it lets through; null while that is being found out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelStatus:
    """The tunnel to one exit."""

    exit: str
    state: str
    """``open``, or ``waiting`` for the exit."""
    addresses: tuple[str, ...]
    """Ours inside, as the exit has given them."""
    mtu: int
    """Bytes of an inner packet."""
    refused: int
    """Packets that found no path, or too much waiting before them."""
    dropped: int
    """Segments left out since they had waited for too long."""
    resent: int
    """Segments sent again."""
    given_up: int
    """Segments lost, and not sent again."""
    paths: tuple[TunnelPathStatus, ...]


def tunnels(tally: Mapping[str, object] | None) -> tuple[TunnelStatus, ...]:
    """What the courier told; nothing when it did not."""
    told = tally.get("tunnels", []) if tally is not None else []
    assert isinstance(told, list)
    return tuple(
        TunnelStatus(
            **{
                **each,
                "addresses": tuple(each["addresses"]),
                "paths": tuple(TunnelPathStatus(**path) for path in each["paths"]),
            }
        )
        for each in told
    )
