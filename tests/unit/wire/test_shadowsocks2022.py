"""Streams of 2022: both directions, users, clocks, broken at every place."""

from __future__ import annotations

import random
from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.wire import address, blake
from plait.wire.address import Target
from plait.wire.cipher import SUITES_2022, TAG, Key
from plait.wire.faults import Forged, Malformed, PeerFault, Replayed
from plait.wire.shadowsocks import Opener, Request, Sealer
from plait.wire.shadowsocks2022 import (
    MAX_LEFTOVER,
    MAX_PADDING,
    MOST,
    Accept,
    AnswerOpener,
    AnswerSealer,
    Dial,
    Directory,
    padding,
)

NOW = 1_700_000_000.4
TARGET = Target(IPv4Address("192.0.2.1"), 80)
HEADER = address.encode(TARGET)


def key(method: str, letter: str, *above: str) -> Key:
    suite = SUITES_2022[method]
    return Key(suite, letter.encode() * suite.key_size, tuple(a.encode() * suite.key_size for a in above))


METHODS = list(SUITES_2022)
KEYS = {method: key(method, "k") for method in METHODS}
AES = KEYS["2022-blake3-aes-128-gcm"]


def rand(seed: int = 1):  # type: ignore[no-untyped-def]
    return random.Random(seed).randbytes


def clock(now: float = NOW):  # type: ignore[no-untyped-def]
    return lambda: now


def greet(
    key: Key, payload: bytes = b"GET /", *, now: float = NOW, seed: int = 1
) -> tuple[bytes, Sealer, Dial]:
    dial = Dial(key, rand(seed), clock(now))
    sent, sealer = dial.first(HEADER, payload)
    return sent, sealer, dial


def seal(sealer: Sealer, data: bytes) -> bytes:
    out = bytearray(sealer.sealed_size(len(data)))
    assert sealer.seal_into(memoryview(data), memoryview(out)) == len(out)
    return bytes(out)


def open_slowly(opener: Opener, stream: bytes, step: int) -> bytes:
    """Feed ``step`` bytes at a time, keeping what is left as a leg does."""
    plain, rest = b"", b""
    for at in range(0, len(stream), step):
        rest += stream[at : at + step]
        out = bytearray(len(rest))
        used, made = opener.open_into(memoryview(rest), memoryview(out))
        plain += out[:made]
        rest = rest[used:]
        assert len(rest) <= MAX_LEFTOVER
    assert not rest
    return plain


def asked(keys: Key | list[tuple[str, Key]], sent: bytes, now: float = NOW) -> Request:
    candidates = [("", keys)] if isinstance(keys, Key) else keys
    request = Accept(Directory(candidates), clock(now)).feed(sent)
    assert request is not None
    return request


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [0, 1, 16384, 60000])
def test_a_greeting_tells_target_and_payload(method: str, size: int) -> None:
    sent, sealer, _ = greet(KEYS[method], bytes(size))
    request = asked(KEYS[method], sent)
    assert (request.target, request.first_payload, request.user, request.leftover) == (
        TARGET, bytes(size), "", b"",
    )  # fmt: skip
    assert request.opener is not None
    assert request.opener.salt == sent[: KEYS[method].salt_size]
    more = rand(3)(100_000)
    assert open_slowly(request.opener, seal(sealer, more) + seal(sealer, b"!"), 7000) == more + b"!"


def test_a_greeting_without_payload_is_padded_and_one_with_it_is_not() -> None:
    lengths = {len(greet(AES, b"", seed=seed)[0]) for seed in range(50)}
    assert len(lengths) > 20
    bare = 16 + 27 + len(HEADER) + 2 + TAG
    assert min(lengths) > bare
    assert max(lengths) <= bare + MAX_PADDING
    assert len(greet(AES, b"x")[0]) == bare + 1
    draws = rand(7)
    assert {padding(draws) for _ in range(20_000)} == set(range(1, MAX_PADDING + 1))


def test_whole_chunks_that_came_along_are_opened_at_once() -> None:
    """Else they would wait for bytes that their sender may never send."""
    sent, sealer, _ = greet(AES, b"")
    more = seal(sealer, b"second") + seal(sealer, b"third")
    request = asked(AES, sent + more)
    assert (request.first_payload, request.leftover) == (b"secondthird", b"")
    begun = asked(AES, sent + more[:-3])
    assert begun.first_payload == b"second"
    assert begun.leftover == more[-2 - 16 - 5 - 16 : -3]


@pytest.mark.parametrize("step", [1, 5, 16, 43, 44])
def test_a_greeting_may_come_in_pieces(step: int) -> None:
    sent, sealer, _ = greet(AES)
    sent += seal(sealer, b"more")[:9]
    accept = Accept(Directory([("", AES)]), clock())
    for at in range(0, len(sent), step):
        request = accept.feed(sent[at : at + step])
        if request is not None:
            break
        assert accept.salt in (None, sent[:16])
    assert request is not None
    assert request.first_payload == b"GET /"
    assert request.leftover + sent[at + step :] == sent[-9:]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("step", [1, 17, 1000, 1 << 20])
def test_answers_open_however_they_are_cut(method: str, step: int) -> None:
    k = KEYS[method]
    _, _, dial = greet(k)
    sent = greet(k)[0]
    opener = asked(k, sent).opener
    assert opener is not None
    assert opener.salt is not None
    sealer = AnswerSealer(k, rand(9)(k.salt_size), opener.salt, clock(NOW + 500))
    data = rand(4)(40_000)
    stream = seal(sealer, b"") + seal(sealer, data) + seal(sealer, b"end")
    answer = AnswerOpener(k, opener.salt, clock(NOW + 510))
    assert open_slowly(answer, stream, step) == data + b"end"
    assert type(dial.opener()) is AnswerOpener


def test_an_answer_may_have_chunks_of_64_kib() -> None:
    salt, request = b"s" * 16, b"r" * 16
    aead = AES.session(salt)
    data = rand(5)(MOST)
    head = b"\x01" + int(NOW).to_bytes(8, "big") + request + b"\xff\xff"
    stream = salt + aead.encrypt(bytes(12), head, None) + aead.encrypt(b"\x01" + bytes(11), data, None)
    stream += aead.encrypt(b"\x02" + bytes(11), b"\xff\xff", None) + aead.encrypt(
        b"\x03" + bytes(11), data, None
    )
    for step in (1, 4096, 1 << 20):
        assert open_slowly(AnswerOpener(AES, request, clock()), stream, step) == data + data


@pytest.mark.parametrize("method", [m for m in METHODS if "aes" in m])
def test_users_are_told_apart_by_identity_headers(method: str) -> None:
    keys = [("", key(method, "i")), ("attic", key(method, "a")), ("roof", key(method, "b"))]
    sent, sealer, dial = greet(key(method, "b", "i"))
    request = asked(keys, sent)
    assert request.user == "roof"
    assert request.opener is not None
    assert request.opener.salt is not None
    assert open_slowly(request.opener, seal(sealer, b"more"), 3) == b"more"
    answer = AnswerSealer(key(method, "b"), rand(2)(len(request.opener.salt)), request.opener.salt, clock())
    assert open_slowly(dial.opener(), seal(answer, b"yes"), 10) == b"yes"
    for stranger in (key(method, "c", "i"), key(method, "b", "x"), key(method, "i"), key(method, "b")):
        with pytest.raises(Forged):
            asked(keys, greet(stranger)[0])


def test_an_identity_header_is_what_sip023_says() -> None:
    sent, _, _ = greet(key(AES.suite.method, "u", "i"))
    salt, header = sent[:16], sent[16:32]
    from blake3 import blake3

    subkey = blake3(b"i" * 16 + salt, derive_key_context="shadowsocks 2022 identity subkey").digest(16)
    assert blake.block(subkey).decrypt(header) == blake3(b"u" * 16).digest()[:16]


def test_a_chain_of_identities_is_peeled_by_relays() -> None:
    """What a relay does: take the first header off; the rest is a greeting to the next server."""
    sent, _, _ = greet(key(AES.suite.method, "u", "r", "i"))
    peeled = sent[:16] + sent[32:]
    keys = [("", key(AES.suite.method, "i")), ("roof", key(AES.suite.method, "u"))]
    assert asked(keys, peeled).user == "roof"


@pytest.mark.parametrize("off", [-31.0, 32.0, -86400.0])
def test_another_time_is_a_replay(off: float) -> None:
    with pytest.raises(Replayed):
        asked(AES, greet(AES)[0], NOW + off)
    answer = seal(AnswerSealer(AES, b"s" * 16, b"r" * 16, clock()), b"late")
    with pytest.raises(Forged):
        open_slowly(AnswerOpener(AES, b"r" * 16, clock(NOW + off)), answer, 1000)


@pytest.mark.parametrize("off", [-30.0, 29.0])
def test_clocks_may_differ_by_half_a_minute(off: float) -> None:
    assert asked(AES, greet(AES, now=1000)[0], 1000 + off).target == TARGET


def test_an_answer_to_another_request_is_refused() -> None:
    answer = seal(AnswerSealer(AES, b"s" * 16, b"r" * 16, clock()), b"mine")
    opener = AnswerOpener(AES, b"q" * 16, clock())
    for _ in range(2):
        with pytest.raises(Forged):
            open_slowly(opener, answer, 1000)


def test_a_request_is_no_answer_and_an_answer_no_request() -> None:
    sent = greet(AES, bytes(200))[0]
    with pytest.raises(Forged):
        open_slowly(AnswerOpener(AES, sent[:16], clock()), sent, 1000)
    answer = seal(AnswerSealer(AES, b"s" * 16, b"r" * 16, clock()), bytes(200))
    with pytest.raises(Forged):
        asked(AES, answer)


def by_hand(fixed: bytes, variable: bytes) -> bytes:
    salt = b"s" * 16
    aead = AES.session(salt)
    one = b"\x01" + bytes(11)
    return salt + aead.encrypt(bytes(12), fixed, None) + aead.encrypt(one, variable, None)


def fixed(length: int, kind: int = 0) -> bytes:
    return bytes((kind,)) + int(NOW).to_bytes(8, "big") + length.to_bytes(2, "big")


@pytest.mark.parametrize(
    ("variable", "fault"),
    [
        (HEADER + b"\0\0", Malformed),  # neither padding nor payload
        (HEADER + b"\0", Malformed),
        (HEADER, Malformed),
        (HEADER + b"\0\x05four", Malformed),
        (HEADER + b"\xff\xff" + bytes(900), Malformed),
        (b"\x01\x01", Malformed),
        (b"", Malformed),
        (b"\x07" + bytes(50), Malformed),
        (b"\x03\xff" + b"a" * 20, Malformed),
    ],
)
def test_a_head_that_makes_no_sense(variable: bytes, fault: type[PeerFault]) -> None:
    accept = Accept(Directory([("", AES)]), clock())
    for data in (by_hand(fixed(len(variable)), variable), b"more"):
        with pytest.raises(fault):
            accept.feed(data)


def test_a_type_that_is_not_a_request() -> None:
    variable = HEADER + b"\0\x01x"
    assert asked(AES, by_hand(fixed(len(variable)), variable)).first_payload == b""
    for kind in (1, 2, 255):
        with pytest.raises(Forged):
            asked(AES, by_hand(fixed(len(variable), kind), variable))


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(max_examples=150, deadline=None)
def test_every_changed_byte_is_noticed(at: int, change: int) -> None:
    sent, sealer, _ = greet(AES)
    whole = bytearray(sent + seal(sealer, b"second"))
    whole[at % len(whole)] ^= change
    accept = Accept(Directory([("", AES)]), clock())
    try:
        request = accept.feed(bytes(whole))
    except Forged:
        return
    if request is not None:  # the change is behind the heads
        assert request.opener is not None
        out = bytearray(len(request.leftover))
        with pytest.raises(Forged):
            request.opener.open_into(request.leftover, memoryview(out))


@given(st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_noise_is_nobodys(data: bytes) -> None:
    accept = Accept(Directory([("", AES)]), clock())
    if len(data) < 16 + 27:
        assert accept.feed(data) is None
        assert accept.salt is None
    else:
        with pytest.raises(Forged):
            accept.feed(data)


def test_an_exit_needs_a_key_of_its_own() -> None:
    with pytest.raises(ValueError, match="own"):
        Directory([("roof", AES)])


def test_too_small_a_buffer_is_our_mistake() -> None:
    sealer = AnswerSealer(AES, b"s" * 16, b"r" * 16, clock())
    with pytest.raises(ValueError, match="room"):
        sealer.seal_into(memoryview(b"abc"), memoryview(bytearray(50)))
    with pytest.raises(ValueError, match="room"):
        AnswerOpener(AES, b"r" * 16, clock()).open_into(bytes(10), memoryview(bytearray(9)))


@pytest.mark.parametrize(
    ("up", "age", "taken"),
    [
        (0.2, 0.0, True),
        (0.2, 3.0, False),
        (5.0, 4.9, True),
        (5.0, 7.0, False),
        (29.0, 29.0, True),
        (60.0, 29.0, True),
    ],
)
def test_what_may_have_come_before_a_restart_is_refused(up: float, age: float, taken: bool) -> None:
    sent, _, _ = greet(AES)
    accept = Accept(Directory([("", AES)]), clock(NOW + age), lambda: up)
    if taken:
        assert accept.feed(sent) is not None
    else:
        with pytest.raises(Replayed):
            accept.feed(sent)


def test_a_clock_that_is_set_back_shuts_nobody_out() -> None:
    """What counts is for how long we remember, not what the clock said when we began."""
    sent, _, _ = greet(AES)
    assert Accept(Directory([("", AES)]), clock(NOW), lambda: 2.0).feed(sent) is not None
