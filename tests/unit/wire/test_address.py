"""Addresses in the SOCKS5 form."""

from __future__ import annotations

import string
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire.address import MAX_ENCODED, Target, decode, encode, encode_packed
from plait.wire.faults import Malformed

FORMS = [
    # host, port, encoded
    (IPv4Address("192.0.2.1"), 80, "01 c0000201 0050"),
    (IPv6Address("2001:db8::1"), 65535, "04 20010db8000000000000000000000001 ffff"),
    ("example.org", 443, "03 0b 6578616d706c652e6f7267 01bb"),
    ("a", 1, "03 01 61 0001"),
    ("my_host.local.", 22, "03 0e 6d795f686f73742e6c6f63616c2e 0016"),
    ("r3---sn-.example", 22, "03 10 72332d2d2d736e2d2e6578616d706c65 0016"),
    ("3com.com", 22, "03 08 33636f6d2e636f6d 0016"),
]


@pytest.mark.parametrize(("host", "port", "encoded"), FORMS)
def test_forms(host: IPv4Address | IPv6Address | str, port: int, encoded: str) -> None:
    raw = bytes.fromhex(encoded)
    assert encode(Target(host, port)) == raw
    for view in (raw, bytearray(raw), memoryview(raw), raw + b"payload"):
        assert decode(view) == (Target(host, port), len(raw))


@pytest.mark.parametrize(("host", "port", "encoded"), FORMS)
def test_every_beginning_needs_more(host: object, port: int, encoded: str) -> None:
    raw = bytes.fromhex(encoded)
    assert [decode(raw[:end]) for end in range(len(raw))] == [None] * len(raw)


def name(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return bytes([3, len(raw)]) + raw + b"\x00\x50"


@pytest.mark.parametrize(
    ("spelt", "meant"),
    [
        (name("192.0.2.1"), "192.0.2.1"),
        (name("2001:DB8::1"), "2001:db8::1"),
        (name("::ffff:127.0.0.1"), "127.0.0.1"),
        (b"\x04" + IPv6Address("::ffff:10.0.0.1").packed + b"\x00\x50", "10.0.0.1"),
    ],
)
def test_another_spelling_is_the_same_address(spelt: bytes, meant: str) -> None:
    """Or what may not be dialled could be dialled by another name."""
    found = decode(spelt)
    assert found == (Target(ip_address(meant), 80), len(spelt))
    assert encode(found[0]) == encode(Target(ip_address(meant), 80))


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00",
        b"\x02",
        b"\x11\x7f\x00\x00\x01\x00\x50",  # the one-time authentication flag of old
        b"\xff",
        b"\x03\x00",
        b"\x01\x7f\x00\x00\x01\x00\x00",
        name("a")[:-2] + bytes(2),
        name("ex ample"),
        name("example.org\x00"),
        name("example.org\n"),
        name("\x00"),
        name("a..b"),
        name(".a"),
        name("."),
        name("a" * 64),
        name(".".join(["a" * 49] * 5) + ".abcde"),  # 255 bytes; a name has at most 253 (RFC 1035, 2.3.4)
        name("käse"),
        name(b"\xff\xfe"),
        name("[::1]"),
        name("fe80::1%eth0"),
        name("a:b"),
        name("127.1"),
        name("2130706433"),
        name("0x7f000001"),
        name("0x7f.1"),
        name("127.0.0.1."),
        name("127.0.0.256"),
        name("0177.0.0.1"),
        name("example.0x"),
        name("-" * 255),
    ],
    ids=repr,
)
def test_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        decode(raw)


@pytest.mark.parametrize(
    "target",
    [
        Target(IPv4Address("192.0.2.1"), 0),
        Target(IPv4Address("192.0.2.1"), 65536),
        Target("example.org", -1),
        Target("", 80),
        Target("a" * 300, 80),
        Target("käse", 80),
        Target("2130706433", 80),
    ],
    ids=str,
)
def test_what_cannot_be_said(target: Target) -> None:
    with pytest.raises(Malformed):
        encode(target)


@given(st.ip_addresses(), st.integers(1, 65535))
def test_addresses_come_back(ip: IPv4Address | IPv6Address, port: int) -> None:
    host = getattr(ip, "ipv4_mapped", None) or ip
    raw = encode(Target(ip, port))
    assert decode(raw) == (Target(host, port), len(raw))
    assert encode_packed(ip.packed, port) == raw


@given(
    st.lists(
        st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=40), min_size=1, max_size=5
    ),
    st.sampled_from(["org", "lan", "xn--p1ai", "org."]),
    st.integers(1, 65535),
)
def test_names_come_back(labels: list[str], top: str, port: int) -> None:
    host = ".".join([*labels, top])
    raw = encode(Target(host, port))
    assert len(raw) <= MAX_ENCODED
    assert decode(raw) == (Target(host, port), len(raw))


@given(st.binary(max_size=300))
def test_noise_raises_only_malformed(noise: bytes) -> None:
    try:
        found = decode(noise)
    except Malformed:
        return
    if found is None:
        assert len(noise) < MAX_ENCODED
    else:
        assert decode(encode(found[0])) == (found[0], len(encode(found[0])))


@given(st.sampled_from([1, 3, 4]), st.binary(min_size=MAX_ENCODED, max_size=MAX_ENCODED + 40))
def test_enough_bytes_always_decide(kind: int, noise: bytes) -> None:
    """So an accepted connection never makes an exit hold more than the longest address."""
    try:
        found = decode(bytes([kind]) + noise)
    except Malformed:
        return
    assert found is not None
    assert found[1] <= MAX_ENCODED


def test_a_mapped_address_is_packed_as_what_it_maps() -> None:
    v4 = encode_packed(bytes([192, 0, 2, 1]), 80)
    assert encode_packed(IPv6Address("::ffff:192.0.2.1").packed, 80) == v4


@pytest.mark.parametrize("packed", [b"", b"abc", b"abcde", bytes(17)])
def test_packed_that_is_none(packed: bytes) -> None:
    with pytest.raises(Malformed):
        encode_packed(packed, 80)


def test_targets_read_like_addresses() -> None:
    assert str(Target(IPv6Address("::1"), 80)) == "[::1]:80"
    assert str(Target(IPv4Address("192.0.2.1"), 80)) == "192.0.2.1:80"
    assert str(Target("example.org", 80)) == "example.org:80"
