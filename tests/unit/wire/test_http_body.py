"""Where bodies end: whole, byte by byte, and what is no body."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire.faults import Malformed
from plait.wire.http_body import Body

CHUNKED = b"4\r\nWiki\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n"
TRAILED = b"1\r\na\r\n000\r\nExpires: never\r\nX: y\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "data", "used"),
    [
        (Body.none(), b"next", 0),
        (Body.fixed(3), b"abcnext", 3),
        (Body.chunked(), CHUNKED + b"next", len(CHUNKED)),
        (Body.chunked(), TRAILED + b"GET", len(TRAILED)),
    ],
)
def test_in_one_piece(body: Body, data: bytes, used: int) -> None:
    assert body.take(data) == used
    assert body.done


def test_until_the_end_is_never_done() -> None:
    body = Body.until_end()
    assert body.take(b"x" * 1000) == 1000
    assert not body.done


@given(
    st.lists(st.binary(min_size=1, max_size=300), max_size=6),
    st.lists(st.integers(1, 50), min_size=1, max_size=50),
)
def test_chunks_cut_anywhere(chunks: list[bytes], cuts: list[int]) -> None:
    data = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    body, rest, turn = Body.chunked(), data + b"next", 0
    while not body.done:
        size = cuts[turn % len(cuts)]
        turn += 1
        used = body.take(rest[:size])
        assert used == size or body.done
        rest = rest[used:]
    assert rest == b"next"


def byte_by_byte(body: Body, data: bytes) -> None:
    for index in range(len(data)):
        body.take(data[index : index + 1])


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"x\r\n",
        b"-1\r\n",
        b"0x1\r\na\r\n",
        b"1\na\r\n",
        b"1\r\nab\r\n",
        b"1\r\na\n",
        b"1" * 16 + b"\r\n",
        b"1;" + b"x" * 5000,
        b"1;\x00\r\na\r\n",
        b"0\r\nnot a field\r\n\r\n",
        b"0\r\n folded: x\r\n\r\n",
        b"0\r\n" + b"x: y\r\n" * 5000,
    ],
    ids=lambda data: repr(data[:12]),
)
def test_no_chunks(data: bytes) -> None:
    with pytest.raises(Malformed):
        Body.chunked().take(data)
    with pytest.raises(Malformed):
        byte_by_byte(Body.chunked(), data)
