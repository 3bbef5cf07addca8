"""Sessions and their subflows as they travel from a worker to control: as lists, for there may be
thousands. `plait.relay.survey` writes them, `plait.control.sessions` reads them."""

from __future__ import annotations

from typing import NamedTuple


class FlowRow(NamedTuple):
    """One subflow."""

    local: str
    local_port: int
    remote: str
    remote_port: int
    state: str
    rtt_us: int
    window: int
    """Segments."""
    sent: int
    """Bytes, retransmissions included."""
    received: int
    retrans: int
    """Bytes sent again."""
    tx_bps: int
    rx_bps: int


class SessionRow(NamedTuple):
    """One session."""

    number: int
    """Of this worker."""
    peer: str
    """Who came to us: address and port."""
    target: str
    exit: str
    user: str
    age: float
    up: int
    """Payload bytes."""
    down: int
    up_bps: int
    down_bps: int
    transport: str
    """``mptcp``, ``tcp``, or empty when it was not looked at."""
    token: int
    flows: tuple[FlowRow, ...]


class PathRow(NamedTuple):
    """MPTCP subflows that leave from one address of ours, towards exits."""

    flows: int
    rtt_us: int
    """On average."""
    segments: int
    """Data segments sent, retransmissions included."""
    retrans: int
    """Of these, sent again."""


class CountRow(NamedTuple):
    """What was carried for one client, exit or user."""

    open: int
    """Sessions now."""
    total: int
    """Sessions that ever relayed."""
    up: int
    """Payload bytes."""
    down: int


SORTS = ("rate", "up", "down", "bytes", "age", "new", "client", "target", "exit")
"""In which orders sessions are given: by rate (both ways, up, down), by bytes, the oldest or the newest
first, or by name. The largest come first, names from A on."""


def plain(address: str) -> str:
    """An address as people write it: no IPv4 within IPv6, no name of a link."""
    if address.startswith("::ffff:") and "." in address:
        return address[7:]
    return address.partition("%")[0]
