"""How fast a user may be: one allowance a direction, shared by all workers of an exit.

The virtual scheduling algorithm (ITU-T I.371, annex A): a cell of shared memory holds the moment until
which what was carried has used up the rate. Whoever has carried something moves it on; who finds it
further ahead than the burst waits, and reads nothing meanwhile, so that nothing is ever dropped.

Two workers that move it at the same instant may lose one step of some kilobytes; that is as exact as
anybody asks of such a limit.
"""

from __future__ import annotations

from plait.relay.legs import OpenLeg, SealLeg

BURST = 0.1
"""Seconds of the rate that may be carried at once after a pause."""
CELL = 8
"""Bytes of a cell: a double, seconds of the monotonic clock that all workers share."""
_TURN = 8
"""Reads in one turn of a leg."""
_SIZES = (16384, 32768, 65536, 131072, 262144)


class Allowance:
    """One direction of one user."""

    __slots__ = ("_cell", "_memory", "_rate", "grade")

    def __init__(self, memory: memoryview[float], cell: int, rate: int) -> None:
        """``memory`` holds doubles; ``rate`` is in bits a second."""
        self._memory = memory
        self._cell = cell
        self._rate = rate / 8
        fits = (grade for grade, size in enumerate(_SIZES) if _TURN * size <= BURST * self._rate)
        self.grade = max(fits, default=0)
        """How much may be read at once, so that a turn is not much more than the burst."""

    def wait(self, now: float) -> float:
        """Seconds until something may be carried; none when not positive."""
        return self._memory[self._cell] - BURST - now

    def spend(self, size: int, now: float) -> None:
        """So many bytes were carried."""
        memory, cell = self._memory, self._cell
        memory[cell] = max(memory[cell], now) + size / self._rate


class LimitedOpenLeg(OpenLeg):
    """From a gateway to a target, at a user's rate."""

    __slots__ = ("allowance",)
    allowance: Allowance

    def run(self) -> None:
        """Move what the allowance lets."""
        if not _held(self, self.allowance):
            before = self.count
            super().run()
            self.allowance.spend(self.count - before, self.session.pump.loop.now)

    def room(self) -> memoryview:
        self.grade = min(self.grade, self.allowance.grade)
        return super().room()


class LimitedSealLeg(SealLeg):
    """From a target to a gateway, at a user's rate."""

    __slots__ = ("allowance",)
    allowance: Allowance

    def run(self) -> None:
        """Move what the allowance lets."""
        if not _held(self, self.allowance):
            before = self.count
            super().run()
            self.allowance.spend(self.count - before, self.session.pump.loop.now)

    def room(self) -> memoryview:
        self.grade = min(self.grade, self.allowance.grade)
        return super().room()


def _held(leg: OpenLeg | SealLeg, allowance: Allowance) -> bool:
    """Whether it has to wait; then its turn is arranged."""
    loop = leg.session.pump.loop
    wait = allowance.wait(loop.now)
    if wait <= 0:
        return False
    leg.queued = True
    loop.after(wait, leg.turn)
    return True
