"""How a datagram looks from the far end: asked and answered, by two more frames beside `tunnel.frames`.

    LOOK          08   id:64   flags:8 (1: an answer as long as this)   padding
    SEEN          09   id:64   clock:64 µs   port:16   family:8   address   padding

``SEEN`` names the address and port that its ``LOOK`` came from, and the time by the far end's clock, in µs
since 1970. It is never longer than the ``LOOK``, which has 40 bytes at least, so that nobody can have more
sent to a third party than he sends. With the flag it is just as long: that tries which size the way back
lets through.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import Struct

from plait.wire.faults import Malformed

LOOK, SEEN = 0x08, 0x09
LEAST = 40
"""Bytes of the shortest `Look`: no shorter than any answer to it."""

_LOOK = Struct(">BQB")
_SEEN = Struct(">BQQHB")
_WHOLE = 1
_SIZES = {4: 4, 6: 16}


@dataclass(frozen=True, slots=True)
class Look:
    """Asks for a `Seen`, ``whole`` for one as long as itself. ``size`` is that of its frame."""

    id: int
    whole: bool = False
    size: int = LEAST


@dataclass(frozen=True, slots=True)
class Seen:
    """How a `Look` came: from which address and port, and when by the far end's clock (µs since 1970)."""

    id: int
    clock: int
    address: IPv4Address | IPv6Address
    port: int
    size: int = 0
    """Of its frame, which is padded up to that."""


def is_look(frame: bytes | memoryview) -> bool:
    """Whether this is a `Look`, or pretends to be one."""
    return bool(frame) and frame[0] == LOOK


def is_seen(frame: bytes | memoryview) -> bool:
    """The same for a `Seen`."""
    return bool(frame) and frame[0] == SEEN


def encode(frame: Look | Seen) -> bytes:
    """The bytes. Raises `struct.error` for numbers that don't fit."""
    if isinstance(frame, Look):
        head = _LOOK.pack(LOOK, frame.id, _WHOLE if frame.whole else 0)
        return head.ljust(max(frame.size, LEAST), b"\0")
    head = _SEEN.pack(SEEN, frame.id, frame.clock, frame.port, frame.address.version)
    return (head + frame.address.packed).ljust(frame.size, b"\0")


def decode(frame: bytes | memoryview) -> Look | Seen:
    """Either. Raises `Malformed` for anything else."""
    size = len(frame)
    kind = frame[0] if size else 0
    if kind == LOOK and size >= LEAST:
        _, number, flags = _LOOK.unpack_from(frame)
        if flags in (0, _WHOLE):
            return Look(number, flags == _WHOLE, size)
    if kind == SEEN and size >= _SEEN.size:
        _, number, clock, port, version = _SEEN.unpack_from(frame)
        packed = bytes(frame[_SEEN.size : _SEEN.size + _SIZES.get(version, 0)])
        if version in _SIZES and len(packed) == _SIZES[version]:
            return Seen(number, clock, ip_address(packed), port, size)
    raise Malformed("no look and no answer to one")


def answer(look: Look, clock: int, address: IPv4Address | IPv6Address, port: int) -> Seen:
    """What to say to a `Look`: as long as it was, or as short as can be."""
    return Seen(look.id, clock, address, port, look.size if look.whole else 0)
