"""Legs that go at a user's rate: who finds the allowance used up reads nothing meanwhile, so that nothing
is ever dropped."""

from __future__ import annotations

from plait.relay.allowance import BURST, Allowance
from plait.relay.legs import SIZES, TURN, Leg, OpenLeg, SealLeg


class Limit:
    """An allowance, and how much may be read at once so that a turn is not much more than the burst."""

    __slots__ = ("allowance", "grade", "turns")

    def __init__(self, allowance: Allowance) -> None:
        self.allowance = allowance
        burst = BURST * allowance.rate
        self.grade = max((grade for grade, size in enumerate(SIZES) if TURN * size <= burst), default=0)
        """Index of the read's size."""
        self.turns = max(1, min(TURN, int(burst / SIZES[self.grade])))
        """Reads in one turn."""


class _Limited(Leg):
    """What both kinds have in common."""

    __slots__ = ()
    limit: Limit

    def run(self) -> None:
        """Move what the allowance lets."""
        loop, allowance = self.session.pump.loop, self.limit.allowance
        wait = allowance.wait(loop.now)
        if wait > 0:
            self.queued = True
            loop.after(wait, self.turn)
            return
        before = self.count
        super().run()
        allowance.spend(self.count - before, loop.now)

    def room(self) -> memoryview:
        self.grade = min(self.grade, self.limit.grade)
        return super().room()

    @property
    def turns(self) -> int:
        return self.limit.turns


class LimitedOpenLeg(_Limited, OpenLeg):
    """From a gateway to a target, at a user's rate."""

    __slots__ = ("limit",)


class LimitedSealLeg(_Limited, SealLeg):
    """From a target to a gateway, at a user's rate."""

    __slots__ = ("limit",)
