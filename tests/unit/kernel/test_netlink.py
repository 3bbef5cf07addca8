"""Framing, against bytes written by hand and against a kernel's answers told by a socket pair."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.kernel.netlink import (
    NLA_F_NESTED,
    Netlink,
    NetlinkError,
    attribute,
    attributes,
    nested,
    number,
    string,
    text,
    u32,
)


def test_an_attribute_is_padded_to_four_bytes() -> None:
    assert attribute(3, b"abc") == struct.pack("=HH", 7, 3) + b"abc\0"
    assert attribute(3, b"abcd") == struct.pack("=HH", 8, 3) + b"abcd"
    assert text(3, "lo") == attribute(3, b"lo\0")
    assert u32(1, 5) == attribute(1, struct.pack("=I", 5))


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=40)), max_size=8))
def test_attributes_read_what_was_written(pairs: list[tuple[int, bytes]]) -> None:
    assert list(attributes(b"".join(attribute(*pair) for pair in pairs))) == pairs


@given(st.binary(max_size=200))
def test_attributes_come_to_an_end_whatever_the_bytes(data: bytes) -> None:
    assert len(list(attributes(data))) <= len(data) // 4


def test_a_nested_attribute_is_flagged_and_read_without_the_flag() -> None:
    data = nested(1, u32(2, 7))
    assert struct.unpack_from("=HH", data)[1] == 1 | NLA_F_NESTED
    [(kind, inner)] = attributes(data)
    assert kind == 1
    assert [(k, number(v)) for k, v in attributes(inner)] == [(2, 7)]


def test_numbers_have_any_size() -> None:
    assert [number(b""), number(b"\7"), number(struct.pack("=I", 1 << 31))] == [0, 7, 1 << 31]
    assert string(b"lo\0\0") == "lo"


class Kernel:
    """The other end of a netlink socket, played from a script."""

    def __init__(self, made: Netlink, far: socket.socket) -> None:
        self.netlink = made
        self.far = far

    def says(self, *datagrams: bytes) -> None:
        for datagram in datagrams:
            self.far.send(datagram)


def message(kind: int, body: bytes, *, sequence: int = 1, flags: int = 0) -> bytes:
    data = struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body
    return data + b"\0" * (-len(data) % 4)


def done(sequence: int = 1, code: int = 0, flags: int = 0) -> bytes:
    return message(3, struct.pack("=i", code), sequence=sequence, flags=flags)


def ack(code: int = 0, sequence: int = 1, rest: bytes = b"", flags: int = 0) -> bytes:
    return message(2, struct.pack("=i", -code) + rest, sequence=sequence, flags=flags)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    near.settimeout(5)
    made = Netlink(0)
    made.close()
    monkeypatch.setattr(made, "_socket", near)
    yield Kernel(made, far)
    near.close()
    far.close()


def test_answers_before_the_acknowledgement(kernel: Kernel) -> None:
    kernel.says(message(24, b"answer12") + ack())
    assert kernel.netlink.request(26, b"question") == [b"answer12"]
    sent = kernel.far.recv(100)
    assert sent == struct.pack("=IHHII", 24, 26, 1 | 4, 1, 0) + b"question"


def test_a_refusal_comes_with_the_kernels_words(kernel: Kernel) -> None:
    echoed = struct.pack("=IHHII", 16, 26, 5, 1, 0)
    words = text(1, "address already in use by another endpoint")
    kernel.says(ack(errno.EEXIST, rest=echoed + words, flags=0x100 | 0x200))
    with pytest.raises(NetlinkError) as caught:
        kernel.netlink.request(26, b"")
    assert caught.value.errno == errno.EEXIST
    assert caught.value.strerror == "File exists: address already in use by another endpoint"


def test_words_are_found_behind_a_whole_echo_too(kernel: Kernel) -> None:
    echoed = struct.pack("=IHHII", 24, 26, 5, 1, 0) + b"question"
    kernel.says(ack(errno.EINVAL, rest=echoed + text(1, "no"), flags=0x200))
    with pytest.raises(NetlinkError, match="Invalid argument: no"):
        kernel.netlink.request(26, b"question")


def test_a_dump_over_several_datagrams(kernel: Kernel) -> None:
    kernel.says(message(16, b"one1") + message(16, b"two2"), message(16, b"tri3"), done())
    assert kernel.netlink.dump(18, b"") == [b"one1", b"two2", b"tri3"]


def test_an_interrupted_dump_is_asked_for_again(kernel: Kernel) -> None:
    kernel.says(message(16, b"old1", flags=0x10) + done(flags=0x10))
    kernel.says(message(16, b"new1", sequence=2) + done(2))
    assert kernel.netlink.dump(18, b"") == [b"new1"]


def test_a_dump_that_is_always_interrupted_ends_all_the_same(kernel: Kernel) -> None:
    for sequence in range(1, 9):
        kernel.says(message(16, b"blur", sequence=sequence, flags=0x10) + done(sequence))
    assert kernel.netlink.dump(18, b"") == [b"blur"]


@pytest.mark.parametrize("last", [done(code=-errno.EPERM), ack(errno.EPERM)], ids=["done", "error"])
def test_a_refused_dump(kernel: Kernel, last: bytes) -> None:
    kernel.says(last)
    with pytest.raises(NetlinkError, match="Operation not permitted"):
        kernel.netlink.dump(18, b"")


def test_late_answers_to_an_earlier_question_are_dropped(kernel: Kernel) -> None:
    kernel.says(message(16, b"late", sequence=7) + ack(errno.EINVAL, sequence=7))
    kernel.says(message(16, b"mine") + ack())
    assert kernel.netlink.request(18, b"") == [b"mine"]
