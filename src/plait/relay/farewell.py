"""The last words to somebody who may still be talking.

Closing a socket in which unread bytes lie resets the connection, and the reset may overtake what was
said last. So the end is announced, and what still comes is read and dropped for a while.
"""

from __future__ import annotations

import socket

from plait.kernel.sockets import close_orderly
from plait.relay.loop import ENDED, IN
from plait.relay.pump import Pump, reset

_PATIENCE = 2.0
"""Seconds in which the peer can read what it was told, and leave."""
_DROPPED = 1 << 20
"""Most bytes that are read for nothing; who sends more is reset."""


class Farewell:
    """A registered socket on its way out. ``words`` are few: they fit into its buffer, or are lost."""

    __slots__ = ("_dropped", "_pump", "_sock", "_timer")

    def __init__(self, pump: Pump, sock: socket.socket, words: bytes = b"") -> None:
        self._pump = pump
        self._sock = sock
        self._dropped = 0
        pump.loop.rebind(sock.fileno(), self._event)
        self._timer = pump.loop.timeout(_PATIENCE, self._close)
        try:
            if words:
                sock.send(words)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close()
            return
        # What came before has announced itself to somebody else.
        self._event(IN)

    def _event(self, mask: int) -> None:
        if not mask & (IN | ENDED):
            return
        view = self._pump.buffers.views[-1]
        while True:
            try:
                n = self._sock.recv_into(view)
            except BlockingIOError:
                return
            except OSError:
                n = 0
            if not n:
                self._close()
                return
            self._dropped += n
            if self._dropped > _DROPPED:
                self._pump.loop.forget(self._sock.fileno())
                self._timer.cancel()
                reset(self._sock)
                return

    def _close(self) -> None:
        self._timer.cancel()
        self._pump.loop.forget(self._sock.fileno())
        close_orderly(self._sock)
