"""Inner packets: cut into what one datagram each can carry, and joined again.

What the TUN device gives is one packet, or a superpacket of TCP or UDP: one set of headers, and payload
for many segments. Each segment travels with the headers, so that every datagram can stand alone: when one
is lost, one inner segment is. What arrives in one piece is written back as one superpacket; of what does
not, the headers are corrected as `tcp_gso_segment` and `__udp_gso_segment` in the kernel would have.

On the data path; the unit is the superpacket, and per segment there is one slice and one join.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from plait.kernel.tun import (
    GSO_ECN,
    GSO_NONE,
    GSO_TCPV4,
    GSO_TCPV6,
    GSO_UDP_L4,
    HEADER,
    NEEDS_CSUM,
)
from plait.tunnel.frames import DATA_HEAD, LAST, Checksum, Data, Segments, Treatment, data_head

_VNET = struct.Struct("=BBHHHH")
_TCP, _UDP = 6, 17
_CHECKSUM_AT = {_TCP: 16, _UDP: 6}
"""Where in its header each has its checksum."""
_LONGEST = 0xFFFF
"""Bytes of the longest packet whose headers can say so."""
_FIN_PSH, _CWR = 0x09, 0x80


class Cargo:
    """What one read from TUN gave: ``count`` segments of one flow."""

    __slots__ = ("_checksum", "_data", "_gso", "_kind", "_needs", "_start", "count", "key", "largest")

    def __init__(
        self,
        data: bytes,
        key: bytes,
        kind: Segments,
        start: int,
        gso: int,
        count: int,
        *,
        needs_csum: bool,
        checksum: Checksum | None,
    ) -> None:
        self._data = data
        self.key = key
        """The flow: protocol, addresses, ports."""
        self._kind = kind
        self._start = start
        """Where in ``data`` the payload begins that is cut; 10 for a single packet."""
        self._gso = gso
        self.count = count
        """Segments."""
        self._needs = needs_csum
        self._checksum = checksum
        self.largest = (DATA_HEAD if checksum is None else DATA_HEAD + 6) + start - HEADER + gso
        """Bytes of a whole segment's frame."""

    def frames(self, treatment: Treatment, lane: int, number: int, first: int, count: int) -> Iterator[bytes]:
        """The frames of segments ``first`` and so on, the first of which has ``number`` in its lane."""
        data, start, gso = self._data, self._start, self._gso
        head = data_head(
            treatment,
            lane,
            number - first,
            first,
            last=False,
            segments=self._kind,
            needs_csum=self._needs,
            checksum=self._checksum,
        )
        headers = data[HEADER:start]
        join = b"".join
        end = start + first * gso
        for index in range(first, first + count):
            if index + 1 == self.count:
                head[0] |= LAST
            head[7] = index
            begin, end = end, end + gso
            yield join((head, headers, data[begin:end]))

    @property
    def destination(self) -> bytes:
        """The inner destination address, packed."""
        data = self._data
        return data[HEADER + 16 : HEADER + 20] if data[HEADER] >> 4 == 4 else data[HEADER + 24 : HEADER + 40]

    def joins(self, other: Cargo) -> bool:
        """Whether both are single packets of one flow and one length, that can go out as one run."""
        return (
            self._kind is Segments.WHOLE
            and other._kind is Segments.WHOLE
            and self.largest == other.largest
            and self.key == other.key
        )


class Bundle:
    """Several single packets of one flow and one length, read in a row."""

    __slots__ = ("_packets", "key", "largest")

    def __init__(self, first: Cargo) -> None:
        self._packets = [first]
        self.key = first.key
        self.largest = first.largest

    @property
    def count(self) -> int:
        """Packets."""
        return len(self._packets)

    @property
    def destination(self) -> bytes:
        """The same for all."""
        return self._packets[0].destination

    def add(self, packet: Cargo) -> None:
        """One more, which `Cargo.joins` the others."""
        self._packets.append(packet)

    def frames(self, treatment: Treatment, lane: int, number: int, first: int, count: int) -> Iterator[bytes]:
        """As of `Cargo`."""
        for offset, packet in enumerate(self._packets[first : first + count]):
            yield from packet.frames(treatment, lane, number + offset, 0, 1)


def load(data: bytes) -> Cargo | None:
    """What a read from TUN gave, understood; None for what is no IP packet or can't be carried."""
    if len(data) < HEADER + 20:
        return None
    flags, gso_type, _, gso_size, csum_start, csum_offset = _VNET.unpack_from(data)
    version = data[HEADER] >> 4
    if version == 4:
        transport = HEADER + (data[HEADER] & 15) * 4
        protocol = data[HEADER + 9]
        addresses = data[HEADER + 12 : HEADER + 20]
        fragment = data[HEADER + 6] & 0x3F or data[HEADER + 7]
    elif version == 6 and len(data) >= HEADER + 40:
        transport = HEADER + 40
        protocol = data[HEADER + 6]
        addresses = data[HEADER + 8 : HEADER + 40]
        fragment = 0
    else:
        return None
    has_ports = protocol in (_TCP, _UDP) and not fragment and len(data) >= transport + 8
    key = bytes((protocol,)) + addresses + (data[transport : transport + 4] if has_ports else bytes(4))
    needs = bool(flags & NEEDS_CSUM)
    kind = gso_type & ~GSO_ECN
    if kind == GSO_NONE:
        checksum = None
        if needs and (HEADER + csum_start != transport or _CHECKSUM_AT.get(protocol) != csum_offset):
            checksum = Checksum(csum_start, csum_offset, csum_start)
        return Cargo(
            data, key, Segments.WHOLE, HEADER, len(data) - HEADER, 1, needs_csum=needs, checksum=checksum
        )
    if not has_ports or not gso_size or HEADER + csum_start != transport:
        return None  # a superpacket with headers of another kind: never seen, since TUN announces none
    if kind == GSO_UDP_L4:
        segments, start = Segments.UDP, transport + 8
    elif kind in (GSO_TCPV4, GSO_TCPV6):
        segments = Segments.TCP_ECN if gso_type & GSO_ECN else Segments.TCP
        start = transport + (data[transport + 12] >> 4) * 4
    else:
        return None
    count = -(-(len(data) - start) // gso_size)
    return Cargo(data, key, segments, start, gso_size, count, needs_csum=needs, checksum=None)


def unload(head: Data, frames: list[bytes]) -> list[bytes | bytearray] | None:
    """Consecutive segments of one superpacket as buffers for one write to TUN; ``head`` is the first's.

    None when it is no packet.
    """
    first = frames[0]
    begin = head.begins
    if len(first) < begin + 20:
        return None
    version = first[begin] >> 4
    length = (first[begin] & 15) * 4 if version == 4 else 40
    protocol = first[begin + 9] if version == 4 else first[begin + 6]
    if version not in (4, 6) or length < 20 or len(first) < begin + length:
        return None
    flags = NEEDS_CSUM if head.needs_csum else 0
    if head.segments is Segments.WHOLE:
        if head.checksum is not None:
            start, offset = head.checksum.start, head.checksum.offset
        else:
            start, offset = length, _CHECKSUM_AT.get(protocol, 0)
        vnet = _VNET.pack(flags, GSO_NONE, 0, 0, start if flags else 0, offset if flags else 0)
        return [vnet, first[begin:]]
    udp = head.segments is Segments.UDP
    if protocol != (_UDP if udp else _TCP) or len(first) < begin + length + 20 - 12 * udp:
        return None
    headers = length + (8 if udp else (first[begin + length + 12] >> 4) * 4)
    cut = begin + headers
    if headers < length + (8 if udp else 20) or len(first) <= cut:
        return None
    gso = len(first) - cut
    whole = (
        int.from_bytes(first[begin + 2 : begin + 4], "big")
        if version == 4
        else (int.from_bytes(first[begin + 4 : begin + 6], "big") + 40)
    )
    last = frames[-1][0] & LAST
    kind = GSO_UDP_L4 if udp else GSO_TCPV4 if version == 4 else GSO_TCPV6
    if head.segments is Segments.TCP_ECN:
        kind |= GSO_ECN
    if head.index == 0 and last:
        if len(frames) == 1:
            vnet = _VNET.pack(flags, GSO_NONE, 0, 0, length if flags else 0, 6 if udp else 16)
            return [vnet, first[begin:]]
        vnet = _VNET.pack(flags, kind, headers, gso, length, 6 if udp else 16)
        return [vnet, first[begin:], *[frame[cut:] for frame in frames[1:]]]
    # Only a part of it has come. If that is its short last segment alone, the others' size follows from
    # the length in the headers, which is that of the whole.
    size = gso
    if last and len(frames) == 1 and head.index:
        size = (whole - headers - gso) // head.index
    payload = sum(len(frame) for frame in frames) - cut * len(frames)
    if payload <= 0 or headers + payload > _LONGEST:
        return None
    inner = bytearray(first[begin:cut])
    _correct(inner, length, udp, whole, headers + payload, head.index, head.index * size, last=bool(last))
    if len(frames) == 1:
        vnet = _VNET.pack(flags, GSO_NONE, 0, 0, length if flags else 0, 6 if udp else 16)
    else:
        vnet = _VNET.pack(flags, kind, headers, gso, length, 6 if udp else 16)
    return [vnet, inner, *[frame[cut:] for frame in frames]]


def _correct(
    inner: bytearray, length: int, udp: bool, whole: int, now: int, index: int, offset: int, *, last: bool
) -> None:
    """Make the headers of a superpacket of ``whole`` bytes those of ``now`` bytes of it, from segment
    ``index`` on, which begin ``offset`` bytes into its payload."""
    if inner[0] >> 4 == 4:
        inner[2:4] = now.to_bytes(2, "big")
        inner[4:6] = ((int.from_bytes(inner[4:6], "big") + index) & 0xFFFF).to_bytes(2, "big")
        inner[10:12] = b"\0\0"
        words = struct.unpack_from(f"!{length // 2}H", inner)
        inner[10:12] = (~_fold(sum(words)) & 0xFFFF).to_bytes(2, "big")
    else:
        inner[4:6] = (now - 40).to_bytes(2, "big")
    # The checksum field holds the sum of the pseudo-header, which has the length in it.
    at = length + (6 if udp else 16)
    pseudo = int.from_bytes(inner[at : at + 2], "big") + (0xFFFF - (whole - length)) + (now - length)
    inner[at : at + 2] = _fold(pseudo).to_bytes(2, "big")
    if udp:
        inner[length + 4 : length + 6] = (now - length).to_bytes(2, "big")
        return
    sequence = int.from_bytes(inner[length + 4 : length + 8], "big") + offset
    inner[length + 4 : length + 8] = (sequence & 0xFFFFFFFF).to_bytes(4, "big")
    if not last:
        inner[length + 13] &= ~_FIN_PSH & 0xFF
    if index:
        inner[length + 13] &= ~_CWR & 0xFF


def _fold(total: int) -> int:
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total
