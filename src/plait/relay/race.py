"""Which address to try when: the schedule of RFC 8305, as a value machine.

No socket and no clock: attempts go out as candidates, time comes in as ``now`` (seconds).
A gateway races its *ways* to an exit with it, an exit the addresses of a target.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from itertools import chain, zip_longest
from typing import Generic, TypeVar

Candidate = TypeVar("Candidate", bound=Hashable)

ATTEMPT_DELAY = 0.25
"""Seconds before the next candidate is tried beside the last (RFC 8305, section 5)."""

DELAYS = (0.05, 0.075, 0.1, 0.15, 0.25, 0.4, 0.6, 1.0)
"""The lengths that a delay may have: few, so that the many timers of a busy loop stay cheap."""

_ATTEMPT_RTTS = 2.0

RESOLUTION_DELAY = 0.05
"""Seconds that a lone IPv4 answer waits for the IPv6 one (RFC 8305, section 3)."""


def interleave(first: Iterable[Candidate], second: Iterable[Candidate]) -> list[Candidate]:
    """One of each family in turn, beginning with ``first`` (RFC 8305, section 4)."""
    pairs = zip_longest(first, second)
    return [candidate for candidate in chain.from_iterable(pairs) if candidate is not None]


def delay_for(rtt: float) -> float:
    """How long to wait for a handshake whose round trip, in seconds, is known (RFC 8305, section 5, lets it
    be told by that): two of them, but never so short that a moment's work at either end looks like a
    dead path, nor so long that a dead one holds up anybody. 0 means not known."""
    if rtt <= 0.0:
        return ATTEMPT_DELAY
    return next((delay for delay in DELAYS if delay >= _ATTEMPT_RTTS * rtt), DELAYS[-1])


def usual_delay(candidate: object) -> float:
    """The same for every candidate."""
    return ATTEMPT_DELAY


class Race(Generic[Candidate]):
    """Candidates in order of preference; a new one starts when the last has failed or dawdles.

    Call `due` whenever its `deadline` passes, candidates were offered or one has failed; it returns
    what to start now. The race is `lost` when nobody runs, waits, or will come.
    """

    __slots__ = ("_begun", "_closed", "_delay", "_held", "_next", "_running", "_waiting")

    def __init__(self, delay: Callable[[Candidate], float] = usual_delay) -> None:
        """``delay(candidate)``: seconds that one gets before the next is tried beside it."""
        self._waiting: deque[Candidate] = deque()
        self._begun: set[Candidate] = set()
        self._running = 0
        self._delay = delay
        self._next = 0.0
        self._held = 0.0
        self._closed = False

    def offer(self, candidates: Iterable[Candidate], *, last: bool, held_until: float = 0.0) -> None:
        """All candidates known by now, in order; those that have begun are left out.

        With ``last`` there will be no others. Nothing starts before ``held_until``.
        """
        self._waiting = deque(dict.fromkeys(c for c in candidates if c not in self._begun))
        self._held = held_until
        self._closed = last

    def revise(self, candidates: Iterable[Candidate]) -> None:
        """The candidates and their order have changed: those that wait are these now, but for the ones
        that have begun. What runs goes on, until its owner says that it has `failed`."""
        self._waiting = deque(dict.fromkeys(c for c in candidates if c not in self._begun))

    def failed(self) -> None:
        """A running candidate has failed: the next one need not wait (RFC 8305, section 5)."""
        self._running -= 1
        self._next = 0.0

    def due(self, now: float) -> Candidate | None:
        """The candidate to start now, if one is due."""
        if not self._waiting or now < self._next or now < self._held:
            return None
        candidate = self._waiting.popleft()
        self._begun.add(candidate)
        self._running += 1
        self._next = now + self._delay(candidate)
        return candidate

    def deadline(self) -> float | None:
        """When `due` is to be asked next, if nothing happens before."""
        return max(self._next, self._held) if self._waiting else None

    @property
    def lost(self) -> bool:
        """Nobody runs, nobody waits, nobody will come."""
        return self._closed and not self._running and not self._waiting
