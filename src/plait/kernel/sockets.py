"""Socket options and addresses that CPython has no names for, in one place.

Sources: include/uapi/linux/in.h, in6.h, tcp.h, mptcp.h, netfilter_ipv4.h, netfilter_ipv6/ip6_tables.h.
"""

from __future__ import annotations

import array
import errno
import fcntl
import socket
import struct
import termios

from plait.kernel.congestion import Congestion

IPPROTO_MPTCP = getattr(socket, "IPPROTO_MPTCP", 262)

IP_FREEBIND = 15
IP_TRANSPARENT = 19
IP_BIND_ADDRESS_NO_PORT = 24
IPV6_TRANSPARENT = 75
IPV6_FREEBIND = 78
SO_ORIGINAL_DST = 80
"""Also the value of IP6T_SO_ORIGINAL_DST, at level IPPROTO_IPV6."""

_SOCKADDR_IN = 16
_SOCKADDR_IN6 = 28

_KEEP_IDLE, _KEEP_INTERVAL, _KEEP_COUNT = 300, 30, 6
"""A peer that vanished is found after eight minutes; a sleeping phone costs a packet in five."""

_BACKLOG = 4096
_PLAIN_BACKLOG = 64

Where = tuple[bytes, int]
"""A packed address (4 or 16 bytes, network order) and a port."""


def pack(text: str) -> bytes:
    """An address as packed bytes; IPv4 that came through a dual-stack socket becomes IPv4 again."""
    if ":" not in text:
        return socket.inet_pton(socket.AF_INET, text)
    packed = socket.inet_pton(socket.AF_INET6, text.partition("%")[0])
    return packed[12:] if packed.startswith(_MAPPED) else packed


_MAPPED = bytes(10) + b"\xff\xff"


def local_address(sock: socket.socket) -> Where:
    """Where the peer believes it is connected to. With TPROXY that is the original destination."""
    name = sock.getsockname()
    return pack(name[0]), name[1]


def original_destination(sock: socket.socket) -> Where | None:
    """What a redirected connection had asked for (conntrack, `ipv4_getorigdst`/`ipv6_getorigdst`).

    None when it was not redirected: then the client has connected to us on purpose, or by mistake.
    """
    here = local_address(sock)
    there: Where | None = None
    try:
        if len(here[0]) == 4:
            raw = sock.getsockopt(socket.IPPROTO_IP, SO_ORIGINAL_DST, _SOCKADDR_IN)
            there = raw[4:8], int.from_bytes(raw[2:4], "big")
        else:
            raw = sock.getsockopt(socket.IPPROTO_IPV6, SO_ORIGINAL_DST, _SOCKADDR_IN6)
            there = raw[8:24], int.from_bytes(raw[2:4], "big")
    except OSError:
        return None
    return None if there == here else there


_ABORT = struct.pack("ii", 1, 0)
_ORDERLY = struct.pack("ii", 0, 0)
"""`struct linger`, include/linux/socket.h."""


def abort_on_close(sock: socket.socket) -> None:
    """From now on closing means reset (on MPTCP: MP_FASTCLOSE), whoever closes: the kernel, too, when the
    process is killed. Otherwise half a download would end like a whole one. Accepted sockets inherit it."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)


def close_orderly(sock: socket.socket) -> None:
    """Close a conversation that has come to its end, or never began: what was sent still arrives."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ORDERLY)
    except OSError:
        pass
    sock.close()


def unsent(sock: socket.socket) -> int:
    """Bytes that the peer's kernel has not acknowledged (SIOCOUTQ); 0 when that can't be told."""
    waiting = array.array("i", [0])
    try:
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, waiting)
    except OSError:
        return 0
    return waiting[0]


def tune(sock: socket.socket) -> None:
    """No Nagle (we write what we have), and find out about peers that vanished.

    Kernels before 5.19 refuse some of these on accepted MPTCP sockets; then we do without.
    """
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    except OSError:
        pass


def ask_often(sock: socket.socket, unanswered: int) -> None:
    """Probe the peer (all subflows that are idle) once a second, until so many in a row had no answer: then
    that subflow is over. With 0 as seldom as usual again."""
    if unanswered:
        _keepalive(sock, 1, 1, unanswered)
    else:
        _keepalive(sock)


def _keepalive(
    sock: socket.socket, idle: int = _KEEP_IDLE, interval: int = _KEEP_INTERVAL, count: int = _KEEP_COUNT
) -> None:
    for option, value in (
        (socket.TCP_KEEPIDLE, idle),
        (socket.TCP_KEEPINTVL, interval),
        (socket.TCP_KEEPCNT, count),
    ):
        try:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        except OSError:
            pass


def listen(
    address: str,
    port: int,
    *,
    mptcp: bool = False,
    transparent: bool = False,
    early: bool = False,
    congestion: Congestion | None = None,
) -> socket.socket:
    """A non-blocking listening socket; several may share one port (SO_REUSEPORT), one for each worker.

    With ``early`` the address may come later, as a LAN's bridge does at boot (ip(7), IP_FREEBIND).
    What accepted sockets inherit (no Nagle, keepalive) is set here once, not on every accept.
    Raises OSError as the system calls do.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, IPPROTO_MPTCP if mptcp else socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if transparent:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
        if early:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        tune(sock)
        abort_on_close(sock)
        _keepalive(sock)
        if congestion is not None:
            congestion.prepare(sock)
        sock.bind((address, port))
        sock.setblocking(False)
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def listen_plainly(address: str, port: int) -> socket.socket:
    """A non-blocking listening socket of plain TCP whose connections end in order when they are closed; its
    address may come later. Raises OSError as the system calls do."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        sock.bind((address, port))
        sock.setblocking(False)
        sock.listen(_PLAIN_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def begin_connect(
    address: str,
    port: int,
    *,
    mptcp: bool = False,
    local: str = "",
    interface: str = "",
    congestion: Congestion | None = None,
) -> socket.socket:
    """A non-blocking socket on which a connect has begun.

    ``local`` and ``interface`` choose the first path of an MPTCP connection (the others come from the
    endpoints). SO_BINDTODEVICE needs no privilege since Linux 5.7; where it is refused the source
    address has to do. Raises OSError as the system calls do.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(
        family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, IPPROTO_MPTCP if mptcp else socket.IPPROTO_TCP
    )
    try:
        tune(sock)
        abort_on_close(sock)
        if congestion is not None:
            congestion.prepare(sock)
        if interface:
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            except PermissionError:
                pass
        if local:
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((local, 0))
        status = sock.connect_ex((address, port))
        if status not in (0, errno.EINPROGRESS):
            raise OSError(status, "connect")
    except OSError:
        sock.close()
        raise
    return sock
