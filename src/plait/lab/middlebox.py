"""What stands in a link and meddles: frames in, frames out. No clock, no socket: time comes in.

The things that providers, modems and firewalls do to a path, each switched on by a word of the drawing
or of the lab's shell (`bridge NAME strip=all`):

=================  ==================================================================================
``strip syn``      MPTCP's options are replaced by NOPs in SYNs and SYN-ACKs; ``synack`` in the latter
                   alone, ``data`` in all but these, ``all`` in every segment
``drop mptcp``     SYNs with an option of MPTCP vanish
``blackhole 1400`` packets larger than that vanish, and no ICMP tells (``1500/1400``: forth and back)
``forget 5s``      who was idle for so long is not known any more: what comes from the right, and TCP
                   without a SYN from the left, vanishes then (a NAT or a stateful firewall)
``block udp/8388`` so do datagrams from and to that port (or ``tcp/80``)
``hijack dns``     questions to any resolver, over UDP from left to right, are answered by the box
=================  ==================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from plait.lab.errors import LabError

STRIPS = ("no", "syn", "synack", "data", "all")
LIE = bytes((10, 66, 66, 66))
"""The address that a box which hijacks DNS gives for every name."""

_MPTCP, _NOP, _END = 30, 1, 0
_SYN, _ACK = 0x02, 0x10
_TCP, _UDP = 6, 17
_ETHERNET = 14
_DNS = 53


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """What a link does to what passes, beside what its shape does."""

    strip: str = "no"
    """Out of which segments MPTCP's options are taken: one of `STRIPS`."""
    drop: bool = False
    """Whether SYNs with an option of MPTCP vanish."""
    blackhole: int = 0
    """Largest packet (IP, in bytes) that passes; 0: any."""
    blackhole_back: int = -1
    """… from right to left, where that is another size; -1: the same."""
    forget: float = 0.0
    """Seconds without a packet after which a flow is forgotten; 0: never."""
    block: tuple[tuple[int, int], ...] = ()
    """IP protocol and port of what does not pass."""
    hijack: bool = False
    """Whether DNS questions are answered by the box."""


WORDS = ("strip", "drop", "blackhole", "forget", "block", "hijack")
"""The words of the drawing, each followed by a value."""


def setting(word: str, value: str) -> dict[str, object]:
    """One word and its value as fields of `Box`; ``no`` switches each of them off. Raises LabError."""
    match word, value:
        case "strip", _ if value in STRIPS:
            return {"strip": value}
        case "drop", "mptcp" | "no":
            return {"drop": value == "mptcp"}
        case "hijack", "dns" | "no":
            return {"hijack": value == "dns"}
        case "blackhole" | "forget", "no":
            return {word: 0} if word == "forget" else {"blackhole": 0, "blackhole_back": -1}
        case "block", "no":
            return {"block": ()}
        case "blackhole", _ if all(_is_size(each) for each in value.split("/", 1)):
            there, _, home = value.partition("/")
            return {"blackhole": int(there), "blackhole_back": int(home or -1)}
        case "forget", _ if value.removesuffix("s").replace(".", "", 1).isdigit():
            return {"forget": float(value.removesuffix("s"))}
        case "block", _:
            found = tuple(_blocked(each) for each in value.split(","))
            if all(found):
                return {"block": tuple(each for each in found if each)}
    raise LabError(
        f"a link can't {word} {value!r}",
        f"strip {'|'.join(STRIPS)}, drop mptcp, blackhole 1400, forget 5s, block udp/8388, hijack dns",
    )


def _is_size(text: str) -> bool:
    return text.isdigit() and 68 <= int(text) <= 65535


def _blocked(text: str) -> tuple[int, int] | None:
    protocol, _, port = text.partition("/")
    number = {"tcp": _TCP, "udp": _UDP}.get(protocol)
    return (number, int(port)) if number and port.isdigit() and 0 < int(port) < 65536 else None


class _Packet(NamedTuple):
    """Where things are in a frame that carries TCP or UDP."""

    protocol: int
    source: bytes
    target: bytes
    transport: int
    """Offset of the TCP or UDP header."""
    size: int
    """Of the IP packet."""

    def ports(self, frame: bytes) -> tuple[int, int]:
        at = self.transport
        return int.from_bytes(frame[at : at + 2], "big"), int.from_bytes(frame[at + 2 : at + 4], "big")


@dataclass(slots=True)
class Meddler:
    """A box at work. `take` gets the frames of one direction (0 forth, 1 back)."""

    box: Box = field(default_factory=Box)
    meddled: int = 0
    """Frames changed, dropped or answered."""
    _flows: dict[tuple[object, ...], float] = field(default_factory=dict)

    @property
    def idle(self) -> bool:
        """Whether everything passes as it is."""
        return self.box == _NOTHING

    def take(self, frames: list[bytes], direction: int, now: float) -> tuple[list[bytes], list[bytes]]:
        """What goes on of these frames, and what goes back to their sender."""
        on: list[bytes] = []
        back: list[bytes] = []
        for frame in frames:
            passed = self._pass(frame, direction, now, back)
            if passed is not frame:
                self.meddled += 1
            if passed is not None:
                on.append(passed)
        return on, back

    def _pass(self, frame: bytes, direction: int, now: float, back: list[bytes]) -> bytes | None:
        box = self.box
        packet = _dissect(frame)
        if packet is None:
            return frame
        most = box.blackhole if direction == 0 or box.blackhole_back < 0 else box.blackhole_back
        if most and packet.size > most:
            return None
        if packet.protocol not in (_TCP, _UDP) or len(frame) < packet.transport + 8:
            return frame
        ports = packet.ports(frame)
        if any(packet.protocol == protocol and port in ports for protocol, port in box.block):
            return None
        if box.hijack and packet.protocol == _UDP and direction == 0 and ports[1] == _DNS:
            back += _lie(frame, packet)
            return None
        syn = bool(packet.protocol == _TCP and frame[packet.transport + 13] & _SYN)
        if box.forget and not self._known(packet, ports, direction, syn, now):
            return None
        if packet.protocol == _TCP and (box.drop or box.strip != "no"):
            return self._options(frame, packet, syn)
        return frame

    def _known(self, packet: _Packet, ports: tuple[int, int], direction: int, syn: bool, now: float) -> bool:
        """Whether the flow is known, or may begin here."""
        near, far = (packet.source, ports[0]), (packet.target, ports[1])
        flow = (packet.protocol, near, far) if direction == 0 else (packet.protocol, far, near)
        heard = self._flows.get(flow)
        begins = direction == 0 and (syn or packet.protocol == _UDP)
        if not begins and (heard is None or now - heard > self.box.forget):
            self._flows.pop(flow, None)
            return False
        self._flows[flow] = now
        return True

    def _options(self, frame: bytes, packet: _Packet, syn: bool) -> bytes | None:
        strip = self.box.strip
        places = list(_mptcp_options(frame, packet.transport))
        if not places:
            return frame
        if self.box.drop and syn:
            return None
        answer = syn and bool(frame[packet.transport + 13] & _ACK)
        if strip == "all" or (syn and strip == "syn") or (answer and strip == "synack"):
            return _without(frame, packet.transport, places)
        if strip == "data" and not syn:
            return _without(frame, packet.transport, places)
        return frame


_NOTHING = Box()


def _dissect(frame: bytes) -> _Packet | None:
    """An IPv4 or IPv6 packet; None for any other frame. Extension headers and fragments count as data."""
    kind = frame[12:14]
    if kind == b"\x08\x00" and len(frame) >= _ETHERNET + 20:
        header = (frame[14] & 0x0F) * 4
        later = int.from_bytes(frame[20:22], "big") & 0x1FFF
        size = int.from_bytes(frame[16:18], "big")
        protocol = frame[23] if not later else 0
        return _Packet(protocol, frame[26:30], frame[30:34], _ETHERNET + header, size)
    if kind == b"\x86\xdd" and len(frame) >= _ETHERNET + 40:
        size = 40 + int.from_bytes(frame[18:20], "big")
        return _Packet(frame[20], frame[22:38], frame[38:54], _ETHERNET + 40, size)
    return None


def _mptcp_options(frame: bytes, transport: int) -> Iterator[tuple[int, int]]:
    """Offset and length of each option of MPTCP (RFC 8684, 3) in a TCP header."""
    at = transport + 20
    end = min(transport + (frame[transport + 12] >> 4) * 4, len(frame))
    while at < end and frame[at] != _END:
        if frame[at] == _NOP:
            at += 1
            continue
        length = frame[at + 1] if at + 1 < end else 0
        if length < 2 or at + length > end:
            return
        if frame[at] == _MPTCP:
            yield at, length
        at += length


def _without(frame: bytes, transport: int, places: list[tuple[int, int]]) -> bytes:
    """The frame with NOPs in these places, and a TCP checksum that is right (RFC 1624)."""
    changed = bytearray(frame)
    for at, length in places:
        changed[at : at + length] = bytes((_NOP,)) * length
    begin, end = transport + 20, transport + (frame[transport + 12] >> 4) * 4
    checksum = int.from_bytes(frame[transport + 16 : transport + 18], "big")
    total = (~checksum & 0xFFFF) + _sum(changed[begin:end]) - _sum(frame[begin:end])
    changed[transport + 16 : transport + 18] = (~_folded(total) & 0xFFFF).to_bytes(2, "big")
    return bytes(changed)


def _sum(data: bytes | bytearray) -> int:
    padded = bytes(data) + bytes(len(data) & 1)
    return sum(int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2))


def _folded(total: int) -> int:
    """A sum as ones' complement has it in 16 bits; Python's % also brings negative ones home."""
    return total % 0xFFFF


def _lie(frame: bytes, packet: _Packet) -> list[bytes]:
    """The answer to a DNS question of one name, IPv4 only: the address of `LIE`."""
    query = frame[packet.transport + 8 :]
    if frame[12:14] != b"\x08\x00" or len(query) < 17 or query[2] & 0x80:
        return []
    end = query.find(0, 12) + 5
    question = query[12:end]
    record = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" + LIE
    answer = query[:2] + b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00" + question + record
    ports = (
        frame[packet.transport + 2 : packet.transport + 4] + frame[packet.transport : packet.transport + 2]
    )
    # A checksum of zero says that there is none (RFC 768).
    datagram = ports + (8 + len(answer)).to_bytes(2, "big") + b"\0\0" + answer
    head = bytearray(b"\x45\0" + (20 + len(datagram)).to_bytes(2, "big") + b"\0\0\0\0\x40\x11\0\0")
    head += packet.target + packet.source
    head[10:12] = (~_folded(_sum(head)) & 0xFFFF).to_bytes(2, "big")
    return [frame[6:12] + frame[0:6] + b"\x08\x00" + bytes(head) + datagram]
