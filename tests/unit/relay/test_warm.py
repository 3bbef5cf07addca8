"""The stock alone: dials are pretended, its connections are real ones on loopback."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
from tests.unit.relay.turning import tcp_pair, turn

from plait.relay import warm
from plait.relay.dialer import Failure
from plait.relay.gateway import Upstream, Way, begin
from plait.relay.loop import OUT, Loop
from plait.relay.pump import Outcome, Pump
from plait.relay.warm import Stock
from plait.wire.cipher import Key
from plait.wire.shadowsocks import Accept

KEY = Key.derive("aes-128-gcm", "a password")
HEADER = b"\x01\xc0\x00\x02\x01\x00\x50"  # 192.0.2.1, port 80
FIRST, SECOND = Way("10.1.1.70", 8388, "10.1.1.78", "wan1"), Way("10.2.2.70", 8388, "10.2.2.78", "wan2")


class Rig:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, key: Key | None = KEY, least: int = 2) -> None:
        self.loop = Loop()
        self.pump = Pump(self.loop, lambda session, outcome: None)
        self.upstream = Upstream("attic", key, [FIRST, SECOND])
        self.far: list[socket.socket] = []
        """The exit's ends, oldest first."""
        self.near: list[socket.socket] = []
        self.refuse = False
        self.dialled = 0
        self.delay = 0.01
        monkeypatch.setattr(warm, "dial", self._dial)
        self.stock = Stock(self.pump, self.upstream, least, 5.0)

    def _dial(
        self,
        pump: Pump,
        upstream: Upstream,
        done: Callable[[socket.socket, Way, int], None],
        failed: Callable[[Failure], None],
        limit: float,
    ) -> None:
        self.dialled += 1
        way = upstream.ways[0]

        def connected() -> None:
            if self.refuse:
                failed(Failure.REFUSED)
                return
            near, far = tcp_pair()
            self.near.append(near)
            self.far.append(far)
            self.loop.register(near.fileno(), lambda mask: None)
            done(near, way, OUT)

        self.loop.after(self.delay, connected)

    def full(self, count: int = 2) -> None:
        turn(self.loop, lambda: len(self.stock) == count)

    def pause(self, seconds: float) -> None:
        passed: list[int] = []
        self.loop.after(seconds, lambda: passed.append(1))
        turn(self.loop, lambda: passed)

    def close(self) -> None:
        self.stock.close()
        for sock in (*self.far, *self.near):
            sock.close()
        self.loop.close()


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    made = Rig(monkeypatch)
    yield made
    made.close()


def test_what_can_have_no_other_path_is_not_handed_out(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was opened over a path that takes MPTCP's options out, before anybody knew."""
    mptcp = [False]
    monkeypatch.setattr(warm, "is_mptcp", lambda sock: mptcp[0])
    rig.full()
    assert rig.stock.take() is not None, "elsewhere it would be no better"
    rig.full()
    rig.upstream.turn_to([SECOND, FIRST])
    assert rig.stock.take() is None
    rig.full(3)
    taken = rig.stock.take()
    assert taken is not None
    assert taken.way == SECOND
    mptcp[0] = True
    rig.full(3)
    rig.upstream.turn_to([FIRST, SECOND])
    assert rig.stock.take() is not None, "it has the others for subflows"


def test_it_fills_up_and_again_when_one_is_taken(rig: Rig) -> None:
    rig.full()
    taken = rig.stock.take()
    assert taken is not None
    assert taken.way == FIRST
    assert taken.sock is rig.near[0], "the oldest first"
    rig.full()
    assert rig.dialled == 3


def test_the_salt_is_sent_at_once_and_a_session_goes_on_from_there(rig: Rig) -> None:
    rig.full()
    salt = rig.far[0].recv(100)
    assert len(salt) == KEY.salt_size
    taken = rig.stock.take()
    assert taken is not None
    near, client = tcp_pair()
    session = begin(
        rig.pump, rig.upstream, near, taken.sock, HEADER, b"GET /", target="192.0.2.1:80", peer="p"
    )
    session.start(session.up, session.down, 0, taken.mask)
    accept = Accept(KEY)
    assert accept.feed(salt) is None
    request = accept.feed(rig.far[0].recv(1000))
    assert request is not None
    assert (str(request.target), request.first_payload) == ("192.0.2.1:80", b"GET /")
    assert session.up.count == 5
    session.abort(Outcome.CLOSED)
    client.close()
    assert taken.sock not in rig.upstream.begun


def test_what_can_say_nothing_yet_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(monkeypatch, key=None)
    rig.full()
    rig.far[0].settimeout(0.1)
    with pytest.raises(TimeoutError):
        rig.far[0].recv(1)
    rig.close()


def test_one_that_was_hung_up_is_never_given_and_its_age_is_learnt(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm, "_SHORTEST_LIFE", 0.05)
    rig.full()
    rig.pause(0.3)
    rig.far[0].close()
    rig.full(1)
    # The other one is as old: the exit may be about to close it, too.
    assert rig.stock.take() is None
    turn(rig.loop, lambda: rig.stock.take())


def test_a_life_that_was_cut_short_once_grows_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "_SHORTEST_LIFE", 0.02)
    monkeypatch.setattr(warm, "_EVERY", 0.02)
    rig.full()
    # An exit that restarts hangs up on all that wait.
    for far in rig.far[:2]:
        far.close()
    turn(rig.loop, lambda: rig.stock._lifetime < 1.0)
    learnt = rig.stock._lifetime
    turn(rig.loop, lambda: rig.stock._lifetime > learnt * 1.2)


def test_one_that_ends_before_its_event_was_seen_is_passed_over(rig: Rig) -> None:
    rig.full()
    rig.far[0].close()
    taken = rig.stock.take()
    assert taken is not None
    assert taken.sock is rig.near[1]


def test_it_grows_while_it_falls_short_and_shrinks_when_it_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "LIFETIME", 3.0)
    rig = Rig(monkeypatch)
    rig.full()
    for _ in range(2 + 5):
        rig.stock.take()
    rig.full(2 + 6)
    for _ in range(100):
        rig.stock.take()
    rig.full(warm.MOST)
    monkeypatch.setattr(warm, "_CALM", 0.01)
    monkeypatch.setattr(warm, "_EVERY", 0.02)
    rig.full(2)
    rig.close()


def test_nobody_comes_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "IDLE", 0.3)
    monkeypatch.setattr(warm, "_EVERY", 0.05)
    rig = Rig(monkeypatch)
    rig.full()
    rig.full(0)
    dialled = rig.dialled
    rig.pause(0.3)
    assert rig.dialled == dialled
    assert rig.stock.take() is None
    rig.full(3)
    rig.close()


def test_a_near_exit_needs_none(rig: Rig) -> None:
    rig.upstream.ways = [Way("10.1.1.70", 8388, rtt=0.0005)]
    rig.pause(0.2)
    assert rig.dialled == 0


def test_a_handshake_that_was_quick_shows_a_near_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "WORTH", 5.0)
    rig = Rig(monkeypatch)
    turn(rig.loop, lambda: rig.near)
    rig.pause(0.2)
    assert len(rig.stock) == 0
    assert rig.dialled <= 2
    rig.close()


def test_other_ways_other_connections(rig: Rig) -> None:
    rig.full()
    rig.upstream.turn_to([SECOND, FIRST])
    assert len(rig.stock) == 2, "the same ways in another order are no news"
    rig.upstream.turn_to([SECOND])
    assert len(rig.stock) == 0
    rig.full()
    taken = rig.stock.take()
    assert taken is not None
    assert taken.way == SECOND


def test_an_exit_that_refuses_is_not_besieged(rig: Rig) -> None:
    rig.refuse = True
    rig.pause(0.5)
    assert rig.dialled <= 2
    assert rig.stock.take() is None


def test_closed_it_keeps_and_dials_nothing(rig: Rig) -> None:
    rig.full()
    rig.stock.close()
    assert rig.stock.take() is None
    dialled = rig.dialled
    rig.pause(0.1)
    assert rig.dialled == dialled
    assert rig.far[0].recv(100)
    assert rig.far[0].recv(100) == b"", "an end, no reset"


def test_clients_that_come_together_after_a_pause_are_tended_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.full()
    monkeypatch.setattr(warm, "IDLE", 0.0)
    turn(rig.loop, lambda: not rig.stock._tended)
    monkeypatch.setattr(warm, "IDLE", 60.0)
    begun: list[int] = []
    tend = rig.stock._tend
    monkeypatch.setattr(rig.stock, "_tend", lambda: begun.append(1) or tend())
    for _ in range(5):
        rig.stock.take()
    turn(rig.loop, lambda: begun)
    rig.pause(0.05)
    assert begun == [1], "each would go on for itself"
