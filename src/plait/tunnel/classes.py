"""How a flow is treated when nobody has said so.

Who sends a little and steadily wants it to arrive soon, whatever happens to one path: voice,
games, names, the keys of a terminal. Two copies of it cost little. Who sends much wants all
paths at once. What tells them apart is not a port but how much was sent lately: a bucket holds
32 KiB and leaks 256 kbit/s, and a flow is *thin* until it overflows. A voice call never does, a
download does within its first round trips. A flow is thin again when its bucket has been nearly
empty for a while.

    protocol                          thin                       thick
    TCP                               in order, two copies       in order
    UDP that looks like QUIC          redundant                  in order
    other UDP                         redundant                  striped, loose
    all else (ICMP, ESP, GRE, ...)    redundant                  striped, loose

TCP is always in order, since three overtaking segments look like a loss to it (RFC 5681), and a
thick flow on a port of QUIC is, since QUIC takes the same three (RFC 9002, section 6.1.1). A
second copy in order is only made where nothing waits to be sent.
"""

from __future__ import annotations

from enum import Enum

from plait.tunnel.frames import Treatment

BUCKET = 32 * 1024
"""Bytes that a thin flow may send at once."""
LEAK = 32_000.0
"""Bytes/s that it may send all the time."""
ALMOST_EMPTY = BUCKET // 8
CALM = 2.0
"""Seconds of an almost empty bucket that make a thick flow thin."""
QUIC_PORTS = frozenset((80, 443, 784, 853, 4433, 8443, 8853))
"""HTTP/3 and DNS over QUIC, and their usual stand-ins."""
_TCP, _UDP = 6, 17


class Wish(Enum):
    """What a rule may say about a flow."""

    AUTO = "auto"
    BOND = "bond"
    """Over all paths, in whatever order it arrives."""
    ORDERED = "ordered"
    REDUNDANT = "redundant"
    """Two copies of everything."""
    FAILOVER = "failover"
    """On the best path only."""


class Temper:
    """What a flow is like by what it has sent: thin or thick."""

    __slots__ = ("_at", "_calm_since", "_level", "thin")

    def __init__(self, now: float) -> None:
        self.thin = True
        self._level = 0.0
        self._at = now
        self._calm_since = now

    def sent(self, size: int, now: float) -> bool:
        """``size`` bytes more; gives whether the flow is thin."""
        if not self.thin:
            if self._level > ALMOST_EMPTY:
                self._calm_since = self._at + (self._level - ALMOST_EMPTY) / LEAK
            self.thin = now - self._calm_since >= CALM
        level = max(0.0, self._level - (now - self._at) * LEAK) + size
        self._at = now
        if level > BUCKET:
            level = BUCKET
            self.thin = False
        self._level = level
        return self.thin


def protocol(key: bytes) -> int:
    """A flow's key begins with the inner packet's protocol number."""
    return key[0]


def keeps_order(key: bytes) -> bool:
    """Whether a thick flow has to be kept in order. The key ends with its ports, two bytes each."""
    if key[0] == _TCP:
        return True
    ports = {int.from_bytes(key[-4:-2], "big"), int.from_bytes(key[-2:], "big")}
    return key[0] == _UDP and not ports.isdisjoint(QUIC_PORTS)


def treatment(key: bytes, wish: Wish, thin: bool) -> tuple[Treatment, bool]:
    """How the far end treats a flow's datagrams, and whether they go out twice."""
    match wish:
        case Wish.AUTO:
            if key[0] == _TCP:
                return Treatment.ORDERED, thin
            if thin:
                return Treatment.REDUNDANT, True
            return (Treatment.ORDERED if keeps_order(key) else Treatment.LOOSE), False
        case Wish.ORDERED:
            return Treatment.ORDERED, False
        case Wish.REDUNDANT:
            return (Treatment.ORDERED if key[0] == _TCP else Treatment.REDUNDANT), True
        case Wish.BOND | Wish.FAILOVER:
            return Treatment.LOOSE, False
