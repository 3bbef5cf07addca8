"""SOCKS5: each message whole and byte by byte, who is let in, and what is refused how."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire import socks5
from plait.wire.address import Target, encode
from plait.wire.faults import Malformed
from plait.wire.socks5 import Command, Conversation, Reply, Request

V4 = Target(IPv4Address("192.0.2.7"), 443)
V6 = Target(IPv6Address("2001:db8::7"), 80)
NAME = Target("www.example.net", 8080)
HELLO = b"\x05\x01\x00"
HELLO_BOTH = b"\x05\x02\x00\x02"
LOGIN = b"\x01\x03app\x06secret"


def connect(target: Target) -> bytes:
    return b"\x05\x01\x00" + encode(target)


def admits(user: bytes, password: bytes) -> bool:
    return (user, password) == (b"app", b"secret")


def talk(conversation: Conversation, *pieces: bytes) -> bytes:
    return b"".join(conversation.feed(piece) for piece in pieces)


@pytest.mark.parametrize("target", [V4, V6, NAME])
@pytest.mark.parametrize("whole", [True, False])
def test_connect_without_a_password(target: Target, whole: bool) -> None:
    conversation = Conversation(None)
    said = HELLO + connect(target)
    pieces = [said] if whole else [said[i : i + 1] for i in range(len(said))]
    assert talk(conversation, *pieces) == b"\x05\x00"
    assert conversation.request == Request(Command.CONNECT, target)
    assert conversation.leftover == b""
    assert not conversation.over


def test_what_follows_the_request_is_kept() -> None:
    conversation = Conversation(None)
    conversation.feed(HELLO + connect(NAME) + b"GET / HTTP/1.1\r\n")
    assert conversation.leftover == b"GET / HTTP/1.1\r\n"


def test_user_and_password() -> None:
    conversation = Conversation(admits)
    said = HELLO_BOTH + LOGIN + connect(V4)
    assert talk(conversation, *(said[i : i + 1] for i in range(len(said)))) == b"\x05\x02\x01\x00"
    assert conversation.request == Request(Command.CONNECT, V4)


@pytest.mark.parametrize(
    ("said", "answer", "denied"),
    [
        (HELLO, b"\x05\xff", True),
        (b"\x05\x00", b"\x05\xff", True),
        (HELLO_BOTH + b"\x01\x03app\x05wrong", b"\x05\x02\x01\x01", True),
        (HELLO_BOTH + b"\x01\x00\x00", b"\x05\x02\x01\x01", True),
    ],
)
def test_who_does_not_prove_itself_is_told_so_and_left(said: bytes, answer: bytes, denied: bool) -> None:
    conversation = Conversation(admits)
    assert conversation.feed(said + connect(V4)) == answer
    assert conversation.over
    assert conversation.denied is denied
    assert conversation.request is None


def test_a_client_that_only_knows_passwords_is_not_for_an_open_proxy() -> None:
    conversation = Conversation(None)
    assert conversation.feed(b"\x05\x01\x02") == b"\x05\xff"
    assert conversation.over
    assert not conversation.denied


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (b"\x05\x02\x00" + encode(V4), Reply.NO_SUCH_COMMAND),
        (b"\x05\x09\x00" + encode(V4), Reply.NO_SUCH_COMMAND),
        (b"\x05\x01\x00\x02\x00\x00", Reply.NO_SUCH_ADDRESS),
        (b"\x05\x01\x00\x03\x00\x01\xbb", Reply.NO_SUCH_ADDRESS),
        (b"\x05\x01\x00\x03\x03a b\x01\xbb", Reply.NO_SUCH_ADDRESS),
        (b"\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x00", Reply.NO_SUCH_ADDRESS),
    ],
)
def test_what_can_not_be_done_is_refused_by_its_code(request_: bytes, why: Reply) -> None:
    conversation = Conversation(None)
    assert conversation.feed(HELLO + request_) == b"\x05\x00" + socks5.reply(why)
    assert conversation.over
    assert not conversation.denied


@pytest.mark.parametrize(
    "said", [b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", b"GET / HTTP/1.1\r\n", HELLO + b"\x04\x01\x00\x01"]
)
def test_other_protocols(said: bytes) -> None:
    with pytest.raises(Malformed):
        Conversation(None).feed(said)


def test_another_version_of_passwords() -> None:
    with pytest.raises(Malformed):
        Conversation(admits).feed(HELLO_BOTH + b"\x05\x01\x00")


@pytest.mark.parametrize(
    "where", [b"\x01" + bytes(6), b"\x04" + bytes(18), b"\x01\x0a\x00\x00\x01\x12\x34", b"\x03\x01a\x00\x00"]
)
def test_udp_associate(where: bytes) -> None:
    conversation = Conversation(None)
    said = HELLO + b"\x05\x03\x00" + where + b"rest"
    assert talk(conversation, *(said[i : i + 1] for i in range(len(said) - 4))) == b"\x05\x00"
    assert conversation.request == Request(Command.UDP_ASSOCIATE, None)
    conversation = Conversation(None)
    conversation.feed(said)
    assert conversation.leftover == b"rest"


def test_replies() -> None:
    assert socks5.reply(Reply.DONE) == b"\x05\x00\x00\x01" + bytes(6)
    assert (
        socks5.reply(Reply.DONE, IPv6Address("::1"), 1080)
        == b"\x05\x00\x00\x04" + bytes(15) + b"\x01" + b"\x04\x38"
    )


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_any_bytes_are_a_request_an_end_or_malformed(pieces: list[bytes]) -> None:
    conversation = Conversation(admits)
    try:
        for piece in pieces:
            conversation.feed(piece)
            if conversation.over or conversation.request:
                break
            assert len(conversation._have) <= socks5.MAX_MESSAGE
    except Malformed:
        pass


def test_datagrams_there_and_back() -> None:
    for target in (V4, V6, NAME):
        assert socks5.unwrap(socks5.wrap(target, b"data")) == (target, b"data")
    assert socks5.unwrap(socks5.wrap(V4, b"")) == (V4, b"")
    assert socks5.unwrap(b"\x00\x00\x01" + encode(V4) + b"part") is None


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x00\x00\x00",
        b"\x00\x01\x00" + encode(V4),
        b"\x00\x00\x00\x01\x7f",
        b"\x00\x00\x00\x09" + bytes(9),
    ],
)
def test_datagrams_that_are_none(datagram: bytes) -> None:
    with pytest.raises(Malformed):
        socks5.unwrap(datagram)


def test_fragments_are_not_reassembled() -> None:
    with pytest.raises(Malformed):
        socks5.unwrap(b"\x00\x00\x01\x01\x7f")
