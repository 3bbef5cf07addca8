"""Datagrams of 2017 and without a seal: there, back, and broken."""

from __future__ import annotations

import random
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire import address
from plait.wire.address import Target
from plait.wire.cipher import SUITES, Key, aead, bytes_to_key, session_key
from plait.wire.faults import Forged, Malformed, PeerFault, Replayed
from plait.wire.shadowsocks_udp import Desk, Parcel, Talk

KEYS: dict[str, Key | None] = {"none": None, **{method: Key.derive(method, "secret") for method in SUITES}}
TARGET = Target(IPv4Address("192.0.2.1"), 53)
HEADER = address.encode(TARGET)
SENDER = Target(IPv6Address("2001:db8::1"), 7)
RANDOM = random.Random(1).randbytes


def desk(key: Key | None) -> Desk:
    return Desk([("", key)] if key else [], RANDOM)


@pytest.mark.parametrize("method", KEYS)
@pytest.mark.parametrize("payload", [b"", b"x", bytes(65000)])
def test_there_and_back(method: str, payload: bytes) -> None:
    key = KEYS[method]
    talk, exit = Talk(key, RANDOM), desk(key)
    parcel = exit.open(talk.seal(HEADER, payload))
    assert parcel == Parcel(TARGET, payload)
    answer = exit.answer(parcel).seal(address.encode(SENDER), b"answer")
    assert talk.open(answer) == Parcel(SENDER, b"answer")
    exit.forget(parcel.session)


def test_a_datagram_is_what_the_specification_says() -> None:
    """By hand: HKDF-SHA1 of the salt, nonce 0, address and payload as one piece."""
    key = KEYS["aes-256-gcm"]
    sent = Talk(key, lambda size: b"s" * size).seal(HEADER, b"payload")
    subkey = session_key(bytes_to_key(b"secret", 32), b"s" * 32)
    assert sent == b"s" * 32 + aead("aes-256-gcm", subkey).encrypt(bytes(12), HEADER + b"payload", None)


def test_users_are_found_by_their_keys() -> None:
    keys = [(name, Key.derive("aes-128-gcm", name)) for name in ("attic", "roof", "cellar")]
    exit = Desk(keys, RANDOM)
    for name, key in keys:
        talk = Talk(key, RANDOM)
        parcel = exit.open(talk.seal(HEADER, b"?"))
        assert parcel.user == name
        assert talk.open(exit.answer(parcel).seal(HEADER, b"!")).payload == b"!"
    with pytest.raises(Forged):
        exit.open(Talk(KEYS["aes-128-gcm"], RANDOM).seal(HEADER, b"?"))


@pytest.mark.parametrize("method", SUITES)
@given(at=st.integers(0, 200), change=st.integers(1, 255))
def test_every_changed_byte_is_noticed(method: str, at: int, change: int) -> None:
    key = KEYS[method]
    sent = bytearray(Talk(key, RANDOM).seal(HEADER, b"payload"))
    sent[at % len(sent)] ^= change
    with pytest.raises(Forged):
        desk(key).open(bytes(sent))


@pytest.mark.parametrize("method", KEYS)
@given(data=st.binary(max_size=80))
def test_noise_is_refused(method: str, data: bytes) -> None:
    key = KEYS[method]
    try:
        parcel = desk(key).open(data)
    except PeerFault:
        return
    assert key is None
    assert address.encode(parcel.place)


@pytest.mark.parametrize(
    "plain", [b"", b"\x01\x7f\0\0\x01", b"\x03\x05abc", HEADER[:-1], b"\x09" + bytes(20)]
)
def test_a_datagram_that_ends_too_early(plain: bytes) -> None:
    with pytest.raises(Malformed):
        desk(None).open(plain)


@pytest.mark.parametrize("method", SUITES)
def test_our_own_datagrams_are_no_answers(method: str) -> None:
    key = KEYS[method]
    assert key is not None
    talk = Talk(key, RANDOM)
    sent = [talk.seal(HEADER, b"?") for _ in range(64)]
    for datagram in sent:
        with pytest.raises(Replayed):
            talk.open(datagram)
    assert talk.open(Talk(key, RANDOM).seal(HEADER, b"!")).payload == b"!"


def test_nothing_is_remembered_where_nothing_is_sealed() -> None:
    talk = Talk(None, RANDOM)
    assert talk.open(talk.seal(HEADER, b"?")).payload == b"?"


def test_other_keys_hold_from_now_on() -> None:
    keys = [(name, Key.derive("aes-128-gcm", name)) for name in ("attic", "roof", "cellar")]
    exit = Desk(keys, RANDOM)
    changed = Key.derive("aes-128-gcm", "another")
    assert exit.renew([keys[0], ("roof", changed), ("loft", keys[2][1])]) == {"roof", "cellar"}
    assert exit.open(Talk(changed, RANDOM).seal(HEADER, b"?")).user == "roof"
    assert exit.open(Talk(keys[2][1], RANDOM).seal(HEADER, b"?")).user == "loft"
    with pytest.raises(Forged):
        exit.open(Talk(keys[1][1], RANDOM).seal(HEADER, b"?"))
