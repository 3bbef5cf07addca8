"""SOCKS5 on real sockets: whole conversations, the half-finished, the wrong, and the absent exit."""

from __future__ import annotations

import socket

import pytest
from tests.unit.relay.proxying import exactly, place, read_until, to_the_end

from plait.relay.proxy import Socks
from plait.wire import socks5
from plait.wire.address import Target, encode
from plait.wire.socks5 import Reply

HELLO = b"\x05\x01\x00"
NAME = Target("www.example.net", 443)
ASK = b"\x05\x01\x00" + encode(NAME)
DONE = socks5.reply(Reply.DONE)


def echo(sock: socket.socket, data: bytes) -> None:
    while data:
        sock.sendall(data)
        data = sock.recv(65536)


def echo_when_spoken_to(sock: socket.socket, data: bytes) -> None:
    echo(sock, data or sock.recv(65536))


def test_a_conversation() -> None:
    with place(Socks, echo_when_spoken_to) as here, here.connect() as sock:
        sock.sendall(HELLO)
        assert exactly(sock, 2) == b"\x05\x00"
        sock.sendall(ASK)
        assert exactly(sock, len(DONE)) == DONE
        sock.sendall(b"hello")
        assert exactly(sock, 5) == b"hello"
        sock.shutdown(socket.SHUT_WR)
        assert to_the_end(sock) == (b"", "eof")
        assert here.asked == [NAME], "the name is passed on as it is"
        here.until(lambda: here.outcomes)
        assert here.tally.total == 1
        assert here.tally.opening == 0
        assert not here.tally.strangers


def test_byte_by_byte_with_a_password() -> None:
    with place(Socks, echo_when_spoken_to, password="geheim") as here, here.connect() as sock:
        for byte in b"\x05\x02\x00\x02" + b"\x01\x03app\x06geheim" + ASK:
            sock.sendall(bytes([byte]))
        assert exactly(sock, 4 + len(DONE)) == b"\x05\x02\x01\x00" + DONE
        sock.sendall(b"hello")
        assert exactly(sock, 5) == b"hello"


def test_all_at_once_with_what_the_server_shall_hear() -> None:
    payload = b"x" * 10_000
    with place(Socks, echo_when_spoken_to) as here, here.connect() as sock:
        sock.sendall(HELLO + ASK + payload)
        assert exactly(sock, 2 + len(DONE)) == b"\x05\x00" + DONE
        assert exactly(sock, len(payload)) == payload
        assert here.asked == [NAME]


@pytest.mark.parametrize(
    ("said", "answer", "kind"),
    [
        (b"\x05\x01\x02\x01\x03app\x05wrong", b"\x05\x02\x01\x01", "wrong password"),
        (HELLO, b"\x05\xff", "wrong password"),
        (b"GET / HTTP/1.1\r\n\r\n", b"", "not a proxy's client"),
        (b"\x16\x03\x01" + b"\xff" * 5000, b"", "not a proxy's client"),
    ],
)
def test_who_is_turned_away(said: bytes, answer: bytes, kind: str) -> None:
    with place(Socks, echo, password="geheim") as here, here.connect() as sock:
        sock.sendall(said)
        assert to_the_end(sock)[0] == answer
        here.until(lambda: here.tally.strangers)
        assert dict(here.tally.strangers) == {kind: 1}
        assert here.asked == []
        assert here.tally.total == 0


@pytest.mark.parametrize("command", [2, 9])
def test_commands_that_are_not_served(command: int) -> None:
    with place(Socks, echo) as here, here.connect() as sock:
        sock.sendall(HELLO + bytes([5, command, 0]) + encode(NAME))
        refusal = socks5.reply(Reply.NO_SUCH_COMMAND)
        assert to_the_end(sock) == (b"\x05\x00" + refusal, "eof")


def test_an_exit_that_is_not_there_is_told_as_such() -> None:
    with place(Socks, echo, exit_is_there=False) as here, here.connect() as sock:
        sock.sendall(HELLO + ASK + b"first words")
        assert to_the_end(sock) == (b"\x05\x00" + socks5.reply(Reply.REFUSED), "eof")
        assert here.tally.outcomes == {"refused": 1}
        assert here.tally.opening == 0


def test_who_says_nothing_more_has_its_time_and_no_longer() -> None:
    with place(Socks, echo, handshake=0.3) as here, here.connect() as sock, here.connect() as other:
        sock.sendall(HELLO)
        assert exactly(sock, 2) == b"\x05\x00"
        other.sendall(b"\x05\xff\x00")
        assert to_the_end(sock) == (b"", "eof")
        assert to_the_end(other)[0] == b""
        here.until(lambda: here.tally.strangers["silent"] == 2)


def test_leaving_half_way_is_counted() -> None:
    with place(Socks, echo) as here:
        with here.connect() as sock:
            sock.sendall(b"\x05")
        here.until(lambda: here.tally.strangers)
        assert dict(here.tally.strangers) == {"left": 1}


def test_a_crowd_pushes_out_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plait.relay.proxy._GUESTS", 3)
    with place(Socks, echo_when_spoken_to) as here:
        socks = []
        for number in range(4):
            socks.append(here.connect())
            here.until(lambda number=number: len(here.proxy._waiting) == min(number + 1, 3))
        assert to_the_end(socks[0]) == (b"", "eof")
        assert here.tally.strangers == {"crowded out": 1}
        socks[3].sendall(HELLO + ASK)
        assert exactly(socks[3], 2 + len(DONE)).endswith(DONE)
        for sock in socks:
            sock.close()


def test_draining_lets_those_finish_who_are_half_way() -> None:
    with place(Socks, echo_when_spoken_to) as here, here.connect() as sock:
        sock.sendall(HELLO)
        assert exactly(sock, 2) == b"\x05\x00"
        here.loop.after(0.0, here.proxy.drain)
        here.until(lambda: here.proxy.draining)
        assert here.proxy.busy
        sock.sendall(ASK + b"hi")
        assert exactly(sock, len(DONE) + 2) == DONE + b"hi"
        assert not here.proxy.busy


def test_a_server_that_resets() -> None:
    def serve(sock: socket.socket, data: bytes) -> None:
        read_until(sock, b"hello", data)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    with place(Socks, serve) as here, here.connect() as sock:
        sock.sendall(HELLO + ASK + b"hello")
        assert to_the_end(sock) == (b"\x05\x00" + DONE, "reset")
        here.until(lambda: here.outcomes)
