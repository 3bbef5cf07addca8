"""Users' rates, for what comes in datagrams: a short queue for each user and direction, and beyond it drops.

A datagram that the allowance has room for goes at once. Others wait their turn, so that the flows of a user
see a slower line and not one that loses what comes in a burst; what would wait for longer than a tenth
of a second is dropped, as on any line that is full.
"""

from __future__ import annotations

import mmap
from collections import Counter, deque
from collections.abc import Callable, Mapping

from plait.relay.allowance import Allowance, Kind, pair
from plait.relay.loop import Loop

_HELD = 0.1
"""Seconds of the rate that wait at most."""
_LEAST = 1 << 16
"""… or so many bytes, for slow rates: one superpacket has as many."""


class Lane:
    """One direction of one user."""

    __slots__ = ("_allowance", "_bytes", "_loop", "_most", "_timed", "_waiting")

    def __init__(self, loop: Loop, allowance: Allowance) -> None:
        self._loop = loop
        self._allowance = allowance
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._bytes = 0
        self._most = max(_LEAST, int(_HELD * allowance.rate))
        self._timed = False

    def pass_on(self, size: int, send: Callable[[], None]) -> bool:
        """Call ``send``, which sends ``size`` bytes, now or soon; False when it is dropped instead."""
        if not self._waiting and self._allowance.wait(self._loop.now) <= 0:
            self._allowance.spend(size, self._loop.now)
            send()
            return True
        if self._waiting and self._bytes + size > self._most:
            return False
        self._waiting.append((size, send))
        self._bytes += size
        if not self._timed:
            self._rest()
        return True

    def clear(self) -> None:
        """Drop what waits."""
        self._waiting.clear()
        self._bytes = 0

    def _rest(self) -> None:
        self._timed = True
        self._loop.after(max(0.0, self._allowance.wait(self._loop.now)), self._due)

    def _due(self) -> None:
        self._timed = False
        waiting, allowance, now = self._waiting, self._allowance, self._loop.now
        while waiting:
            if allowance.wait(now) > 0:
                self._rest()
                return
            size, send = waiting.popleft()
            self._bytes -= size
            allowance.spend(size, now)
            send()


class Paces:
    """All users that have a rate."""

    def __init__(self, loop: Loop, fd: int = -1) -> None:
        """``fd`` is the memory that all processes of the exit share, inherited; -1 where there is none."""
        self._loop = loop
        self._memory = memoryview(mmap.mmap(fd, 0)).cast("d") if fd >= 0 else None
        self._lanes: dict[str, tuple[Lane, Lane]] = {}
        self._rates: dict[str, tuple[int, int]] = {}
        self.dropped: Counter[str] = Counter()
        """Datagrams and inner packets for which there was no room, by user."""

    def renew(self, rates: Mapping[str, int], cells: Mapping[str, int]) -> None:
        """The rates that hold now, in bits a second, and where each user's cells begin."""
        if self._memory is None:
            return
        wanted = {user: (rate, cells[user]) for user, rate in rates.items()}
        for user in [user for user, rate in self._rates.items() if wanted.get(user) != rate]:
            for lane in self._lanes.pop(user):
                # What waits was let in under the former rate.
                lane.clear()
        for user, (rate, first) in wanted.items():
            if user not in self._lanes:
                up, down = pair(self._memory, first, rate, Kind.DATAGRAMS)
                self._lanes[user] = Lane(self._loop, up), Lane(self._loop, down)
        self._rates = wanted

    def up(self, user: str, size: int, send: Callable[[], None]) -> bool:
        """``size`` bytes from a user to the world; False when they are dropped."""
        return self._pass(user, 0, size, send)

    def down(self, user: str, size: int, send: Callable[[], None]) -> bool:
        """``size`` bytes from the world to a user; False when they are dropped."""
        return self._pass(user, 1, size, send)

    def _pass(self, user: str, way: int, size: int, send: Callable[[], None]) -> bool:
        lanes = self._lanes.get(user)
        if lanes is None:
            send()
            return True
        if lanes[way].pass_on(size, send):
            return True
        self.dropped[user] += 1
        return False
