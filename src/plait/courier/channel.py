"""The courier's end of the line to control: messages in, messages out, never blocking."""

from __future__ import annotations

import socket
from collections.abc import Callable

from plait.relay.loop import ENDED, IN, Loop
from plait.relay.orders import JsonObject, Lines, line

_RECEIVE = 65536
_MOST_WAITING = 1 << 20
"""Bytes that wait for a control that does not read; what comes then is dropped, as it would be stale."""


class Channel:
    """``heard(message)`` for each message, ``gone()`` when control is no more."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lines = Lines()
        self._outgoing = bytearray()
        self._early: list[JsonObject] = []
        self._open = True

    def first(self) -> JsonObject | None:
        """Wait for the first message; None when control went away before."""
        while data := self._sock.recv(_RECEIVE):
            if messages := self._lines.feed(data):
                self._early = messages[1:]
                return messages[0]
        return None

    def attach(self, loop: Loop, heard: Callable[[JsonObject], None], gone: Callable[[], None]) -> None:
        """From now on messages come through the loop."""
        self._heard, self._gone = heard, gone
        self._sock.setblocking(False)
        loop.register(self._sock.fileno(), self._event)
        for message in self._early:
            heard(message)

    def say(self, message: JsonObject) -> None:
        """Tell control something."""
        if self._open and len(self._outgoing) < _MOST_WAITING:
            self._outgoing += line(message)
            self._flush()

    def _event(self, mask: int) -> None:
        if self._outgoing:
            self._flush()
        if not mask & (IN | ENDED):
            return
        while self._open:
            try:
                data = self._sock.recv(_RECEIVE)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._open = False
                self._gone()
                return
            for message in self._lines.feed(data):
                self._heard(message)

    def _flush(self) -> None:
        try:
            sent = self._sock.send(self._outgoing)
        except BlockingIOError:
            return
        except OSError:
            # Its end of file is on the way.
            self._outgoing.clear()
            return
        del self._outgoing[:sent]
