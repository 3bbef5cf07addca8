"""The memory of salts: what it remembers, forgets, and shares."""

from __future__ import annotations

import hashlib
import mmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire.replay import BUCKET, HEADER, SaltFilter, prepare

KEY = bytes(range(32))


def salts(start: int, count: int) -> list[bytes]:
    return [hashlib.sha256(b"%d" % number).digest() for number in range(start, start + count)]


def fresh(size: int) -> memoryview:
    buffer = memoryview(bytearray(size))
    prepare(buffer, KEY)
    return buffer


def test_a_salt_is_new_once() -> None:
    seen = SaltFilter(fresh(1 << 16))
    some = salts(0, 500)
    assert not any(map(seen.seen_before, some))
    assert all(map(seen.seen_before, some))
    assert all(map(seen.seen_before, reversed(some)))


def test_workers_share_what_they_know() -> None:
    with mmap.mmap(-1, 1 << 16) as memory, memoryview(memory) as view:
        prepare(view, KEY)
        one, other = SaltFilter(view), SaltFilter(view)
        some = salts(0, 200)
        assert not any(map(one.seen_before, some[:100]))
        assert all(map(other.seen_before, some[:100]))
        assert not any(map(other.seen_before, some[100:]))
        assert all(map(one.seen_before, some[100:]))
        del one, other


def test_a_full_bucket_forgets_its_oldest() -> None:
    seen = SaltFilter(fresh(HEADER + BUCKET))
    assert seen.slots == 8
    nine = salts(0, 9)
    assert not any(map(seen.seen_before, nine))
    assert all(map(seen.seen_before, nine[1:]))
    assert not seen.seen_before(nine[0])


@pytest.mark.parametrize(("part", "at_most"), [(8, 0.001), (4, 0.01), (2, 0.12)])
def test_capacity_is_as_documented(part: int, at_most: float) -> None:
    """How many of 500 salts are forgotten after n/part newer ones; documented: 1e-5, 1.1e-3, 0.051."""
    seen = SaltFilter(fresh(HEADER + 4096 * BUCKET))
    assert seen.slots == 32768
    old = salts(0, 500)
    assert not any(map(seen.seen_before, old))
    for salt in salts(1000, seen.slots // part - 500):
        assert not seen.seen_before(salt)
    forgotten = sum(not seen.seen_before(salt) for salt in old)
    assert forgotten <= at_most * len(old)
    if part == 2:
        assert forgotten > 0  # the figure is no wish: it does forget


def test_no_false_alarm_when_full() -> None:
    seen = SaltFilter(fresh(HEADER + 256 * BUCKET))
    assert not any(map(seen.seen_before, salts(0, 20 * seen.slots)))


def test_the_key_decides_the_place() -> None:
    one, other = fresh(1 << 14), memoryview(bytearray(1 << 14))
    prepare(other, bytes(32))
    for buffer in (one, other):
        SaltFilter(buffer).seen_before(b"salt")
    places = [bytes(buffer[HEADER:]) for buffer in (one, other)]
    assert places[0] != places[1]
    assert all(sum(map(bool, place)) <= 8 for place in places)


def test_prepare_empties() -> None:
    buffer = memoryview(bytearray(b"\xff" * ((3 << 20) + 5)))
    prepare(buffer, KEY)
    assert buffer[: len(KEY)] == KEY
    assert not any(buffer[len(KEY) :])


def test_a_fingerprint_across_two_slots_is_none() -> None:
    """The bytes of a fingerprint that stand at an odd place belong to two others."""
    buffer = fresh(HEADER + BUCKET)
    seen = SaltFilter(buffer)
    seen.seen_before(b"salt")
    mark = bytes(buffer[HEADER : HEADER + 8])
    buffer[HEADER : HEADER + 16] = b"\xaa\xaa\xaa" + mark + b"\xaa" * 5
    assert not seen.seen_before(b"salt")
    assert bytes(buffer[HEADER : HEADER + 8]) == mark
    # Nor does it hide the one that stands behind it.
    buffer[HEADER : HEADER + 24] = b"\xaa\xaa\xaa" + mark + b"\xaa" * 5 + mark
    assert seen.seen_before(b"salt")


@given(st.binary(max_size=64))
def test_any_salt_will_do(salt: bytes) -> None:
    seen = SaltFilter(fresh(1 << 10))
    assert not seen.seen_before(salt)
    assert seen.seen_before(salt)


@pytest.mark.parametrize("size", [0, 1, HEADER, HEADER + BUCKET - 1])
def test_too_small(size: int) -> None:
    with pytest.raises(ValueError, match="one bucket"):
        SaltFilter(memoryview(bytearray(size)))


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        prepare(memoryview(bytearray(1024)), b"short")
