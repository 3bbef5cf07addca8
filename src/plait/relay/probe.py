"""Asking an exit whether it is there, is ours, and how far away: an echo through the real transport.

The dial tells whether something listens, the echo whether it knows our key. A foreign shadowsocks
server can't echo (it tries to resolve a name that can't exist and hangs up): it counts as there.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable

from plait.kernel.mptcp_info import is_mptcp
from plait.kernel.sockets import begin_connect, close_orderly
from plait.relay.dialer import Dial, Failure
from plait.relay.exit import PROBE_HOST
from plait.relay.gateway import Upstream, Way, dial
from plait.relay.loop import ENDED, IN, Loop
from plait.relay.pump import Pump, reset
from plait.wire.address import Target, encode
from plait.wire.shadowsocks import Forged
from plait.wire.streams import dial as greet

PROBE_TARGET = encode(Target(PROBE_HOST, 7))
_COOKIE = 8

_HANDSHAKE_LIMIT = 2.0
_RTT_OFFSET = 68
"""Of ``tcpi_rtt`` in ``struct tcp_info`` (include/uapi/linux/tcp.h): µs, 4 bytes."""

Result = dict[str, object]


def handshake(loop: Loop, way: Way, done: Callable[[Result], None]) -> None:
    """One plain TCP handshake over one way, then an orderly close, without a byte.

    For exits that can't echo: any server that listens can be asked so. ``done`` gets ``{"ok": ...,
    "rtt_ms": ..., "why": ...}``. The round trip is the kernel's own figure of the handshake, so that
    a busy worker makes no path look long.
    """

    def connected(sock: socket.socket, way: Way, mask: int) -> None:
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RTT_OFFSET + 4)
            rtt_us = int.from_bytes(info[_RTT_OFFSET:], sys.byteorder)
        except OSError:
            rtt_us = 0
        loop.forget(sock.fileno())
        close_orderly(sock)
        done({"ok": True, "rtt_ms": rtt_us / 1000.0 if rtt_us else None, "why": ""})

    def failed(failure: Failure) -> None:
        done({"ok": False, "rtt_ms": None, "why": failure.value})

    def connect(way: Way) -> socket.socket:
        return begin_connect(way.address, way.port, local=way.local, interface=way.interface)

    race: Dial[Way] = Dial(loop, connect, connected, failed, _HANDSHAKE_LIMIT)
    race.offer([way])


class Probe:
    """One probe under way; ``done`` gets ``{"state": ..., "rtt_ms": ..., "why": ..., "mptcp": ...}``.

    States: ``up`` (echoed), ``foreign`` (answers, but not to us: another kind of server), ``silent``
    (listens, does not answer: a wrong key, most likely), ``down``. ``mptcp`` is whether the connection was
    MPTCP to the end; None when there was none.
    """

    __slots__ = (
        "_begun",
        "_cookie",
        "_data",
        "_done",
        "_greeting",
        "_interface",
        "_opener",
        "_over",
        "_pump",
        "_rtt",
        "_sock",
        "_upstream",
    )

    def __init__(self, pump: Pump, upstream: Upstream, done: Callable[[Result], None], limit: float) -> None:
        self._pump = pump
        self._upstream = upstream
        self._done = done
        self._begun = pump.loop.now
        self._rtt = 0.0
        self._cookie = os.urandom(_COOKIE)
        self._greeting = greet(upstream.key, os.urandom, time.time)
        self._opener = self._greeting.opener()
        self._sock: socket.socket | None = None
        self._data = b""
        self._over = False
        self._interface = ""
        pump.loop.after(limit, self._late)
        dial(pump, upstream, self._connected, self._failed, limit)

    def _failed(self, failure: Failure) -> None:
        self._finish("down", failure.value)

    def _connected(self, sock: socket.socket, way: Way, mask: int) -> None:
        loop = self._pump.loop
        self._sock = sock
        self._interface = way.interface
        self._rtt = loop.now - self._begun
        first, _ = self._greeting.first(PROBE_TARGET, memoryview(self._cookie))
        loop.rebind(sock.fileno(), self._event)
        try:
            sock.send(first)
        except OSError:
            self._finish("down", "reset")

    def _event(self, mask: int) -> None:
        sock = self._sock
        if sock is None or not mask & (IN | ENDED):
            return
        try:
            data = sock.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            self._finish("foreign", "hangs up")
            return
        if not data:
            self._finish("foreign", "hangs up")
            return
        self._data += data
        answer = self._data
        if self._opener is not None:
            opened = bytearray(len(answer) + 64)
            try:
                _, produced = self._opener.open_into(memoryview(answer), memoryview(opened))
            except Forged:
                self._finish("silent", "its answer is sealed with another key")
                return
            if not produced:
                return
            answer = bytes(opened[:produced])
        if len(answer) >= _COOKIE:
            echoed = answer[:_COOKIE] == self._cookie
            self._finish("up" if echoed else "foreign", "" if echoed else "no echo")

    def _late(self) -> None:
        if self._sock is not None:
            self._finish("silent", "it listens but does not answer: another password, method or clock?")
        else:
            self._finish("down", Failure.TIMEOUT.value)

    def _finish(self, state: str, why: str) -> None:
        if self._over:
            return
        self._over = True
        mptcp = None
        if self._sock is not None:
            mptcp = is_mptcp(self._sock)
            self._pump.loop.forget(self._sock.fileno())
            reset(self._sock)
            self._sock = None
        self._done(
            {
                "state": state,
                "rtt_ms": round(self._rtt * 1e3, 3),
                "why": why,
                "interface": self._interface,
                "mptcp": mptcp,
            }
        )
