"""On loopback, where connections are plain TCP: whom it looks at, when it speaks. Subflows of real MPTCP
are looked at in tests/netns/workers."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator

import pytest
from tests.unit.relay.turning import tcp_pair, turn

from plait.kernel.mptcp_info import Look, look
from plait.relay import evidence
from plait.relay.evidence import Evidence
from plait.relay.gateway import Upstream, Way
from plait.relay.legs import Leg
from plait.relay.loop import Loop
from plait.relay.orders import JsonObject, Lacking, Traffic
from plait.relay.pump import Outcome, Pump, Session


class Rig:
    def __init__(self) -> None:
        self.loop = Loop()
        self.pump = Pump(self.loop, self._ended)
        self.upstream = Upstream("attic", None, [Way("127.0.0.1", 8388, "127.0.0.1", "lo", "dsl")])
        self.said: list[JsonObject] = []
        self.sockets: list[socket.socket] = []
        self.evidence = Evidence(self.pump, {"attic": self.upstream}, self.said.append)

    def _ended(self, session: Session, outcome: Outcome) -> None:
        self.evidence.forget(session)

    def session(self, exit_name: str = "attic") -> tuple[Session, socket.socket, socket.socket]:
        near, client = tcp_pair()
        far, server = tcp_pair()
        self.sockets += [near, client, far, server]
        session = Session(self.pump, near, far, "192.0.2.1:80")
        session.exit = exit_name
        self.loop.register(far.fileno(), session.far_event)
        session.start(Leg(session, near, far), Leg(session, far, near), 0, 0)
        return session, client, server

    def traffic(self) -> list[Traffic]:
        listed: list[Traffic] = []
        for message in self.said:
            told = message.get("traffic", [])
            assert isinstance(told, list)
            listed += [Traffic.from_json(each) for each in told]
        return listed

    def after(self, seconds: float) -> None:
        passed: list[int] = []
        self.loop.after(seconds, lambda: passed.append(1))
        turn(self.loop, lambda: passed)


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    for sock in made.sockets:
        sock.close()
    made.loop.close()


def test_what_moves_is_told_and_then_it_is_quiet(rig: Rig) -> None:
    session, client, server = rig.session()
    client.sendall(b"up" * 500)
    turn(rig.loop, lambda: session.up.count == 1000)
    # The first look only takes note; what comes later is told.
    rig.after(0.6)
    client.sendall(b"up" * 500)
    server.sendall(b"down" * 500)
    turn(rig.loop, lambda: sum(each.received for each in rig.traffic()) == 2000)
    assert sum(each.acked for each in rig.traffic()) == 1000
    assert {(each.exit, each.local) for each in rig.traffic()} == {("attic", "127.0.0.1")}
    assert not any(each.suspicious for each in rig.traffic())
    rig.after(1.5)
    told = len(rig.said)
    rig.after(1.0)
    assert len(rig.said) == told, "nothing moves, nothing is said"


def test_of_sessions_to_no_exit_nothing_is_told(rig: Rig) -> None:
    session, client, _ = rig.session(exit_name="")
    client.sendall(b"up" * 500)
    turn(rig.loop, lambda: session.up.count == 1000)
    rig.after(0.6)
    assert not rig.said


def test_one_round_looks_at_few(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, socket.socket]] = []

    def noted(connection: socket.socket) -> Look:
        asked.append((rig.loop.now, connection))
        return look(connection)

    monkeypatch.setattr(evidence, "look", noted)
    made = [rig.session() for _ in range(60)]
    for _, client, _ in made:
        client.sendall(b"x")
    turn(rig.loop, lambda: all(session.up.count for session, _, _ in made))
    turn(rig.loop, lambda: len({at for at, _ in asked}) > 10)
    assert max(Counter(at for at, _ in asked).values()) <= 8


def test_what_a_connection_lacks(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report alone: that a connection is MPTCP is pretended."""
    monkeypatch.setattr(evidence, "is_mptcp", lambda connection: True)
    rig.upstream.ways = [
        Way("192.0.2.70", 8388, "127.0.0.1", "wan1"),
        Way("192.0.2.70", 8388, "192.0.2.2", "wan2"),
        Way("2001:db8::70", 8388, "2001:db8::2", "wan3"),
    ]
    session, client, _ = rig.session()

    def lacking() -> list[list[Lacking]]:
        reports = (message["subflows"] for message in rig.said if "subflows" in message)
        return [[Lacking.from_json(each) for each in told] for told in reports if isinstance(told, list)]

    client.sendall(b"x")
    turn(rig.loop, lacking)
    (found,) = lacking()[-1]
    # Of the other family it can have none.
    assert (found.exit, found.local, found.count, found.looked) == ("attic", "192.0.2.2", 1, 1)
    turn(rig.loop, lambda: lacking()[-1] and lacking()[-1][0].longest_s > 1.0)
    session.abort(Outcome.CLOSED)
    turn(rig.loop, lambda: lacking()[-1] == [])
    told = len(rig.said)
    rig.after(2.0)
    assert len(rig.said) == told


def test_a_connection_that_has_no_subflow_left(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands still, so nothing but its subflows tells; and that it has one again is told as well."""
    gone = False
    monkeypatch.setattr(evidence, "is_mptcp", lambda connection: True)
    monkeypatch.setattr(evidence, "look", lambda connection: Look((), 0) if gone else look(connection))
    _, client, _ = rig.session()

    def last() -> list[Lacking]:
        reports = [message["subflows"] for message in rig.said if "subflows" in message]
        told = reports[-1] if reports else []
        assert isinstance(told, list)
        return [Lacking.from_json(each) for each in told]

    client.sendall(b"x")
    rig.after(1.5)
    assert last() == []
    gone = True
    turn(rig.loop, last)
    (found,) = last()
    assert (found.local, found.count, found.stranded, found.moving, found.gained) == ("127.0.0.1", 1, 1, 0, 0)
    gone = False
    turn(rig.loop, lambda: last()[0].gained)
    (found,) = last()
    assert (found.count, found.stranded, found.gained) == (0, 0, 1)
    turn(rig.loop, lambda: last() == [])


def test_a_connection_without_bytes_is_no_witness(rig: Rig) -> None:
    session, _, _ = rig.session()
    rig.after(0.6)
    assert not rig.said
    session.abort(Outcome.CLOSED)
