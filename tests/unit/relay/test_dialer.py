from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
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
def ports() -> Iterator[Ports]:
    made = Ports()
    yield made
    for sock in (*made.stuck, made.listener):
        sock.close()


def dial(ports: Ports, candidates: list[str], limit: float = 5.0) -> Result:
    loop, result = Loop(), Result()
    race: Dial[str] = Dial(loop, ports.connect, result.done, result.lost.append, limit)
    race.offer(candidates)
    turn(loop, lambda: result.over)
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


def begin(ports: Ports, candidates: list[str], ended: list[object]) -> tuple[Loop, Result, Dial[str]]:
    loop, result = Loop(), Result()
    race: Dial[str] = Dial(
        loop, ports.connect, result.done, result.lost.append, 20.0, delay=lambda _: 15.0, over=ended.append
    )
    race.offer(candidates)
    return loop, result, race


def test_a_way_that_dies_during_the_dial_is_left_for_the_next_at_once(ports: Ports) -> None:
    ended: list[object] = []
    loop, result, race = begin(ports, ["stuck"], ended)
    begun = loop.now
    race.revise(["open", "closed"])
    turn(loop, lambda: result.over)
    assert result.won == ["open"]
    assert loop.now - begun < 10.0, "long before the next one's turn"
    assert ended == [race]
    race.revise(["stuck"])
    assert len(ports.stuck) == 1, "what is over begins nothing"
    loop.close()


def test_a_way_that_is_still_one_goes_on(ports: Ports) -> None:
    ended: list[object] = []
    loop, result, race = begin(ports, ["open"], ended)
    race.revise(["closed", "open"])
    turn(loop, lambda: result.over)
    assert result.won == ["open"]
    loop.close()


def test_no_way_left_is_a_failure(ports: Ports) -> None:
    ended: list[object] = []
    loop, result, race = begin(ports, ["stuck"], ended)
    race.revise([])
    assert result.lost == [Failure.NO_WAY]
    assert ended == [race]
    loop.close()


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
