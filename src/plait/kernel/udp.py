"""UDP sockets as the courier needs them: bound to a path, or open to everyone with several addresses.

Sources: include/uapi/linux/in.h, in6.h, udp.h, asm-generic/socket.h; ip(7), ipv6(7), udp(7).
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
import time
from typing import NamedTuple

from plait.kernel.sockets import IP_BIND_ADDRESS_NO_PORT, IP_TRANSPARENT, IPV6_TRANSPARENT

IP_PKTINFO = 8
IP_MTU_DISCOVER = 10
IP_RECVORIGDSTADDR = 20
IPV6_MTU_DISCOVER = 23
IPV6_RECVORIGDSTADDR = 74
_DONT = 0
"""IP_PMTUDISC_DONT: fragment what is too large, here or on the way."""
_PROBE = 3
"""IP_PMTUDISC_PROBE: never fragment, and believe no router's word about the MTU."""
_FITS = 1232
"""Bytes of a datagram that every path takes whole (IPv6's least MTU, RFC 8200, section 5)."""
SO_TIMESTAMPNS = 35
UDP_SEGMENT = 103
UDP_GRO = 104

_IN_PKTINFO = struct.Struct("=i4s4s")
_IN6_PKTINFO = struct.Struct("=16si")
_TIMESPEC = struct.Struct("@qq")
_SEGMENT = struct.Struct("=H")
_CONTROL = (
    socket.CMSG_SPACE(_TIMESPEC.size) + socket.CMSG_SPACE(_IN6_PKTINFO.size) + socket.CMSG_SPACE(4) + 64
)
_LARGEST = 65535
_MOST_WAITED = 0.5
_BUFFER = 4 << 20
"""Bytes that the kernel may keep for us each way, as far as it lets us."""

GONE = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.ECONNREFUSED})
"""Sending failed, and it says nothing about the path: a full queue, or what an earlier datagram met."""

Peer = tuple[str, int] | tuple[str, int, int, int]
"""A socket address as Python gives it."""


class Letter(NamedTuple):
    """One datagram that came, or several of one sender and one length.

    A tuple, which is made in a third of the time that a frozen dataclass takes.
    """

    data: bytes
    peer: Peer
    local: bytes
    """The address it was sent to, packed; empty on a socket that does not tell."""
    at: int
    """When it came, by the kernel: nanoseconds of the real-time clock; 0 when that is not known."""
    size: int = 0
    """Where the kernel has joined several datagrams: the length of each but the last; else 0."""

    def waited(self) -> float:
        """Seconds for which it has lain in the kernel's queue; 0 when that is not known, or the clock was
        set meanwhile."""
        waited = (time.time_ns() - self.at) * 1e-9
        return waited if self.at and 0.0 < waited < _MOST_WAITED else 0.0


def open_path(remote: str, port: int, *, local: str, interface: str) -> socket.socket:
    """A non-blocking socket that sends to one exit over one link and hears nobody else.

    Raises OSError: no such address or link (any more).
    """
    sock = _make(remote)
    try:
        # Needs no privilege for a socket that is bound to none yet (Linux 5.7).
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((local, 0))
        sock.connect((remote, port))
    except OSError:
        sock.close()
        raise
    return sock


def open_door(address: str, port: int) -> socket.socket:
    """A non-blocking socket on which everybody is heard, and that knows which of our addresses they meant.

    Raises OSError as the system calls do.
    """
    sock = _make(address)
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        sock.bind((address, port))
    except OSError:
        sock.close()
        raise
    return sock


def _make(address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, _PROBE)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, _PROBE)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    try:
        sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    except OSError:
        pass  # before Linux 5.0: one at a time
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    return sock


def receive(sock: socket.socket) -> Letter | None:
    """The next datagram; None when there is none. Errors that earlier datagrams met are passed over."""
    while True:
        try:
            data, control, _, peer = sock.recvmsg(_LARGEST, _CONTROL)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            if error.errno in _PASSING:
                continue
            return None
        local, at, size = b"", 0, 0
        for level, kind, value in control:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = _TIMESPEC.unpack(value[: _TIMESPEC.size])
                at = seconds * 1_000_000_000 + nanoseconds
            elif level == socket.IPPROTO_IP and kind == IP_PKTINFO:
                local = _IN_PKTINFO.unpack(value)[2]
            elif level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
                local = _IN6_PKTINFO.unpack(value)[0]
            elif level == socket.IPPROTO_UDP and kind == UDP_GRO:
                size = int.from_bytes(value[:4], sys.byteorder)
        return Letter(data, peer, local, at, size if size < len(data) else 0)


_PASSING = frozenset(
    {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EMSGSIZE, errno.EPROTO}
)
"""ICMP errors about what was sent, delivered once each on the next call (udp(7))."""


def answer(sock: socket.socket, data: bytes, peer: Peer, local: bytes) -> bool:
    """Send to ``peer`` from that address of ours which it knows; whether the kernel took it."""
    try:
        sock.sendmsg((data,), _from(local), 0, peer)
    except OSError:
        return False
    return True


def send_run(
    sock: socket.socket, buffers: list[bytes], size: int, peer: Peer | None = None, local: bytes = b""
) -> bool:
    """Send the buffers, together at most 64 kB, as datagrams of ``size`` bytes, the last maybe shorter.

    One call of the kernel for all of them (UDP_SEGMENT, Linux 4.18), to ``peer``, or where the socket is
    connected to. Whether the kernel took them; what it does not take is lost, like anything else.
    """
    control = [(socket.IPPROTO_UDP, UDP_SEGMENT, _SEGMENT.pack(size))]
    if local:
        control += _from(local)
    try:
        _sendmsg(sock, buffers, control, peer)
    except OSError as error:
        # Before Linux 6.11 a device that can't do checksums (ppp, many a modem) is sent no runs
        # (net/ipv4/udp.c `udp_send_skb`).
        return error.errno == errno.EIO and _send_singly(sock, buffers, size, peer, control[1:])
    return True


def _send_singly(
    sock: socket.socket,
    buffers: list[bytes],
    size: int,
    peer: Peer | None,
    control: list[tuple[int, int, bytes]],
) -> bool:
    """The same with a call for each datagram."""
    begin = length = 0
    for end, buffer in enumerate(buffers, 1):
        length += len(buffer)
        if length >= size or end == len(buffers):
            try:
                _sendmsg(sock, buffers[begin:end], control, peer)
            except OSError:
                return False
            begin, length = end, 0
    return True


def _sendmsg(
    sock: socket.socket, buffers: list[bytes], control: list[tuple[int, int, bytes]], peer: Peer | None
) -> None:
    if peer is None:
        sock.sendmsg(buffers, control)
    else:
        sock.sendmsg(buffers, control, 0, peer)


def _from(local: bytes) -> list[tuple[int, int, bytes]]:
    if len(local) == 4:
        return [(socket.IPPROTO_IP, IP_PKTINFO, _IN_PKTINFO.pack(0, local, bytes(4)))]
    if local:
        return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _IN6_PKTINFO.pack(local, 0))]
    return []


def split(letter: Letter) -> list[Letter]:
    """The datagrams of a letter, one each."""
    if not letter.size:
        return [letter]
    data, size = letter.data, letter.size
    return [
        Letter(data[at : at + size], letter.peer, letter.local, letter.at) for at in range(0, len(data), size)
    ]


def answer_whole(sock: socket.socket, data: bytes, peer: Peer, local: bytes) -> bool:
    """The same for a datagram whose size is not ours to choose: it may go in fragments."""
    if len(data) <= _FITS:
        return answer(sock, data, peer, local)
    fragment(sock, True)
    try:
        return answer(sock, data, peer, local)
    finally:
        fragment(sock, False)


def fragment(sock: socket.socket, allowed: bool) -> None:
    """Whether what is too large for the path may go in fragments from now on."""
    how = _DONT if allowed else _PROBE
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, how)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, how)


def open_interceptor(address: str, port: int) -> socket.socket:
    """A non-blocking socket for datagrams that nftables hands over (TPROXY), and that tells whom each was
    for. Takes CAP_NET_ADMIN. Raises OSError as the system calls do."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        _be_transparent(sock)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_RECVORIGDSTADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        sock.bind((address, port))
    except OSError:
        sock.close()
        raise
    return sock


def open_face(address: bytes, port: int, mark: int) -> socket.socket:
    """A non-blocking socket that sends from an address and port that are not this host's, with that mark.

    Takes CAP_NET_ADMIN. Raises OSError as the system calls do.
    """
    family = socket.AF_INET6 if len(address) == 16 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        _be_transparent(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        # A former courier may still have one of the same address.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # It only sends.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
        sock.bind((socket.inet_ntop(family, address), port))
    except OSError:
        sock.close()
        raise
    return sock


def _be_transparent(sock: socket.socket) -> None:
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
