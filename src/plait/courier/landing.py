"""Where packets leave the tunnel: joined again as far as they belong together, then given to TUN.

What costs most here is a packet's way through the kernel, so few large ones are better than many small.
Segments of one superpacket become one again, however many datagrams or buffers they came in; where some
are missing, the headers are corrected as `tcp_gso_segment` and `__udp_gso_segment` in the kernel would
have. Single packets of UDP that follow each other in one flow become a superpacket, too, as the kernel's
own receive offload makes of them (net/ipv4/udp_offload.c `udp_gro_receive`); whoever gets them gets
single packets. That needs checksums that hold, since the kernel makes new ones.

What is collected is written before the loop waits again, so that nothing is delayed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from plait.courier.cargo import CHECKSUM_AT, TCP, UDP
from plait.courier.tally import Tally
from plait.kernel.tun import (
    GSO_ECN,
    GSO_NONE,
    GSO_TCPV4,
    GSO_TCPV6,
    GSO_UDP_L4,
    NEEDS_CSUM,
)
from plait.tunnel.frames import DATA_HEAD, LAST, LONG, MOST_SEGMENTS, Data, Segments, open_data
from plait.tunnel.frames import NEEDS_CSUM as FRAME_NEEDS_CSUM
from plait.wire.faults import Malformed

Packet = list[bytes | bytearray]
"""Buffers for one write to TUN, the first of them what `virtio_net_hdr` says."""

_VNET = struct.Struct("=BBHHHH")
_LONGEST = 0xFFFF
"""Bytes of the longest packet whose headers can say so."""
_FIN_PSH, _CWR = 0x09, 0x80
_MOST_JOINED = 32
"""Single packets that become one. More would save little, and a socket with a buffer of the usual size
(net.core.rmem_default) holds some ninety of the longest."""
_V4_ALIKE = int.from_bytes(
    bytes.fromhex("ffffffff 0000ffff ffff0000 ffffffff ffffffff ffffffff ffff0000"), "big"
)
"""What of IPv4's and UDP's headers is the same in packets that may be joined: all but identification and
checksums."""
_V6_ALIKE = (1 << 48 * 8) - 1 - 0xFFFF
_DONT_FRAGMENT = 0x4000


class Landing:
    """What came for one end of one tunnel."""

    __slots__ = ("_admit", "_head", "_row", "_tally", "_write")

    def __init__(self, write: Callable[[Packet], None], admit: Callable[[bytes], bool], tally: Tally) -> None:
        """``write`` gives a packet to TUN, ``admit`` tells whether one with this inner source address may
        come in."""
        self._write = write
        self._admit = admit
        self._tally = tally
        self._row: list[bytes] = []
        """Frames that belong together so far: segments of one superpacket, or single packets."""
        self._head: Data | None = None
        """Of the first of them."""

    def give(self, head: Data, frames: list[bytes]) -> None:
        """Consecutive frames of one run, the first of which has ``head``."""
        row, before = self._row, self._head
        if (
            before is not None
            and head.segments is before.segments
            and len(row) + len(frames) <= MOST_SEGMENTS
            and (
                head.segments is Segments.WHOLE
                or (
                    head.order == before.order
                    and head.lane == before.lane
                    and head.index == before.index + len(row)
                    and len(row[-1]) == len(row[0]) >= len(frames[0])
                    and head.needs_csum is before.needs_csum
                )
            )
        ):
            row += frames
        else:
            if before is not None:
                self.flush()
            self._row, self._head = frames[:], head
        if head.segments is not Segments.WHOLE and frames[-1][0] & LAST:
            self.flush()

    def flush(self) -> None:
        """Write what has been collected."""
        head, row = self._head, self._row
        if head is None:
            return
        self._head, self._row = None, []
        if head.segments is not Segments.WHOLE:
            self._out(unload(head, row))
            return
        at, total = 0, len(row)
        while at < total:
            end = _alike(row, at)
            try:
                if end - at > 1:
                    self._out(join(row[at:end]), end - at)
                else:
                    self._out(unload(open_data(row[at]), row[at:end]))
            except Malformed:
                # Only the first of a run was looked at before.
                self._tally.stranger("malformed", "")
            at = end

    def _out(self, packet: Packet | None, packets: int = 1) -> None:
        """``packets`` is how many they were."""
        if packet is None:
            self._tally.stranger("malformed", "")
            return
        inner = packet[1]
        source = inner[12:16] if inner[0] >> 4 == 4 else inner[8:24]
        if self._admit(bytes(source)):
            self._write(packet)
            return
        for _ in range(packets):
            self._tally.stranger("spoofed", "")


def _alike(frames: list[bytes], at: int) -> int:
    """Where the single packets of UDP end that may be joined, from ``at`` on."""
    first = frames[at]
    size = len(first)
    head = first[0]
    if head & LONG or size < DATA_HEAD + 29:
        return at + 1
    if first[DATA_HEAD] == 0x45 and first[DATA_HEAD + 9] == UDP:
        begin, mask = DATA_HEAD + 28, _V4_ALIKE
        if int.from_bytes(first[DATA_HEAD + 6 : DATA_HEAD + 8], "big") != _DONT_FRAGMENT:
            return at + 1  # each needs an identification of its own
    elif first[DATA_HEAD] >> 4 == 6 and first[DATA_HEAD + 6] == UDP and size > DATA_HEAD + 48:
        begin, mask = DATA_HEAD + 48, _V6_ALIKE
    else:
        return at + 1
    payload = size - begin
    most = at + min(_MOST_JOINED, (_LONGEST - begin) // payload)
    partial = head & FRAME_NEEDS_CSUM
    # The lengths in the headers must be true, too: UDP's, and that of the packet.
    if int.from_bytes(first[begin - 4 : begin - 2], "big") != payload + 8 or not _says(first, size):
        return at + 1
    same = int.from_bytes(first[DATA_HEAD:begin], "big") & mask
    end, total = at, len(frames)
    while end < total and end < most:
        frame = frames[end]
        if len(frame) != size or frame[0] != head:
            break
        if int.from_bytes(frame[DATA_HEAD:begin], "big") & mask != same:
            break
        if not partial and not _holds(frame, begin - 8, payload + 8):
            break
        end += 1
    return max(end, at + 1)


def _says(frame: bytes, size: int) -> bool:
    """Whether the packet in a frame of ``size`` bytes is as long as its header says."""
    if frame[DATA_HEAD] >> 4 == 4:
        return int.from_bytes(frame[DATA_HEAD + 2 : DATA_HEAD + 4], "big") == size - DATA_HEAD
    return int.from_bytes(frame[DATA_HEAD + 4 : DATA_HEAD + 6], "big") == size - DATA_HEAD - 40


def _holds(frame: bytes, begin: int, length: int) -> bool:
    """Whether the checksum of the UDP that begins there is right (RFC 768): addresses, protocol, length and
    all of UDP sum up to nothing. As 65536 is 1 more than a multiple of 65535, the sum of words is what is
    left of the whole as one number."""
    addresses = begin - (8 if frame[DATA_HEAD] >> 4 == 4 else 32)
    number = int.from_bytes(frame[addresses:], "big")
    return ((number << 8 if length & 1 else number) + UDP + length) % 0xFFFF == 0


def join(frames: list[bytes]) -> Packet:
    """Single packets of UDP, which `_alike` has found, as one superpacket."""
    first = frames[0]
    length = 20 if first[DATA_HEAD] >> 4 == 4 else 40
    begin = DATA_HEAD + length + 8
    gso = len(first) - begin
    size = 8 + gso * len(frames)
    inner = bytearray(first[DATA_HEAD:begin])
    if length == 20:
        _set_length(inner, 20 + size)
    else:
        inner[4:6] = size.to_bytes(2, "big")
    inner[length + 4 : length + 6] = size.to_bytes(2, "big")
    addresses = struct.unpack("!4H", inner[12:20]) if length == 20 else struct.unpack("!16H", inner[8:40])
    inner[length + 6 : length + 8] = _fold(sum(addresses) + UDP + size).to_bytes(2, "big")
    vnet = _VNET.pack(NEEDS_CSUM, GSO_UDP_L4, length + 8, gso, length, 6)
    return [vnet, inner, *[frame[begin:] for frame in frames]]


def singly(packet: Packet) -> Iterator[Packet]:
    """The single packets of a superpacket of UDP, for a kernel that does not know such."""
    _, _, headers, gso, length, offset = _VNET.unpack(packet[0])
    whole = b"".join(packet[1:])
    payload = len(whole) - headers
    vnet = _VNET.pack(NEEDS_CSUM, GSO_NONE, 0, 0, length, offset)
    for index, at in enumerate(range(headers, len(whole), gso)):
        piece = whole[at : at + gso]
        inner = bytearray(whole[:headers])
        _correct(inner, length, True, headers + payload, headers + len(piece), index, 0, last=True)
        yield [vnet, inner, piece]


def unload(head: Data, frames: list[bytes]) -> Packet | None:
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
            start, offset = length, CHECKSUM_AT.get(protocol, 0)
        vnet = _VNET.pack(flags, GSO_NONE, 0, 0, start if flags else 0, offset if flags else 0)
        return [vnet, first[begin:]]
    udp = head.segments is Segments.UDP
    if protocol != (UDP if udp else TCP) or len(first) < begin + length + 20 - 12 * udp:
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
    payload = sum(map(len, frames)) - cut * len(frames)
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
        inner[4:6] = ((int.from_bytes(inner[4:6], "big") + index) & 0xFFFF).to_bytes(2, "big")
        _set_length(inner, now)
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


def _set_length(inner: bytearray, size: int) -> None:
    """IPv4's length, and its checksum anew."""
    inner[2:4] = size.to_bytes(2, "big")
    inner[10:12] = b"\0\0"
    words = struct.unpack_from(f"!{(inner[0] & 15) * 2}H", inner)
    inner[10:12] = (~_fold(sum(words)) & 0xFFFF).to_bytes(2, "big")


def _fold(total: int) -> int:
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total
