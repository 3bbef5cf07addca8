"""What travels inside a sealed datagram: exactly one frame.

The 16 bytes around it (session, path, counter) and the seal are
`wire.datagram`'s. All numbers are big-endian. The first byte is the kind; of
a datagram that carries an inner packet its highest bit is set and the others
say how:

    DATA          1 L C GG E HH   lane:24   order:24   index:8   [extra]   inner bytes
                  L: the extra 6 bytes are there: csum_start:16 csum_offset:16 header_len:16
                  C: the inner checksum is to be completed (VIRTIO_NET_HDR_F_NEEDS_CSUM)
                  GG: 0 a whole packet, 1 a segment of TCP, 2 of TCP with ECN, 3 of UDP
                  E: the last segment of its superpacket
                  HH: the treatment, 0 loose, 1 redundant, 2 in order
    ECHO          01   id:64   [padding, to try a size]
    ECHO_REPLY    02   id:64   held:32 µs   size:16 of the echo's frame
    TRAIN         03   id:32   index:8   count:8   flags:8 (1: send one back)   padding
    TRAIN_REPLY   04   id:32   count:8 that came   spread:32 µs from first to last   bytes:32 after the first
    ACK           05   path:8   newest:64   held:32 µs   arrived:64 µs   bytes:64   count:8  (gap:16 more:16)*
    CONFIG        06   flags:8   serial:32   mtu:16   addresses, networks, paths: each count:8 and entries
    CLOSE         07   reason:8

*Order.* A superpacket that the TUN device gave as one goes out as segments, each a
datagram that can stand alone: its inner headers (the same in each) and its share of the
payload. Segment ``index`` has the number ``order + index`` in its ``lane``, so one head
serves a whole run of segments but for its last byte. Two segments are of the same
superpacket when lane and ``order`` agree. Numbers are 24 bits of a longer count, see
`unwrap`: at 300 000 datagrams/s they come around once in 55 s.

*vnet_hdr.* Where the checksum lies and how long the headers are follows for TCP and UDP
over plain IPv4 and IPv6 from the inner headers; only other packets need the long form.
Note that ``virtio_net_hdr.hdr_len`` of a packet read from TUN is what lies in the skb's
linear part, not the length of the headers (linux/drivers/net/tun.c).

*ACK.* Names the path whose datagrams it is about, so that it may go over another one.
``newest`` is the largest counter received, ``arrived`` when that was by the receiver's own
clock, ``held`` how long it has waited, ``bytes`` all that ever came in that path's
datagrams. The ranges go downwards: the first ends with ``newest`` and holds ``more + 1``
counters (its ``gap`` is 0); after that, ``gap`` counters are missing, then ``more + 1``
were received (RFC 9000, section 19.3.1, has nearly the same).

A frame that is anything else is `Malformed`: to be counted and dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_interface, ip_network
from struct import Struct
from struct import error as StructError
from typing import NamedTuple, TypeAlias

from plait.wire.faults import Malformed

Interface: TypeAlias = IPv4Interface | IPv6Interface
Network: TypeAlias = IPv4Network | IPv6Network


class Kind(IntEnum):
    """The first byte of all frames but DATA."""

    ECHO = 1
    ECHO_REPLY = 2
    TRAIN = 3
    TRAIN_REPLY = 4
    ACK = 5
    CONFIG = 6
    CLOSE = 7


class Segments(IntEnum):
    """What a DATA frame's inner packet was cut from; what it may be joined to."""

    WHOLE = 0
    TCP = 1
    TCP_ECN = 2
    UDP = 3


class Treatment(IntEnum):
    """What the receiver does with an inner packet, beside delivering it."""

    LOOSE = 0
    """Delivers it at once. Its number only tells superpackets apart."""
    REDUNDANT = 1
    """Delivers the first copy at once, drops others."""
    ORDERED = 2
    """Delivers it after those before it in its lane, or when waiting for them is no use."""


DATA = 0x80
"""The bit in the first byte that makes a frame DATA."""
LONG = 0x40
NEEDS_CSUM = 0x20
LAST = 0x04
DATA_HEAD = 8
"""Bytes of a DATA frame before the inner packet, in its short form."""
LONG_HEAD = 14
"""The same in its long form."""
INDEX_AT = 7
"""Where in the head the one byte is in which the segments of a run differ."""
MOST_SEGMENTS = 128
"""Segments of one superpacket (UDP_MAX_SEGMENTS, linux/include/linux/udp.h)."""
LANES = 1 << 24
ORDERS = 1 << 24
MOST_RANGES = 32
"""Ranges in one ACK; older gaps are left out."""

_TREATMENTS, _SEGMENTS = tuple(Treatment), tuple(Segments)
_HEAD = Struct(">II")
_EXTRA = Struct(">HHH")
_ECHO = Struct(">BQ")
_ECHO_REPLY = Struct(">BQIH")
_TRAIN = Struct(">BIBBB")
_TRAIN_REPLY = Struct(">BIBII")
_ACK = Struct(">BBQIQQB")
_RANGE = Struct(">HH")
_CONFIG = Struct(">BBIH")
_PATH = Struct(">BBH")
_CLOSE = Struct(">BB")

_WANT_BACK = 1
_ASKING = 1
_U8, _U16, _U32, _U64 = 0xFF, 0xFFFF, 0xFFFFFFFF, (1 << 64) - 1


class Checksum(NamedTuple):
    """Where the inner checksum lies, for packets of which that can't be told otherwise."""

    start: int
    offset: int
    header_len: int


@dataclass(slots=True)
class Data:
    """The head of a DATA frame. The inner bytes begin at ``begins``.

    Not frozen, since that takes three times as long to make: there is one a run.
    """

    treatment: Treatment
    lane: int
    order: int
    """24 bits of the number of segment 0; see `unwrap`."""
    index: int
    last: bool
    segments: Segments
    needs_csum: bool
    checksum: Checksum | None
    begins: int


@dataclass(frozen=True, slots=True)
class Echo:
    """Asks for an `EchoReply`. ``size`` is that of its frame: padding tries what a path lets through."""

    id: int
    size: int = _ECHO.size


@dataclass(frozen=True, slots=True)
class EchoReply:
    """``held`` is how long the far end took to answer, in µs; ``size`` that of the echo's frame."""

    id: int
    held: int
    size: int


@dataclass(frozen=True, slots=True)
class Train:
    """One of ``count`` datagrams sent back to back, to find a path's capacity."""

    id: int
    index: int
    count: int
    want_back: bool
    size: int


@dataclass(frozen=True, slots=True)
class TrainReply:
    """What came of a train: ``count`` datagrams within ``spread`` µs, ``bytes`` of them after the first.

    ``bytes * 8 / spread`` is the rate in Mbit/s.
    """

    id: int
    count: int
    spread: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Ack:
    """What has been received of path ``path``; ``ranges`` are (first, last) counters, newest first."""

    path: int
    held: int
    """µs between the arrival of the newest and this ACK."""
    arrived: int
    """When the newest arrived, in µs of the receiver's own clock."""
    bytes: int
    """All bytes that ever arrived in datagrams of this path."""
    ranges: tuple[tuple[int, int], ...]

    @property
    def newest(self) -> int:
        """The largest counter received."""
        return self.ranges[0][1]


@dataclass(frozen=True, slots=True)
class PathTerms:
    """How the sender of a CONFIG wants one path to be used by the other end.

    ``mode`` is a `tunnel.scheduler.Mode`, ``weight`` is in 256ths.
    """

    path: int
    mode: int
    weight: int


@dataclass(frozen=True, slots=True)
class Config:
    """A gateway asks (``asking``) with what is behind it, an exit answers with what it may use.

    ``serial`` grows with every change; an answer repeats that of the question. ``addresses`` are
    inner addresses with the prefix of their subnet, ``networks`` lie behind the sender, ``mtu`` is
    the inner one that the sender can take (0: to be found).
    """

    asking: bool
    serial: int
    mtu: int
    addresses: tuple[Interface, ...] = ()
    networks: tuple[Network, ...] = ()
    paths: tuple[PathTerms, ...] = ()


@dataclass(frozen=True, slots=True)
class Close:
    """The session ends. 0: stopped on purpose."""

    reason: int


Frame: TypeAlias = Echo | EchoReply | Train | TrainReply | Ack | Config | Close


def unwrap(short: int, near: int) -> int:
    """The count whose low 24 bits are ``short`` and which is nearest to ``near``; never negative."""
    number = near + ((short - near + (ORDERS >> 1)) & (ORDERS - 1)) - (ORDERS >> 1)
    return number if number >= 0 else number + ORDERS


def data_head(
    treatment: Treatment,
    lane: int,
    order: int,
    index: int,
    *,
    last: bool,
    segments: Segments = Segments.WHOLE,
    needs_csum: bool = False,
    checksum: Checksum | None = None,
) -> bytearray:
    """The head of one segment; for the next of the same run add 1 at `INDEX_AT`.

    ``order`` is the whole count of segment 0 (it may be -1 or less where a segment was left out).
    The head of a superpacket's last segment differs in its first byte too: ``head[0] |= LAST``.
    """
    first = DATA | segments << 3 | treatment
    if needs_csum:
        first |= NEEDS_CSUM
    if last:
        first |= LAST
    if checksum is not None:
        first |= LONG
    head = bytearray(_HEAD.pack(first << 24 | lane, (order & (ORDERS - 1)) << 8 | index))
    if checksum is not None:
        head += _EXTRA.pack(checksum.start, checksum.offset, checksum.header_len)
    return head


def is_data(frame: bytes | memoryview) -> bool:
    """Whether this is a DATA frame: then it is for `open_data`, not `decode`."""
    return bool(frame) and frame[0] >= DATA


def open_data(frame: bytes | memoryview) -> Data:
    """The head of a DATA frame. Raises `Malformed`."""
    if len(frame) <= DATA_HEAD:
        raise Malformed("a data frame without data")
    word, numbers = _HEAD.unpack_from(frame)
    first = word >> 24
    treatment = first & 3
    index = numbers & _U8
    if first < DATA or treatment == 3:
        raise Malformed("no data frame")
    if index >= MOST_SEGMENTS:
        raise Malformed("more segments than there can be")
    begins, checksum = DATA_HEAD, None
    if first & LONG:
        if len(frame) <= LONG_HEAD:
            raise Malformed("a data frame without data")
        checksum = Checksum(*_EXTRA.unpack_from(frame, DATA_HEAD))
        begins = LONG_HEAD
        if first & NEEDS_CSUM and checksum.start + checksum.offset + 2 > len(frame) - begins:
            raise Malformed("a checksum outside of its packet")
    return Data(
        _TREATMENTS[treatment],
        word & (LANES - 1),
        numbers >> 8,
        index,
        bool(first & LAST),
        _SEGMENTS[first >> 3 & 3],
        bool(first & NEEDS_CSUM),
        checksum,
        begins,
    )


def encode(frame: Frame) -> bytes:
    """The bytes of any frame but DATA. Raises `struct.error` for numbers that don't fit."""
    match frame:
        case Echo(number, size):
            return _ECHO.pack(Kind.ECHO, number).ljust(size, b"\0")
        case EchoReply(number, held, size):
            return _ECHO_REPLY.pack(Kind.ECHO_REPLY, number, min(held, _U32), size)
        case Train(number, index, count, want_back, size):
            head = _TRAIN.pack(Kind.TRAIN, number, index, count, _WANT_BACK if want_back else 0)
            return head.ljust(size, b"\0")
        case TrainReply(number, count, spread, size):
            return _TRAIN_REPLY.pack(Kind.TRAIN_REPLY, number, count, min(spread, _U32), size)
        case Ack():
            return _encode_ack(frame)
        case Config():
            return _encode_config(frame)
        case Close(reason):
            return _CLOSE.pack(Kind.CLOSE, reason)


def decode(frame: bytes | memoryview) -> Frame:
    """Any frame but DATA. Raises `Malformed`."""
    kind = frame[0] if frame else 0
    size = len(frame)
    if kind == Kind.ECHO and _ECHO.size <= size <= _U16:
        return Echo(_ECHO.unpack_from(frame)[1], size)
    if kind == Kind.ECHO_REPLY and size == _ECHO_REPLY.size:
        return EchoReply(*_ECHO_REPLY.unpack(frame)[1:])
    if kind == Kind.TRAIN and size >= _TRAIN.size:
        _, number, index, count, flags = _TRAIN.unpack_from(frame)
        if index < count and flags in (0, _WANT_BACK):
            return Train(number, index, count, flags == _WANT_BACK, size)
    if kind == Kind.TRAIN_REPLY and size == _TRAIN_REPLY.size:
        return TrainReply(*_TRAIN_REPLY.unpack(frame)[1:])
    if kind == Kind.ACK:
        return _decode_ack(frame)
    if kind == Kind.CONFIG:
        return _decode_config(bytes(frame))
    if kind == Kind.CLOSE and size == _CLOSE.size:
        return Close(frame[1])
    raise Malformed("a frame of no known kind and size")


def _encode_ack(ack: Ack) -> bytes:
    parts = []
    below = ack.newest + 1
    for first, last in ack.ranges[:MOST_RANGES]:
        gap = below - last - 1
        if gap > _U16:
            break
        held = last - first
        if held > _U16:  # the head of a long range is enough: what is older has been acknowledged before
            parts.append(_RANGE.pack(gap, _U16))
            break
        parts.append(_RANGE.pack(gap, held))
        below = first
    head = _ACK.pack(
        Kind.ACK,
        ack.path,
        ack.newest,
        min(ack.held, _U32),
        ack.arrived & _U64,
        ack.bytes & _U64,
        len(parts),
    )
    return head + b"".join(parts)


def _decode_ack(frame: bytes | memoryview) -> Ack:
    if len(frame) < _ACK.size:
        raise Malformed("an acknowledgement cut short")
    _, path, newest, held, arrived, size, count = _ACK.unpack_from(frame)
    if not 0 < count <= MOST_RANGES or len(frame) != _ACK.size + count * _RANGE.size:
        raise Malformed("an acknowledgement of the wrong size")
    ranges: list[tuple[int, int]] = []
    below = newest + 1
    for gap, more in _RANGE.iter_unpack(frame[_ACK.size :]):
        last = below - gap - 1
        first = last - more
        if first < 0 or bool(gap) != bool(ranges):
            raise Malformed("an acknowledgement of what can't have been sent")
        ranges.append((first, last))
        below = first
    return Ack(path, held, arrived, size, tuple(ranges))


def _encode_config(config: Config) -> bytes:
    head = _CONFIG.pack(Kind.CONFIG, _ASKING if config.asking else 0, config.serial, config.mtu)
    parts = [head, bytes((len(config.addresses),))]
    for address in config.addresses:
        parts += (bytes((address.version, address.network.prefixlen)), address.ip.packed)
    parts.append(bytes((len(config.networks),)))
    for network in config.networks:
        parts += (bytes((network.version, network.prefixlen)), network.network_address.packed)
    parts.append(bytes((len(config.paths),)))
    parts += (_PATH.pack(terms.path, terms.mode, terms.weight) for terms in config.paths)
    return b"".join(parts)


def _decode_config(frame: bytes) -> Config:
    try:
        _, flags, serial, mtu = _CONFIG.unpack_from(frame)
        addresses, at = _prefixes(frame, _CONFIG.size)
        networks, at = _prefixes(frame, at)
        count = frame[at]
        paths = tuple(PathTerms(*terms) for terms in _PATH.iter_unpack(frame[at + 1 :]))
        if flags not in (0, _ASKING) or len(paths) != count:
            raise ValueError
        return Config(
            flags == _ASKING,
            serial,
            mtu,
            tuple(ip_interface(each) for each in addresses),
            tuple(ip_network(each) for each in networks),
            paths,
        )
    except (ArithmeticError, LookupError, ValueError, StructError):
        raise Malformed("a config frame that makes no sense") from None


def _prefixes(frame: bytes, at: int) -> tuple[list[tuple[bytes, int]], int]:
    count = frame[at]
    at += 1
    found = []
    for _ in range(count):
        length = {4: 4, 6: 16}[frame[at]]
        address = frame[at + 2 : at + 2 + length]
        if len(address) < length:
            raise ValueError
        found.append((address, frame[at + 1]))
        at += 2 + length
    return found, at
