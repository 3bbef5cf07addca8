"""Looks and what was seen: written as documented, never longer than asked, anything else malformed."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.tunnel.glance import LEAST, Look, Seen, answer, decode, encode, is_look
from plait.wire.faults import Malformed


def test_as_documented() -> None:
    look = encode(Look(0x0102030405060708, True))
    assert look == bytes.fromhex("08 0102030405060708 01") + bytes(30)
    assert is_look(look)
    seen = Seen(1, 2, ip_address("192.0.2.7"), 8388)
    assert encode(seen) == bytes.fromhex("09 0000000000000001 0000000000000002 20c4 04 c0000207")
    assert not is_look(encode(seen))
    assert not is_look(b"")


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::1"])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("size", [LEAST, 41, 1400])
def test_an_answer_is_never_longer_than_its_look(address: str, whole: bool, size: int) -> None:
    look = decode(encode(Look(7, whole, size)))
    assert look == Look(7, whole, size)
    assert isinstance(look, Look)
    said = encode(answer(look, 10**15, ip_address(address), 40000))
    assert len(said) == size if whole else len(said) <= LEAST
    seen = decode(said)
    assert isinstance(seen, Seen)
    assert (seen.id, seen.clock, str(seen.address), seen.port) == (7, 10**15, address, 40000)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x08" + bytes(38),
        b"\x08" + bytes(8) + b"\x02" + bytes(30),
        bytes.fromhex("09 0000000000000001 0000000000000002 20c4 04 c00002"),
        bytes.fromhex("09 0000000000000001 0000000000000002 20c4 05 c0000207"),
        bytes.fromhex("09 0000000000000001 0000000000000002 20c4 06 c0000207"),
        b"\x01" + bytes(60),
    ],
)
def test_anything_else_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        decode(raw)


@given(st.binary(max_size=80))
def test_any_bytes_are_one_of_them_or_malformed(raw: bytes) -> None:
    try:
        frame = decode(raw)
    except Malformed:
        return
    assert len(encode(frame)) == len(raw)
