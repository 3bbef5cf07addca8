"""How sessions begin: greetings, answers, cookies, and who is not answered."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.wire import greeting as words
from plait.wire.datagram import Session, Trade, trade
from plait.wire.faults import Forged, Malformed, PeerFault
from plait.wire.greeting import (
    ANSWER_SIZE,
    COOKIE_SIZE,
    GREETING_SIZE,
    HELLO_SIZE,
    WELCOME_SIZE,
    Call,
    Caller,
    Guard,
    cookie_for,
    ephemeral_of,
    hello,
    mac_of,
    preshared,
    shows_cookie,
    take_call,
    take_hello,
    take_welcome,
    welcome,
)
from plait.wire.noise import public_key

IDENTITY = bytes(range(16))
GUARD = Guard(preshared("correct horse"))
EXIT = b"x" * 32


def kind_of(method: str = "aes-128-gcm") -> Trade:
    kind = trade(method)
    assert kind is not None
    return kind


def caller(guard: Guard = GUARD, *, exit_key: bytes = b"", method: str = "aes-128-gcm") -> Caller:
    return Caller(
        kind_of(method), guard, ephemeral=b"g" * 32, index=77, identity=IDENTITY, epoch=5, exit_key=exit_key
    )


def take(greeting: bytes, guard: Guard = GUARD, *, static: bytes = b"", method: str = "aes-128-gcm") -> Call:
    return take_call(
        greeting,
        kind_of(method),
        guard,
        ephemeral=b"e" * 32,
        index=99,
        epoch=lambda identity: 6,
        static=static,
    )


def speak(here: Session, there: Session) -> None:
    assert there.opening.open(here.sealing.seal(1, b"to the exit")).body == b"to the exit"
    assert here.opening.open(there.sealing.seal(1, b"to the gateway")).body == b"to the gateway"


@pytest.mark.parametrize("method", ["aes-128-gcm", "aes-256-gcm", "chacha20-ietf-poly1305"])
@pytest.mark.parametrize("static", [b"", EXIT], ids=["password", "public key"])
def test_a_session_begins(method: str, static: bytes) -> None:
    here = caller(exit_key=public_key(static) if static else b"", method=method)
    first = here.greeting(1, 0)
    assert len(first) == GREETING_SIZE
    assert GUARD.proves(first)
    call = take(first, static=static, method=method)
    assert call.identity == IDENTITY
    answer = call.answer(first)
    assert len(answer) == ANSWER_SIZE <= GREETING_SIZE, "nobody can be made to send more than he was sent"
    session, epoch = here.answered(answer)
    assert (call.epoch, epoch) == (5, 6)
    assert (session.ours, call.session.ours) == (77, 99)
    speak(session, call.session)


def test_greetings_of_one_handshake_differ_and_lead_to_one_session() -> None:
    here = caller()
    greetings = [here.greeting(path, attempt) for path in range(3) for attempt in range(3)]
    assert len({mac_of(each) for each in greetings}) == 9
    assert len({ephemeral_of(each) for each in greetings}) == 1
    call = take(greetings[0])
    speak(here.answered(call.answer(greetings[5]))[0], call.session)
    assert call.answer(greetings[5])[1:3] == greetings[5][1:3]


def test_a_wrong_password_costs_one_hash() -> None:
    assert not Guard(preshared("Correct horse")).proves(caller().greeting(0, 0))


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, GREETING_SIZE - 17), flip=st.integers(1, 255))
def test_a_changed_greeting_does_not_prove(position: int, flip: int) -> None:
    greeting = bytearray(caller().greeting(1, 0))
    greeting[position] ^= flip
    assert not GUARD.proves(bytes(greeting))


@pytest.mark.parametrize("length", [0, 1, GREETING_SIZE - 1, GREETING_SIZE + 1, 1500])
def test_greetings_have_one_size(length: int) -> None:
    assert not GUARD.proves(caller().greeting(1, 0).ljust(2000, b"\0")[:length])


def test_an_exit_without_a_key_does_not_know_who_wants_it_proved() -> None:
    greeting = caller(exit_key=public_key(EXIT)).greeting(0, 0)
    with pytest.raises(Malformed):
        take(greeting)
    with pytest.raises(Forged):
        take(greeting, static=b"y" * 32)


@settings(max_examples=60, deadline=None)
@given(position=st.integers(4, ANSWER_SIZE - 1), flip=st.integers(1, 255))
def test_a_forged_answer_spoils_nothing(position: int, flip: int) -> None:
    here = caller()
    greeting = here.greeting(1, 0)
    call = take(greeting)
    answer = call.answer(greeting)
    forged = bytearray(answer)
    forged[position] ^= flip
    with pytest.raises(PeerFault):
        here.answered(bytes(forged))
    speak(here.answered(answer)[0], call.session)


@pytest.mark.parametrize("length", [0, 8, ANSWER_SIZE - 1, ANSWER_SIZE + 1])
def test_answers_have_one_size(length: int) -> None:
    here = caller()
    greeting = here.greeting(1, 0)
    with pytest.raises(Forged):
        here.answered(take(greeting).answer(greeting).ljust(200, b"\0")[:length])


def test_a_greeting_of_another_version_is_not_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "VERSION", 2)
    greeting = caller().greeting(0, 0)
    monkeypatch.undo()
    assert GUARD.proves(greeting)
    with pytest.raises(Malformed):
        take(greeting)


def test_a_cookie_shows_that_an_address_is_the_senders() -> None:
    here = caller()
    greeting = here.greeting(2, 1)
    cookie = cookie_for(b"s" * 32, b"192.0.2.1:5000")
    assert not shows_cookie(greeting, cookie)
    datagram = GUARD.seal_cookie(greeting, cookie, b"n" * 12)
    assert len(datagram) == COOKIE_SIZE < GREETING_SIZE
    assert GUARD.open_cookie(datagram, mac_of(greeting)) == cookie
    again = here.greeting(2, 2, cookie)
    assert GUARD.proves(again)
    assert shows_cookie(again, cookie)
    assert not shows_cookie(again, cookie_for(b"s" * 32, b"192.0.2.2:5000"))
    call = take(again)
    speak(here.answered(call.answer(again))[0], call.session)


def test_a_cookie_answers_one_greeting_of_one_password() -> None:
    here = caller()
    greeting, other = here.greeting(2, 1), here.greeting(2, 2)
    datagram = GUARD.seal_cookie(greeting, bytes(16), b"n" * 12)
    for guard, mac, data in (
        (GUARD, mac_of(other), datagram),
        (Guard(preshared("other")), mac_of(greeting), datagram),
        (GUARD, mac_of(greeting), datagram[:-1]),
        (GUARD, mac_of(greeting), datagram[:-1] + bytes((datagram[-1] ^ 1,))),
    ):
        with pytest.raises(Forged):
            guard.open_cookie(data, mac)


def test_the_keys_of_passwords() -> None:
    assert preshared("a") != preshared("b")
    assert len(preshared("")) == 32
    # RFC 5869 spelt out with the openssl program: HKDF, SHA256, salt "plait datagrams", info "noise psk".
    assert preshared("correct horse").hex() == (
        "79486be88855a270a93eadc3443d692f4b831d75473ba552c579a77414545252"
    )
    assert preshared("exit's:own") == preshared("own")


def test_method_none() -> None:
    greeting = hello(3, 1, 77, IDENTITY, 5)
    assert len(greeting) == HELLO_SIZE
    theirs, epoch, identity = take_hello(greeting)
    assert (theirs, epoch, identity) == (77, 5, IDENTITY)
    answer = welcome(greeting, theirs, 99, 6)
    assert len(answer) == WELCOME_SIZE < HELLO_SIZE
    assert answer[1:3] == greeting[1:3]
    session, epoch = take_welcome(answer, 77)
    assert epoch == 6
    speak(session, Session.plain(99, theirs))


@pytest.mark.parametrize("length", [0, 5, HELLO_SIZE - 1, HELLO_SIZE + 1])
def test_hellos_have_one_size(length: int) -> None:
    with pytest.raises(Malformed):
        take_hello(hello(3, 1, 77, IDENTITY).ljust(200, b"\0")[:length])


def test_a_welcome_is_for_who_asked() -> None:
    greeting = hello(3, 1, 77, IDENTITY)
    answer = welcome(greeting, 77, 99)
    for wrong, ours in ((answer, 78), (answer[:-1], 77), (answer[:8] + b"\x02" + answer[9:], 77)):
        with pytest.raises(Malformed):
            take_welcome(wrong, ours)


def test_secrets_do_not_print() -> None:
    assert GUARD.psk.hex() not in repr(GUARD)
    assert GUARD.psk.hex() not in repr(caller())
