"""Strangers are handed on to the fallback, whole; those who prove themselves are not."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from tests.netns.relay.asking import Asker, raw
from tests.netns.relay.places import accept, connect, echo, exactly, listen, until_end
from tests.netns.relay.street import SERVER, Plait, Street, exit_config, plain_log

EXIT = "10.1.1.70"
PORT = 8080


@pytest.fixture(scope="module")
def exit(street: Street) -> Iterator[Plait]:
    street.exit.overlay("/etc/hosts", f"127.0.0.1 localhost\n{SERVER[4]} web.test\n")
    exit = street.plait(
        street.exit,
        "exit",
        exit_config(exit_lines=f'fallback = "web.test:{PORT}"', relay="connect_timeout = 3"),
    )
    yield exit
    assert exit.stop() == 0
    assert plain_log(exit.log()), exit.log()


@pytest.fixture
def web(street: Street) -> Iterator[socket.socket]:
    with listen(street.server, SERVER[4], PORT) as listener:
        yield listener


REQUEST = b"GET /index.html HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: scanner\r\n\r\n"


@pytest.mark.parametrize("pieces", [1, 7, len(REQUEST)])
def test_a_request_arrives_whole(street: Street, exit: Plait, web: socket.socket, pieces: int) -> None:
    with connect(street.gateway, EXIT, 8388) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        step = -(-len(REQUEST) // pieces)
        for start in range(0, len(REQUEST), step):
            sock.sendall(REQUEST[start : start + step])
        with accept(web) as server:
            assert exactly(server, len(REQUEST)) == REQUEST
            server.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(300_000))
            server.shutdown(socket.SHUT_WR)
            assert until_end(sock) == (b"HTTP/1.1 200 OK\r\n\r\n" + bytes(300_000), "eof")
            sock.shutdown(socket.SHUT_WR)
            assert until_end(server) == (b"", "eof")


def test_one_who_says_little_and_is_done(street: Street, exit: Plait, web: socket.socket) -> None:
    with raw(street.gateway, EXIT, b"QUIT\r\n") as sock:
        sock.shutdown(socket.SHUT_WR)
        with accept(web) as server:
            assert until_end(server) == (b"QUIT\r\n", "eof")
            server.sendall(b"bye")
        assert until_end(sock) == (b"bye", "eof")


def test_a_replay_is_a_stranger_and_a_gateway_is_none(
    street: Street, exit: Plait, web: socket.socket
) -> None:
    with echo(street.server, SERVER[4]) as server:
        with Asker(street.gateway, EXIT, SERVER[4], server.port, payload=b"hello") as asker:
            assert asker.receive(5) == b"hello"
        with raw(street.gateway, EXIT, asker.first) as sock, accept(web) as far:
            assert exactly(far, len(asker.first)) == asker.first
            far.sendall(b"400")
            assert exactly(sock, 3) == b"400"
    exit.until(
        "both to be counted",
        lambda status: (
            status["sessions"]["strangers"].get("replayed") == 1
            and status["sessions"]["strangers"].get("handed on", 0) >= 1
        ),
    )


def test_a_fallback_that_is_not_there_ends_in_a_reset(street: Street, exit: Plait) -> None:
    with raw(street.gateway, EXIT, REQUEST) as sock:
        assert until_end(sock) == (b"", "reset")
    exit.until_log("fallback: refused")
