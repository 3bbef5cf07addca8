"""The box that meddles with a link, on frames made by hand."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from plait.lab.drawing import DrawingError, parse
from plait.lab.errors import LabError
from plait.lab.middlebox import LIE, Box, Meddler, setting

SYN, SYN_ACK, ACK = 0x02, 0x12, 0x10
CAPABLE = bytes((30, 4, 0x01, 0x01))
DSS = bytes((30, 8, 0x20, 0x01, 1, 2, 3, 4))
MSS = bytes((2, 4, 5, 180))


def checksum(data: bytes) -> int:
    padded = data + bytes(len(data) & 1)
    total = sum(int.from_bytes(padded[at : at + 2]) for at in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tcp(
    flags: int,
    options: bytes = b"",
    payload: bytes = b"",
    *,
    source: str = "10.0.0.1",
    target: str = "10.0.0.2",
    ports: tuple[int, int] = (40000, 8388),
) -> bytes:
    options += b"\x01" * (-len(options) % 4)
    head = b"".join(port.to_bytes(2) for port in ports) + bytes(8)
    head += bytes(((20 + len(options)) // 4 << 4, flags)) + b"\xff\xff\0\0\0\0" + options
    return ip(6, head + payload, source, target)


def udp(payload: bytes, ports: tuple[int, int], source: str = "10.0.0.1", target: str = "10.0.0.2") -> bytes:
    head = b"".join(port.to_bytes(2) for port in ports) + (8 + len(payload)).to_bytes(2) + b"\0\0"
    return ip(17, head + payload, source, target)


def ip(protocol: int, body: bytes, source: str, target: str) -> bytes:
    addresses = ip_address(source).packed + ip_address(target).packed
    pseudo = addresses + len(body).to_bytes(4) + protocol.to_bytes(4)
    at = 16 if protocol == 6 else 6
    body = body[:at] + checksum(pseudo + body).to_bytes(2) + body[at + 2 :]
    macs = bytes(range(12))
    if ":" in source:
        return macs + b"\x86\xdd\x60\0\0\0" + len(body).to_bytes(2) + bytes((protocol, 64)) + addresses + body
    head = b"\x45\0" + (20 + len(body)).to_bytes(2) + b"\0\0\x40\0\x40" + bytes((protocol,)) + b"\0\0"
    return macs + b"\x08\0" + head + addresses + body


def whole(frame: bytes) -> bool:
    """Whether a frame's TCP checksum is right."""
    at, addresses = (54, frame[22:54]) if frame[12:14] == b"\x86\xdd" else (34, frame[26:34])
    body = frame[at:]
    return checksum(addresses + len(body).to_bytes(4) + (6).to_bytes(4) + body) == 0


def through(box: Box, frame: bytes, direction: int = 0) -> list[bytes]:
    return Meddler(box).take([frame], direction, 0.0)[0]


V6 = {"source": "fd00::1", "target": "fd00::2"}


@pytest.mark.parametrize("family", [{}, V6], ids=["4", "6"])
@pytest.mark.parametrize(
    ("strip", "flags", "stripped"),
    [
        ("syn", SYN, True),
        ("syn", SYN_ACK, True),
        ("syn", ACK, False),
        ("synack", SYN, False),
        ("synack", SYN_ACK, True),
        ("data", SYN, False),
        ("data", ACK, True),
        ("all", SYN, True),
        ("all", ACK, True),
        ("no", SYN, False),
    ],
)
def test_options_become_nops_and_the_checksum_stays_right(
    family: dict[str, str], strip: str, flags: int, stripped: bool
) -> None:
    frame = tcp(flags, MSS + CAPABLE + DSS, b"odd", **family)  # type: ignore[arg-type]
    assert whole(frame)
    (passed,) = through(Box(strip=strip), frame)
    assert len(passed) == len(frame)
    assert whole(passed)
    assert MSS in passed, "other options stay"
    assert (CAPABLE in passed, DSS in passed) == (not stripped, not stripped)
    assert passed[-3:] == b"odd"


def test_an_option_at_an_odd_place() -> None:
    frame = tcp(SYN, b"\x01" + CAPABLE + b"\x01\x01\x01")
    (passed,) = through(Box(strip="all"), frame)
    assert whole(passed)
    assert passed[54:62] == b"\x01" * 8


@pytest.mark.parametrize("options", [bytes((30, 0, 0, 0)), bytes((30, 40, 0, 0)), bytes((1, 1, 1, 30))])
def test_broken_options_are_left_alone(options: bytes) -> None:
    frame = tcp(SYN, options)
    assert through(Box(strip="all"), frame) == [frame]


def test_syns_with_the_option_can_vanish_and_others_pass() -> None:
    box = Box(drop=True)
    assert through(box, tcp(SYN, CAPABLE)) == []
    assert through(box, tcp(SYN, MSS)) != []
    assert through(box, tcp(ACK, DSS)) != []


def test_large_packets_vanish() -> None:
    fits, large = tcp(ACK, b"", bytes(1360)), tcp(ACK, b"", bytes(1361))
    for direction in (0, 1):
        assert Meddler(Box(blackhole=1400)).take([fits, large], direction, 0.0) == ([fits], [])
    meddler = Meddler(Box(blackhole=1500, blackhole_back=1400))
    assert meddler.take([fits, large], 0, 0.0) == ([fits, large], [])
    assert meddler.take([fits, large], 1, 0.0) == ([fits], [])


def test_an_idle_flow_is_forgotten() -> None:
    meddler = Meddler(Box(forget=5.0))
    there, home = tcp(ACK), tcp(ACK, source="10.0.0.2", target="10.0.0.1", ports=(8388, 40000))

    def passes(frame: bytes, direction: int, now: float) -> bool:
        return bool(meddler.take([frame], direction, now)[0])

    assert not passes(there, 0, 0.0), "nobody has begun it"
    assert not passes(home, 1, 0.0)
    assert passes(tcp(SYN), 0, 1.0)
    assert passes(home, 1, 2.0)
    assert passes(there, 0, 6.9)
    assert not passes(there, 0, 12.0)
    assert not passes(home, 1, 12.1)
    assert passes(udp(b"x", (7, 8)), 0, 13.0), "a datagram from inside begins anew"
    assert meddler.meddled == 4


def test_ports_are_blocked_in_either_direction() -> None:
    box = Box(block=((17, 8388), (6, 80)))
    assert through(box, udp(b"x", (8388, 5000)), 1) == []
    assert through(box, udp(b"x", (5000, 8388))) == []
    assert through(box, tcp(SYN, ports=(5000, 80))) == []
    assert through(box, tcp(SYN)) != []


def test_dns_is_answered_by_the_box() -> None:
    question = b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0" + b"\x05plait\x07example\0" + b"\0\x01\0\x01"
    on, back = Meddler(Box(hijack=True)).take([udp(question, (5000, 53), target="192.0.2.53")], 0, 0.0)
    assert on == []
    (answer,) = back
    assert answer[26:30] == socket.inet_aton("192.0.2.53")
    assert checksum(answer[14:34]) == 0
    assert answer[42:44] == b"\x12\x34"
    assert answer[-4:] == LIE


def test_what_is_neither_tcp_nor_udp_passes() -> None:
    arp = bytes(12) + b"\x08\x06" + bytes(28)
    box = Box(strip="all", drop=True, forget=1.0, block=((17, 1),), hijack=True)
    assert through(box, arp) == [arp]
    icmp = ip(1, bytes(8), "10.0.0.1", "10.0.0.2")
    assert through(box, icmp) == [icmp]
    assert through(box, b"short") == [b"short"]


@pytest.mark.parametrize(
    ("word", "value", "fields"),
    [
        ("strip", "synack", {"strip": "synack"}),
        ("drop", "mptcp", {"drop": True}),
        ("blackhole", "1280", {"blackhole": 1280, "blackhole_back": -1}),
        ("blackhole", "1500/1280", {"blackhole": 1500, "blackhole_back": 1280}),
        ("forget", "2.5s", {"forget": 2.5}),
        ("block", "udp/8388,tcp/80", {"block": ((17, 8388), (6, 80))}),
        ("hijack", "dns", {"hijack": True}),
        ("block", "no", {"block": ()}),
        ("blackhole", "no", {"blackhole": 0, "blackhole_back": -1}),
        ("forget", "no", {"forget": 0}),
        ("hijack", "no", {"hijack": False}),
    ],
)
def test_words(word: str, value: str, fields: dict[str, object]) -> None:
    assert setting(word, value) == fields


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("strip", "some"),
        ("drop", "all"),
        ("blackhole", "20"),
        ("blackhole", "1400/no"),
        ("forget", "soon"),
        ("block", "udp/0"),
    ],
)
def test_wrong_words(word: str, value: str) -> None:
    with pytest.raises(LabError, match="a link can't"):
        setting(word, value)


def test_drawn() -> None:
    (wire,) = parse("a:eth0 == air 20mbit strip all 3ms block udp/8388 blackhole 1400 == b:eth0")
    assert wire.box == Box(strip="all", block=((17, 8388),), blackhole=1400)
    assert wire.forth.rate == 20e6
    for line in ("a:eth0 -- strip all -- b:eth0", "a:eth0 == air strip == b:eth0"):
        with pytest.raises(DrawingError):
            parse(line)
