"""UDP ASSOCIATE on loopback, with an exit of a few lines (method ``none``) that answers each datagram."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

import pytest
from tests.unit.relay.proxying import Place, exactly, place, to_the_end

from plait.relay.gateway import Way
from plait.relay.proxy import Socks
from plait.wire import address, socks5
from plait.wire.address import Target, encode

PATIENCE = 20.0
NAME = Target("dns.example", 53)
ASK = b"\x05\x01\x00" + b"\x05\x03\x00\x01" + bytes(6)


@contextmanager
def exit_of_datagrams() -> Iterator[tuple[int, list[Target]]]:
    """Answers each datagram with the same in capitals; a port and what was asked."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(0.05)
    asked: list[Target] = []
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                data, peer = sock.recvfrom(65535)
            except TimeoutError:
                continue
            decoded = address.decode(data)
            assert decoded is not None
            asked.append(decoded[0])
            sock.sendto(data[: decoded[1]] + data[decoded[1] :].upper(), peer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield sock.getsockname()[1], asked
    stop.set()
    thread.join(PATIENCE)
    sock.close()


@contextmanager
def running() -> Iterator[tuple[Place, list[Target]]]:
    with exit_of_datagrams() as (port, asked), place(Socks, lambda sock, data: None) as here:
        here.proxy.upstream.ways = [Way("127.0.0.1", port)]
        yield here, asked


def associated(here: Place) -> tuple[socket.socket, socket.socket]:
    """The connection and a socket that sends to the association."""
    control = here.connect()
    control.sendall(ASK)
    answer = exactly(control, 12)
    assert answer[:6] == b"\x05\x00\x05\x00\x00\x01"
    assert IPv4Address(answer[6:10]) == IPv4Address("127.0.0.1")
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE)
    sock.connect(("127.0.0.1", int.from_bytes(answer[10:], "big")))
    return control, sock


def test_there_and_back_and_the_end() -> None:
    with running() as (here, asked):
        control, sock = associated(here)
        for target in (NAME, Target(IPv4Address("192.0.2.1"), 123)):
            sock.send(socks5.wrap(target, b"question"))
            assert socks5.unwrap(sock.recv(65535)) == (target, b"QUESTION")
        assert asked == [NAME, Target(IPv4Address("192.0.2.1"), 123)]
        assert here.proxy.busy
        control.close()
        here.until(lambda: not here.proxy.busy)
        here.until(lambda: here.tally.outcomes == {"done": 1})
        assert (here.tally.total, here.tally.up_bytes, here.tally.down_bytes) == (1, 16, 16)
        sock.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            sock.recv(1)
        sock.close()


def test_what_is_no_such_datagram_is_dropped_and_counted() -> None:
    with running() as (here, asked):
        control, sock = associated(here)
        sock.send(b"")
        sock.send(b"\x00\x00\x00\x01\x7f")
        sock.send(b"\x00\x00\x01" + encode(NAME) + b"a fragment")
        sock.send(socks5.wrap(NAME, b"a"))
        assert socks5.unwrap(sock.recv(65535)) == (NAME, b"A")
        assert here.tally.strangers == {"not a proxy's client": 2}
        assert asked == [NAME]
        control.close()
        sock.close()


def test_another_host_is_not_heard() -> None:
    with running() as (here, asked):
        control, sock = associated(here)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.2", 0))
            other.sendto(socks5.wrap(NAME, b"x"), sock.getpeername())
            here.until(lambda: here.tally.strangers == {"not a proxy's client": 1})
        sock.send(socks5.wrap(NAME, b"mine"))
        assert socks5.unwrap(sock.recv(65535)) == (NAME, b"MINE")
        assert len(asked) == 1
        control.close()
        sock.close()


def test_another_way_is_taken_when_one_goes() -> None:
    with running() as (here, first), exit_of_datagrams() as (port, second):
        control, sock = associated(here)
        sock.send(socks5.wrap(NAME, b"one"))
        sock.recv(65535)
        here.proxy.upstream.ways = []
        sock.send(socks5.wrap(NAME, b"lost"))
        # Handled while there is no way, or it would be the first on the new one.
        (association,) = here.proxy.desk._open
        here.until(lambda: association._outward is None)
        here.proxy.upstream.ways = [Way("not an address", 1), Way("127.0.0.1", port)]
        answer = b""
        for _ in range(20):
            sock.send(socks5.wrap(NAME, b"two"))
            sock.settimeout(1.0)
            try:
                answer = sock.recv(65535)
                break
            except TimeoutError:
                continue
        assert socks5.unwrap(answer) == (NAME, b"TWO")
        assert len(first) == 1
        assert second
        control.close()
        sock.close()


def test_the_oldest_makes_room() -> None:
    with running() as (here, _):
        here.proxy.desk._most = 2
        pairs = [associated(here) for _ in range(3)]
        assert to_the_end(pairs[0][0]) == (b"", "eof")
        here.until(lambda: here.tally.outcomes == {"crowded out": 1})
        for control, sock in pairs:
            control.close()
            sock.close()


def test_what_is_said_on_the_connection_afterwards_is_nothing() -> None:
    with running() as (here, _):
        control, sock = associated(here)
        control.sendall(b"x" * 100_000)
        sock.send(socks5.wrap(NAME, b"still"))
        assert socks5.unwrap(sock.recv(65535)) == (NAME, b"STILL")
        control.close()
        sock.close()
