"""Sealed streams: both directions, both greetings, broken at every place."""

from __future__ import annotations

import random
from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.wire import address
from plait.wire.address import MAX_ENCODED, Target
from plait.wire.cipher import MAX_PAYLOAD, SUITES, Aead, Key
from plait.wire.faults import Forged, Malformed, PeerFault
from plait.wire.shadowsocks import MAX_LEFTOVER, OVERHEAD, Accept, Dial, Opener, Request, Sealer

KEYS = {method: Key.derive(method, "secret") for method in SUITES}
AES = KEYS["aes-128-gcm"]
SALT = bytes(range(16))
TARGET = Target(IPv4Address("192.0.2.1"), 80)
HEADER = address.encode(TARGET)


def seal(sealer: Sealer, data: bytes) -> bytes:
    out = bytearray(sealer.sealed_size(len(data)))
    assert sealer.seal_into(memoryview(data), memoryview(out)) == len(out)
    return bytes(out)


def open_all(opener: Opener, data: bytes) -> tuple[int, bytes]:
    out = bytearray(len(data))
    consumed, produced = opener.open_into(memoryview(data), memoryview(out))
    assert not any(out[produced:])
    return consumed, bytes(out[:produced])


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def by_hand(aead: Aead, length: bytes, payload: bytes, count: int = 0) -> bytes:
    """One chunk whose length may be a lie."""
    head = aead.encrypt(count.to_bytes(12, "little"), length, None)
    return head + aead.encrypt((count + 1).to_bytes(12, "little"), payload, None)


class TestSealer:
    @pytest.mark.parametrize("method", KEYS)
    @pytest.mark.parametrize(
        ("size", "chunks"),
        [
            (1, 1),
            (MAX_PAYLOAD - 1, 1),
            (MAX_PAYLOAD, 1),
            (MAX_PAYLOAD + 1, 2),
            (2 * MAX_PAYLOAD, 2),
            (1 << 18, 17),
        ],
    )
    def test_sizes(self, method: str, size: int, chunks: int) -> None:
        key = KEYS[method]
        sealer = Sealer(key, bytes(key.salt_size))
        assert sealer.sealed_size(size) == key.salt_size + size + chunks * OVERHEAD
        data = noise(size)
        first = seal(sealer, data)
        assert first.startswith(bytes(key.salt_size))
        assert sealer.sealed_size(size) == size + chunks * OVERHEAD
        second = seal(sealer, data)
        assert open_all(Opener(key), first + second) == (len(first + second), data + data)

    def test_nonces_go_on_from_call_to_call(self) -> None:
        whole = Sealer(AES, SALT)
        aead = AES.session(SALT)
        pieces = [b"one", b"two", noise(300)]
        expected = SALT + b"".join(
            by_hand(aead, len(piece).to_bytes(2, "big"), piece, 2 * number)
            for number, piece in enumerate(pieces)
        )
        assert b"".join(seal(whole, piece) for piece in pieces) == expected

    def test_nothing_is_nothing(self) -> None:
        sealer = Sealer(AES, SALT)
        assert sealer.sealed_size(0) == 0
        assert sealer.seal_into(b"", memoryview(bytearray())) == 0
        assert seal(sealer, b"x").startswith(SALT)

    def test_writes_no_further_than_it_says(self) -> None:
        sealer = Sealer(AES, SALT)
        out = bytearray(b"\xee" * 1000)
        size = sealer.seal_into(b"x" * 100, memoryview(out))
        assert size == 16 + 100 + OVERHEAD
        assert out[size:] == b"\xee" * (1000 - size)

    def test_too_little_room_changes_nothing(self) -> None:
        sealer, other = Sealer(AES, SALT), Sealer(AES, SALT)
        with pytest.raises(ValueError, match="room for"):
            sealer.seal_into(b"x" * 100, memoryview(bytearray(100)))
        assert seal(sealer, b"x") == seal(other, b"x")

    @pytest.mark.parametrize("size", [0, 15, 17, 32])
    def test_salt_of_another_size(self, size: int) -> None:
        with pytest.raises(ValueError, match="salt of 16 bytes"):
            Sealer(AES, bytes(size))


class TestOpener:
    @pytest.mark.parametrize("method", KEYS)
    def test_broken_at_every_place(self, method: str) -> None:
        """The first call gets so many bytes, the second what it left and the rest."""
        key = KEYS[method]
        data = noise(120)
        sealer = Sealer(key, bytes(key.salt_size))
        stream = seal(sealer, data[:50]) + seal(sealer, data[50:51]) + seal(sealer, data[51:])
        for at in range(len(stream) + 1):
            opener = Opener(key)
            used, before = open_all(opener, stream[:at])
            rest, after = open_all(opener, stream[used:])
            assert used + rest == len(stream)
            assert before + after == data

    @settings(deadline=None)
    @given(
        st.sampled_from(sorted(KEYS)),
        st.lists(st.integers(1, 3 * MAX_PAYLOAD), min_size=1, max_size=5),
        st.lists(st.integers(1, 40000), min_size=1, max_size=10),
    )
    def test_any_pieces_in_any_pieces(self, method: str, sizes: list[int], steps: list[int]) -> None:
        key = KEYS[method]
        sealer = Sealer(key, bytes(key.salt_size))
        pieces = [noise(size, seed) for seed, size in enumerate(sizes)]
        stream = b"".join(seal(sealer, piece) for piece in pieces)
        opener, plain, leftover, at = Opener(key), b"", b"", 0
        for step in [*steps, len(stream)]:
            data = leftover + stream[at : at + step]
            at += step
            consumed, produced = open_all(opener, data)
            plain += produced
            leftover = data[consumed:]
            assert len(leftover) <= MAX_LEFTOVER
            assert len(leftover) < opener.wanted
        assert leftover == b""
        assert plain == b"".join(pieces)

    def test_a_length_is_opened_once(self) -> None:
        """With 16 KiB chunks coming in segments, opening it again each time would double the calls."""
        stream = seal(Sealer(AES, SALT), noise(1000))
        opener = Opener(AES)
        assert opener.wanted == 34
        assert open_all(opener, stream[:100]) == (16, b"")
        assert opener.wanted == 1000 + OVERHEAD
        # Had it to be opened again, this would be noticed.
        spoilt = bytes(18) + stream[34:]
        assert open_all(opener, spoilt) == (len(spoilt), noise(1000))

    def test_who_and_with_which_salt(self) -> None:
        others = [(f"user{number}", Key.derive("aes-128-gcm", f"password{number}")) for number in range(5)]
        keys = [*others, ("roof", AES)]
        stream = seal(Sealer(AES, SALT), b"payload")
        opener = Opener(keys)
        assert open_all(opener, stream[:33]) == (0, b"")
        assert (opener.user, opener.salt) == (None, None)
        assert open_all(opener, stream) == (len(stream), b"payload")
        assert (opener.user, opener.salt) == ("roof", SALT)
        alone = Opener(AES)
        open_all(alone, stream)
        assert (alone.user, alone.salt) == ("", SALT)

    def test_nobody(self) -> None:
        opener = Opener([("attic", Key.derive("aes-128-gcm", "other"))])
        for _ in range(2):
            with pytest.raises(Forged):
                open_all(opener, seal(Sealer(AES, SALT), b"payload"))
        assert (opener.user, opener.salt) == (None, None)

    @pytest.mark.parametrize("keys", [[], [("a", AES), ("b", KEYS["aes-256-gcm"])]], ids=["none", "mixed"])
    def test_keys_that_will_not_do(self, keys: list[tuple[str, Key]]) -> None:
        with pytest.raises(ValueError, match="one method"):
            Opener(keys)

    @pytest.mark.parametrize("length", [0, MAX_PAYLOAD + 1, 0x4001, 0x8001, 0xFFFF])
    @pytest.mark.parametrize("first", [True, False])
    def test_lengths_that_are_not_allowed(self, length: int, first: bool) -> None:
        sealer = Sealer(AES, SALT)
        stream = SALT if first else seal(sealer, b"payload")
        stream += by_hand(AES.session(SALT), length.to_bytes(2, "big"), b"", 0 if first else 2)
        opener = Opener(AES)
        with pytest.raises(Forged, match="chunk of"):
            open_all(opener, stream)
        with pytest.raises(Forged):
            open_all(opener, b"")

    def test_a_repeated_and_a_missing_chunk(self) -> None:
        """The counter makes order part of the seal."""
        sealer = Sealer(AES, SALT)
        one, two, three = seal(sealer, b"one"), seal(sealer, b"two"), seal(sealer, b"three")
        for stream in (one + two + two, one + three, one + one[16:]):
            opener = Opener(AES)
            with pytest.raises(Forged):
                open_all(opener, stream)

    def test_forged_for_ever(self) -> None:
        sealer = Sealer(AES, SALT)
        good, next_one = seal(sealer, b"good"), seal(sealer, b"next")
        opener = Opener(AES)
        assert open_all(opener, good) == (len(good), b"good")
        with pytest.raises(Forged):
            open_all(opener, bytes(len(next_one)))
        with pytest.raises(Forged):
            open_all(opener, next_one)

    def test_too_little_room(self) -> None:
        with pytest.raises(ValueError, match="room for 9"):
            Opener(AES).open_into(bytes(10), memoryview(bytearray(9)))

    @given(st.sampled_from(sorted(KEYS)), st.binary(max_size=400))
    def test_noise(self, method: str, data: bytes) -> None:
        key = KEYS[method]
        opener = Opener(key)
        if len(data) < key.salt_size + 18:
            assert open_all(opener, data) == (0, b"")
        else:
            with pytest.raises(Forged):
                open_all(opener, data)


def feed_slowly(accept: Accept, stream: bytes, step: int = 1) -> tuple[Request | None, int]:
    for at in range(0, len(stream), step):
        said = accept.feed(stream[at : at + step])
        if said is not None:
            return said, at + step
    return None, len(stream)


class TestGreeting:
    @pytest.mark.parametrize("method", ["none", *KEYS])
    @pytest.mark.parametrize(
        "payload", [b"", b"GET /", noise(3 * MAX_PAYLOAD)], ids=["none", "short", "long"]
    )
    @pytest.mark.parametrize("host", [IPv4Address("192.0.2.1"), "example.org"], ids=str)
    def test_whole(self, method: str, payload: bytes, host: IPv4Address | str) -> None:
        key = KEYS.get(method)
        target = Target(host, 443)
        dial = Dial(key, bytes(key.salt_size) if key else b"")
        sent, sealer = dial.first(address.encode(target), memoryview(payload))
        assert isinstance(sent, bytes)
        request = Accept(key).feed(sent)
        assert request is not None
        assert (request.target, request.first_payload, request.leftover) == (target, payload, b"")
        assert (sealer is None) == (request.opener is None) == (key is None)
        if sealer and request.opener:
            more = seal(sealer, b"more")
            assert open_all(request.opener, more) == (len(more), b"more")

    @pytest.mark.parametrize("method", ["none", *KEYS])
    def test_cut_at_every_place(self, method: str) -> None:
        key = KEYS.get(method)
        sent, _ = Dial(key, bytes(key.salt_size) if key else b"").first(HEADER, b"payload")
        for at in range(len(sent) + 1):
            accept = Accept(key)
            request = accept.feed(sent[:at])
            rest = sent[at:]
            if request is None:
                request, rest = accept.feed(rest), b""
            assert request is not None
            assert request.target == TARGET
            data = request.leftover + rest
            if request.opener:
                data = open_all(request.opener, data)[1]
            assert request.first_payload + data == b"payload"

    @pytest.mark.parametrize("method", ["none", *KEYS])
    def test_byte_by_byte(self, method: str) -> None:
        key = KEYS.get(method)
        sent, _ = Dial(key, bytes(key.salt_size) if key else b"").first(HEADER, b"payload")
        request, used = feed_slowly(Accept(key), sent)
        assert request is not None
        assert request.target == TARGET
        assert used == (len(sent) if key else len(HEADER))

    @pytest.mark.parametrize("cut", range(1, len(HEADER) + 1))
    def test_an_address_over_two_chunks(self, cut: int) -> None:
        sealer = Sealer(AES, SALT)
        accept = Accept(AES)
        first, second = seal(sealer, HEADER[:cut]), seal(sealer, HEADER[cut:] + b"payload")
        request = accept.feed(first)
        assert (request is None) == (cut < len(HEADER))
        if request is None:
            request = accept.feed(second)
            assert request is not None
            assert request.first_payload == b"payload"
        assert request.target == TARGET

    def test_what_is_left_over(self) -> None:
        dial = Dial(AES, SALT)
        sent, sealer = dial.first(HEADER, b"payload")
        assert sealer is not None
        more = seal(sealer, b"and more")
        request = Accept(AES).feed(sent + more[:25])
        assert request is not None
        assert request.opener is not None
        assert (request.first_payload, request.leftover) == (b"payload", more[:25])
        assert open_all(request.opener, request.leftover + more[25:]) == (len(more), b"and more")

    def test_who_it_is(self) -> None:
        keys = [("attic", Key.derive("aes-128-gcm", "other")), ("roof", AES)]
        sent, _ = Dial(AES, SALT).first(HEADER)
        accept = Accept(keys)
        assert accept.salt is None
        request = accept.feed(sent)
        assert request is not None
        assert request.opener is not None
        assert (request.user, request.opener.salt, accept.salt) == ("roof", SALT, SALT)
        plain = Accept(None).feed(HEADER)
        assert plain is not None
        assert (plain.user, plain.opener) == (None, None)

    @pytest.mark.parametrize("key", [None, AES], ids=["none", "sealed"])
    def test_a_bad_address_stays_bad(self, key: Key | None) -> None:
        stream = seal(Sealer(key, SALT), b"\x07bad") if key else b"\x07bad"
        accept = Accept(key)
        for data in (stream, HEADER, b""):
            with pytest.raises(Malformed):
                accept.feed(data)

    def test_a_forged_one_stays_forged(self) -> None:
        accept = Accept(AES)
        sent, _ = Dial(AES, SALT).first(HEADER)
        for data in (bytes(len(sent)), sent, b""):
            with pytest.raises(Forged):
                accept.feed(data)

    def test_too_short_says_nothing(self) -> None:
        """Below salt and first length there is nothing to judge, whatever it is."""
        assert feed_slowly(Accept(AES), bytes(33)) == (None, 33)
        with pytest.raises(Forged):
            feed_slowly(Accept(AES), bytes(34))

    def test_memory_is_bounded(self) -> None:
        """One-byte chunks and a one-byte-at-a-time peer hold no more than one address or chunk."""
        sealer, accept = Sealer(AES, SALT), Accept(AES)
        longest = b"\x03\xff" + b"a" * 255 + b"\x00\x50"
        assert len(longest) == MAX_ENCODED
        for byte in longest[:-1]:
            assert accept.feed(seal(sealer, bytes([byte]))) is None
            assert len(accept._plain) < MAX_ENCODED
        with pytest.raises(Malformed):
            accept.feed(seal(sealer, longest[-1:]))
        sealer, accept = Sealer(AES, SALT), Accept(AES)
        stream = seal(sealer, noise(MAX_PAYLOAD))
        for at in range(0, len(stream) - 1000, 1000):
            assert accept.feed(stream[at : at + 1000]) is None
            assert len(accept._sealed) <= MAX_LEFTOVER

    @given(st.sampled_from(["none", *sorted(KEYS)]), st.lists(st.binary(max_size=90), max_size=8))
    def test_noise(self, method: str, pieces: list[bytes]) -> None:
        accept = Accept(KEYS.get(method))
        for piece in pieces:
            try:
                request = accept.feed(piece)
            except PeerFault:
                continue
            if request is not None:
                assert method == "none"
                break
