"""Netlink: message framing, attributes, requests and dumps. Standard library only.

What is read here was written by the kernel, so lengths are believed; what the
kernel may do at any time (interrupt a dump, refuse with a reason in words)
is handled. Source: include/uapi/linux/netlink.h, Documentation/userspace-api/netlink/.

One :class:`Netlink` is one socket in the network namespace in which it was
made; it belongs to one thread.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from sys import byteorder

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12
NETLINK_GENERIC = 16

F_REQUEST = 0x01
F_ACK = 0x04
F_DUMP_INTR = 0x10
F_CAPPED = 0x100
F_ACK_TLVS = 0x200
F_DUMP = 0x300
F_REPLACE = 0x100
F_EXCL = 0x200
F_CREATE = 0x400

NLA_F_NESTED = 0x8000
_NLA_TYPE_MASK = 0x3FFF

_BATCH_BEGIN = 0x10
_BATCH_END = 0x11
_MSG_ERROR = 2
_MSG_DONE = 3
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_INT = struct.Struct("=i")

_SOL_NETLINK = 270
_EXT_ACK = 11
_GET_STRICT_CHK = 12
_ERRMSG_TEXT = 1

_RECEIVE = 256 * 1024
_DUMP_TRIES = 8


class NetlinkError(OSError):
    """The kernel's refusal: errno, and its own words when it has some (extended ack)."""

    def __init__(self, code: int, text: str = "") -> None:
        reason = os.strerror(code)
        super().__init__(code, f"{reason}: {text}" if text else reason)


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    length = 4 + len(payload)
    return _ATTRIBUTE.pack(length, kind) + payload + b"\0" * (-length % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute that holds others."""
    return attribute(kind | NLA_F_NESTED, b"".join(attributes))


def u32(kind: int, value: int) -> bytes:
    """A 32-bit attribute in host order."""
    return attribute(kind, value.to_bytes(4, byteorder))


def text(kind: int, value: str) -> bytes:
    """A NUL-terminated string."""
    return attribute(kind, value.encode() + b"\0")


def attributes(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """The attributes in ``data`` from ``offset`` on, as (type, payload)."""
    end = len(data)
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            return
        yield kind & _NLA_TYPE_MASK, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def number(payload: bytes) -> int:
    """An unsigned integer of whatever size, in host order."""
    return int.from_bytes(payload, byteorder)


def string(payload: bytes) -> str:
    """A string without its NUL."""
    return payload.split(b"\0", 1)[0].decode(errors="replace")


class Netlink:
    """One netlink socket that asks and is answered."""

    def __init__(self, protocol: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.bind((0, 0))
        self._sequence = 0
        for option in (_EXT_ACK, _GET_STRICT_CHK):
            try:
                self._socket.setsockopt(_SOL_NETLINK, option, 1)
            except OSError:
                pass  # before Linux 4.12 and 4.20: no words with errors, dumps unfiltered

    def close(self) -> None:
        """Give the descriptor back."""
        self._socket.close()

    def request(self, kind: int, payload: bytes, flags: int = 0) -> list[bytes]:
        """Ask for one thing; give the answers that came before the acknowledgement.

        Raises :class:`NetlinkError` when the kernel refuses.
        """
        sequence = self._send(kind, payload, F_REQUEST | F_ACK | flags)
        answers: list[bytes] = []
        while True:
            for what, message_flags, body in self._receive(sequence):
                if what == _MSG_ERROR:
                    _raise_if_error(body, message_flags)
                    return answers
                answers.append(body)

    def batch(self, subsystem: int, messages: Sequence[tuple[int, bytes, int]]) -> None:
        """Have several things done, all of them or none, in order: each a type, a payload and flags
        (nfnetlink's batches: net/netfilter/nfnetlink.c).

        Raises :class:`NetlinkError` with the first refusal.
        """
        border = struct.pack("!BBH", 0, 0, subsystem)
        framed = [(_BATCH_BEGIN, border, 0), *messages, (_BATCH_END, border, 0)]
        # When all goes well only the last is acknowledged; others answer with an error or not at all.
        last = len(framed) - 2
        data = b""
        first = self._sequence + 1
        for index, (kind, payload, flags) in enumerate(framed):
            self._sequence += 1
            flags |= F_REQUEST | (F_ACK if index == last else 0)
            data += _HEADER.pack(16 + len(payload), kind, flags, self._sequence, 0) + payload
        self._socket.send(data)
        refusal: NetlinkError | None = None
        while True:
            answered = -1
            for what, flags, sequence, body in self._messages():
                if what != _MSG_ERROR or not first <= sequence <= self._sequence:
                    continue
                answered = max(answered, sequence - first)
                try:
                    _raise_if_error(body, flags)
                except NetlinkError as error:
                    refusal = refusal or error
            if refusal is not None:
                raise refusal
            if answered >= last:
                return

    def dump(self, kind: int, payload: bytes) -> list[bytes]:
        """Ask for all of a kind. A dump that a change interrupted is asked for again."""
        for _ in range(_DUMP_TRIES):
            answers, whole = self._dump_once(kind, payload)
            if whole:
                break
        return answers  # after many tries a blurred picture is better than none: we look again anyway

    def _dump_once(self, kind: int, payload: bytes) -> tuple[list[bytes], bool]:
        sequence = self._send(kind, payload, F_REQUEST | F_DUMP)
        answers: list[bytes] = []
        whole = True
        while True:
            for what, flags, body in self._receive(sequence):
                if flags & F_DUMP_INTR and what != _MSG_ERROR:
                    whole = False
                if what == _MSG_DONE:
                    if len(body) >= 4 and (code := _INT.unpack_from(body)[0]) < 0:
                        raise NetlinkError(-code)
                    return answers, whole
                if what == _MSG_ERROR:
                    _raise_if_error(body, flags)
                    return answers, whole
                answers.append(body)

    def _send(self, kind: int, payload: bytes, flags: int) -> int:
        self._sequence += 1
        self._socket.send(_HEADER.pack(16 + len(payload), kind, flags, self._sequence, 0) + payload)
        return self._sequence

    def _receive(self, sequence: int) -> Iterator[tuple[int, int, bytes]]:
        """One datagram's messages as (type, flags, body); answers to earlier questions are dropped."""
        for kind, flags, answered, body in self._messages():
            if answered == sequence:
                yield kind, flags, body

    def _messages(self) -> Iterator[tuple[int, int, int, bytes]]:
        """One datagram's messages as (type, flags, sequence, body)."""
        data = self._socket.recv(_RECEIVE)
        offset = 0
        while offset + 16 <= len(data):
            length, kind, flags, answered, _port = _HEADER.unpack_from(data, offset)
            if length < 16:
                return
            yield kind, flags, answered, data[offset + 16 : offset + length]
            offset += (length + 3) & ~3


def _raise_if_error(body: bytes, flags: int) -> None:
    """``struct nlmsgerr``: the code, the header of our own message (or all of it), then attributes."""
    code = -_INT.unpack_from(body)[0]
    if code == 0:
        return
    words = ""
    if flags & F_ACK_TLVS:
        echoed = 16 if flags & F_CAPPED else (number(body[4:8]) + 3) & ~3
        for kind, value in attributes(body, 4 + echoed):
            if kind == _ERRMSG_TEXT:
                words = string(value)
    raise NetlinkError(code, words)


class Generic:
    """One generic netlink family (Documentation/userspace-api/netlink/intro.rst)."""

    _CTRL = 0x10
    _CTRL_CMD_GETFAMILY = 3
    _CTRL_ATTR_FAMILY_ID = 1
    _CTRL_ATTR_FAMILY_NAME = 2

    def __init__(self, family: str) -> None:
        self._netlink = Netlink(NETLINK_GENERIC)
        try:
            self._kind = self._resolve(family)
        except BaseException:
            self._netlink.close()
            raise

    def _resolve(self, family: str) -> int:
        header = struct.pack("=BBH", self._CTRL_CMD_GETFAMILY, 1, 0)
        asked = header + text(self._CTRL_ATTR_FAMILY_NAME, family)
        for body in self._netlink.request(self._CTRL, asked):
            for kind, value in attributes(body, 4):
                if kind == self._CTRL_ATTR_FAMILY_ID:
                    return number(value)
        raise NetlinkError(errno.ENOENT)

    def close(self) -> None:
        """Give the descriptor back."""
        self._netlink.close()

    def request(self, command: int, payload: bytes = b"") -> list[bytes]:
        """Like :meth:`Netlink.request`; answers are given without the generic header."""
        header = struct.pack("=BBH", command, 1, 0)
        return [body[4:] for body in self._netlink.request(self._kind, header + payload)]

    def dump(self, command: int, payload: bytes = b"") -> list[bytes]:
        """Like :meth:`Netlink.dump`; answers are given without the generic header."""
        header = struct.pack("=BBH", command, 1, 0)
        return [body[4:] for body in self._netlink.dump(self._kind, header + payload)]
