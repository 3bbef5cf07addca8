"""Segments by hand: what is made is read, what routers quote is understood, anything else is malformed."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire.faults import Malformed
from plait.wire.segments import (
    CAPABLE,
    MPTCP,
    SYN,
    Options,
    Quote,
    payload_of,
    quoted,
    read,
    syn,
)

FAMILIES = {4: ("192.0.2.1", "198.51.100.2"), 6: ("2001:db8::1", "2001:db8::2")}


def made(version: int, *, capable: bool = True) -> bytes:
    local, remote = (ip_address(text).packed for text in FAMILIES[version])
    return syn(local, remote, (40000, 8388), 0x01020304, capable=capable)


def ones_complement(data: bytes) -> int:
    total = sum(int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def packet(version: int, segment: bytes) -> bytes:
    local, remote = (ip_address(text).packed for text in FAMILIES[version])
    if version == 4:
        return b"\x45\0" + (20 + len(segment)).to_bytes(2) + bytes(5) + b"\x06\0\0" + local + remote + segment
    return b"\x60\0\0\0" + len(segment).to_bytes(2) + b"\x06\x01" + local + remote + segment


def exceeded(version: int, quote: bytes) -> bytes:
    return bytes((11 if version == 4 else 3,)) + bytes(7) + quote


@pytest.mark.parametrize("version", [4, 6])
def test_a_syn_says_what_it_should_and_its_checksum_is_right(version: int) -> None:
    segment = made(version)
    local, remote = (ip_address(text).packed for text in FAMILIES[version])
    pseudo = local + remote + len(segment).to_bytes(4) + (6).to_bytes(4)
    assert ones_complement(pseudo + segment) == 0xFFFF
    found = read(segment)
    assert (found.source_port, found.target_port, found.sequence) == (40000, 8388, 0x01020304)
    assert found.flags == SYN
    assert found.mptcp is Options.INTACT
    assert found.mss == 1460
    assert read(made(version, capable=False)).mptcp is Options.STRIPPED
    assert CAPABLE[0] == MPTCP


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("segment", "mptcp"),
    [
        (lambda whole: whole, Options.INTACT),
        (lambda whole: whole[:24] + b"\x01\x01\x01\x01", Options.STRIPPED),
        (lambda whole: whole[:24], Options.UNKNOWN),
        (lambda whole: whole[:8], Options.UNKNOWN),
        (lambda whole: whole + bytes(100), Options.INTACT),
    ],
    ids=["whole", "stripped", "no options", "8 bytes", "padded"],
)
def test_quotes(version: int, segment: object, mptcp: Options) -> None:
    assert callable(segment)
    message = exceeded(version, packet(version, segment(made(version))))
    target = ip_address(FAMILIES[version][1]).packed
    assert quoted(message, version) == Quote(40000, 8388, target, mptcp)


@pytest.mark.parametrize("version", [4, 6])
def test_other_messages_are_malformed(version: int) -> None:
    good = exceeded(version, packet(version, made(version)))
    udp = bytearray(good)
    udp[8 + (9 if version == 4 else 6)] = 17
    for message in (b"", good[:20], b"\x03\x01" + good[2:] if version == 4 else b"\x01" + good[1:], udp):
        with pytest.raises(Malformed):
            quoted(bytes(message), version)


@pytest.mark.parametrize("raw", [b"", b"\x45" * 10, b"\x4f" + bytes(30), b"\x41" + bytes(30)])
def test_packets_that_are_none(raw: bytes) -> None:
    with pytest.raises(Malformed):
        payload_of(raw)


def test_broken_options_end_the_reading() -> None:
    segment = bytearray(made(4))
    segment[21] = 0
    assert read(bytes(segment)).mptcp is Options.STRIPPED
    segment[12] = 0xF0
    with pytest.raises(Malformed):
        read(bytes(segment))


@given(st.binary(max_size=120), st.sampled_from([4, 6]))
def test_any_bytes_are_read_or_malformed(raw: bytes, version: int) -> None:
    for reading in (lambda: read(raw), lambda: payload_of(raw), lambda: quoted(raw, version)):
        try:
            reading()
        except Malformed:
            pass
