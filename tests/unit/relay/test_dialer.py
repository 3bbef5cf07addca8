from __future__ import annotations

import errno
import socket
from contextlib import suppress

import pytest
from tests.unit.relay.turning import turn

from plait.kernel.sockets import begin_connect
from plait.relay.dialer import Dial, Failure, failure_of
from plait.relay.loop import OUT, Loop


class Result:
    """What a dial has said."""

    def __init__(self) -> None:
        self.won: list[str] = []
        self.lost: list[Failure] = []

    def done(self, sock: socket.socket, candidate: str, mask: int) -> None:
        assert mask & OUT
        self.won.append(candidate)
        sock.close()

    @property
    def over(self) -> bool:
        return bool(self.won or self.lost)


class Ports:
    """Candidates by name: one that listens, one that refuses, one that never answers."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=8)
        with socket.create_server(("127.0.0.1", 0)) as closed:
            self.closed: int = closed.getsockname()[1]
        self.stuck: list[socket.socket] = []

    def connect(self, candidate: str) -> socket.socket:
        match candidate:
            case "open":
                return begin_connect("127.0.0.1", self.listener.getsockname()[1])
            case "closed":
                return begin_connect("127.0.0.1", self.closed)
            case "stuck":
                # A connected pair with a full buffer never becomes writable, as a SYN into a void.
                ours, theirs = socket.socketpair()
                ours.setblocking(False)
                with suppress(BlockingIOError):
                    while True:
                        ours.send(bytes(65536))
                self.stuck.append(theirs)
                return ours
            case number:
                raise OSError(int(number), "connect")


@pytest.fixture
def ports() -> Ports:
    return Ports()


def dial(ports: Ports, candidates: list[str], limit: float = 5.0) -> Result:
    loop, result = Loop(), Result()
    race: Dial[str] = Dial(loop, ports.connect, result.done, result.lost.append, limit)
    race.offer(candidates)
    turn(loop, lambda: result.over)
    for sock in (*ports.stuck, ports.listener):
        sock.close()
    loop.close()
    return result


@pytest.mark.parametrize(
    ("candidates", "won", "lost"),
    [
        (["open"], ["open"], []),
        (["closed", "open"], ["open"], []),
        (["stuck", "open"], ["open"], []),
        ([str(errno.ENETUNREACH), "open"], ["open"], []),
        ([], [], [Failure.NO_ADDRESS]),
        (["closed"], [], [Failure.REFUSED]),
        ([str(errno.ENETUNREACH)], [], [Failure.UNREACHABLE]),
        (["closed", str(errno.EHOSTUNREACH)], [], [Failure.UNREACHABLE]),
        ([str(errno.EMFILE)], [], [Failure.RESOURCES]),
    ],
)
def test_outcomes(ports: Ports, candidates: list[str], won: list[str], lost: list[Failure]) -> None:
    result = dial(ports, candidates)
    assert (result.won, result.lost) == (won, lost)


def test_the_limit_covers_all_candidates(ports: Ports) -> None:
    result = dial(ports, ["stuck", "stuck"], limit=0.4)
    assert result.lost == [Failure.TIMEOUT]


def test_cancel_tells_nobody(ports: Ports) -> None:
    loop, result = Loop(), Result()
    race: Dial[str] = Dial(loop, ports.connect, result.done, result.lost.append, 0.05)
    race.offer(["open", "closed"])
    race.cancel()
    ticks: list[int] = []
    loop.after(0.2, lambda: ticks.append(1))
    turn(loop, lambda: ticks)
    assert not result.over
    loop.close()
    ports.listener.close()


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (errno.ECONNREFUSED, Failure.REFUSED),
        (errno.ECONNRESET, Failure.REFUSED),
        (errno.ETIMEDOUT, Failure.TIMEOUT),
        (errno.ENETUNREACH, Failure.UNREACHABLE),
        (errno.EACCES, Failure.UNREACHABLE),
        (errno.ENFILE, Failure.RESOURCES),
        (errno.ENODEV, Failure.NO_WAY),
    ],
)
def test_failure_of(code: int, failure: Failure) -> None:
    assert failure_of(code) is failure
