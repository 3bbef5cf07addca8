"""Who is seen at the far end: conversations that tell under which address they arrive."""

from __future__ import annotations

import os
import select
import socket
import struct
import time

from tests.netns.relay.places import accept, connect, exactly, family_of, inside, listen

from plait.lab.node import Node

WITHIN = 20.0


class Echo:
    """A UDP server that tells who asks, and one who asks."""

    def __init__(self, client: Node, server: Node, address: str, port: int = 0) -> None:
        family = family_of(address)
        with inside(server):
            self.far = socket.socket(family, socket.SOCK_DGRAM)
            self.far.bind((address, port))
        with inside(client):
            self.near = socket.socket(family, socket.SOCK_DGRAM)
            self.near.connect(self.far.getsockname())
        for sock in (self.near, self.far):
            sock.settimeout(WITHIN)
        self.peer: tuple[str, int] = ("", 0)
        """Whom the server has answered last."""

    def ask(self, data: bytes = b"who am I?") -> str:
        """Under which address the client is seen."""
        self.near.send(data)
        while True:
            found, peer = self.far.recvfrom(65535)
            if found == data:
                self.peer = peer
                break  # else one of an earlier question that was given up
        self.far.sendto(found, peer)
        while self.near.recv(65535) != data:
            pass
        return str(peer[0])

    def answered(self, within: float = 1.0) -> str:
        """The same; empty when there is no answer in time."""
        self.near.settimeout(within)
        self.far.settimeout(within)
        try:
            return self.ask()
        except OSError:
            return ""
        finally:
            self.near.settimeout(WITHIN)
            self.far.settimeout(WITHIN)

    def close(self) -> None:
        self.near.close()
        self.far.close()


class Talk:
    """A TCP connection, and under which address the client is seen in it."""

    def __init__(self, client: Node, server: Node, address: str) -> None:
        with listen(server, address) as listener:
            self.near = connect(client, address, listener.getsockname()[1])
            self.far = accept(listener)
        self.seen = str(self.far.getpeername()[0])

    def carries(self, size: int = 100_000) -> bool:
        """Whether bytes pass both ways."""
        for here, there in ((self.near, self.far), (self.far, self.near)):
            here.sendall(b"x" * size)
            if exactly(there, size) != b"x" * size:
                return False
        return True

    def close(self) -> None:
        self.near.close()
        self.far.close()


def pinged(node: Node, address: str, *, size: int = 56, hops: int = 0, within: float = 3.0) -> str:
    """Who answers an ICMP echo: its target, or with ``hops`` a router on the way; empty when nobody does."""
    family = family_of(address)
    four = family == socket.AF_INET
    with inside(node):
        sock = socket.socket(family, socket.SOCK_RAW, 1 if four else 58)
    with sock:
        if hops:
            level, option = (socket.IPPROTO_IP, socket.IP_TTL) if four else (41, socket.IPV6_UNICAST_HOPS)
            sock.setsockopt(level, option, hops)
        number = os.urandom(4)
        body = bytes((8 if four else 128, 0, 0, 0)) + number + bytes(size)
        if four:
            body = body[:2] + _checksum(body) + body[4:]
        until = time.monotonic() + within
        while time.monotonic() < until:
            sock.sendto(body, (address, 0))
            while select.select([sock], [], [], 0.5)[0]:
                data, peer = sock.recvfrom(65535)[:2]
                data = data[(data[0] & 15) * 4 :] if four else data
                echoed = data[0] == (0 if four else 129) and data[4:8] == number
                expired = data[0] == (11 if four else 3) and number in data[8:]
                if echoed or expired:
                    return str(peer[0])
    return ""


def _checksum(data: bytes) -> bytes:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)
