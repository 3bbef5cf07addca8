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

KEYS = (*_FIXED, *_BUFFERS)
"""What `tuned` wants to know of a host."""


def tuned(snapshot: Snapshot) -> Mapping[str, str]:
    """The parameters as wanted. Of the buffers only the most is raised, never lowered: the kernel still
    finds out by itself how much of it a connection needs."""
    wanted = dict(_FIXED)
    for key in _BUFFERS:
        numbers = snapshot.sysctls.get(key, "").split()
        if len(numbers) == 3 and int(numbers[2]) < _ROOM:
            wanted[key] = "\t".join((*numbers[:2], str(_ROOM)))
    return wanted
