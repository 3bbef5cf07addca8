"""Reading answers of DNS servers: what is in them, and that nothing in them can do harm."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire.dns import LARGEST, LONGEST_LIFE, MOST, Answer, about, labels, read
from plait.wire.faults import Malformed

V4, OTHER, V6 = bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2)), bytes(range(16))
TO_QUESTION = b"\xc0\x0c"
"""A name that is the question's."""


def spell(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def record(owner: bytes, kind: int, data: bytes, life: int = 300, group: int = 1) -> bytes:
    return owner + struct.pack("!HHIH", kind, group, life, len(data)) + data


def answer(asked: str, *records: bytes, flags: int = 0x8180, count: int = -1, rest: bytes = b"") -> bytes:
    header = struct.pack("!HHHHHH", 7, flags, 1, len(records) if count < 0 else count, 0, 0)
    return header + spell(asked) + struct.pack("!HH", 1, 1) + b"".join(records) + rest


WWW = labels("www.example.org")
CDN = labels("cdn.example.net")


@pytest.mark.parametrize(
    ("message", "names", "addresses"),
    [
        (answer("www.example.org"), (WWW,), ()),
        (answer("WWW.Example.ORG", record(TO_QUESTION, 1, V4)), (WWW,), ((V4, 300),)),
        (
            answer("www.example.org", record(TO_QUESTION, 1, V4), record(TO_QUESTION, 28, V6, 5)),
            (WWW,),
            ((V4, 300), (V6, 5)),
        ),
        (
            answer(
                "www.example.org",
                record(spell("cdn.example.net"), 1, V4),
                record(TO_QUESTION, 5, spell("cdn.example.net")),
            ),
            (WWW, CDN),
            ((V4, 300),),
        ),
        # Another name's address, another class, another type.
        (
            answer(
                "www.example.org",
                record(spell("evil.example"), 1, OTHER),
                record(TO_QUESTION, 1, OTHER, group=3),
                record(TO_QUESTION, 16, b"\3txt"),
                record(TO_QUESTION, 1, V4),
            ),
            (WWW,),
            ((V4, 300),),
        ),
        (answer("www.example.org", record(TO_QUESTION, 1, V4), flags=0x8183), (WWW,), ()),
        (answer("www.example.org", record(TO_QUESTION, 1, V4, 1 << 31)), (WWW,), ((V4, 0),)),
        (answer("www.example.org", record(TO_QUESTION, 1, V4, 1 << 30)), (WWW,), ((V4, LONGEST_LIFE),)),
        # What follows the answers is nobody's business.
        (answer("www.example.org", record(TO_QUESTION, 1, V4), rest=b"\xff\xff"), (WWW,), ((V4, 300),)),
    ],
)
def test_what_an_answer_says(
    message: bytes, names: tuple[tuple[bytes, ...], ...], addresses: tuple[tuple[bytes, int], ...]
) -> None:
    assert read(message) == Answer(names, addresses)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        bytes(11),
        bytes(LARGEST + 1),
        answer("a.org", flags=0x0100),
        answer("a.org", flags=0xA180),
        struct.pack("!HHHHHH", 7, 0x8180, 0, 0, 0, 0),
        struct.pack("!HHHHHH", 7, 0x8180, 2, 0, 0, 0) + (spell("a.org") + bytes(4)) * 2,
        answer("a.org")[:-1],
        answer("a.org")[:14],
        answer("a.org", count=1),
        answer("a.org", TO_QUESTION[:1], count=1),
        answer("a.org", TO_QUESTION + bytes(9)),
        answer("a.org", record(TO_QUESTION, 1, V4)[:-1]),
        answer("a.org", record(TO_QUESTION, 1, V4 + b"x")),
        answer("a.org", record(TO_QUESTION, 28, V4)),
        answer("a.org", record(TO_QUESTION, 5, spell("b.org") + b"x")),
        answer("a.org", record(b"\xc0\xff", 1, V4)),
        answer("a.org", record(b"\x40" + bytes(64) + b"\0", 1, V4)),
        answer("a.org", record((b"\x3f" + bytes(63)) * 4 + b"\0", 1, V4)),
        # In circles: to itself, and two to each other.
        answer("a.org", record(b"\xc0\x17", 1, V4)),
        answer("a.org", record(b"\1a\xc0\x17", 1, V4)),
    ],
)
def test_what_is_no_answer(message: bytes) -> None:
    with pytest.raises(Malformed):
        read(message)


def test_aliases_in_circles_end() -> None:
    message = answer(
        "a.org",
        record(spell("a.org"), 5, spell("b.org")),
        record(spell("b.org"), 5, spell("a.org")),
        record(spell("b.org"), 1, V4),
    )
    assert read(message) == Answer((labels("a.org"), labels("b.org")), ((V4, 300),))


def test_the_number_of_addresses_is_bounded() -> None:
    message = answer("a.org", *[record(TO_QUESTION, 1, V4)] * (MOST + 1))
    assert len(read(message).addresses) == MOST


@pytest.mark.parametrize(
    ("domain", "it_is"),
    [
        ("www.example.org", True),
        ("example.org", True),
        ("org", True),
        ("cdn.example.net", True),
        ("ww.example.org", False),
        ("a.www.example.org", False),
        ("xample.org", False),
    ],
)
def test_whose_domain_it_is(domain: str, it_is: bool) -> None:
    found = Answer((WWW, CDN), ())
    assert about(found, [labels("other.test"), labels(domain)]) is it_is
    assert not about(found, [])


def test_a_dot_in_a_label_is_no_border() -> None:
    message = answer("a.org").replace(spell("a.org"), b"\x09x.example\x03org\0")
    assert not about(read(message), [labels("example.org")])


@given(st.binary(max_size=300))
def test_only_malformed_is_raised(noise: bytes) -> None:
    with contextlib.suppress(Malformed):
        read(noise)


@given(st.data())
def test_only_malformed_is_raised_near_the_truth(data: st.DataObject) -> None:
    """An answer with a few bytes changed, and cut anywhere."""
    message = bytearray(
        answer(
            "www.example.org",
            record(TO_QUESTION, 5, b"\3cdn\xc0\x10"),
            record(b"\xc0\x2d", 1, V4),
            record(b"\xc0\x2d", 28, V6),
        )
    )
    for _ in range(data.draw(st.integers(0, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(message)))
    with contextlib.suppress(Malformed):
        found = read(bytes(message[:cut]))
        assert len(found.addresses) <= MOST
        assert all(len(address) in (4, 16) and 0 <= life <= LONGEST_LIFE for address, life in found.addresses)
        assert found.names
