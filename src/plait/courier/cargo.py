"""Inner packets cut into what one datagram each can carry.

What the TUN device gives is one packet, or a superpacket of TCP or UDP: one set of headers, and payload
for many segments. Each segment travels with the headers, so that every datagram can stand alone: when one
is lost, one inner segment is. `landing` is where they are joined again.

On the data path; the unit is the superpacket, and per segment there is one slice and one join.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from plait.kernel.tun import (
    GSO_ECN,
    GSO_NONE,
    GSO_TCPV4,
    GSO_TCPV6,
    GSO_UDP_L4,
    HEADER,
    NEEDS_CSUM,
)
from plait.tunnel.frames import (
    DATA_HEAD,
    INDEX_AT,
    LAST,
    MOST_SEGMENTS,
    ORDERS,
    Checksum,
    Segments,
    Treatment,
    data_head,
)

_VNET = struct.Struct("=BBHHHH")
TCP, UDP = 6, 17
CHECKSUM_AT = {TCP: 16, UDP: 6}
"""Where in its header each has its checksum."""
_INDICES = [bytes((index,)) for index in range(MOST_SEGMENTS)]


class Cargo:
    """What one read from TUN gave: ``count`` segments of one flow."""

    __slots__ = (
        "_checksum",
        "_data",
        "_gso",
        "_kind",
        "_needs",
        "_ports",
        "_start",
        "count",
        "key",
        "largest",
    )

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
        ports: bool,
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
        self._ports = ports
        self.largest = (DATA_HEAD if checksum is None else DATA_HEAD + 6) + start - HEADER + gso
        """Bytes of a whole segment's frame."""

    def frames(self, treatment: Treatment, lane: int, number: int, first: int, count: int) -> list[bytes]:
        """The frames of segments ``first`` and so on, the first of which has ``number`` in its lane."""
        data, start, gso, end = self._data, self._start, self._gso, first + count
        head = self.head(treatment, lane, number - first, first)
        if self._kind is Segments.WHOLE:
            return [head + data[HEADER:]]
        front, headers, join = head[:INDEX_AT], data[HEADER:start], b"".join
        at = start + first * gso
        frames = [
            join((front, index, headers, data[begin : begin + gso]))
            for index, begin in zip(_INDICES[first:end], range(at, at + count * gso, gso), strict=True)
        ]
        if end == self.count:
            last = frames[-1]
            frames[-1] = bytes((last[0] | LAST,)) + last[1:]
        return frames

    def head(self, treatment: Treatment, lane: int, order: int, index: int) -> bytes:
        """What goes before segment ``index``, if it is not the last of several."""
        return bytes(
            data_head(
                treatment,
                lane,
                order,
                index,
                last=self._kind is Segments.WHOLE,
                segments=self._kind,
                needs_csum=self._needs,
                checksum=self._checksum,
            )
        )

    @property
    def size(self) -> int:
        """Bytes of the packet, or of the superpacket."""
        return len(self._data) - HEADER

    @property
    def destination(self) -> bytes:
        """The inner destination address, packed."""
        data = self._data
        return data[HEADER + 16 : HEADER + 20] if data[HEADER] >> 4 == 4 else data[HEADER + 24 : HEADER + 40]

    @property
    def packet(self) -> bytes:
        """A single packet."""
        return self._data[HEADER:]

    def alike(self) -> Callable[[bytes], bool] | None:
        """A test for what TUN gives next: whether that is a packet of the same flow and length, so that it
        can go out in one run with this one. None when none can."""
        data, size = self._data, len(self._data)
        if self._kind is not Segments.WHOLE or not self._ports or self._checksum is not None:
            return None
        front = data[: HEADER + 1]
        if data[HEADER] == 0x45:
            fragment, protocol = data[HEADER + 6 : HEADER + 8], data[HEADER + 9]
            begin, end, at = HEADER + 12, HEADER + 24, HEADER + 9
        elif data[HEADER] >> 4 == 6:
            # The two bytes are the next header and the hops left, which are as good.
            fragment, protocol = data[HEADER + 6 : HEADER + 8], data[HEADER + 6]
            begin, end, at = HEADER + 8, HEADER + 44, HEADER + 6
        else:
            return None
        ends = data[begin:end]

        def same(other: bytes) -> bool:
            return (
                len(other) == size
                and other[begin:end] == ends
                and other[: HEADER + 1] == front
                and other[HEADER + 6 : HEADER + 8] == fragment
                and other[at] == protocol
            )

        return same


class Bundle:
    """Several single packets of one flow and one length, read in a row."""

    __slots__ = ("_first", "_packets", "destination", "key", "largest")

    def __init__(self, first: Cargo, others: list[bytes]) -> None:
        """``others`` are what TUN gave next, each of which passes `Cargo.alike`."""
        self._first = first
        self._packets = [first.packet, *(data[HEADER:] for data in others)]
        self.key = first.key
        self.largest = first.largest
        self.destination = first.destination
        """The same for all."""

    @property
    def count(self) -> int:
        """Packets."""
        return len(self._packets)

    @property
    def size(self) -> int:
        """Bytes of all packets."""
        return self.count * self._first.size

    def frames(self, treatment: Treatment, lane: int, number: int, first: int, count: int) -> list[bytes]:
        """As of `Cargo`."""
        head = int.from_bytes(self._first.head(treatment, lane, 0, 0), "big")
        return [
            (head | (order % ORDERS) << 8).to_bytes(DATA_HEAD, "big") + packet
            for order, packet in enumerate(self._packets[first : first + count], number)
        ]


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
    has_ports = protocol in (TCP, UDP) and not fragment and len(data) >= transport + 8
    key = bytes((protocol,)) + addresses + (data[transport : transport + 4] if has_ports else bytes(4))
    needs = bool(flags & NEEDS_CSUM)
    kind = gso_type & ~GSO_ECN
    if kind == GSO_NONE:
        checksum = None
        if needs and (HEADER + csum_start != transport or CHECKSUM_AT.get(protocol) != csum_offset):
            checksum = Checksum(csum_start, csum_offset, csum_start)
        return Cargo(
            *(data, key, Segments.WHOLE, HEADER, len(data) - HEADER, 1),
            needs_csum=needs,
            checksum=checksum,
            ports=has_ports,
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
    return Cargo(
        data, key, segments, start, gso_size, count, needs_csum=needs, checksum=None, ports=has_ports
    )
