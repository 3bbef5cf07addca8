"""Borrowed sockets: asked for once, used by all, and never waited for for ever."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from tests.unit.relay.turning import turn

from plait.courier.faces import Faces, read, spell
from plait.relay.loop import Loop

FACE = (bytes((127, 0, 0, 1)), 0)


@pytest.mark.parametrize("face", [(bytes((192, 0, 2, 1)), 53), (bytes(15) + b"\1", 65535)])
def test_questions(face: tuple[bytes, int]) -> None:
    assert read(spell(face)) == face


@pytest.mark.parametrize(
    "message", [b"", b"\x04", b"\x05" + bytes(6), b"\x04" + bytes(7), b"\x06" + bytes(17)]
)
def test_questions_that_are_none(message: bytes) -> None:
    with pytest.raises(ValueError, match="address"):
        read(message)


class Table:
    def __init__(self) -> None:
        self.loop = Loop()
        self.control, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.faces = Faces(self.loop, ours, most=2)
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.client.bind(("127.0.0.1", 0))

    def lend(self, *, nothing: bool = False) -> tuple[bytes, int]:
        """Answer one question, with a socket on loopback."""
        question = self.control.recv(64)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            socket.send_fds(self.control, [question], [] if nothing else [sock.fileno()])
        return read(question)

    def heard(self) -> list[bytes]:
        got = []
        while True:
            try:
                got.append(self.client.recv(100))
            except BlockingIOError:
                return got


@pytest.fixture
def table() -> Iterator[Table]:
    table = Table()
    yield table
    table.faces.close()
    table.control.close()
    table.client.close()
    table.loop.close()


def test_what_waits_is_sent_when_the_socket_comes(table: Table) -> None:
    where = table.client.getsockname()
    table.faces.prepare(FACE)
    table.faces.prepare(FACE)
    for text in (b"one", b"two"):
        table.faces.send(FACE, text, where)
    assert table.lend() == FACE
    heard: list[bytes] = []
    turn(table.loop, lambda: heard.extend(table.heard()) or len(heard) == 2)
    assert heard == [b"one", b"two"]
    table.faces.send(FACE, b"three", where)
    assert table.heard() == [b"three"]
    table.control.setblocking(False)
    with pytest.raises(BlockingIOError):
        table.control.recv(64)


def test_a_refusal_drops_what_waits_and_may_be_asked_again(table: Table) -> None:
    table.faces.send(FACE, b"one", table.client.getsockname())
    table.lend(nothing=True)
    turn(table.loop, lambda: table.faces.refused == 1)
    table.faces.send(FACE, b"two", table.client.getsockname())
    assert table.lend() == FACE
    heard: list[bytes] = []
    turn(table.loop, lambda: heard.extend(table.heard()) or heard == [b"two"])


def test_little_is_kept_for_a_control_that_does_not_answer(table: Table) -> None:
    for _ in range(100):
        table.faces.send(FACE, b"x", table.client.getsockname())
    assert table.faces.refused == 36
    for port in range(1000):
        table.faces.prepare((FACE[0], port))
    assert len(table.faces._asked) == 256


def test_the_socket_unused_longest_is_given_up(table: Table) -> None:
    for port in (1, 2, 3):
        table.faces.prepare((FACE[0], port))
        table.lend()
        turn(table.loop, lambda port=port: (FACE[0], port) in table.faces._have)
    assert [port for _, port in table.faces._have] == [2, 3]


def test_control_may_go_away(table: Table) -> None:
    table.control.close()
    turn(table.loop, lambda: table.faces._lender.fileno() not in table.loop._handlers)
    table.faces.send(FACE, b"x", table.client.getsockname())
    assert table.faces.refused == 1
    table.loop.register(table.faces._lender.fileno(), lambda mask: None)
