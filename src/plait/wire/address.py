"""Where a connection shall go, in the form of SOCKS5 (RFC 1928, section 5).

    +------+----------------------+------+
    | ATYP |       DST.ADDR       | PORT |    ATYP 1: IPv4, 4 B
    +------+----------------------+------+    ATYP 3: name, 1 B length + 1..255 B
    | 1 B  |       variable       | 2 B  |    ATYP 4: IPv6, 16 B
    +------+----------------------+------+    PORT: big-endian, never 0

One address has one form here: a name that spells an IP address, and an
IPv4-mapped IPv6 address, become that IP. So whoever decides what may be dialled
can't be got round by another spelling of the same place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from plait.wire.faults import Malformed

MAX_ENCODED = 1 + 1 + 255 + 2
"""Bytes of the longest encoded address."""

_IPV4 = 1
_NAME = 3
_IPV6 = 4
_MAPPED = bytes(10) + b"\xff\xff"

# Letters, digits and hyphen (RFC 1123, section 2.1), and the underscore that
# many real names hold. Hyphens may stand anywhere: resolvers take them, too.
_NAME_SHAPE = re.compile(r"(?!.{254})(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?", re.ASCII)
# "127.1", "0x7f000001" and "2130706433" are addresses to getaddrinfo() (the
# inet_aton(3) forms), but no names: no top-level domain is a number.
_NUMBER_LAST = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Target:
    """The place to dial: an IP address or a name to be resolved there, and a TCP port."""

    host: IPv4Address | IPv6Address | str
    port: int

    def __str__(self) -> str:
        return (
            f"[{self.host}]:{self.port}" if isinstance(self.host, IPv6Address) else f"{self.host}:{self.port}"
        )


def encode(target: Target) -> bytes:
    """Encode any target. ``Malformed`` when its name or port can't be said in this form."""
    host = target.host
    if isinstance(host, str):
        host = _host_of_name(host)
    if not isinstance(host, str):
        return encode_packed(host.packed, target.port)
    name = host.encode("ascii")
    return b"%c%c%b%b" % (_NAME, len(name), name, _port_bytes(target.port))


def encode_packed(packed: bytes, port: int) -> bytes:
    """Encode an address of 4 or 16 bytes in network order, as the kernel gives it."""
    if len(packed) == 4:
        return b"\x01" + packed + _port_bytes(port)
    if len(packed) != 16:
        raise Malformed(f"an address of {len(packed)} bytes")
    if packed.startswith(_MAPPED):
        return b"\x01" + packed[12:] + _port_bytes(port)
    return b"\x04" + packed + _port_bytes(port)


def decode(view: bytes | bytearray | memoryview) -> tuple[Target, int] | None:
    """Read one address from the beginning of ``view``.

    Returns the target and the number of bytes it took, or None when more are
    needed. Raises ``Malformed`` as soon as the bytes can't become an address.
    """
    have = len(view)
    if not have:
        return None
    kind = view[0]
    if kind == _IPV4:
        start, end = 1, 5
    elif kind == _NAME:
        if have < 2:
            return None
        start, end = 2, 2 + view[1]
        if end == 2:
            raise Malformed("a name of no length")
    elif kind == _IPV6:
        start, end = 1, 17
    else:
        raise Malformed(f"address type {kind}")
    if have < end + 2:
        return None
    raw = bytes(view[start : end + 2])
    port = raw[-2] << 8 | raw[-1]
    if not port:
        raise Malformed("port 0")
    return Target(_host(kind, raw[:-2]), port), end + 2


def _host(kind: int, raw: bytes) -> IPv4Address | IPv6Address | str:
    if kind == _IPV4:
        return IPv4Address(raw)
    if kind == _IPV6:
        return IPv4Address(raw[12:]) if raw.startswith(_MAPPED) else IPv6Address(raw)
    try:
        return _host_of_name(raw.decode("ascii"))
    except UnicodeDecodeError:
        raise Malformed("a name that is not ASCII") from None


def _host_of_name(name: str) -> IPv4Address | IPv6Address | str:
    """What a name stands for: itself, or the IP address it spells."""
    if ":" in name:
        try:
            address = IPv6Address(name)
        except ValueError:
            raise Malformed("a name that holds a colon and is no IPv6 address") from None
        if address.scope_id is not None:
            raise Malformed("an address with a scope, which only its own host understands")
        return address.ipv4_mapped or address
    if not _NAME_SHAPE.fullmatch(name):
        raise Malformed("not a host name")
    if _NUMBER_LAST.fullmatch(name):
        try:
            return IPv4Address(name)
        except ValueError:
            raise Malformed("neither a host name nor an IPv4 address") from None
    return name


def _port_bytes(port: int) -> bytes:
    if not 0 < port < 0x10000:
        raise Malformed(f"port {port}")
    return port.to_bytes(2, "big")
