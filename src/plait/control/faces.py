"""Lends the courier sockets that speak with addresses which are not ours: see `plait.courier.faces`.

Whoever holds the other end may ask for any address but the host's own and those that are nobody's. That is
what the courier is for; it can't use such a socket for anything but sending datagrams from that address.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection
from ipaddress import ip_address

from plait.courier.faces import Face, read
from plait.kernel.udp import open_face
from plait.paths.marks import FWMARK_ANSWER

_QUESTION = 64
_AT_ONCE = 64


class Lender:
    """Our end of one courier's pair."""

    def __init__(self, own: Collection[bytes]) -> None:
        """``own`` are the host's addresses, packed."""
        self.own = own
        self._sock, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._sock.setblocking(False)
        asyncio.get_running_loop().add_reader(self._sock.fileno(), self._asked)

    def close(self) -> None:
        """No more of it."""
        if self._sock.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._sock.fileno())
            self._sock.close()
        self.theirs.close()

    def _asked(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                question = self._sock.recv(_QUESTION)
            except BlockingIOError:
                return
            except OSError:
                question = b""
            if not question:
                self.close()
                return
            self._answer(question)

    def _answer(self, question: bytes) -> None:
        sock = None
        try:
            sock = self._open(read(question))
            socket.send_fds(self._sock, [question], [sock.fileno()] if sock else [])
        except (OSError, ValueError):
            # It asks again, or does without; a full queue means that it does not read.
            pass
        finally:
            if sock is not None:
                sock.close()

    def _open(self, face: Face) -> socket.socket | None:
        address, port = face
        place = ip_address(address)
        if not port or address in self.own or place.is_multicast or place.is_unspecified or place.is_loopback:
            return None
        try:
            return open_face(address, port, FWMARK_ANSWER)
        except OSError:
            return None
