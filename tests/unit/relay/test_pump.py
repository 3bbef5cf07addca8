"""The pump alone, on loopback: `near` and `far` are our two sockets, `client` and `server` their peers."""

from __future__ import annotations

import os
import random
import select
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from tests.unit.relay.turning import reset, tcp_pair, turn, until_end

from plait.kernel.mptcp_info import Look
from plait.kernel.sockets import unsent
from plait.relay.backlog import Backlog
from plait.relay.legs import Leg, OpenLeg, SealLeg
from plait.relay.loop import OUT, Loop
from plait.relay.pump import Outcome, Pump, Session
from plait.wire.cipher import Key
from plait.wire.shadowsocks import Opener, Sealer

KEY = Key.derive("aes-128-gcm", "a password")


class Rig:
    """A session and its surroundings."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.outcomes: list[Outcome] = []
        self.pump = Pump(self.loop, lambda session, outcome: self.outcomes.append(outcome))
        self.near, self.client = tcp_pair()
        self.far, self.server = tcp_pair()
        self.masks = {"near": 0, "far": 0}

    def plain(self, first: bytes = b"") -> Session:
        """A session without seals; ``first`` came with the address."""
        session = self._session()
        up, down = Leg(session, self.near, self.far), Leg(session, self.far, self.near)
        if first:
            up.pending = memoryview(first)
        session.start(up, down, self.masks["near"], self.masks["far"])
        return session

    def sealed(self) -> tuple[Sealer, Opener]:
        """A session like an exit's; gives what its client seals and opens with."""
        session = self._session()
        up = OpenLeg(session, self.near, self.far, Opener(KEY))
        down = SealLeg(session, self.far, self.near, Sealer(KEY, os.urandom(KEY.salt_size)))
        session.start(up, down, self.masks["near"], self.masks["far"])
        return Sealer(KEY, os.urandom(KEY.salt_size)), Opener(KEY)

    def _session(self) -> Session:
        # As after a dial: the far socket is with the loop already, and its edges are spent.
        self.know("far")
        return Session(self.pump, self.near, self.far, "192.0.2.1:80")

    def know(self, which: str) -> None:
        """Register ``near`` or ``far`` and note what events tell of it, as those do who dial."""
        sock = self.near if which == "near" else self.far

        def note(mask: int) -> None:
            self.masks[which] |= mask

        self.loop.register(sock.fileno(), note)
        turn(self.loop, lambda: self.masks[which])

    def turn_until(self, sock: socket.socket, size: int) -> bytes:
        """Run until a peer has got so much."""
        got = bytearray()

        def look() -> bool:
            while select.select([sock], [], [], 0)[0]:
                piece = sock.recv(1 << 18)
                if not piece:
                    return True
                got.extend(piece)
            return len(got) >= size

        turn(self.loop, look)
        return bytes(got)

    def turn_until_over(self) -> Outcome:
        turn(self.loop, lambda: self.outcomes)
        return self.outcomes[0]

    def turn_until_readable(self, sock: socket.socket) -> None:
        turn(self.loop, lambda: select.select([sock], [], [], 0)[0])

    def close(self) -> None:
        for sock in (self.near, self.far, self.client, self.server):
            sock.close()
        self.loop.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.close()


def test_bytes_both_ways_and_then_the_end(rig: Rig) -> None:
    session = rig.plain(b"first ")
    rig.client.sendall(b"second")
    rig.server.sendall(b"answer")
    assert rig.turn_until(rig.server, 12) == b"first second"
    assert rig.turn_until(rig.client, 6) == b"answer"
    rig.client.shutdown(socket.SHUT_WR)
    rig.turn_until_readable(rig.server)
    assert until_end(rig.server) == (b"", "eof")
    rig.server.sendall(b"late")
    assert rig.turn_until(rig.client, 4) == b"late"
    assert session.up.finished
    assert not session.down.finished
    rig.server.close()
    assert rig.turn_until_over() is Outcome.DONE
    assert until_end(rig.client) == (b"", "eof")
    assert (session.up.count, session.down.count) == (6, 10)
    assert not rig.pump.sessions


@pytest.mark.parametrize("near_known", [False, True])
@pytest.mark.parametrize("size", [0, 8])
def test_an_end_that_came_before_the_start_is_seen(rig: Rig, size: int, near_known: bool) -> None:
    """The client has said all and its end while its target was dialled; the edge of both is spent."""
    rig.client.sendall(b"question"[:size])
    rig.client.shutdown(socket.SHUT_WR)
    if near_known:
        rig.know("near")
    turn(rig.loop, lambda: _ended(rig.near))
    rig.plain()
    assert rig.turn_until(rig.server, size + 1) == b"question"[:size]
    rig.server.sendall(b"answer")
    rig.server.close()
    assert rig.turn_until_over() is Outcome.DONE
    assert until_end(rig.client) == (b"answer", "eof")


def test_an_end_of_the_far_side_before_the_start_is_seen(rig: Rig) -> None:
    rig.server.sendall(b"bye")
    rig.server.shutdown(socket.SHUT_WR)
    turn(rig.loop, lambda: _ended(rig.far))
    rig.plain()
    assert rig.turn_until(rig.client, 4) == b"bye"


def test_what_is_asked_of_the_kernel_for_a_short_read(rig: Rig) -> None:
    """After the first look, one read for each piece that comes: its shortness says that there is no more."""
    session = rig.plain()
    rig.client.sendall(b"x")
    assert rig.turn_until(rig.server, 1) == b"x"
    assert not session.up.ended
    assert not session.down.ended


def test_a_slow_reader_makes_us_stop_reading(rig: Rig) -> None:
    session = rig.plain()
    body = random.Random(1).randbytes(1 << 20)
    rig.server.setblocking(False)
    sent = 0

    def push() -> bool:
        nonlocal sent
        try:
            sent += rig.server.send(body)
        except BlockingIOError:
            return session.down.pending is not None and sent > 0
        return False

    turn(rig.loop, push)
    held = session.down.pending
    assert held is not None
    assert len(held) <= 1 << 18, "no more than one read is kept"
    rig.server.setblocking(True)
    rig.server.close()
    # What was sent in whole and part bodies comes out in the same order, all of it.
    got = rig.turn_until(rig.client, sent)
    assert len(got) == sent
    assert got[: len(body)] == body[: len(got)]


def test_a_reset_comes_after_the_data(rig: Rig) -> None:
    rig.plain()
    body = random.Random(2).randbytes(100_000)
    rig.server.sendall(body)
    turn(rig.loop, lambda: not unsent(rig.server))
    reset(rig.server)
    got = rig.turn_until_over()
    assert got is Outcome.RESET_FAR
    rig.client.settimeout(0.001)
    data = bytearray()
    ended: list[str] = []

    def read() -> bool:
        try:
            data.extend(rig.client.recv(1 << 18))
        except TimeoutError:
            pass
        except ConnectionResetError:
            ended.append("reset")
        return bool(ended)

    turn(rig.loop, read)
    assert bytes(data) == body


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_reset_while_idle(rig: Rig, who: str) -> None:
    rig.plain()
    reset(getattr(rig, who))
    assert rig.turn_until_over() is (Outcome.RESET_NEAR if who == "client" else Outcome.RESET_FAR)
    other = rig.server if who == "client" else rig.client
    assert until_end(other) == (b"", "reset")


def test_a_reset_by_one_who_had_said_its_end(rig: Rig) -> None:
    session = rig.plain()
    rig.server.shutdown(socket.SHUT_WR)
    turn(rig.loop, lambda: session.down.finished)
    reset(rig.server)
    assert rig.turn_until_over() is Outcome.RESET_FAR
    poll = select.poll()
    poll.register(rig.client, select.POLLHUP | select.POLLERR)
    turn(rig.loop, lambda: poll.poll(0))
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        rig.client.sendall(b"x")


def test_an_idle_session_is_ended_and_a_busy_one_is_not(rig: Rig) -> None:
    session = rig.plain()
    rig.loop.now = 1000.0
    rig.pump.sweep(idle=10, half_close=2)
    rig.loop.now = 1009.0
    rig.pump.sweep(idle=10, half_close=2)
    assert not session.over
    session.up.count += 1
    rig.loop.now = 1011.0
    rig.pump.sweep(idle=10, half_close=2)
    assert not session.over
    rig.loop.now = 1021.1
    rig.pump.sweep(idle=10, half_close=2)
    assert rig.outcomes == [Outcome.IDLE]
    assert until_end(rig.client) == (b"", "reset")
    assert until_end(rig.server) == (b"", "reset")


def test_a_half_closed_one_is_ended_sooner(rig: Rig) -> None:
    session = rig.plain()
    rig.client.shutdown(socket.SHUT_WR)
    turn(rig.loop, lambda: session.up.finished)
    rig.loop.now = 1000.0
    rig.pump.sweep(idle=10, half_close=2)
    rig.loop.now = 1002.1
    rig.pump.sweep(idle=10, half_close=2)
    assert rig.outcomes == [Outcome.IDLE]


def test_sealed_both_ways(rig: Rig) -> None:
    sealer, opener = rig.sealed()
    body = random.Random(3).randbytes(200_000)
    out = bytearray(sealer.sealed_size(len(body)))
    sealer.seal_into(body, memoryview(out))
    # In odd pieces, so that chunks are cut everywhere.
    for start in range(0, len(out), 7777):
        rig.client.sendall(out[start : start + 7777])
    assert rig.turn_until(rig.server, len(body)) == body
    rig.server.sendall(body)
    rig.server.shutdown(socket.SHUT_WR)
    sealed = rig.turn_until(rig.client, len(body) * 2)
    opened = bytearray(len(sealed))
    used, made = opener.open_into(sealed, memoryview(opened))
    assert used == len(sealed)
    assert opened[:made] == body


def test_a_forged_chunk_ends_the_session(rig: Rig) -> None:
    sealer, _ = rig.sealed()
    out = bytearray(sealer.sealed_size(5))
    sealer.seal_into(b"hello", memoryview(out))
    rig.client.sendall(out)
    assert rig.turn_until(rig.server, 5) == b"hello"
    rig.client.sendall(bytes(40))
    assert rig.turn_until_over() is Outcome.FORGED
    assert until_end(rig.server) == (b"", "reset")
    assert until_end(rig.client) == (b"", "reset")


def test_a_sealed_stream_that_is_cut_is_a_reset(rig: Rig) -> None:
    sealer, _ = rig.sealed()
    out = bytearray(sealer.sealed_size(5))
    sealer.seal_into(b"hello", memoryview(out))
    rig.client.sendall(out[:-1])
    rig.client.shutdown(socket.SHUT_WR)
    assert rig.turn_until_over() is Outcome.RESET_NEAR
    assert until_end(rig.server) == (b"", "reset")


def test_abort_resets_both(rig: Rig) -> None:
    session = rig.plain()
    session.abort(Outcome.CLOSED)
    session.abort(Outcome.CLOSED)
    assert rig.outcomes == [Outcome.CLOSED]
    assert until_end(rig.client) == until_end(rig.server) == (b"", "reset")


def test_one_that_floods_leaves_the_others_their_turn(rig: Rig) -> None:
    """Two sessions in one loop; the second one's byte does not wait for the first one's megabytes."""
    rig.plain()
    near, client = tcp_pair()
    far, server = tcp_pair()
    rig.loop.register(far.fileno(), lambda mask: None)
    other = Session(rig.pump, near, far, "192.0.2.2:80")
    other.start(Leg(other, near, far), Leg(other, far, near), 0, OUT)
    rig.server.setblocking(False)
    client.sendall(b"x")
    taken: list[int] = []

    def flood() -> bool:
        try:
            while True:
                taken.append(rig.server.send(bytes(1 << 18)))
        except BlockingIOError:
            pass
        return bool(select.select([server], [], [], 0)[0])

    turn(rig.loop, flood)
    assert server.recv(1) == b"x"
    other.abort(Outcome.CLOSED)
    for sock in (client, server):
        sock.close()


def _ended(sock: socket.socket) -> bool:
    """Whether the peer's end has arrived, read or not."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return bool(poll.poll(0))


def test_a_leg_that_is_held_back_gives_a_little_at_a_time_and_loses_nothing(rig: Rig) -> None:
    session = rig.plain()

    class Portions(Backlog):
        given = 0

        def helping(self, seen: Look, unsent: int) -> int:
            self.given += 1
            # Nothing, one small read, several.
            return (0, 20_000, 300_000)[self.given % 3]

    session.up.backlog = backlog = Portions()
    backlog.engaged = True
    sent = random.Random(7).randbytes(1 << 20)
    received = bytearray()
    rig.client.setblocking(False)
    rig.server.setblocking(False)
    at = 0

    def shuffle() -> bool:
        nonlocal at
        with suppress(BlockingIOError):
            if at < len(sent):
                at += rig.client.send(sent[at : at + 65536])
        with suppress(BlockingIOError):
            received.extend(rig.server.recv(1 << 16))
        return len(received) == len(sent)

    turn(rig.loop, shuffle)
    assert bytes(received) == sent
    assert backlog.given > 3


def test_a_leg_is_let_go_when_its_sink_ran_dry(rig: Rig) -> None:
    session = rig.plain()
    session.up.backlog = Backlog()
    session.up.backlog.engaged = True
    rig.client.sendall(b"x" * 1000)
    turn(rig.loop, lambda: session.up.count == 1000)
    # Nothing waited: it came too late, so it is not held back any more.
    assert session.up.backlog is None
