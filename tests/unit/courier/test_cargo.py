"""Superpackets cut and joined: what comes out is what the kernel's own segmentation would have sent."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.courier.cargo import Bundle, Cargo, load
from plait.courier.landing import unload
from plait.kernel.tun import GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NEEDS_CSUM
from plait.tunnel.frames import Segments, Treatment, data_head, open_data
from plait.wire.faults import Malformed

VNET = struct.Struct("=BBHHHH")
TCP, UDP = 6, 17
ADDRESSES = {4: (bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])), 6: (bytes(15) + b"\1", bytes(15) + b"\2")}
SEQUENCE = 0xFFFFF000
"""So that it comes around within a superpacket."""


def total(data: bytes) -> int:
    """The ones' complement sum of 16-bit words (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    found = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while found >> 16:
        found = (found & 0xFFFF) + (found >> 16)
    return found


def pseudo(version: int, protocol: int, length: int) -> int:
    source, target = ADDRESSES[version]
    return total(source + target + struct.pack("!HBBH", 0, 0, protocol, length & 0xFFFF))


def ip(version: int, protocol: int, length: int, number: int = 7) -> bytes:
    source, target = ADDRESSES[version]
    if version == 6:
        return struct.pack("!IHBB", 0x60000000, length, protocol, 64) + source + target
    head = struct.pack("!BBHHHBBH", 0x45, 0, length + 20, number & 0xFFFF, 0x4000, 64, protocol, 0)
    head += source + target
    return head[:10] + (~total(head) & 0xFFFF).to_bytes(2, "big") + head[12:]


def tcp(
    version: int, payload: bytes, *, sequence: int = SEQUENCE, flags: int = 0x18, number: int = 7
) -> bytes:
    """A packet whose checksum is still to be completed, as TUN gives it."""
    length = 32 + len(payload)
    head = struct.pack("!HHIIBBHHH", 1000, 2000, sequence, 5, 8 << 4, flags, 100, 0, 0) + bytes(range(12))
    head = head[:16] + pseudo(version, TCP, length).to_bytes(2, "big") + head[18:]
    return ip(version, TCP, length, number) + head + payload


def udp(version: int, payload: bytes, *, number: int = 7) -> bytes:
    length = 8 + len(payload)
    head = struct.pack("!HHHH", 1000, 2000, length, pseudo(version, UDP, length))
    return ip(version, UDP, length, number) + head + payload


def superpacket(version: int, protocol: int, payload: bytes, size: int, *, flags: int = 0x19) -> bytes:
    start = 20 if version == 4 else 40
    if protocol == TCP:
        kind = GSO_TCPV4 if version == 4 else GSO_TCPV6
        head = VNET.pack(NEEDS_CSUM, kind, start + 32, size, start, 16)
        return head + tcp(version, payload, flags=flags)
    return VNET.pack(NEEDS_CSUM, GSO_UDP_L4, start + 8, size, start, 6) + udp(version, payload)


def segments(version: int, protocol: int, payload: bytes, size: int) -> list[bytes]:
    """What the kernel would make of a superpacket."""
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)]
    if protocol == UDP:
        return [udp(version, piece, number=7 + nth) for nth, piece in enumerate(pieces)]
    return [
        tcp(
            version,
            piece,
            sequence=(SEQUENCE + nth * size) & 0xFFFFFFFF,
            flags=0x19 if nth + 1 == len(pieces) else 0x10,
            number=7 + nth,
        )
        for nth, piece in enumerate(pieces)
    ]


def cut_by_kernel(written: list[bytes | bytearray]) -> list[bytes]:
    """What the kernel makes of what is written to TUN."""
    data = b"".join(written)
    flags, kind, headers, size, start, offset = VNET.unpack_from(data)
    packet = data[10:]
    version = packet[0] >> 4
    assert flags == NEEDS_CSUM
    assert (start, offset) == (
        20 if version == 4 else 40,
        6 if packet[9 if version == 4 else 6] == UDP else 16,
    )
    if kind == GSO_NONE:
        return [packet]
    protocol = UDP if kind == GSO_UDP_L4 else TCP
    assert headers == start + (8 if protocol == UDP else 32)
    payload = packet[headers:]
    assert len(payload) > size
    if version == 4:
        assert total(packet[:20]) == 0xFFFF
        assert int.from_bytes(packet[2:4], "big") == len(packet)
        number = int.from_bytes(packet[4:6], "big")
    else:
        assert int.from_bytes(packet[4:6], "big") == len(packet) - 40
        number = 7
    assert int.from_bytes(packet[start + offset : start + offset + 2], "big") == pseudo(
        version, protocol, len(packet) - start
    )
    found = []
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)]
    for nth, piece in enumerate(pieces):
        if protocol == UDP:
            found.append(udp(version, piece, number=number + nth))
            continue
        flags = packet[start + 13]
        sequence = int.from_bytes(packet[start + 4 : start + 8], "big") + nth * size
        found.append(
            tcp(
                version,
                piece,
                sequence=sequence & 0xFFFFFFFF,
                flags=flags if nth + 1 == len(pieces) else flags & ~0x09,
                number=number + nth,
            )
        )
    return found


def frames_of(cargo: Cargo | Bundle, first: int = 0, count: int | None = None) -> list[bytes]:
    count = cargo.count - first if count is None else count
    return list(cargo.frames(Treatment.ORDERED, 5, 100 + first, first, count))


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("protocol", [TCP, UDP])
@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 1400),
    length=st.integers(1, 9000),
    ends=st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True)),
)
def test_any_part_of_a_superpacket_is_what_the_kernel_would_have_sent(
    version: int, protocol: int, size: int, length: int, ends: tuple[float, float]
) -> None:
    size = max(size, -(-length // 60))
    if length <= size:
        length = size + 1
    payload = bytes(at * 7 % 251 for at in range(length))
    cargo = load(superpacket(version, protocol, payload, size))
    assert cargo is not None
    expected = segments(version, protocol, payload, size)
    assert cargo.count == len(expected)
    first, last = sorted(int(end * cargo.count) for end in ends)
    frames = frames_of(cargo, first, last + 1 - first)
    assert {len(frame) for frame in frames[:-1]} <= {cargo.largest}
    head = open_data(frames[0])
    assert (head.lane, head.order + head.index, head.index) == (5, 100 + first, first)
    written = unload(head, frames)
    assert written is not None
    assert cut_by_kernel(written) == expected[first : last + 1]


@pytest.mark.parametrize("version", [4, 6])
def test_a_whole_superpacket_comes_out_as_it_went_in(version: int) -> None:
    data = superpacket(version, TCP, bytes(5000), 1348)
    cargo = load(data)
    assert cargo is not None
    frames = frames_of(cargo)
    written = unload(open_data(frames[0]), frames)
    assert written is not None
    assert b"".join(written) == data


def test_congestion_marks_are_the_first_segments_alone() -> None:
    data = bytearray(superpacket(4, TCP, bytes(3000), 1000, flags=0x98))
    data[1] |= 0x80
    cargo = load(bytes(data))
    assert cargo is not None
    frames = frames_of(cargo)
    whole = unload(open_data(frames[0]), frames)
    assert whole is not None
    assert b"".join(whole) == bytes(data)
    later = unload(open_data(frames[1]), frames[1:])
    assert later is not None
    assert later[1][20 + 13] & 0x80 == 0


@pytest.mark.parametrize("needs", [0, NEEDS_CSUM])
@pytest.mark.parametrize("packet", [tcp(4, b"x"), udp(4, b"x"), tcp(6, b"x"), udp(6, b"")], ids=len)
def test_single_packets(packet: bytes, needs: int) -> None:
    start = 20 if packet[0] >> 4 == 4 else 40
    protocol = packet[9] if start == 20 else packet[6]
    offset = 16 if protocol == TCP else 6
    data = VNET.pack(needs, 0, 0, 0, start if needs else 0, offset if needs else 0) + packet
    cargo = load(data)
    assert cargo is not None
    assert (cargo.count, cargo.largest) == (1, len(packet) + 8)
    source, target = ADDRESSES[packet[0] >> 4]
    assert cargo.key == bytes((protocol,)) + source + target + struct.pack("!HH", 1000, 2000)
    assert cargo.destination == target
    [frame] = frames_of(cargo)
    written = unload(open_data(frame), [frame])
    assert written is not None
    assert b"".join(written) == data


def test_checksums_in_unusual_places_are_remembered() -> None:
    packet = ip(4, 132, 20) + bytes(20)
    data = VNET.pack(NEEDS_CSUM, 0, 0, 0, 20, 8) + packet
    cargo = load(data)
    assert cargo is not None
    [frame] = frames_of(cargo)
    assert len(frame) == cargo.largest == len(packet) + 14
    written = unload(open_data(frame), [frame])
    assert written is not None
    assert VNET.unpack(written[0]) == (NEEDS_CSUM, 0, 0, 0, 20, 8)
    assert written[1] == packet


def test_fragments_and_others_have_no_ports() -> None:
    fragment = bytearray(udp(4, bytes(20)))
    fragment[6] |= 0x20
    for packet in (bytes(fragment), ip(4, 1, 8) + bytes(8)):
        cargo = load(bytes(10) + packet)
        assert cargo is not None
        assert cargo.key[-4:] == bytes(4)


@pytest.mark.parametrize("version", [4, 6])
def test_packets_of_one_flow_and_length_go_together(version: int) -> None:
    first, *others = [bytes(10) + udp(version, bytes([nth]) * 9, number=nth) for nth in range(4)]
    cargo = load(first)
    assert cargo is not None
    alike = cargo.alike()
    assert alike is not None
    assert all(map(alike, others))
    port = bytearray(first)
    port[-14] ^= 1
    for other in (
        bytes(10) + tcp(version, bytes(9)),
        bytes(10) + udp(version, bytes(10)),
        bytes(10) + udp(10 - version, bytes(9)),
        b"\1" + first[1:],
        bytes(port),
        b"",
    ):
        assert not alike(other)
    bundle = Bundle(cargo, others)
    assert (bundle.count, bundle.key, bundle.largest) == (4, cargo.key, cargo.largest)
    assert bundle.destination == cargo.destination
    frames = frames_of(bundle, 1, 2)
    heads = [open_data(frame) for frame in frames]
    assert [(head.order, head.index, head.last) for head in heads] == [(101, 0, True), (102, 0, True)]
    assert [frame[8:] for frame in frames] == [udp(version, bytes([nth]) * 9, number=nth) for nth in (1, 2)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(29),
        bytes(60),
        bytes(10) + b"\x60" + bytes(30),
        VNET.pack(1, 3, 28, 100, 20, 6) + udp(4, bytes(300)),
        VNET.pack(1, GSO_TCPV4, 52, 0, 20, 16) + tcp(4, bytes(300)),
        VNET.pack(1, GSO_TCPV4, 52, 100, 24, 16) + tcp(4, bytes(300)),
    ],
    ids=["empty", "short", "version 0", "short IPv6", "UFO", "no size", "odd start"],
)
def test_what_is_no_packet_is_not_carried(data: bytes) -> None:
    assert load(data) is None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80), st.sampled_from([0x86, 0x8E, 0x96, 0x9E, 0xA6, 0xAE, 0xC6]))
def test_nothing_that_a_peer_sends_breaks_it(body: bytes, first: int) -> None:
    frame = bytes((first,)) + b"\0\0\5\0\0\1\0" + body
    try:
        head = open_data(frame)
    except Malformed:
        return
    written = unload(head, [frame])
    assert written is None or len(b"".join(written)) >= 30


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from([4, 6]), st.sampled_from([6, 17]), st.integers(0, 3))
def test_segments_of_any_sizes_break_nothing(
    data: st.DataObject, version: int, protocol: int, of: int
) -> None:
    sizes = data.draw(st.lists(st.integers(0, 1400), min_size=1, max_size=60))
    inner = (tcp(version, b"") if protocol == 6 else udp(version, b"")) + bytes(of)
    first = data_head(
        Treatment.LOOSE, 5, 1, of, last=False, segments=Segments.TCP if protocol == 6 else Segments.UDP
    )
    frames = [bytes(first) + inner, *(bytes(first) + bytes(size) for size in sizes)]
    written = unload(open_data(frames[0]), frames)
    assert written is None or not of or len(b"".join(written)) <= 10 + 65535


@pytest.mark.parametrize("words", range(16))
@pytest.mark.parametrize("index", [0, 1])
def test_tcp_headers_of_any_length_break_nothing(words: int, index: int) -> None:
    packet = bytearray(tcp(4, bytes(100)))
    packet[20 + 12] = words << 4
    head = data_head(Treatment.LOOSE, 5, 1, index, last=False, segments=Segments.TCP)
    written = unload(open_data(bytes(head + packet)), [bytes(head + packet)])
    assert (written is not None) == (words >= 5)
