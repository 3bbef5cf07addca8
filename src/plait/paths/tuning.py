"""Kernel parameters that plait sets where its sockets live, on gateways and exits."""

from __future__ import annotations

from collections.abc import Mapping

from plait.paths.model import Snapshot

_FIXED = {
    "net/mptcp/enabled": "1",
    # Three lost SYNs would otherwise turn MPTCP off for an hour, for all later connections (Linux 6.12).
    "net/mptcp/blackhole_timeout": "0",
    "net/mptcp/syn_retrans_before_tcp_fallback": "10",
    # How long a connection lives that has lost all its subflows: as long as Linux tries with plain TCP.
    "net/mptcp/close_timeout": "900",
    # A subflow is left for another one at the first retransmission timeout.
    "net/mptcp/stale_loss_cnt": "1",
}
_ROOM = 16 * 1024 * 1024
"""Bytes to which a connection's buffers may grow: 1 Gbit/s over 100 ms, and what waits at the far end
for the slower of two paths."""
_BUFFERS = ("net/ipv4/tcp_rmem", "net/ipv4/tcp_wmem")
"""Each three numbers: least, first and most."""
_FIRST = {"net/ipv4/tcp_rmem": 4 * 1024 * 1024}
"""Bytes that a receive buffer has from the start. A subflow keeps the window that this allows until the
connection's buffer grows (`mptcp_rcv_space_adjust`, net/mptcp/protocol.c), and that has ended by the time
a subflow comes back: with the kernel's 128 KiB a connection whose paths had both failed once was left
with 85 kB a round trip, 13 Mbit/s at 50 ms. It is a limit; memory is taken as bytes arrive."""

_ASKED_AGAIN = 200
"""Milliseconds between questions for a neighbour's address. A link that comes back while the kernel still
asks in vain (for what was left of a connection) waits for the next question, a second otherwise. IPv6 is left
alone: it can't ask before its link-local address is its own, which takes longer than three such questions."""

KEYS = (*_FIXED, *_BUFFERS)
"""What `tuned` wants to know of a host."""

_SELDOM = 250
"""… and more often than so is left as it is: the kernel rounds to its ticks."""


def link_keys(interface: str) -> tuple[str, ...]:
    """What `tuned_link` wants to know."""
    return (f"net/ipv4/neigh/{interface}/retrans_time_ms",)


def tuned_link(snapshot: Snapshot, interface: str) -> Mapping[str, str]:
    """The parameters of a path's link as wanted."""
    return {
        key: str(_ASKED_AGAIN)
        for key in link_keys(interface)
        if snapshot.sysctls.get(key, "").isdigit() and int(snapshot.sysctls[key]) > _SELDOM
    }


def tuned(snapshot: Snapshot) -> Mapping[str, str]:
    """The parameters as wanted. Buffers are only made larger: of how much it may have, the kernel still
    finds out by itself what a connection needs."""
    wanted = dict(_FIXED)
    for key in _BUFFERS:
        numbers = snapshot.sysctls.get(key, "").split()
        if len(numbers) == 3:
            least, first, most = numbers
            larger = (least, str(max(int(first), _FIRST.get(key, 0))), str(max(int(most), _ROOM)))
            if larger != (least, first, most):
                wanted[key] = "\t".join(larger)
    return wanted
