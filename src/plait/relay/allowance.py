"""How fast a user may be: one allowance a direction, shared by all processes of an exit.

The virtual scheduling algorithm (ITU-T I.371, annex A): a cell of shared memory holds the moment until
which what was carried has used up the rate. Whoever has carried something moves it on; who finds it
further ahead than the burst waits.

TCP, which the workers carry, and datagrams and tunnel, which the courier carries, share a user's rate. A
second cell for each kind tells in the same way how far it has used up its half. Who is within his half may
go on until the first cell is two bursts ahead, everybody else until it is one ahead: so each kind gets half
of the rate when both want it, and what one leaves the other has. Both together never carry more in
t seconds than ``rate * (t + 2 * BURST)`` and the piece that is under way in each process.

Two processes that move a cell at the same instant may lose one step of some kilobytes; that is as exact as
anybody asks of such a limit.
"""

from __future__ import annotations

from enum import IntEnum

BURST = 0.1
"""Seconds of the rate that may be carried at once after a pause."""
_PAUSE = 0.0005
"""The shortest wait, in seconds: a timer that is due at once would be asked again and again, without any
time passing."""
CELL = 8
"""Bytes of a cell: a double, seconds of the monotonic clock that all processes share."""
CELLS = 6
"""Cells of a user: for each direction one for all that is carried, and one for each kind."""


class Kind(IntEnum):
    """Who carries."""

    STREAMS = 1
    """Workers: TCP."""
    DATAGRAMS = 2
    """The courier: datagrams and the tunnel."""


class Allowance:
    """One direction of one user, for one kind."""

    __slots__ = ("_all", "_memory", "_own", "rate")

    def __init__(self, memory: memoryview[float], first: int, rate: int, kind: Kind) -> None:
        """``memory`` holds doubles, this direction's from ``first`` on; ``rate`` is in bits a second."""
        self._memory = memory
        self._all = first
        self._own = first + kind
        self.rate = rate / 8
        """Bytes a second."""

    def wait(self, now: float) -> float:
        """Seconds until something may be carried; none when not positive."""
        memory = self._memory
        ahead = memory[self._all] - now - BURST
        if ahead <= 0:
            return ahead
        wait = min(ahead, max(memory[self._own] - now - BURST, ahead - BURST))
        return max(wait, _PAUSE) if wait > 0 else wait

    def spend(self, size: int, now: float) -> None:
        """So many bytes were carried."""
        memory, both, own = self._memory, self._all, self._own
        memory[both] = max(memory[both], now) + size / self.rate
        # What it had of the other's half while that was idle is not held against it for long.
        memory[own] = min(max(memory[own], now), now + BURST) + 2 * size / self.rate


def pair(memory: memoryview[float], first: int, rate: int, kind: Kind) -> tuple[Allowance, Allowance]:
    """Up and down, of the user whose cells begin at ``first``."""
    return Allowance(memory, first, rate, kind), Allowance(memory, first + CELLS // 2, rate, kind)
