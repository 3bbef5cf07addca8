"""Sockets in any node of a lab, all held by the test itself.

A socket stays in the network namespace that its maker was in. So the test goes into a node for the
moment in which a socket is made, and then holds both ends of a conversation across the whole
topology in its own hands: no helper programs, no waiting for what they print.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import socket
import struct
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from plait.lab.node import NETNS, Node, wait_for

CLONE_NEWNET = 0x40000000
IPPROTO_MPTCP = 262
PATIENCE = 20.0
"""Seconds after which a test gives up on a socket. Never what a test is about."""

_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def inside(node: Node) -> Iterator[None]:
    """Be in the node's network; only this thread."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(NETNS / node.name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(there)
        yield
    finally:
        _enter(here)
        os.close(here)
        os.close(there)


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")


def family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def listen(node: Node, address: str, port: int = 0, backlog: int = 1024) -> socket.socket:
    """A listening socket in ``node``."""
    with inside(node):
        sock = socket.socket(family_of(address), socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    sock.listen(backlog)
    sock.settimeout(PATIENCE)
    return sock


def connect(
    node: Node, address: str, port: int, *, mptcp: bool = False, source: str = "", wait: float = PATIENCE
) -> socket.socket:
    """A connected socket from ``node``; raises OSError as ``connect`` does."""
    with inside(node):
        protocol = IPPROTO_MPTCP if mptcp else socket.IPPROTO_TCP
        sock = socket.socket(family_of(address), socket.SOCK_STREAM, protocol)
    try:
        sock.settimeout(wait)
        if source:
            sock.bind((source, 0))
        sock.connect((address, port))
        sock.settimeout(PATIENCE)
    except OSError:
        sock.close()
        raise
    return sock


def accept(listener: socket.socket) -> socket.socket:
    """The next connection, with the test's patience."""
    sock, _ = listener.accept()
    sock.settimeout(PATIENCE)
    return sock


def exactly(sock: socket.socket, size: int) -> bytes:
    """``size`` bytes; fewer when the stream ends before."""
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(min(1 << 18, size - len(data)))
        if not piece:
            break
        data += piece
    return bytes(data)


def until_end(sock: socket.socket) -> tuple[bytes, str]:
    """All that comes, and how the stream ended: ``eof`` or ``reset``."""
    data = bytearray()
    while True:
        try:
            piece = sock.recv(1 << 18)
        except ConnectionResetError:
            return bytes(data), "reset"
        if not piece:
            return bytes(data), "eof"
        data += piece


def reset(sock: socket.socket) -> None:
    """Close with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def silent(sock: socket.socket, seconds: float) -> bool:
    """Whether nothing at all, not even an end, comes within ``seconds``."""
    readable, _, _ = select.select([sock], [], [], seconds)
    return not readable


def full(sock: socket.socket, seconds: float = 1.0) -> bool:
    """Whether nothing more can be sent for ``seconds``: all is full down to a reader that does not read."""
    return not select.select([], [sock], [], seconds)[1]


def drain(sock: socket.socket) -> None:
    """Wait until the peer's kernel has all that was sent (SIOCOUTQ is 0)."""

    def empty() -> bool:
        return fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)) == bytes(4)

    wait_for("sent bytes to arrive", empty, within=PATIENCE, every=0.005)


def maps_other_users() -> bool:
    """Whether there is anybody else to become: a user namespace made without root has but one user."""
    with open("/proc/self/uid_map") as uid_map:
        return int(uid_map.read().split()[2]) > 1


def resident(pid: int) -> int:
    """Resident bytes of a process."""
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    """How many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


class Echo:
    """Sends back what it gets, to any number of clients, in a thread of its own.

    At a client's end of stream it says the same; ``held`` counts connections that are open.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        listener.setblocking(False)
        self.accepted = 0
        self.peers: set[str] = set()
        """Addresses from which clients came."""
        self._open: dict[int, socket.socket] = {}
        self._waiting: dict[int, bytes] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="echo", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def held(self) -> int:
        return len(self._open)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(PATIENCE)
        for sock in [self._listener, *self._open.values()]:
            sock.close()

    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        while not self._stop.is_set():
            for fd, mask in poll.poll(100):
                if fd == self._listener.fileno():
                    self._take(poll)
                else:
                    self._turn(poll, fd, mask)

    def _take(self, poll: select.poll) -> None:
        while True:
            try:
                sock, peer = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:
                continue
            sock.setblocking(False)
            self.accepted += 1
            self.peers.add(peer[0])
            self._open[sock.fileno()] = sock
            self._waiting[sock.fileno()] = b""
            poll.register(sock, select.POLLIN)

    def _turn(self, poll: select.poll, fd: int, mask: int) -> None:
        sock = self._open[fd]
        try:
            waiting = self._waiting[fd]
            if not waiting:
                waiting = sock.recv(1 << 18)
                if not waiting:
                    self._leave(poll, fd)
                    return
            try:
                sent = sock.send(waiting)
            except BlockingIOError:
                sent = 0
            self._waiting[fd] = waiting[sent:]
            poll.modify(fd, select.POLLOUT if waiting[sent:] else select.POLLIN)
        except BlockingIOError:
            return
        except OSError:
            self._leave(poll, fd)

    def _leave(self, poll: select.poll, fd: int) -> None:
        poll.unregister(fd)
        del self._waiting[fd]
        self._open.pop(fd).close()


@contextmanager
def echo(node: Node, address: str, port: int = 0) -> Iterator[Echo]:
    """An echo server in ``node``."""
    server = Echo(listen(node, address, port))
    try:
        yield server
    finally:
        server.close()
