"""A drawing of a network in text, which is also its declaration.

One line a link, one or two ends and what is between them::

    laptop:eth0 192.168.78.100/24 via 192.168.78.1 -- gateway:lan 192.168.78.1/24
    gateway:wan1 dhcp == bridge1 20mbit 3ms queue 100ms == exit:wan1 10.1.1.70/24
    gateway:wan2 dhcp == bridge2 20/5mbit 5ms loss 1% == exit:wan2 10.2.2.70/24
    client:eth0 10.0.0.1/24 -- 40gbit -- server:eth0 10.0.0.2/24

``--`` is a veth pair, with a rate if one is written (made by tbf at both ends); ``==`` is an
emulated bridge, which has a name. ``20/5mbit`` means 20 from left to right and 5 back; so do
``3/9ms`` and the others. An end has a node, an interface, addresses or ``dhcp``, and perhaps
``via`` a default gateway. A line that starts with ``#`` is a remark. The full list of a bridge's
words: RATE (``20mbit``), DELAY (``3ms``), ``jitter 1ms``, ``loss 1%``, ``reorder 1%``,
``queue 100ms``, ``seed 7``, ``mtu 1400``, and those of `plait.lab.middlebox`: ``strip all``,
``drop mptcp``, ``blackhole 1400``, ``forget 5s``, ``block udp/8388``, ``hijack dns``.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field

from plait.lab import middlebox
from plait.lab.errors import LabError
from plait.lab.middlebox import Box

_UNITS = {"kbit": 1e3, "mbit": 1e6, "gbit": 1e9}
_LINE = re.compile(r"^(?P<left>.+?)\s+(?P<mark>--|==)(?:\s+(?P<middle>.+?)\s+(?P=mark))?\s+(?P<right>.+)$")


class DrawingError(LabError):
    """A line that can't be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One end of a link: an interface of a node."""

    node: str
    interface: str
    addresses: tuple[str, ...] = ()
    """With prefix length, either family."""
    dhcp: bool = False
    via: tuple[str, ...] = ()
    """Default gateways, at most one a family."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How one direction of a bridge treats frames."""

    rate: float = 0.0
    """Bit/s of Ethernet frames; 0 means unlimited."""
    delay: float = 0.0
    """Seconds, one way."""
    jitter: float = 0.0
    """Seconds; each frame waits up to so much longer."""
    loss: float = 0.0
    """Share of frames that vanish, 0 to 1."""
    reorder: float = 0.0
    """Share of frames that may overtake others, 0 to 1 (needs jitter)."""
    queue: float = 0.1
    """Seconds; a frame that would have to wait longer for its turn is dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """A link: veth pair (``bridge`` is false) or emulated bridge."""

    name: str
    left: End
    right: End
    bridge: bool
    forth: Shape = field(default_factory=Shape)
    """From left to right."""
    back: Shape = field(default_factory=Shape)
    seed: int = 1
    mtu: int = 1500
    box: Box = field(default_factory=Box)
    """What stands in an emulated bridge and meddles."""


def parse(drawing: str) -> list[Wire]:
    """All links of a drawing, in order."""
    wires: list[Wire] = []
    for line in drawing.splitlines():
        text = line.strip()
        if text and not text.startswith("#"):
            wires.append(_wire(text, len(wires)))
    return wires


def nodes(wires: list[Wire]) -> list[str]:
    """The nodes of a drawing in order of appearance."""
    return list(dict.fromkeys(end.node for wire in wires for end in (wire.left, wire.right)))


def _wire(line: str, index: int) -> Wire:
    match = _LINE.match(line)
    if match is None:
        raise DrawingError(f"not a link: {line!r}", "END -- END, END -- RATE -- END or END == NAME … == END")
    bridge = match["mark"] == "=="
    words = (match["middle"] or "").split()
    name = f"veth{index}"
    if bridge:
        if not words:
            raise DrawingError(f"a bridge needs a name: {line!r}")
        name = words.pop(0)
    box = _box(words, line)
    if box != Box() and not bridge:
        raise DrawingError(f"only an emulated bridge meddles, not a veth pair: {line!r}", "== NAME … ==")
    forth, back, seed, mtu = _shapes(words, line)
    left, right = _end(match["left"], line), _end(match["right"], line)
    return Wire(
        name=name, left=left, right=right, bridge=bridge, forth=forth, back=back, seed=seed, mtu=mtu, box=box
    )


def _box(words: list[str], line: str) -> Box:
    """Take the words of a middlebox out of a bridge's."""
    settings: dict[str, object] = {}
    for at in reversed(range(len(words))):
        if words[at] in middlebox.WORDS:
            if at + 1 == len(words):
                raise DrawingError(f"{words[at]!r} lacks its value: {line!r}")
            settings |= middlebox.setting(words[at], words[at + 1])
            del words[at : at + 2]
    return Box(**settings)  # type: ignore[arg-type]


def _end(text: str, line: str) -> End:
    words = text.split()
    node, colon, interface = words.pop(0).partition(":")
    if not (node and colon and interface):
        raise DrawingError(f"an end begins with NODE:INTERFACE, not {text!r}: {line!r}")
    addresses: list[str] = []
    via: list[str] = []
    dhcp = False
    while words:
        word = words.pop(0)
        try:
            if word == "dhcp":
                dhcp = True
            elif word == "via" and words:
                via.append(str(ipaddress.ip_address(words.pop(0))))
            else:
                ipaddress.ip_interface(word)
                addresses.append(word)
        except ValueError:
            raise DrawingError(f"not an address: {word!r} in {line!r}") from None
    return End(node=node, interface=interface, addresses=tuple(addresses), dhcp=dhcp, via=tuple(via))


def _shapes(words: list[str], line: str) -> tuple[Shape, Shape, int, int]:
    forth: dict[str, float] = {}
    back: dict[str, float] = {}
    seed, mtu = 1, 1500
    while words:
        word = words.pop(0)
        key = ""
        if word in ("jitter", "loss", "reorder", "queue", "seed", "mtu"):
            if not words:
                raise DrawingError(f"{word!r} lacks its value: {line!r}")
            key, word = word, words.pop(0)
        if key in ("seed", "mtu"):
            if not word.isdigit():
                raise DrawingError(f"{key} is a whole number, not {word!r}: {line!r}")
            seed, mtu = (int(word), mtu) if key == "seed" else (seed, int(word))
            continue
        unit, there, home = quantity(word)
        key = key or {"bit": "rate", "s": "delay"}.get(unit, "")
        if unit != {"rate": "bit", "loss": "%", "reorder": "%"}.get(key, "s"):
            raise DrawingError(f"can't read {word!r} in {line!r}")
        forth[key], back[key] = there, home
    return Shape(**forth), Shape(**back), seed, mtu


def quantity(word: str) -> tuple[str, float, float]:
    """Read ``20mbit``, ``20/5mbit``, ``3ms`` or ``1%``: kind (bit, s, %), forth, back in SI units."""
    match = re.fullmatch(r"([0-9.]+)(?:/([0-9.]+))?(kbit|mbit|gbit|us|ms|s|%)", word)
    if match is None:
        raise DrawingError(f"not a quantity: {word!r}", "20mbit, 20/5mbit, 3ms, 1%")
    unit = match[3]
    factor = {**_UNITS, "us": 1e-6, "ms": 1e-3, "s": 1.0, "%": 0.01}[unit]
    kind = "bit" if unit in _UNITS else "%" if unit == "%" else "s"
    forth = float(match[1]) * factor
    return kind, forth, float(match[2]) * factor if match[2] else forth
