"""Sockets that speak with an address that is not ours: a reply must come from where a client had written to.

Such a socket (IP_TRANSPARENT, bound to that address and port) takes privileges to make, which the courier
has not. It asks control for each, over a socket pair of its own, and is handed the descriptor. One serves
all clients of that address; those unused longest are closed when there are many.

    courier → control   family 1 B (4 or 6) │ address │ port 2 B
    control → courier   the same, with the descriptor; without one when it can't be had
"""

from __future__ import annotations

import socket
from collections import OrderedDict

from plait.relay.loop import IN, Loop

MOST = 1024
"""Such sockets at once."""
_WAITING = 64
"""Datagrams that wait for one socket."""
_ASKED = 256
"""Questions under way at once."""
_PIECE = 64

Face = tuple[bytes, int]
"""A packed address and a port."""


def spell(face: Face) -> bytes:
    """As it is asked for."""
    return bytes((4 if len(face[0]) == 4 else 6,)) + face[0] + face[1].to_bytes(2, "big")


def read(message: bytes) -> Face:
    """The opposite. ValueError when it is none."""
    size = {4: 4, 6: 16}.get(message[0] if message else 0, 0)
    if not size or len(message) != size + 3:
        raise ValueError("no address")
    return message[1 : 1 + size], int.from_bytes(message[-2:], "big")


class Faces:
    """All of them."""

    def __init__(self, loop: Loop, lender: socket.socket, most: int = MOST) -> None:
        """``lender`` is our end of the pair, SOCK_SEQPACKET."""
        self._loop = loop
        self._lender = lender
        self._most = most
        self._have: OrderedDict[Face, socket.socket] = OrderedDict()
        self._asked: dict[Face, list[tuple[bytes, tuple[str, int]]]] = {}
        self.refused = 0
        """Datagrams that were dropped for want of a socket."""
        lender.setblocking(False)
        loop.register(lender.fileno(), self._lent, IN)

    def prepare(self, face: Face) -> None:
        """An answer from there is likely: have the socket by then."""
        if face not in self._have and face not in self._asked:
            self._ask(face)

    def send(self, face: Face, data: bytes, client: tuple[str, int]) -> None:
        """Send to a client as if from ``face``, as soon as that is possible."""
        sock = self._have.get(face)
        if sock is not None:
            self._have.move_to_end(face)
            self._send(sock, data, client)
            return
        if face not in self._asked and not self._ask(face):
            self.refused += 1
        elif len(self._asked[face]) < _WAITING:
            self._asked[face].append((data, client))
        else:
            self.refused += 1

    def close(self) -> None:
        """Close all."""
        self._loop.unregister(self._lender.fileno())
        self._lender.close()
        for sock in self._have.values():
            sock.close()
        self._have.clear()

    def _ask(self, face: Face) -> bool:
        if len(self._asked) >= _ASKED:
            return False
        try:
            self._lender.send(spell(face))
        except OSError:
            return False
        self._asked[face] = []
        return True

    def _lent(self, mask: int) -> None:
        while True:
            try:
                message, fds, _, _ = socket.recv_fds(self._lender, _PIECE, 1)
            except BlockingIOError:
                return
            except OSError:
                message, fds = b"", []
            if not message:
                # Control is gone, and ends us by another way.
                self._loop.unregister(self._lender.fileno())
                return
            waiting = self._asked.pop(read(message), [])
            if not fds:
                self.refused += len(waiting)
                continue
            sock = socket.socket(fileno=fds[0])
            self._have[read(message)] = sock
            if len(self._have) > self._most:
                self._have.popitem(last=False)[1].close()
            for data, client in waiting:
                self._send(sock, data, client)

    def _send(self, sock: socket.socket, data: bytes, client: tuple[str, int]) -> None:
        try:
            sock.sendto(data, client)
        except OSError:
            self.refused += 1
