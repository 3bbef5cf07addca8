"""SOCKS5 as a server speaks it: RFC 1928, with user and password of RFC 1929. No I/O.

    client                                server
    05 n methods…                 ──▶
                                  ◀──     05 00, or 05 02 when it asks who comes, or 05 FF: no way
    01 ulen user plen password    ──▶                                        (with 02 only)
                                  ◀──     01 00, or 01 01 and the end
    05 cmd 00 ATYP address port   ──▶
                                  ◀──     05 rep 00 ATYP address port        `reply`, once it is known

`Conversation.feed` takes what the client says, in pieces of any size, and gives what is to be said
back. Every message has its length in its first bytes and none is longer than 513 bytes, so nothing
grows. What follows the request is the client's payload and is kept in ``leftover``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

from plait.wire import address
from plait.wire.address import Target
from plait.wire.faults import Malformed

_VERSION = b"\x05"
_AUTH_VERSION = 1

OPEN, BY_PASSWORD, NONE_FITS = 0x00, 0x02, 0xFF
"""Methods of RFC 1928, section 3."""

MAX_MESSAGE = 1 + 1 + 255 + 1 + 255
"""Bytes of the longest message: user and password."""


class Command(IntEnum):
    """RFC 1928, section 4."""

    CONNECT = 1
    BIND = 2
    UDP_ASSOCIATE = 3


class Reply(IntEnum):
    """RFC 1928, section 6."""

    DONE = 0
    FAILED = 1
    FORBIDDEN = 2
    NETWORK_UNREACHABLE = 3
    HOST_UNREACHABLE = 4
    REFUSED = 5
    NO_SUCH_COMMAND = 7
    NO_SUCH_ADDRESS = 8


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks for. ``target`` is None where it says nothing yet (UDP from anywhere)."""

    command: Command
    target: Target | None


def reply(code: Reply, host: IPv4Address | IPv6Address | None = None, port: int = 0) -> bytes:
    """The answer to a request; by default without an address that would mean anything."""
    packed = (host or IPv4Address(0)).packed
    kind = 1 if len(packed) == 4 else 4
    return b"\x05%c\x00%c%b%b" % (code, kind, packed, port.to_bytes(2, "big"))


class Conversation:
    """One client, up to its request.

    ``admits(user, password)`` judges who comes; None admits everybody. After ``request`` is there or
    ``over`` is true nothing more is to be fed. ``denied`` says that it was the password.
    """

    __slots__ = ("_admits", "_have", "_step", "denied", "leftover", "over", "request")

    def __init__(self, admits: Callable[[bytes, bytes], bool] | None) -> None:
        self._admits = admits
        self._have = b""
        self._step: Callable[[], tuple[int, bytes] | None] = self._greeting
        self.request: Request | None = None
        self.over = False
        """What was answered is the last word: close."""
        self.denied = False
        self.leftover = b""

    def feed(self, data: bytes) -> bytes:
        """Take what came; give what is to be said. ``Malformed`` when this is not SOCKS5 at all."""
        self._have += data
        said = b""
        while not self.over and self.request is None:
            done = self._step()
            if done is None:
                return said
            used, answer = done
            self._have = self._have[used:]
            said += answer
        self.leftover, self._have = self._have, b""
        return said

    def _greeting(self) -> tuple[int, bytes] | None:
        have = self._have
        if have[:1] not in (b"", _VERSION):
            raise Malformed(f"version {have[0]}")
        if len(have) < 2 or len(have) < 2 + have[1]:
            return None
        wanted = OPEN if self._admits is None else BY_PASSWORD
        end = 2 + have[1]
        if wanted not in have[2:end]:
            self.over = True
            self.denied = self._admits is not None
            return end, b"\x05\xff"
        self._step = self._asked if self._admits is None else self._introduction
        return end, b"\x05%c" % wanted

    def _introduction(self) -> tuple[int, bytes] | None:
        have = self._have
        if have and have[0] != _AUTH_VERSION:
            raise Malformed(f"version {have[0]} of user and password")
        if len(have) < 2 or len(have) < 3 + have[1]:
            return None
        at = 2 + have[1]
        end = at + 1 + have[at]
        if len(have) < end:
            return None
        assert self._admits is not None
        if not self._admits(have[2:at], have[at + 1 : end]):
            # RFC 1929: on a failure the server must close.
            self.over = self.denied = True
            return end, b"\x01\x01"
        self._step = self._asked
        return end, b"\x01\x00"

    def _asked(self) -> tuple[int, bytes] | None:
        have = self._have
        if have and have[0] != 5:
            raise Malformed(f"version {have[0]} of a request")
        if len(have) < 4:
            return None
        command, kind = have[1], have[3]
        if kind not in (1, 3, 4):
            return self._refuse(Reply.NO_SUCH_ADDRESS)
        if command == Command.UDP_ASSOCIATE:
            return self._associate()
        if command != Command.CONNECT:
            return self._refuse(Reply.NO_SUCH_COMMAND)
        try:
            found = address.decode(memoryview(have)[3:])
        except Malformed:
            return self._refuse(Reply.NO_SUCH_ADDRESS)
        if found is None:
            return None
        target, used = found
        self.request = Request(Command.CONNECT, target)
        return 3 + used, b""

    def _associate(self) -> tuple[int, bytes] | None:
        """The client may say from where its datagrams will come, or zeros; nobody relies on it."""
        have = self._have
        size = {1: 4, 4: 16}.get(have[3])
        if size is None:
            if len(have) < 5:
                return None
            size = 1 + have[4]
        end = 4 + size + 2
        if len(have) < end:
            return None
        self.request = Request(Command.UDP_ASSOCIATE, None)
        return end, b""

    def _refuse(self, why: Reply) -> tuple[int, bytes]:
        self.over = True
        return len(self._have), reply(why)


def wrap(target: Target, payload: bytes) -> bytes:
    """A datagram for a client (RFC 1928, section 7). ``Malformed`` when the target can't be said."""
    return b"\x00\x00\x00" + address.encode(target) + payload


def unwrap(datagram: bytes) -> tuple[Target, bytes] | None:
    """Where a client's datagram goes and what it carries; None for a piece of a fragmented one, which
    RFC 1928 lets us drop. ``Malformed`` when it is no such datagram."""
    if len(datagram) < 4 or datagram[:2] != b"\x00\x00":
        raise Malformed("no datagram of SOCKS5")
    found = address.decode(memoryview(datagram)[3:])
    if found is None:
        raise Malformed("a datagram that ends within its address")
    if datagram[2]:
        return None
    target, used = found
    return target, datagram[3 + used :]
