"""TCP segments made and read by hand, and what routers quote of them: to find who takes options out.

A SYN that expires on its way is quoted by the router where it does (RFC 792; RFC 4443, 3.3): with its TCP
options as they were there, where the router quotes enough (RFC 1812, 4.3.2.3 asks for it, RFC 792 only for
8 bytes). The idea is tracebox's (Detal et al., "Revealing Middlebox Interference with Tracebox", 2013).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from plait.wire.faults import Malformed

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
MPTCP = 30
"""The kind of MPTCP's options (RFC 8684, section 3)."""
MSS = 2
_TCP = 6
_HEADER = 20
_NOP, _END = 1, 0
_WINDOW = 64240
_EXCEEDED = {4: 11, 6: 3}
_ICMP_HEADER = 8

CAPABLE = bytes((MPTCP, 4, 0x01, 0x01))
"""MP_CAPABLE of a SYN, version 1, HMAC-SHA256 (RFC 8684, section 3.1)."""


class Options(Enum):
    """What has become of MPTCP's option in a segment."""

    INTACT = "intact"
    STRIPPED = "stripped"
    UNKNOWN = "unknown"
    """Too little of the segment was quoted."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What is read of a TCP header."""

    source_port: int
    target_port: int
    sequence: int
    acknowledged: int
    flags: int
    mptcp: Options
    mss: int | None


@dataclass(frozen=True, slots=True)
class Quote:
    """What a router says of a segment that expired there."""

    source_port: int
    target_port: int
    target: bytes
    """The packed address that it was for."""
    mptcp: Options


def syn(local: bytes, remote: bytes, ports: tuple[int, int], sequence: int, *, capable: bool) -> bytes:
    """A SYN from and to packed addresses, with MP_CAPABLE or without."""
    options = bytes((MSS, 4, 0x05, 0xB4)) + (CAPABLE if capable else b"")
    head = b"".join(port.to_bytes(2, "big") for port in ports) + sequence.to_bytes(4, "big") + bytes(4)
    head += bytes(((_HEADER + len(options)) // 4 << 4, SYN)) + _WINDOW.to_bytes(2, "big")
    segment = head + bytes(4) + options
    # The same sum for either family (RFC 9293, 3.1; RFC 8200, 8.1).
    pseudo = local + remote + len(segment).to_bytes(4, "big") + _TCP.to_bytes(4, "big")
    return segment[:16] + _checksum(pseudo + segment).to_bytes(2, "big") + segment[18:]


def read(segment: bytes) -> Segment:
    """A TCP header, whole. Raises `Malformed`."""
    if len(segment) < _HEADER:
        raise Malformed("segment: too short")
    end = (segment[12] >> 4) * 4
    if not _HEADER <= end <= len(segment):
        raise Malformed("segment: its header does not fit")
    found = _options(segment[_HEADER:end])
    return Segment(
        source_port=int.from_bytes(segment[0:2], "big"),
        target_port=int.from_bytes(segment[2:4], "big"),
        sequence=int.from_bytes(segment[4:8], "big"),
        acknowledged=int.from_bytes(segment[8:12], "big"),
        flags=segment[13],
        mptcp=Options.INTACT if MPTCP in found else Options.STRIPPED,
        mss=int.from_bytes(found[MSS], "big") if len(found.get(MSS, b"")) == 2 else None,
    )


def payload_of(packet: bytes) -> bytes:
    """What an IPv4 packet carries. Raises `Malformed`."""
    header = (packet[0] & 0x0F) * 4 if packet else 0
    if header < 20 or len(packet) < header:
        raise Malformed("packet: too short")
    return packet[header:]


def quoted(message: bytes, version: int) -> Quote:
    """What an ICMP message "time exceeded" says of a TCP segment. Raises `Malformed` for any other."""
    if len(message) < _ICMP_HEADER or message[0] != _EXCEEDED[version]:
        raise Malformed("message: of another kind")
    packet = message[_ICMP_HEADER:]
    if version == 4:
        if len(packet) < 20 or packet[9] != _TCP:
            raise Malformed("message: quotes no TCP")
        target, segment = packet[16:20], payload_of(packet)
    else:
        if len(packet) < 40 or packet[6] != _TCP:
            raise Malformed("message: quotes no TCP")
        target, segment = packet[24:40], packet[40:]
    if len(segment) < 8:
        raise Malformed("message: quotes too little")
    # A quote may end anywhere, and some routers pad it: what is not there says nothing.
    try:
        mptcp = read(segment).mptcp
    except Malformed:
        mptcp = Options.UNKNOWN
    return Quote(int.from_bytes(segment[0:2], "big"), int.from_bytes(segment[2:4], "big"), target, mptcp)


def _options(raw: bytes) -> dict[int, bytes]:
    """The options by kind, as far as they can be read."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(raw) and raw[at] != _END:
        if raw[at] == _NOP:
            at += 1
            continue
        length = raw[at + 1] if at + 1 < len(raw) else 0
        if length < 2 or at + length > len(raw):
            break
        found[raw[at]] = raw[at + 2 : at + length]
        at += length
    return found


def _checksum(data: bytes) -> int:
    padded = data + bytes(len(data) & 1)
    total = sum(int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
