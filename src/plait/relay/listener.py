"""Accepting: everything that waits, but never more than there is room for."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable

from plait.relay.loop import IN, Loop

log = logging.getLogger(__name__)

_AT_ONCE = 64
"""Most connections taken in one turn, so that those that relay are not kept waiting."""

_PAUSE = 0.1
"""Seconds until the next look when there was no room; clients wait in the kernel's queue meanwhile."""

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Listener:
    """A listening socket, level-triggered, and what to do with those who come."""

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        accepted: Callable[[socket.socket, str], None],
        room: Callable[[], bool],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._family, self._kind, self._proto = int(sock.family), int(sock.type), sock.proto
        self._accepted = accepted
        self._room = room
        self._open = True
        sock.setblocking(False)
        loop.register(sock.fileno(), self._event, IN)

    def close(self) -> None:
        """Accept what has arrived, then no more: closing would reset those who wait."""
        if self._open:
            while self._accept():
                pass
            self._open = False
            self._loop.unregister(self._sock.fileno())
            self._sock.close()

    def _event(self, mask: int) -> None:
        self._accept()

    def _accept(self) -> bool:
        """Take some; whether there may be more that could be taken now."""
        # socket.accept() looks up three enums for each connection to say what we know already.
        accept = self._sock._accept  # type: ignore[attr-defined]
        family, kind = self._family, self._kind
        for _ in range(_AT_ONCE):
            if not self._room():
                self._pause("no room for more sessions")
                return False
            try:
                fd, peer = accept()
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause(f"accept: {error.strerror}")
                    return False
                # The client is gone before we got to it (accept(2) passes its errors on).
                continue
            sock = socket.socket(family, kind, self._proto, fd)
            sock.setblocking(False)
            self._accepted(sock, peer[0])
        return True

    def _pause(self, why: str) -> None:
        if not self._open:
            return
        log.debug("pausing: %s", why)
        self._loop.unregister(self._sock.fileno())
        self._loop.after(_PAUSE, self._resume)

    def _resume(self) -> None:
        if self._open:
            self._loop.register(self._sock.fileno(), self._event, IN)
