"""One connection to an exit over one path, from handshake to echo: asked, and waited for.

What a worker does with its loop (`relay.probe`), for an examination that has time to wait. It goes through
the kernel's own MPTCP, or plain TCP.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from dataclasses import dataclass

from plait.kernel.mptcp_info import is_mptcp
from plait.kernel.sockets import begin_connect, close_orderly
from plait.relay.probe import PROBE_TARGET
from plait.wire.cipher import Key
from plait.wire.faults import Forged
from plait.wire.streams import dial as greet

_COOKIE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of it."""

    connected: bool = False
    refused: bool = False
    mptcp_at_first: bool = False
    """After the handshake."""
    mptcp: bool = False
    """After data went both ways."""
    state: str = "down"
    """``up``, ``foreign``, ``silent`` or ``down``, as a probe says."""
    seconds: float | None = None
    """That the handshake took."""


def attempt(
    remote: str,
    port: int,
    key: Key | None,
    *,
    mptcp: bool,
    local: str,
    interface: str,
    connect_limit: float,
    answer_limit: float,
) -> Trial:
    """Connect, ask for an echo, look whether it still is MPTCP. Never raises for what the network does.

    ``connect_limit`` must be short with ``mptcp``: after a second lost SYN the kernel tries without MPTCP,
    and remembers.
    """
    began = time.monotonic()
    try:
        sock = begin_connect(remote, port, mptcp=mptcp, local=local, interface=interface)
    except OSError:
        return Trial()
    try:
        _, writable, _ = select.select([], [sock], [], connect_limit)
        if not writable:
            return Trial()
        failed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            return Trial(refused=failed in (errno.ECONNREFUSED, errno.ECONNRESET))
        seconds = time.monotonic() - began
        at_first = mptcp and is_mptcp(sock)
        state = _ask(sock, key, answer_limit)
        return Trial(
            connected=True,
            mptcp_at_first=at_first,
            mptcp=mptcp and is_mptcp(sock),
            state=state,
            seconds=seconds,
        )
    finally:
        close_orderly(sock)


def hold(remote: str, port: int, *, local: str, interface: str, limit: float) -> socket.socket | None:
    """A plain TCP connection that says nothing; None when there is none within ``limit`` seconds."""
    try:
        sock = begin_connect(remote, port, local=local, interface=interface)
    except OSError:
        return None
    _, writable, _ = select.select([], [sock], [], limit)
    if writable and not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        return sock
    sock.close()
    return None


def lives(sock: socket.socket, key: Key | None, limit: float) -> bool:
    """Whether a connection that was held still carries: it is asked for an echo."""
    return _ask(sock, key, limit) != "silent"


def _ask(sock: socket.socket, key: Key | None, limit: float) -> str:
    """Ask for an echo; the state that a probe would find."""
    greeting = greet(key, os.urandom, time.time)
    opener = greeting.opener()
    cookie = os.urandom(_COOKIE)
    first, _ = greeting.first(PROBE_TARGET, memoryview(cookie))
    data = b""
    deadline = time.monotonic() + limit
    try:
        sock.send(first)
        while (left := deadline - time.monotonic()) > 0:
            readable, _, _ = select.select([sock], [], [], left)
            if not readable:
                break
            more = sock.recv(4096)
            if not more:
                return "foreign"
            data += more
            answer = data
            if opener is not None:
                opened = bytearray(len(data) + 64)
                _, produced = opener.open_into(memoryview(data), memoryview(opened))
                answer = bytes(opened[:produced])
            if len(answer) >= _COOKIE:
                return "up" if answer[:_COOKIE] == cookie else "foreign"
    except Forged:
        return "silent"
    except BlockingIOError:
        return "silent"
    except OSError:
        return "foreign"
    return "silent"
