"""UDP in any node of a lab: an echo that says whom it heard, and clients that say who answered."""

from __future__ import annotations

import base64
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.netns.relay.places import PATIENCE, family_of, inside

from plait.lab.node import Node

KEY_16 = base64.b64encode(b"k" * 16).decode()
KEY_32 = base64.b64encode(b"k" * 32).decode()

PASSWORDS = {
    "none": "",
    "aes-128-gcm": "correct horse battery staple",
    "aes-256-gcm": "correct horse battery staple",
    "chacha20-ietf-poly1305": "correct horse battery staple",
    "2022-blake3-aes-128-gcm": KEY_16,
    "2022-blake3-aes-256-gcm": KEY_32,
    "2022-blake3-chacha20-poly1305": KEY_32,
}
"""A password of every method."""


def letters(node: Node, address: str, port: int = 0) -> socket.socket:
    """A UDP socket in ``node``."""
    with inside(node):
        sock = socket.socket(family_of(address), socket.SOCK_DGRAM)
    sock.bind((address, port))
    sock.settimeout(PATIENCE)
    return sock


class UdpEcho:
    """Sends back what it gets, with an ``E`` before it, in a thread of its own."""

    def __init__(self, *socks: socket.socket) -> None:
        self._socks = socks
        self.heard: list[tuple[str, int]] = []
        """Who sent, one entry a datagram."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="udp echo", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._socks[0].getsockname()[1])

    def close(self) -> None:
        self._stop.set()
        self._thread.join(PATIENCE)
        for sock in self._socks:
            sock.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            for sock in select.select(self._socks, [], [], 0.1)[0]:
                data, peer = sock.recvfrom(65535)
                self.heard.append((peer[0], peer[1]))
                sock.sendto(b"E" + data, peer)


@contextmanager
def udp_echo(node: Node, *addresses: str, port: int = 0) -> Iterator[UdpEcho]:
    """An echo in ``node``, on the same port of every address."""
    socks: list[socket.socket] = []
    for address in addresses:
        socks.append(letters(node, address, port))
        port = socks[0].getsockname()[1]
    server = UdpEcho(*socks)
    try:
        yield server
    finally:
        server.close()


def ask(sock: socket.socket, place: tuple[str, int], payload: bytes) -> tuple[bytes, tuple[str, int]]:
    """Send until an answer comes, as whoever speaks UDP must; gives the first one, and who sent it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        sock.sendto(payload, place)
        if select.select([sock], [], [], 1.0)[0]:
            data, peer = sock.recvfrom(65535)
            return data, (peer[0], peer[1])
    raise TimeoutError(f"no answer from {place}")


def hear(sock: socket.socket, seconds: float = 0.0) -> list[tuple[bytes, tuple[str, int]]]:
    """All that has come, waiting so long for the first."""
    found = []
    while select.select([sock], [], [], seconds if not found else 0.0)[0]:
        data, peer = sock.recvfrom(65535)
        found.append((data, (peer[0], peer[1])))
    return found
