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
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from plait.config.model import IPAddress

IPPROTO_MPTCP = 262
_SOL_MPTCP = 284
_MPTCP_INFO, _MPTCP_FULL_INFO = 1, 4
_TCP_IS_MPTCP = 43
_TCP_ESTABLISHED = 1
_MAX_SUBFLOWS = 16  # the kernel keeps dead ones listed for a while beside at most nine live ones

# struct mptcp_subflow_info: id, padding, two sockaddr_storage.
_SUBFLOW = struct.Struct("=II128s128s")
# The head of struct tcp_info, as far as it is read here (Linux 4.6 has all of it).
_TCP_INFO = struct.Struct("=8B24I4Q6I4Q2I2Q")
# struct mptcp_full_info: four sizes and two counts, two pointers; then struct mptcp_info.
_FULL = struct.Struct("=6I2Q")
_MPTCP_INFO_ROOM = 160

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
    last_received_ms: int
    """How long ago the last data came in."""


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


def subflows(connection: socket.socket) -> tuple[Subflow, ...]:
    """The established subflows; none when the connection is not MPTCP or the kernel can't tell."""
    infos = ctypes.create_string_buffer(_MAX_SUBFLOWS * _SUBFLOW.size)
    tcps = ctypes.create_string_buffer(_MAX_SUBFLOWS * _TCP_INFO.size)
    full = ctypes.create_string_buffer(_FULL.size + _MPTCP_INFO_ROOM)
    _FULL.pack_into(
        full,
        0,
        0,
        _TCP_INFO.size,
        0,
        _SUBFLOW.size,
        0,
        _MAX_SUBFLOWS,
        ctypes.addressof(infos),
        ctypes.addressof(tcps),
    )
    length = ctypes.c_uint32(len(full))
    refused = _libc.getsockopt(
        connection.fileno(), _SOL_MPTCP, _MPTCP_FULL_INFO, ctypes.byref(full), ctypes.byref(length)
    )
    if refused:
        code = ctypes.get_errno()
        if code in (errno.EOPNOTSUPP, errno.ENOPROTOOPT, errno.EINVAL):
            return ()
        raise OSError(code, os.strerror(code))
    count = min(_FULL.unpack_from(full)[4], _MAX_SUBFLOWS)
    found = []
    for position in range(count):
        info = _SUBFLOW.unpack_from(infos, position * _SUBFLOW.size)
        tcp = _TCP_INFO.unpack_from(tcps, position * _TCP_INFO.size)
        subflow = _subflow(info[2], info[3], tcp)
        if subflow is not None:
            found.append(subflow)
    return tuple(found)


def _subflow(local: bytes, remote: bytes, tcp: tuple[int, ...]) -> Subflow | None:
    here, there = _address(local), _address(remote)
    if tcp[0] != _TCP_ESTABLISHED or here is None or there is None:
        return None
    return Subflow(
        local=here[0],
        local_port=here[1],
        remote=there[0],
        remote_port=there[1],
        unacked=tcp[12],
        last_received_ms=tcp[19],
        rtt_us=tcp[23],
        rttvar_us=tcp[24],
        segments_retrans=tcp[31],
        bytes_acked=tcp[34],
        bytes_received=tcp[35],
        min_rtt_us=tcp[39],
        segments_out=tcp[41],
        bytes_sent=tcp[48],
        bytes_retrans=tcp[49],
    )


def _address(storage: bytes) -> tuple[IPAddress, int] | None:
    """From ``struct sockaddr_storage``; IPv4 within IPv6 is given as IPv4."""
    (family,) = struct.unpack_from("=H", storage)
    (port,) = struct.unpack_from("!H", storage, 2)
    if family == socket.AF_INET:
        return IPv4Address(storage[4:8]), port
    if family == socket.AF_INET6:
        address = IPv6Address(storage[8:24])
        return address.ipv4_mapped or address, port
    return None
