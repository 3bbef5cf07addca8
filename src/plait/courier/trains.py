"""Rough capacity from the spread of a few datagrams that were sent back to back. No clock in it.

What a path's slowest link lets through one after the other arrives that far apart (packet dispersion;
Dovrolis, Ramanathan and Moore, "Packet-Dispersion Techniques", 2004). A shaper that lets bursts pass
makes it look faster than it is; so it is a hint for who has nothing better.
"""

from __future__ import annotations

from dataclasses import dataclass

COUNT = 8
"""Datagrams of a train."""
SIZE = 1200
"""Bytes of each as UDP payload: fits everywhere (RFC 9000, section 14)."""
PATIENCE = 0.5
"""Seconds after its first datagram that a train is waited for."""
_FASTEST = 100_000_000_000


@dataclass(slots=True)
class Arriving:
    """A train on its way in."""

    number: int
    count: int
    """Datagrams that were sent."""
    first: int
    """When the first came, in nanoseconds of some clock."""
    last: int
    arrived: int = 1
    bytes: int = 0
    """Bytes on the wire of those after the first."""
    size: int = 0
    """Bytes on the wire of all that came."""

    @property
    def complete(self) -> bool:
        """All are there."""
        return self.arrived >= self.count

    def add(self, at: int, size: int) -> None:
        """One more."""
        self.arrived += 1
        self.last = max(self.last, at)
        self.bytes += size
        self.size += size

    @property
    def spread(self) -> int:
        """µs between first and last."""
        return max(0, self.last - self.first) // 1000


def rate(count: int, spread: int, size: int) -> int | None:
    """Bits a second of ``size`` bytes in ``spread`` µs; None when fewer than three datagrams came."""
    if count < 3:
        return None
    return min(_FASTEST, size * 8_000_000 // max(spread, 1))
