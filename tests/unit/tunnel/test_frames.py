"""Frames: what is written is read, anything else is malformed, sizes are as documented."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plait.tunnel import frames
from plait.tunnel.frames import (
    Ack,
    Checksum,
    Close,
    Config,
    Data,
    Echo,
    EchoReply,
    Frame,
    PathTerms,
    Segments,
    Train,
    TrainReply,
    Treatment,
    data_head,
    decode,
    encode,
    is_data,
    open_data,
    unwrap,
)
from plait.wire.faults import Malformed

FRAMES: list[tuple[Frame, str]] = [
    (Echo(0x0102030405060708), "01 0102030405060708"),
    (Echo(1, 12), "01 0000000000000001 000000"),
    (EchoReply(1, 250, 9), "02 0000000000000001 000000fa 0009"),
    (Train(7, 2, 8, True, 10), "03 00000007 02 08 01 0000"),
    (TrainReply(7, 8, 4200, 8400), "04 00000007 08 00001068 000020d0"),
    (
        Ack(3, 40, 5, 6, ((90, 100), (50, 80), (49 - 9, 49 - 9))),
        "05 03 0000000000000064 00000028 0000000000000005 0000000000000006 03 0000000a 0009001e 00090000",
    ),
    (Close(0), "07 00"),
    (
        Config(
            True,
            9,
            1400,
            (ip_interface("10.188.0.2/16"), ip_interface("fd00::2/64")),
            (ip_network("192.168.1.0/24"),),
            (PathTerms(1, 0, 256), PathTerms(2, 3, 128)),
        ),
        "06 01 00000009 0578 02 0410 0abc0002 0640 fd000000000000000000000000000002"
        "01 0418 c0a80100 02 01000100 02030080",
    ),
    (Config(False, 0, 0), "06 00 00000000 0000 00 00 00"),
]


@pytest.mark.parametrize(("frame", "text"), FRAMES, ids=lambda value: type(value).__name__)
def test_frames_are_written_as_documented_and_read(frame: Frame, text: str) -> None:
    raw = bytes.fromhex(text)
    assert encode(frame) == raw
    assert decode(raw) == frame
    assert decode(memoryview(raw)) == frame
    assert not is_data(raw)


@pytest.mark.parametrize(("frame", "text"), FRAMES, ids=lambda value: type(value).__name__)
def test_every_truncation_is_malformed(frame: Frame, text: str) -> None:
    raw = bytes.fromhex(text)
    shortest = {"Echo": 9, "Train": 8}.get(type(frame).__name__, len(raw))  # padding may be cut
    for size in range(shortest):
        with pytest.raises(Malformed):
            decode(raw[:size])


@pytest.mark.parametrize(
    "text",
    [
        "00",
        "08 00",
        "07 00 00",
        "03 00000007 08 08 00",  # index is not below count
        "03 00000007 00 08 02",  # a flag that is not defined
        "05 00 0000000000000064 00000000 0000000000000000 0000000000000000 00",  # no range
        "05 00 0000000000000064 00000000 0000000000000000 0000000000000000 01 0001 0000",  # not to newest
        "05 00 0000000000000003 00000000 0000000000000000 0000000000000000 01 0000 0004",  # below zero
        "05 00 0000000000000064 00000000 0000000000000000 0000000000000000 02 0000 0000 0000 0000",  # no gap
        "06 02 00000000 0000 00 00 00",
        "06 00 00000000 0000 01 0521 0a000001 00 00",  # no such family
        "06 00 00000000 0000 01 0421 0a000001 00 00",  # no such prefix
        "06 00 00000000 0000 00 01 0408 0a000001 00",  # bits beside the prefix
    ],
)
def test_nonsense_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        decode(bytes.fromhex(text))


@given(st.binary(max_size=80))
@example(b"")
def test_any_bytes_are_a_frame_or_malformed(raw: bytes) -> None:
    if is_data(raw):
        try:
            head = open_data(raw)
        except Malformed:
            return
        assert 0 < head.begins < len(raw)
    else:
        try:
            frame = decode(raw)
        except Malformed:
            return
        assert len(encode(frame)) == len(raw)


counters = st.lists(st.integers(0, 3000), min_size=1, max_size=60, unique=True).map(sorted)


@given(counters)
def test_an_ack_says_nothing_that_was_not_received(received: list[int]) -> None:
    ranges: list[tuple[int, int]] = []
    for counter in reversed(received):
        if ranges and ranges[-1][0] == counter + 1:
            ranges[-1] = (counter, ranges[-1][1])
        else:
            ranges.append((counter, counter))
    ack = decode(encode(Ack(1, 0, 0, 0, tuple(ranges))))
    assert isinstance(ack, Ack)
    said = {counter for first, last in ack.ranges for counter in range(first, last + 1)}
    assert said <= set(received)
    assert ack.newest == received[-1]
    assert ack.ranges == tuple(ranges)[: frames.MOST_RANGES]


def test_a_range_too_long_for_an_ack_is_cut_at_its_old_end() -> None:
    ack = decode(encode(Ack(1, 0, 0, 0, ((200_000, 200_001), (5, 199_998), (1, 2)))))
    assert isinstance(ack, Ack)
    assert ack.ranges == ((200_000, 200_001), (199_998 - 65535, 199_998))


def test_heads_of_a_run_differ_in_one_byte() -> None:
    head = data_head(Treatment.ORDERED, 77, 1000, 0, last=False, segments=Segments.TCP, needs_csum=True)
    assert len(head) == frames.DATA_HEAD
    for index in range(3):
        read = open_data(bytes(head) + b"inner")
        assert read == Data(
            Treatment.ORDERED, 77, 1000, index, False, Segments.TCP, True, None, frames.DATA_HEAD
        )
        head[frames.INDEX_AT] += 1
    head[0] |= frames.LAST
    assert open_data(bytes(head) + b"inner").last


def test_the_long_form_carries_where_the_checksum_is() -> None:
    checksum = Checksum(60, 2, 72)
    head = data_head(Treatment.LOOSE, 0, 5, 0, last=True, needs_csum=True, checksum=checksum)
    assert len(head) == frames.LONG_HEAD
    read = open_data(bytes(head) + bytes(72))
    assert read.checksum == checksum
    assert read.begins == frames.LONG_HEAD
    for short in (0, 61):
        with pytest.raises(Malformed):
            open_data(bytes(head) + bytes(short))


@pytest.mark.parametrize("raw", ["80", "80000000 00000000", "83000000 00000000 00", "80000000 00000080 00"])
def test_data_that_is_none(raw: str) -> None:
    with pytest.raises(Malformed):
        open_data(bytes.fromhex(raw))


@given(st.integers(0, 1 << 40), st.integers(-(1 << 22), 1 << 22))
def test_numbers_are_unwrapped_near_what_is_expected(near: int, away: int) -> None:
    number = near + away
    if number >= 0:
        assert unwrap(number & (frames.ORDERS - 1), near) == number


def test_no_number_is_negative() -> None:
    assert unwrap(frames.ORDERS - 1, 0) == frames.ORDERS - 1
