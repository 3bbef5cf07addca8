"""A gateway of a few lines: says to an exit what a test wants said, byte for byte."""

from __future__ import annotations

import os
import socket
from ipaddress import ip_address

from tests.netns.relay.places import connect
from tests.netns.relay.street import PASSWORD

from plait.lab.node import Node
from plait.wire.address import Target, encode
from plait.wire.cipher import Key
from plait.wire.shadowsocks import Dial, Opener, Sealer


def target(host: str, port: int) -> Target:
    try:
        return Target(ip_address(host), port)
    except ValueError:
        return Target(host, port)


class Asker:
    """One connection to an exit; ``payload`` travels with the address."""

    def __init__(
        self,
        node: Node,
        address: str,
        host: str,
        port: int,
        *,
        at: int = 8388,
        method: str = "aes-128-gcm",
        password: str = PASSWORD,
        payload: bytes = b"",
        header: bytes | None = None,
    ) -> None:
        key = None if method == "none" else Key.derive(method, password)
        salt = os.urandom(key.salt_size) if key else b""
        self.first, self._sealer = Dial(key, salt).first(
            encode(target(host, port)) if header is None else header, payload
        )
        self._opener = Opener(key) if key else None
        self._sealed = b""
        self.sock = connect(node, address, at, mptcp=True)
        self.sock.sendall(self.first)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data if self._sealer is None else sealed(self._sealer, data))

    def receive(self, size: int) -> bytes:
        """``size`` plain bytes, fewer at the end of the stream; raises ConnectionResetError."""
        plain = b""
        while len(plain) < size:
            data = self.sock.recv(65536)
            if not data:
                break
            plain += self._open(data)
        return plain

    def how_it_ends(self) -> tuple[bytes, str]:
        """All that comes, and ``eof`` or ``reset``."""
        plain = b""
        while True:
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                return plain, "reset"
            if not data:
                return plain, "eof"
            plain += self._open(data)

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, data: bytes) -> bytes:
        if self._opener is None:
            return data
        self._sealed += data
        out = bytearray(len(self._sealed))
        used, made = self._opener.open_into(self._sealed, memoryview(out))
        self._sealed = self._sealed[used:]
        return bytes(out[:made])


def sealed(sealer: Sealer, data: bytes) -> bytes:
    out = bytearray(sealer.sealed_size(len(data)))
    sealer.seal_into(data, memoryview(out))
    return bytes(out)


def raw(node: Node, address: str, data: bytes, at: int = 8388) -> socket.socket:
    """A connection to an exit that has sent these bytes."""
    sock = connect(node, address, at)
    sock.sendall(data)
    return sock
