"""What the kernel knows of one MPTCP connection: is it one still, and how fares each subflow.

``getsockopt(SOL_MPTCP, MPTCP_FULL_INFO)`` (Linux 6.5) *reads* a header from the
buffer before it writes, which ``socket.getsockopt`` can't do: hence ctypes.
Source: include/uapi/linux/mptcp.h, net/mptcp/sockopt.c.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import sys
import threading
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from plait.config.model import IPAddress

IPPROTO_MPTCP = 262
_SOL_MPTCP = 284
_MPTCP_INFO, _MPTCP_FULL_INFO = 1, 4
_TCP_IS_MPTCP = 43
_TCP_ESTABLISHED = 1
_STATES = {
    1: "established", 2: "syn sent", 3: "syn received", 4: "fin wait 1", 5: "fin wait 2", 6: "time wait",
    8: "close wait", 9: "last ack", 11: "closing", 12: "syn received",
}  # fmt: skip
"""include/net/tcp_states.h; a subflow that is closed (7) is none any more, though listed for a while."""
_APP_LIMITED = 0x01 if sys.byteorder == "little" else 0x80  # tcpi_delivery_rate_app_limited, a bit field
NO_PACING = (1 << 64) - 1
_MAX_SUBFLOWS = 16  # the kernel keeps dead ones listed for a while beside at most nine live ones

# struct mptcp_subflow_info: id, padding, two sockaddr_storage.
_SUBFLOW = struct.Struct("=II128s128s")
# The head of struct tcp_info, as far as it is read here (Linux 4.6 has all of it).
_TCP_INFO = struct.Struct("=8B24I4Q6I4Q2I2Q")
# struct mptcp_full_info: four sizes and two counts, two pointers; then struct mptcp_info.
_FULL = struct.Struct("=6I2Q")
_MPTCP_INFO_ROOM = 160
_TOTALS = struct.Struct("=4Q")
_TOTALS_AT = _FULL.size + 48
"""Of bytes_retrans, bytes_sent, bytes_received and bytes_acked in struct mptcp_info (Linux 6.5)."""
_TOKEN = struct.Struct("=I")
_TOKEN_AT = _FULL.size + 12

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subflow:
    """One live subflow. Times are in microseconds."""

    local: IPAddress
    local_port: int
    remote: IPAddress
    remote_port: int
    rtt_us: int
    rttvar_us: int
    min_rtt_us: int
    bytes_sent: int
    """Retransmissions included."""
    bytes_acked: int
    bytes_received: int
    bytes_retrans: int
    segments_out: int
    """Data segments sent, retransmissions included."""
    segments_retrans: int
    unacked: int
    """Segments in flight."""
    segment: int
    """Bytes of a full segment."""
    not_sent: int
    """Bytes that wait for their turn to be sent."""
    last_received_ms: int
    """How long ago the last data came in."""
    last_heard_ms: int
    """How long ago the last acknowledgement came in, alone or with data (`tcp_ack`, net/ipv4/tcp_input.c)."""
    rate_bps: int
    """Delivery rate, bit/s; 0 where the application and not the path was the limit."""
    window: int = 0
    """Congestion window, in segments."""
    state: str = "established"
    pacing: int = 0
    """Bytes a second at which congestion control sends, or would: more than is delivered while it still
    finds out how much that can be. `NO_PACING` where it keeps no pace."""


def is_mptcp(connection: socket.socket) -> bool:
    """Whether a socket that was made for MPTCP still is, or has fallen back to TCP."""
    try:
        return bool(connection.getsockopt(socket.IPPROTO_TCP, _TCP_IS_MPTCP))  # Linux 6.10
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOPROTOOPT):
            return False
    try:
        connection.getsockopt(_SOL_MPTCP, _MPTCP_INFO, _MPTCP_INFO_ROOM)  # Linux 5.16
    except OSError:
        return False
    return True


class _Room:
    """Where the kernel writes its answer: made once, for a worker looks many times a second."""

    def __init__(self) -> None:
        self.infos = ctypes.create_string_buffer(_MAX_SUBFLOWS * _SUBFLOW.size)
        self.tcps = ctypes.create_string_buffer(_MAX_SUBFLOWS * _TCP_INFO.size)
        self.full = ctypes.create_string_buffer(_FULL.size + _MPTCP_INFO_ROOM)
        self.length = ctypes.c_uint32()
        self._heads = ctypes.addressof(self.full)
        self._question = _FULL.pack(
            *(0, _TCP_INFO.size, 0, _SUBFLOW.size, 0, _MAX_SUBFLOWS),
            ctypes.addressof(self.infos),
            ctypes.addressof(self.tcps),
        )

    def ask(self, fd: int) -> int:
        """Fill in; 0 or an errno."""
        ctypes.memmove(self._heads, self._question, _FULL.size)
        self.length.value = len(self.full)
        refused = _libc.getsockopt(
            fd, _SOL_MPTCP, _MPTCP_FULL_INFO, ctypes.byref(self.full), ctypes.byref(self.length)
        )
        return ctypes.get_errno() if refused else 0


_room = threading.local()


def subflows(connection: socket.socket) -> tuple[Subflow, ...]:
    """The established subflows; none when the connection is not MPTCP or the kernel can't tell."""
    room = getattr(_room, "it", None)
    if room is None:
        room = _room.it = _Room()
    code = room.ask(connection.fileno())
    if code:
        if code in (errno.EOPNOTSUPP, errno.ENOPROTOOPT, errno.EINVAL):
            return ()
        raise OSError(code, os.strerror(code))
    return _read(room, established=True)


def _read(room: _Room, *, established: bool) -> tuple[Subflow, ...]:
    """What the kernel has written, or of it the established ones."""
    count = min(_FULL.unpack_from(room.full)[4], _MAX_SUBFLOWS)
    found = []
    for position in range(count):
        here, there = _SUBFLOW.unpack_from(room.infos, position * _SUBFLOW.size)[2:]
        tcp = _TCP_INFO.unpack_from(room.tcps, position * _TCP_INFO.size)
        if tcp[0] == _TCP_ESTABLISHED or (not established and tcp[0] in _STATES):
            local, remote = _address(here), _address(there)
            # One that was given up keeps its place for a while, without an address (0.0.0.0).
            if local is not None and remote is not None and not local[0].is_unspecified:
                found.append(_subflow(local, remote, tcp))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Portrait:
    """All that is to be shown of a connection."""

    transport: str
    """``mptcp`` or ``tcp``; empty when the kernel can't tell (any more)."""
    token: int
    """MPTCP's; 0 without."""
    flows: tuple[Subflow, ...]
    """In whatever state; of plain TCP the connection itself."""


def portray(connection: socket.socket) -> Portrait:
    """A connection for people to look at. Never raises: one that is gone has nothing to show."""
    room = getattr(_room, "it", None)
    if room is None:
        room = _room.it = _Room()
    try:
        if not room.ask(connection.fileno()):
            (token,) = _TOKEN.unpack_from(room.full, _TOKEN_AT)
            return Portrait("mptcp", token, _read(room, established=False))
        if is_mptcp(connection):
            # A kernel that knows no MPTCP_FULL_INFO (before 6.5): what there is of the whole.
            raw = connection.getsockopt(_SOL_MPTCP, _MPTCP_INFO, _MPTCP_INFO_ROOM)
            return Portrait("mptcp", _TOKEN.unpack_from(raw, 12)[0], ())
        return Portrait("tcp", 0, look(connection).flows)
    except (OSError, struct.error):
        return Portrait("", 0, ())


@dataclass(frozen=True, slots=True)
class Look:
    """What a connection is doing."""

    flows: tuple[Subflow, ...]
    """Its subflows; of plain TCP itself as its only one. None when it is not established."""
    handed: int
    """Bytes given to subflows and not acknowledged to the connection as a whole: in flight, in their
    queues, or come in over one path while something before them still travels over another."""


def look(connection: socket.socket) -> Look:
    """See what a connection does. Raises OSError when the socket can't be asked."""
    found = subflows(connection)
    if found:
        _, sent, _, acked = _TOTALS.unpack_from(_room.it.full, _TOTALS_AT)
        return Look(found, max(0, sent - acked))
    raw = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    if len(raw) < _TCP_INFO.size:
        return Look((), 0)
    tcp = _TCP_INFO.unpack(raw)
    if tcp[0] != _TCP_ESTABLISHED:
        return Look((), 0)
    here, there = connection.getsockname(), connection.getpeername()
    flow = _subflow((_plain(here[0]), here[1]), (_plain(there[0]), there[1]), tcp)
    return Look((flow,), flow.unacked * flow.segment + flow.not_sent)


def _subflow(here: tuple[IPAddress, int], there: tuple[IPAddress, int], tcp: tuple[int, ...]) -> Subflow:
    return Subflow(
        local=here[0],
        local_port=here[1],
        remote=there[0],
        remote_port=there[1],
        unacked=tcp[12],
        segment=tcp[10],
        not_sent=tcp[38],
        last_received_ms=tcp[19],
        last_heard_ms=tcp[20],
        rtt_us=tcp[23],
        rttvar_us=tcp[24],
        segments_retrans=tcp[31],
        bytes_acked=tcp[34],
        bytes_received=tcp[35],
        min_rtt_us=tcp[39],
        segments_out=tcp[41],
        pacing=tcp[32],
        rate_bps=0 if tcp[7] & _APP_LIMITED else tcp[42] * 8,
        window=tcp[26],
        state=_STATES.get(tcp[0], "closed"),
        bytes_sent=tcp[48],
        bytes_retrans=tcp[49],
    )


@lru_cache(maxsize=1024)
def _read_address(head: bytes) -> tuple[IPAddress, int] | None:
    (family,) = struct.unpack_from("=H", head)
    (port,) = struct.unpack_from("!H", head, 2)
    if family == socket.AF_INET:
        return IPv4Address(head[4:8]), port
    if family == socket.AF_INET6:
        address = IPv6Address(head[8:24])
        return address.ipv4_mapped or address, port
    return None


def _address(storage: bytes) -> tuple[IPAddress, int] | None:
    """From ``struct sockaddr_storage``; IPv4 within IPv6 is given as IPv4."""
    return _read_address(storage[:24])


def _plain(text: str) -> IPAddress:
    address = ip_address(text.partition("%")[0])
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
