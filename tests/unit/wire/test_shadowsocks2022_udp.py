"""Datagrams of 2022: sessions, users, replays, clocks."""

from __future__ import annotations

import random
from ipaddress import IPv4Address, IPv6Address

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from plait.wire import address, blake
from plait.wire.address import Target
from plait.wire.cipher import SUITES_2022, Key, aead
from plait.wire.datagram import WINDOW
from plait.wire.faults import Forged, Malformed, PeerFault, Replayed
from plait.wire.shadowsocks2022_udp import Desk, Talk
from plait.wire.shadowsocks_udp import Parcel

TARGET = Target(IPv4Address("192.0.2.1"), 80)
HEADER = address.encode(TARGET)
SENDER = Target(IPv6Address("2001:db8::1"), 7)
METHODS = list(SUITES_2022)
AES_METHODS = [method for method in METHODS if "aes" in method]


class Time:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.5

    def __call__(self) -> float:
        return self.now


def key(method: str, letter: str = "k", *above: str) -> Key:
    suite = SUITES_2022[method]
    return Key(suite, letter.encode() * suite.key_size, tuple(a.encode() * suite.key_size for a in above))


def pair(method: str, time: Time | None = None, seed: int = 1) -> tuple[Talk, Desk]:
    random_bytes, time = random.Random(seed).randbytes, time or Time()
    return Talk(key(method), random_bytes, time), Desk([("", key(method))], random_bytes, time)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("payload", [b"", b"x", bytes(65000)])
def test_there_and_back(method: str, payload: bytes) -> None:
    talk, exit = pair(method)
    for number in range(3):
        parcel = exit.open(talk.seal(HEADER, payload))
        assert parcel == Parcel(TARGET, payload, "", talk.session)
        if not number:
            answer = exit.answer(parcel)
        assert talk.open(answer.seal(address.encode(SENDER), b"answer")) == Parcel(SENDER, b"answer")


def test_a_datagram_is_what_the_specification_says() -> None:
    """By hand, section 3.2.1."""
    time = Time()
    talk = Talk(key(METHODS[0]), lambda size: b"S" * size, time)
    talk.seal(HEADER, b"")
    sent = talk.seal(HEADER, b"payload")
    head = b"S" * 8 + (1).to_bytes(8, "big")
    assert blake.block(b"k" * 16).decrypt(sent[:16]) == head
    subkey = blake3(b"k" * 16 + b"S" * 8, derive_key_context="shadowsocks 2022 session subkey").digest(16)
    body = aead("aes-128-gcm", subkey).decrypt(head[4:], sent[16:], None)
    assert body == b"\0" + int(time.now).to_bytes(8, "big") + b"\0\0" + HEADER + b"payload"


@pytest.mark.parametrize("method", METHODS)
def test_a_datagram_counts_once_and_in_any_order(method: str) -> None:
    talk, exit = pair(method)
    sent = [talk.seal(HEADER, bytes([number])) for number in range(50)]
    order = list(range(50))
    random.Random(2).shuffle(order)
    assert [exit.open(sent[number]).payload[0] for number in order] == order
    for datagram in sent:
        with pytest.raises(Replayed):
            exit.open(datagram)


def test_what_is_behind_the_window_counts_as_seen() -> None:
    talk, exit = pair(METHODS[0])
    first = talk.seal(HEADER, b"first")
    for _ in range(WINDOW):
        last = talk.seal(HEADER, b"")
    exit.open(last)
    with pytest.raises(Replayed):
        exit.open(first)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("off", [-31.0, 32.0])
def test_another_time_is_a_replay_both_ways_and_moves_no_window(method: str, off: float) -> None:
    time = Time()
    talk, exit = pair(method, time)
    sent = talk.seal(HEADER, b"x")
    time.now += off
    with pytest.raises(Replayed):
        exit.open(sent)
    time.now -= off
    answer = exit.answer(exit.open(sent)).seal(HEADER, b"y")
    time.now += off
    with pytest.raises(Replayed):
        talk.open(answer)
    time.now -= off
    assert talk.open(answer).payload == b"y"


@pytest.mark.parametrize("method", METHODS)
def test_answers_are_for_one_session_and_no_questions(method: str) -> None:
    talk, exit = pair(method)
    other = Talk(key(method), random.Random(77).randbytes, Time())
    question = talk.seal(HEADER, b"?")
    answer = exit.answer(exit.open(question)).seal(HEADER, b"!")
    with pytest.raises(Forged):
        other.open(answer)
    with pytest.raises(Forged):
        exit.open(answer)
    with pytest.raises(Forged):
        talk.open(question)
    assert talk.open(answer).payload == b"!"
    with pytest.raises(Replayed):
        talk.open(answer)


@pytest.mark.parametrize("method", AES_METHODS)
def test_users_by_identity_headers(method: str) -> None:
    time, random_bytes = Time(), random.Random(3).randbytes
    exit = Desk(
        [("", key(method, "i")), ("a", key(method, "a")), ("b", key(method, "b"))], random_bytes, time
    )
    for name in "ab":
        talk = Talk(key(method, name, "i"), random_bytes, time)
        parcel = exit.open(talk.seal(HEADER, b"?"))
        assert parcel.user == name
        assert talk.open(exit.answer(parcel).seal(HEADER, b"!")).payload == b"!"
    for stranger in (key(method, "c", "i"), key(method, "a", "x"), key(method, "i"), key(method, "a")):
        with pytest.raises(Forged):
            exit.open(Talk(stranger, random_bytes, time).seal(HEADER, bytes(50)))


def test_a_relay_can_peel_one_identity() -> None:
    """SIP023: it decrypts the head, takes the first identity off and seals the head for the next server."""
    method, time, random_bytes = METHODS[0], Time(), random.Random(4).randbytes
    sent = Talk(key(method, "u", "r", "i"), random_bytes, time).seal(HEADER, b"?")
    relay, server = blake.block(b"r" * 16), blake.block(b"i" * 16)
    head = relay.decrypt(sent[:16])
    said = bytes(a ^ b for a, b in zip(relay.decrypt(sent[16:32]), head, strict=True))
    assert said == blake3(b"i" * 16).digest()[:16]
    exit = Desk([("", key(method, "i")), ("u", key(method, "u"))], random_bytes, time)
    assert exit.open(server.encrypt(head) + sent[32:]).payload == b"?"


def test_a_session_belongs_to_one_user() -> None:
    method, time = METHODS[0], Time()
    exit = Desk([("", key(method, "i")), ("a", key(method, "a")), ("b", key(method, "b"))], bytes, time)
    exit.open(Talk(key(method, "a", "i"), bytes, time).seal(HEADER, b"?"))
    thief = Talk(key(method, "b", "i"), bytes, time)
    thief.seal(HEADER, b"")
    with pytest.raises(Forged):
        exit.open(thief.seal(HEADER, b"?"))


def test_a_forgotten_session_begins_anew() -> None:
    talk, exit = pair(METHODS[0])
    sent = talk.seal(HEADER, b"?")
    exit.forget(exit.open(sent).session)
    assert exit.open(sent).payload == b"?"


def test_an_exit_may_restart_but_not_by_the_hundred() -> None:
    time = Time()
    talk, _ = pair(METHODS[0], time)
    sent = talk.seal(HEADER, b"?")

    def restarted(seed: int) -> bytes:
        exit = pair(METHODS[0], time, seed)[1]
        return exit.answer(exit.open(sent)).seal(HEADER, b"!")

    for seed in range(4):
        assert talk.open(restarted(100 + seed)).payload == b"!"
        time.now += 1
    with pytest.raises(Replayed):
        talk.open(restarted(200))
    sent = talk.seal(HEADER, b"?")
    time.now += 61
    sent = talk.seal(HEADER, b"?")
    assert talk.open(restarted(201)).payload == b"!"


def test_questions_to_dns_are_padded() -> None:
    talk, exit = pair(METHODS[0])
    dns = address.encode(Target(IPv4Address("192.0.2.1"), 53))
    sizes = {len(talk.seal(dns, bytes(40))) for _ in range(50)}
    assert len(sizes) > 20
    assert max(sizes) <= 16 + 16 + 11 + len(dns) + 900
    assert len({len(talk.seal(HEADER, bytes(40))) for _ in range(50)}) == 1
    assert exit.open(talk.seal(dns, bytes(2000))).payload == bytes(2000)
    parcel = exit.open(talk.seal(dns, b"?"))
    assert talk.open(exit.answer(parcel).seal(dns, b"!")).payload == b"!"


@pytest.mark.parametrize("method", METHODS)
@given(at=st.integers(0, 200), change=st.integers(1, 255))
def test_every_changed_byte_is_noticed(method: str, at: int, change: int) -> None:
    talk, exit = pair(method)
    sent = bytearray(talk.seal(HEADER, b"payload"))
    sent[at % len(sent)] ^= change
    with pytest.raises(Forged):
        exit.open(bytes(sent))


@pytest.mark.parametrize("method", METHODS)
@given(data=st.binary(max_size=120))
def test_noise_is_refused(method: str, data: bytes) -> None:
    talk, exit = pair(method)
    for end in (talk, exit):
        with pytest.raises(Forged):
            end.open(data)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0" + bytes(9),
        b"TIME\xff\xff" + HEADER,
        b"TIME\0\0",
        b"TIME\0\0" + HEADER[:-1],
        b"TIME\0\0\x09" + bytes(30),
        b"TIME\0\x05" + HEADER[:4],
    ],
)
def test_a_body_that_makes_no_sense(body: bytes) -> None:
    time = Time()
    exit = pair(METHODS[0], time)[1]
    body = body.replace(b"TIME", b"\0" + int(time.now).to_bytes(8, "big"))
    head = b"S" * 8 + bytes(8)
    sealed = key(METHODS[0]).session(b"S" * 8).encrypt(head[4:], body, None)
    with pytest.raises(Malformed):
        exit.open(blake.block(b"k" * 16).encrypt(head) + sealed)


def test_a_chacha_datagram_without_a_head() -> None:
    from plait.wire.xchacha import XChaCha20Poly1305

    method = METHODS[2]
    talk, exit = pair(method)
    for size in (0, 15):
        sealed = bytes(24) + XChaCha20Poly1305(b"k" * 32).encrypt(bytes(24), bytes(size))
        for end in (talk, exit):
            with pytest.raises(PeerFault):
                end.open(sealed)


@pytest.mark.parametrize("method", METHODS)
def test_what_may_have_come_before_a_restart_is_refused(method: str) -> None:
    time, up = Time(), [100.0]
    talk, former = pair(method, time)
    recorded = talk.seal(HEADER, b"once")
    assert former.open(recorded).payload == b"once"
    exit = Desk([("", key(method))], random.Random(2).randbytes, time, lambda: up[0])
    time.now += 3.0
    up[0] = 0.4
    with pytest.raises(Replayed):
        exit.open(recorded)
    assert exit.open(talk.seal(HEADER, b"goes on")).payload == b"goes on"
    time.now += 20.0
    up[0] += 20.0
    with pytest.raises(Replayed):
        exit.open(recorded)


@pytest.mark.parametrize("method", ["2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm"])
def test_other_keys_hold_from_now_on_and_sessions_of_the_others_go_on(method: str) -> None:
    time, own = Time(), key(method, "i")
    users = {name: key(method, name) for name in "uvw"}
    exit = Desk([("", own), *users.items()], random.Random(1).randbytes, time)
    above = {name: Key(each.suite, each.secret, (own.secret,)) for name, each in users.items()}
    talks = {name: Talk(each, random.Random(name).randbytes, time) for name, each in above.items()}
    first = {name: talk.seal(HEADER, b"?") for name, talk in talks.items()}
    for datagram in first.values():
        exit.open(datagram)
    assert exit.renew([("", own), ("u", users["u"]), ("v", key(method, "z"))]) == {"v", "w"}
    with pytest.raises(Replayed):
        exit.open(first["u"])
    assert exit.open(talks["u"].seal(HEADER, b"!")).user == "u"
    for name in "vw":
        with pytest.raises(Forged):
            exit.open(talks[name].seal(HEADER, b"!"))
