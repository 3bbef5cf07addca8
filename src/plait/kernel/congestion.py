"""Which congestion control a connection gets, where the host's default does not fit.

BBR models a path by its bandwidth and its *minimum* RTT. Where that RTT is smaller than the delays
that the two hosts' own schedulers add (tens of µs on a busy router), the model has no room for them,
and an MPTCP connection starves: over links of 0.05 ms it was measured at 0.4 to 4 Gbit/s where Reno and
CUBIC carry 10. On every real radio, DSL or LTE link BBR is the better choice and is left in place.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

_DEFAULT = Path("/proc/sys/net/ipv4/tcp_congestion_control")
_LOSS_BASED = (b"cubic", b"reno")
"""In order of preference; an unprivileged process may use those in tcp_allowed_congestion_control."""

_SHORT_US = 500
"""RTT in µs below which both ends are on one wire."""

_RTT_OFFSET = 68
"""Of ``tcpi_rtt`` in ``struct tcp_info`` (include/uapi/linux/tcp.h): µs, 4 bytes."""


class Congestion:
    """Fits the congestion control of sockets to their paths, where the host's default does not.

    A socket starts with a loss-based one and gets the host's default back once its handshake has shown
    a path of some length. The other way round would not do: BBR leaves its pacing timers behind.
    """

    __slots__ = ("_default", "_short")

    def __init__(self, short: bytes, default: bytes) -> None:
        self._short = short
        self._default = default

    def prepare(self, sock: socket.socket) -> None:
        """Before connect or listen (what is accepted inherits it)."""
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, self._short)
        except OSError:
            # An older kernel that can't set it on MPTCP: the default serves, only slower.
            pass

    def suit(self, sock: socket.socket) -> None:
        """Once connected: two system calls on a path of some length, one on a short one."""
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RTT_OFFSET + 4)
            if int.from_bytes(info[_RTT_OFFSET:], sys.byteorder) >= _SHORT_US:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, self._default)
        except OSError:
            pass


def choose() -> Congestion | None:
    """How to fit sockets of this process; None where the host's default fits every path.

    To be asked with the privileges that the sockets will be made with.
    """
    try:
        default = _DEFAULT.read_text().strip()
    except OSError:
        return None
    if not default.startswith("bbr"):
        return None
    usable = (name for name in _LOSS_BASED if _may_use(name))
    short = next(usable, None)
    return Congestion(short, default.encode()) if short is not None else None


def _may_use(name: bytes) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name)
        except OSError:
            return False
    return True
