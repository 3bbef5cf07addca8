"""DNS answers on their way: which are held, what is told, and that nobody waits for ever."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from tests.unit.relay.turning import turn
from tests.unit.wire.test_dns import TO_QUESTION, V4, V6, answer, record

from plait.courier import names
from plait.courier.faces import Face
from plait.courier.names import LEAST, Names
from plait.kernel.udp import IP_RECVORIGDSTADDR
from plait.relay.loop import Loop
from plait.relay.orders import JsonObject

CLIENT = ("192.168.1.9", 4711)
SERVER: Face = (bytes((9, 9, 9, 9)), 53)
OTHER: Face = (bytes((9, 9, 9, 9)), 443)
RULED = answer("www.example.org", record(TO_QUESTION, 1, V4, 5), record(TO_QUESTION, 28, V6, 3600))
FREE = answer("www.example.com", record(TO_QUESTION, 1, V4))


class Desk:
    """Names, with all that they say and send."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.said: list[JsonObject] = []
        self.sent: list[tuple[Face, bytes, tuple[str, int]]] = []
        self.names = Names(
            self.loop,
            {"seen_a": ["example.org"], "seen_b": ["other.test", "www.example.org"], "seen_c": ["com.test"]},
            self.said.append,
            lambda *letter: self.sent.append(letter),
        )


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.loop.close()


def test_a_ruled_answer_waits_until_it_is_learnt(desk: Desk) -> None:
    desk.names.answer(SERVER, RULED, CLIENT)
    assert desk.sent == []
    v6 = socket.inet_ntop(socket.AF_INET6, V6)
    assert desk.said == [
        {
            "learn": 1,
            "found": [
                [f"{name}{version}", address, life]
                for name in ("seen_a", "seen_b")
                for version, address, life in (("v4", "192.0.2.1", LEAST), ("v6", v6, 3600))
            ],
        }
    ]
    desk.names.learnt(2, True)
    assert desk.sent == []
    desk.names.learnt(1, True)
    desk.names.learnt(1, True)
    assert desk.sent == [(SERVER, RULED, CLIENT)]
    assert desk.names.outcomes == {"learnt": 1}


@pytest.mark.parametrize("payload", [FREE, answer("www.example.org"), b"nonsense", b""])
def test_all_else_goes_on_at_once(desk: Desk, payload: bytes) -> None:
    desk.names.answer(SERVER, payload, CLIENT)
    assert desk.sent == [(SERVER, payload, CLIENT)]
    assert desk.said == []


def test_when_control_is_silent_it_goes_on(desk: Desk) -> None:
    desk.names.answer(SERVER, RULED, CLIENT)
    turn(desk.loop, lambda: desk.sent)
    desk.names.learnt(1, True)
    assert desk.sent == [(SERVER, RULED, CLIENT)]
    assert desk.names.outcomes == {"too late": 1}


def test_the_number_that_waits_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "WAITING", 2)
    for _ in range(3):
        desk.names.answer(SERVER, RULED, CLIENT)
    assert len(desk.said) == 2
    assert len(desk.sent) == 1
    assert desk.names.outcomes == {"too many": 1}
    desk.names.close()
    assert len(desk.sent) == 3


def test_only_what_was_asked_for_is_believed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """In associations, where anybody may answer."""
    desk.names.deliver(SERVER, RULED, CLIENT)
    desk.names.deliver(OTHER, RULED, CLIENT)
    assert (len(desk.sent), desk.said) == (2, [])
    desk.names.ask(CLIENT, SERVER, RULED[:2] + b"...")
    desk.names.deliver(SERVER, b"\xff\xff" + RULED[2:], CLIENT)
    desk.names.deliver(SERVER, RULED, (CLIENT[0], 4712))
    assert (len(desk.sent), desk.said) == (4, [])
    for _ in range(2):
        desk.names.deliver(SERVER, RULED, CLIENT)
    assert (len(desk.sent), len(desk.said)) == (4, 2), "neither of two answers overtakes"
    monkeypatch.setattr(names, "QUESTIONS", 1)
    desk.names.ask(CLIENT, SERVER, b"\xff\xff")
    desk.names.deliver(SERVER, RULED, CLIENT)
    assert len(desk.sent) == 5, "forgotten"


def test_what_is_sent_to_the_port_itself_goes_nowhere(desk: Desk) -> None:
    door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    door.setsockopt(socket.IPPROTO_IP, IP_RECVORIGDSTADDR, 1)
    door.bind(("127.0.0.1", 0))
    place = door.getsockname()
    desk.names.serve(door)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(FREE, place)
        turn(desk.loop, lambda: desk.names.outcomes["not handed over"])
        desk.names.own = frozenset({bytes((127, 0, 0, 1))})
        stranger.sendto(FREE, place)
        turn(desk.loop, lambda: desk.names.outcomes["not handed over"] == 2)
    desk.names.close()
    assert desk.sent == []


def test_what_could_not_be_kept_goes_on_too(desk: Desk) -> None:
    desk.names.answer(SERVER, RULED, CLIENT)
    desk.names.learnt(1, False)
    assert desk.sent == [(SERVER, RULED, CLIENT)]
    assert desk.names.outcomes == {"not kept": 1}
