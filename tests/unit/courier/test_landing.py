"""What leaves the tunnel: what is joined, what is not, and that it is the same packets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.courier.test_cargo import (
    TCP,
    UDP,
    VNET,
    cut_by_kernel,
    pseudo,
    segments,
    superpacket,
    tcp,
    total,
)
from tests.unit.courier.test_cargo import udp as partial_udp

from plait.courier.cargo import load
from plait.courier.landing import Landing, singly
from plait.courier.tally import Tally
from plait.kernel.tun import GSO_NONE, GSO_UDP_L4
from plait.tunnel.frames import Treatment, data_head, open_data


class Shore:
    """A landing, and what was written there."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.written: list[list[bytes | bytearray]] = []
        self.landing = Landing(self.written.append, lambda source: source[-1] == 1, self.tally)

    def give(self, frames: list[bytes]) -> None:
        self.landing.give(open_data(frames[0]), frames)

    @property
    def packets(self) -> list[bytes]:
        """As the kernel would send them on, checksums left as they are."""
        return [packet for written in self.written for packet in cut(written)]


def cut(written: list[bytes | bytearray]) -> list[bytes]:
    """The packets of one write, with checksums that are complete."""
    flags, kind, headers, size, start, _ = VNET.unpack(written[0])
    packet = b"".join(written[1:])
    if kind == GSO_NONE:
        return [finished(packet) if flags else packet]
    if kind != GSO_UDP_L4:
        return [finished(each) for each in cut_by_kernel(written)]
    assert cut_by_kernel(written), "its own headers are right"
    found = []
    for nth, at in enumerate(range(headers, len(packet), size)):
        payload = packet[at : at + size]
        head = bytearray(packet[:headers])
        head[start + 4 : start + 6] = (8 + len(payload)).to_bytes(2, "big")
        head[2:4] = (headers + len(payload)).to_bytes(2, "big") if start == 20 else head[2:4]
        if start == 20:
            head[4:6] = (int.from_bytes(head[4:6], "big") + nth).to_bytes(2, "big")
            head[10:12] = bytes(2)
            head[10:12] = (~total(bytes(head[:20])) & 0xFFFF).to_bytes(2, "big")
        else:
            head[4:6] = (8 + len(payload)).to_bytes(2, "big")
        found.append(finished(bytes(head) + payload))
    return found


def finished(packet: bytes) -> bytes:
    """A packet with the checksum that the kernel would put in."""
    start = 20 if packet[0] >> 4 == 4 else 40
    protocol = packet[9] if start == 20 else packet[6]
    at = start + (6 if protocol == UDP else 16)
    body = packet[start:at] + b"\0\0" + packet[at + 2 :]
    number = int.from_bytes(body + b"\0" * (len(body) % 2), "big") % 0xFFFF
    found = ~((number + pseudo(packet[0] >> 4, protocol, len(body))) % 0xFFFF) & 0xFFFF
    return packet[:at] + (found or 0xFFFF).to_bytes(2, "big") + packet[at + 2 :]


def udp(version: int, payload: bytes, number: int = 7) -> bytes:
    """A packet whose checksum is complete."""
    return finished(partial_udp(version, payload, number=number))


def single(order: int, packet: bytes, *, needs: bool = False) -> bytes:
    return bytes(data_head(Treatment.LOOSE, 0, order, 0, last=True, needs_csum=needs)) + packet


def frames_of(version: int, protocol: int, payload: bytes, size: int) -> list[bytes]:
    cargo = load(superpacket(version, protocol, payload, size))
    assert cargo is not None
    return cargo.frames(Treatment.ORDERED, 5, 100, 0, cargo.count)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("needs", [False, True])
def test_single_packets_of_one_flow_are_written_as_one(version: int, needs: bool) -> None:
    make = partial_udp if needs else udp
    packets = [make(version, bytes([nth]) * 200, number=7 + nth) for nth in range(9)]
    shore = Shore()
    shore.give([single(nth, packet, needs=needs) for nth, packet in enumerate(packets[:5])])
    shore.give([single(5 + nth, packet, needs=needs) for nth, packet in enumerate(packets[5:])])
    assert not shore.written, "more may come"
    shore.landing.flush()
    assert len(shore.written) == 1
    assert shore.packets == [finished(packet) for packet in packets]


@pytest.mark.parametrize("version", [4, 6])
@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 2, 99, 100, 1000])), max_size=90))
def test_whatever_comes_goes_out_once_and_in_order(version: int, what: list[tuple[int, int]]) -> None:
    packets = []
    for nth, (kind, length) in enumerate(what):
        payload = bytes([nth]) * length
        packet = bytearray(udp(version, payload, number=7 + nth))
        if kind == 1:
            packet[-1] ^= 0x55  # what was damaged before it came into the tunnel must stay so
        elif kind == 2:
            packet = bytearray(finished(tcp(version, payload)))
        elif kind == 3:
            packet[1] ^= 4
        packets.append(bytes(packet))
    shore = Shore()
    for nth, packet in enumerate(packets):
        shore.give([single(nth, packet)])
    shore.landing.flush()
    # The kernel makes its identifications by counting, and whoever forbids fragments needs none.
    assert [without_number(each) for each in shore.packets] == [without_number(each) for each in packets]
    assert not shore.tally.strangers


def without_number(packet: bytes) -> bytes:
    return packet if packet[0] >> 4 == 6 else packet[:4] + bytes(2) + packet[6:10] + bytes(2) + packet[12:]


def test_what_may_be_cut_into_fragments_is_not_joined() -> None:
    packets = []
    for nth in range(3):
        packet = bytearray(udp(4, bytes(100), number=70 * nth))
        packet[6] = 0
        packets.append(bytes(packet))
    shore = Shore()
    shore.give([single(nth, packet) for nth, packet in enumerate(packets)])
    shore.landing.flush()
    assert [b"".join(written[1:]) for written in shore.written] == packets


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("protocol", [TCP, UDP])
def test_a_superpacket_that_came_in_pieces_is_one(version: int, protocol: int) -> None:
    payload = bytes(at % 251 for at in range(9000))
    frames = frames_of(version, protocol, payload, 1000)
    shore = Shore()
    for begin, end in ((0, 4), (4, 5), (5, 9)):
        shore.give(frames[begin:end])
    assert len(shore.written) == 1, "its end is known"
    assert b"".join(shore.written[0]) == superpacket(version, protocol, payload, 1000)


def test_pieces_that_do_not_follow_each_other_stay_apart() -> None:
    frames = frames_of(4, TCP, bytes(9000), 1000)
    shore = Shore()
    shore.give(frames[0:3])
    shore.give(frames[4:6])
    shore.landing.flush()
    expected = segments(4, TCP, bytes(9000), 1000)
    assert [packet for written in shore.written for packet in cut_by_kernel(written)] == [
        *expected[0:3],
        *expected[4:6],
    ]


@pytest.mark.parametrize("version", [4, 6])
def test_superpackets_of_udp_can_be_written_as_single_packets(version: int) -> None:
    payload = bytes(at % 251 for at in range(3100))
    shore = Shore()
    shore.give(frames_of(version, UDP, payload, 1000))
    [packet] = shore.written
    singles = list(singly(packet))
    assert [finished(b"".join(each[1:])) for each in singles] == [
        finished(each) for each in segments(version, UDP, payload, 1000)
    ]
    assert {VNET.unpack(each[0]) for each in singles} == {(1, 0, 0, 0, 20 if version == 4 else 40, 6)}


def test_each_of_joined_packets_is_counted_when_it_may_not_come_in() -> None:
    packets = [bytearray(udp(4, bytes(100))) for _ in range(4)]
    for packet in packets:
        packet[15], packet[26] = 9, packet[26] ^ 0
    frames = [single(nth, bytes(packet), needs=True) for nth, packet in enumerate(packets)]
    shore = Shore()
    shore.give(frames)
    shore.landing.flush()
    assert not shore.written
    assert shore.tally.strangers == {"spoofed": 4}
