"""Asking an exit whether it is there, is ours, and how far away: an echo through the real transport.

The dial tells whether something listens, the echo whether it knows our key. A foreign shadowsocks
server can't echo (it tries to resolve a name that can't exist and hangs up): it counts as there.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from plait.relay.dialer import Failure
from plait.relay.exit import PROBE_HOST
from plait.relay.gateway import Upstream, Way, dial
from plait.relay.loop import ENDED, IN
from plait.relay.pump import Pump, reset
from plait.wire.address import Target, encode
from plait.wire.shadowsocks import Dial as Greeting
from plait.wire.shadowsocks import Forged, Opener

PROBE_TARGET = encode(Target(PROBE_HOST, 7))
_COOKIE = 8

Result = dict[str, object]


class Probe:
    """One probe under way; ``done`` gets ``{"state": ..., "rtt_ms": ..., "why": ...}``.

    States: ``up`` (echoed), ``foreign`` (answers, but not to us: another kind of server), ``silent``
    (listens, does not answer: a wrong key, most likely), ``down``.
    """

    __slots__ = (
        "_begun",
        "_cookie",
        "_data",
        "_done",
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
        self._opener = Opener(upstream.key) if upstream.key is not None else None
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
        key = self._upstream.key
        first, _ = Greeting(key, os.urandom(key.salt_size) if key else b"").first(
            PROBE_TARGET, memoryview(self._cookie)
        )
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
            self._finish("silent", "it listens but does not answer: another password or method?")
        else:
            self._finish("down", Failure.TIMEOUT.value)

    def _finish(self, state: str, why: str) -> None:
        if self._over:
            return
        self._over = True
        if self._sock is not None:
            self._pump.loop.forget(self._sock.fileno())
            reset(self._sock)
            self._sock = None
        self._done(
            {"state": state, "rtt_ms": round(self._rtt * 1e3, 3), "why": why, "interface": self._interface}
        )
