"""An exit's end: who is answered, and that nobody else ever is."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import pytest
from tests.unit.courier.posts import IDENTITY, PSK, Posts, way

from plait.courier import home as module
from plait.kernel.udp import Letter
from plait.tunnel import glance
from plait.tunnel.frames import Echo, Train, encode
from plait.wire.datagram import Session, trade
from plait.wire.greeting import (
    ANSWER_SIZE,
    COOKIE_SIZE,
    Caller,
    Guard,
    hello,
    mac_of,
    preshared,
    take_welcome,
)

GUARD = Guard(bytes.fromhex(PSK))


class Stranger:
    """Somebody with a socket and a loop that runs the exit while he waits."""

    def __init__(self, posts: Posts, port: int) -> None:
        self.posts = posts
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.connect(("127.0.0.1", port))
        self.answers: list[bytes] = []

    def send(self, *datagrams: bytes) -> None:
        for datagram in datagrams:
            self.sock.send(datagram)

    def _look(self) -> None:
        try:
            while True:
                self.answers.append(self.sock.recv(65535))
        except BlockingIOError:
            pass

    def expect(self, count: int) -> list[bytes]:
        """Wait for so many answers; gives them."""

        def enough() -> bool:
            self._look()
            return len(self.answers) >= count

        self.posts.turn(enough)
        found, self.answers = self.answers, []
        return found

    def ignored(self, **kinds: int) -> None:
        """Wait until the exit has counted what was sent, and be sure that it has said nothing."""
        wanted = {kind.replace("_", " "): count for kind, count in kinds.items()}
        self.posts.turn(lambda: sum(self.posts.tally.strangers.values()) >= sum(wanted.values()))
        assert dict(self.posts.tally.strangers) == wanted
        self._look()
        assert not self.answers


@pytest.fixture
def stranger(posts: Posts) -> Iterator[Stranger]:
    found = Stranger(posts, posts.open_home())
    yield found
    found.sock.close()


def caller(guard: Guard = GUARD, ephemeral: bytes = b"g" * 32) -> Caller:
    kind = trade("aes-128-gcm")
    assert kind is not None
    return Caller(kind, guard, ephemeral=ephemeral, index=77, identity=IDENTITY)


def begin(stranger: Stranger) -> Session:
    here = caller()
    stranger.send(here.greeting(0, 0))
    return here.answered(stranger.expect(1)[0])[0]


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\0",
        b"\x70",
        b"\x70" * 105,
        b"\x73" * 15,
        b"\x73" * 48,
        b"\x74" * 48,
        b"\x75" + bytes(24),
        b"\xff" * 1400,
        bytes(60000),
        caller().greeting(0, 0)[:-1],
        caller().greeting(0, 0) + b"\0",
        hello(0, 0, 1, IDENTITY),
        caller(Guard(preshared("wrong"))).greeting(0, 0),
    ],
    ids=lambda datagram: f"{datagram[:2].hex()}-{len(datagram)}",
)
def test_strangers_hear_nothing(stranger: Stranger, datagram: bytes) -> None:
    stranger.send(datagram)
    stranger.posts.turn(lambda: stranger.posts.tally.strangers)
    stranger._look()
    assert not stranger.answers
    assert not stranger.posts.home.guests
    assert stranger.posts.tally.sent == 0


def test_every_copy_of_a_greeting_is_answered_once(stranger: Stranger) -> None:
    here = caller()
    greetings = [here.greeting(path, attempt) for path in range(2) for attempt in range(2)]
    stranger.send(*greetings)
    answers = stranger.expect(4)
    assert {len(each) for each in answers} == {ANSWER_SIZE}
    assert len({each[8:] for each in answers}) == 1, "one handshake, one session"
    assert len(stranger.posts.home.guests) == 1
    stranger.send(*greetings)
    stranger.ignored(replayed=4)


def test_a_recorded_greeting_gets_nobody_in(stranger: Stranger, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a restart the exit remembers no greetings. Who sends one again can't go on from there."""
    monkeypatch.setattr(module, "UNCONFIRMED", 0.2)
    monkeypatch.setattr(module, "_SWEEP", 0.1)
    here = caller()
    stranger.posts.close_home()
    port = stranger.posts.open_home()
    stranger.sock.connect(("127.0.0.1", port))
    stranger.send(here.greeting(0, 0))
    stranger.expect(1)
    [guest] = stranger.posts.home.guests.values()
    assert not guest.confirmed
    stranger.posts.turn(lambda: not stranger.posts.home.guests)


def test_echoes_are_answered_where_they_come_from(stranger: Stranger) -> None:
    session = begin(stranger)
    stranger.send(session.sealing.seal(0, encode(Echo(5))))
    [first] = stranger.expect(1)
    assert len(first) <= 84 - 28
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
        elsewhere.connect(stranger.sock.getpeername())
        old = session.sealing.seal(0, encode(Echo(6)))
        elsewhere.send(session.sealing.seal(0, encode(Echo(7))))
        elsewhere.settimeout(0.0)
        [guest] = stranger.posts.home.guests.values()
        stranger.posts.turn(lambda: guest.places[0].peer[1] == elsewhere.getsockname()[1])
        # What is late does not move the path back.
        stranger.send(old)
        stranger.posts.turn(lambda: stranger.posts.tally.received == 3)
        assert guest.places[0].peer[1] == elsewhere.getsockname()[1]


@pytest.mark.parametrize(("whole", "size"), [(False, 1300), (True, 1300), (True, 40)])
def test_a_gateway_is_told_how_it_is_seen(stranger: Stranger, whole: bool, size: int) -> None:
    session = begin(stranger)
    look = session.sealing.seal(0, glance.encode(glance.Look(9, whole, size)))
    stranger.send(look)
    [datagram] = stranger.expect(1)
    assert len(datagram) <= len(look)
    [(_, _, [body], _)] = session.opening.open_run(datagram, len(datagram)).pieces
    seen = glance.decode(body)
    assert isinstance(seen, glance.Seen)
    assert (str(seen.address), seen.port) == stranger.sock.getsockname()
    assert abs(seen.clock / 1e6 - time.time()) < 20
    assert (seen.size == size) is whole


def test_what_is_sealed_by_others_moves_nothing(stranger: Stranger) -> None:
    session = begin(stranger)
    good = session.sealing.seal(0, encode(Echo(5)))
    stranger.send(good)
    stranger.expect(1)
    [guest] = stranger.posts.home.guests.values()
    place = guest.places[0].peer
    forged = bytearray(session.sealing.seal(0, encode(Echo(6))))
    forged[-1] ^= 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
        attacker.connect(stranger.sock.getpeername())
        attacker.send(good)
        attacker.send(bytes(forged))
        attacker.send(bytes(forged[:40]))
        stranger.ignored(replayed=1, forged=2)
    assert guest.places[0].peer == place


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x63",
        b"\x08" + bytes(38),
        b"\x09" + bytes(60),
        b"\x02" + bytes(14),
        b"\x80" + bytes(30),
        encode(Echo(1))[:-1],
    ],
    ids=["empty", "unknown", "a short look", "what was seen", "a reply", "data", "cut short"],
)
def test_what_makes_no_sense_is_counted(stranger: Stranger, body: bytes) -> None:
    session = begin(stranger)
    stranger.send(session.sealing.seal(0, body))
    stranger.ignored(malformed=1)


def test_a_train_is_answered_with_no_more_than_came(stranger: Stranger) -> None:
    session = begin(stranger)
    sent = [session.sealing.seal(0, encode(Train(9, index, 8, True, 500))) for index in range(6)]
    stranger.send(*sent)
    answers = stranger.expect(7)
    assert sum(map(len, answers[1:])) <= sum(map(len, sent))
    [guest] = stranger.posts.home.guests.values()
    assert not guest.arriving


@pytest.mark.parametrize("large", [0, 7], ids=["first", "last"])
def test_one_large_datagram_makes_no_large_train(stranger: Stranger, large: int) -> None:
    session = begin(stranger)
    sizes = [1200 if index == large else 8 for index in range(8)]
    sent = [
        session.sealing.seal(0, encode(Train(9, index, 8, True, size))) for index, size in enumerate(sizes)
    ]
    stranger.send(*sent)
    answers = stranger.expect(9)
    assert sum(map(len, answers[1:])) <= sum(map(len, sent))


def test_a_busy_exit_asks_for_a_cookie(stranger: Stranger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY", -1)
    here = caller()
    greeting = here.greeting(0, 0)
    stranger.send(greeting)
    [answer] = stranger.expect(1)
    assert len(answer) == COOKIE_SIZE
    assert not stranger.posts.home.guests
    cookie = GUARD.open_cookie(answer, mac_of(greeting))
    stranger.send(here.greeting(0, 1, cookie))
    here.answered(stranger.expect(1)[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
        elsewhere.connect(stranger.sock.getpeername())
        elsewhere.send(caller(ephemeral=b"h" * 32).greeting(0, 2, cookie))
        asked = stranger.posts.tally.strangers
        stranger.posts.turn(lambda: asked["asked for a cookie"] == 2)


def test_gateways_get_through_a_busy_exit(posts: Posts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY", -1)
    away = posts.open_away()
    away.ways([way(posts.open_home())])
    posts.turn(lambda: posts.heard("echo"))
    assert posts.tally.strangers == {"asked for a cookie": 1}


def test_each_user_has_a_password(posts: Posts) -> None:
    psks = {name: preshared(name).hex() for name in ("", "roof", "cellar")}
    port = posts.open_home(psks=psks)
    for name in ("roof", "cellar"):
        posts.open_away(psk=psks[name]).ways([way(port)])
    posts.turn(lambda: len(posts.heard("echo")) >= 2)
    assert {guest.user for guest in posts.home.guests.values()} == {"roof", "cellar"}


def test_method_none_is_for_trusted_networks(posts: Posts) -> None:
    for trust, expected in ((("192.0.2.0/24", "::/0"), 0), (("127.0.0.0/8",), 1)):
        stranger = Stranger(posts, posts.open_home("none", trust=trust))
        stranger.send(hello(0, 0, 77, IDENTITY), hello(1, 0, 77, IDENTITY))
        if not expected:
            stranger.ignored(untrusted=2)
        else:
            first, second = stranger.expect(2)
            assert first[3:] == second[3:]
            session, _ = take_welcome(first, 77)
            stranger.send(session.sealing.seal(0, encode(Echo(1))))
            stranger.expect(1)
        stranger.sock.close()


def test_other_protocols_have_their_turn(stranger: Stranger) -> None:
    seen: list[Letter] = []

    def others(sock: socket.socket, letter: Letter) -> bool:
        seen.append(letter)
        return letter.data.startswith(b"mine")

    stranger.posts.home.others = others
    stranger.send(b"mine", b"nobody's", b"\x73" * 100)
    stranger.ignored(malformed=1, unknown_session=1)
    assert [letter.data for letter in seen] == [b"mine", b"nobody's", b"\x73" * 100]


def test_sessions_are_limited(stranger: Stranger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    session = begin(stranger)
    stranger.send(session.sealing.seal(0, encode(Echo(5))))
    stranger.expect(1)
    for number in range(5):
        stranger.send(caller(ephemeral=bytes((number,)) * 32).greeting(0, 0))
        stranger.expect(1)
    assert len(stranger.posts.home.guests) == 3
    stranger.send(session.sealing.seal(0, encode(Echo(6))))
    assert stranger.expect(1), "who is there stays"


def test_a_greeting_is_remembered_across_a_restart(stranger: Stranger) -> None:
    here = caller()
    greeting = here.greeting(0, 0)
    with open(os.memfd_create("greetings"), "r+b") as memory:
        memory.truncate(1 << 16)
        for expected in ({}, {"replayed": 1}):
            stranger.posts.close_home()
            port = stranger.posts.open_home(seen=memory.fileno())
            stranger.sock.connect(("127.0.0.1", port))
            stranger.send(greeting)
            if expected:
                stranger.ignored(**expected)
            else:
                stranger.expect(1)


def test_many_sessions_of_one_user_push_out_nobody_else(
    stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    home = stranger.posts.home
    for index, user in enumerate(("roof", "mallory", "mallory", "mallory", "boat", "mallory")):
        home._admit(Session.plain(index, 1), user, IDENTITY, 0)
        home.guests[index].confirmed = True
    assert sorted(guest.user for guest in home.guests.values()) == ["boat", "mallory", "roof"]
