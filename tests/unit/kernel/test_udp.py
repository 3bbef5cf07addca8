"""UDP sockets on loopback: who hears what, and from where answers come."""

from __future__ import annotations

import errno
import os
import select
import socket
import time

import pytest

from plait.kernel.udp import UDP_SEGMENT, Letter, answer, open_door, open_path, receive, send_run

PATIENCE = 10.0


def take(sock: socket.socket) -> Letter:
    deadline = time.monotonic() + PATIENCE
    while (letter := receive(sock)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return letter


@pytest.mark.parametrize(
    ("wildcard", "meant", "from_"),
    [("0.0.0.0", "127.0.0.9", "127.0.0.2"), ("::", "::1", "::1")],
    ids=["IPv4", "IPv6"],
)
def test_an_answer_comes_from_the_address_that_was_asked(wildcard: str, meant: str, from_: str) -> None:
    family = socket.AF_INET6 if ":" in meant else socket.AF_INET
    with open_door(wildcard, 0) as door:
        port = door.getsockname()[1]
        with open_path(meant, port, local=from_, interface="lo") as path:
            before = time.time_ns()
            path.send(b"question")
            letter = take(door)
            assert letter.data == b"question"
            assert letter.peer[:2] == path.getsockname()[:2]
            assert letter.local == socket.inet_pton(family, meant)
            assert before <= letter.at <= time.time_ns()
            assert answer(door, b"answer", letter.peer, letter.local)
            # A connected socket hears the address it is connected to, and no other.
            assert take(path).data == b"answer"


def test_nothing_there_is_none_and_what_others_met_is_passed_over() -> None:
    with open_door("127.0.0.1", 0) as door:
        assert receive(door) is None
        port = door.getsockname()[1]
    with open_path("127.0.0.1", port, local="127.0.0.1", interface="lo") as path:
        path.send(b"into the void")
        waiting = select.poll()
        waiting.register(path, select.POLLERR)
        assert waiting.poll(PATIENCE * 1000), "loopback tells nobody that a port is closed"
        assert receive(path) is None


def test_an_empty_datagram_is_one() -> None:
    with (
        open_door("127.0.0.1", 0) as door,
        open_path("127.0.0.1", door.getsockname()[1], local="127.0.0.1", interface="lo") as path,
    ):
        path.send(b"")
        assert take(door).data == b""


def test_sending_to_nowhere_is_a_value() -> None:
    with open_door("127.0.0.1", 0) as door:
        assert not answer(door, bytes(70000), ("127.0.0.1", 9), b"")
        assert not answer(door, b"", ("127.0.0.1", 9), socket.inet_aton("192.0.2.1"))


@pytest.mark.parametrize(
    ("local", "interface", "code"),
    [("192.0.2.1", "lo", errno.EADDRNOTAVAIL), ("127.0.0.1", "no-such-link", errno.ENODEV)],
)
def test_a_path_that_is_not_there(local: str, interface: str, code: int) -> None:
    with pytest.raises(OSError, match=os.strerror(code)):
        open_path("127.0.0.1", 9, local=local, interface=interface)


def test_a_port_is_one_doors() -> None:
    with open_door("127.0.0.1", 0) as door, pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)):
        open_door("127.0.0.1", door.getsockname()[1])


@pytest.mark.parametrize(
    ("ago", "known"),
    [(0.1, True), (-1.0, False), (3.0, False)],
    ids=["waited", "the clock was set back", "the clock was set forward"],
)
def test_a_letter_tells_how_long_it_has_waited(ago: float, known: bool) -> None:
    at = time.time_ns() - int(ago * 1e9)
    waited = Letter(b"", ("", 0), b"", at).waited()
    assert ago <= waited < ago + 0.4 if known else waited == 0.0
    assert Letter(b"", ("", 0), b"", 0).waited() == 0.0


class NoChecksums(socket.socket):
    """On a device that can't do checksums, with an older kernel."""

    def sendmsg(self, buffers, control=(), *more):  # type: ignore[no-untyped-def]
        if any(kind == UDP_SEGMENT for _, kind, _ in control):
            raise OSError(errno.EIO, "EIO")
        return super().sendmsg(buffers, control, *more)


@pytest.mark.parametrize("connected", [True, False])
def test_a_run_goes_out_one_by_one_where_the_kernel_wants_it_so(connected: bool) -> None:
    with (
        open_door("127.0.0.1", 0) as door,
        NoChecksums(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        peer = door.getsockname()
        if connected:
            sock.connect(peer)
        run = [b"head 1", b"body1", b"head 2", b"body2", b"head 3", b"3"]
        assert send_run(sock, run, 11, None if connected else peer)
        assert send_run(sock, [b"whole"], 5, None if connected else peer)
        assert [take(door).data for _ in range(4)] == [b"head 1body1", b"head 2body2", b"head 33", b"whole"]
