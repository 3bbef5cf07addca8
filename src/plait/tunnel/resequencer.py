"""One lane's datagrams in order again, or not at all.

A run that is next goes on at once. One that is too early is held until what is before it has
come or is given up. How long that takes is measured: the time in which gaps were filled lately
is how much later the slower path is, or how long the sender needs to send a lost one again. A
gap that stays open for twice as long is given up. What comes after that, or a second time, is
dropped, so that each datagram comes out at most once and in order.

Each lane waits for its own gaps only: a lossy path delays nobody but those who use it.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

FIRST_WAIT = 0.150
"""Seconds that a gap may stay open before any has been seen to fill."""
LEAST_WAIT = 0.100
MOST_WAIT = 0.400
MOST_HELD = 4096
"""Runs held by one lane; beyond, the oldest gap is given up."""
FADE = 20.0
"""Seconds in which the memory of a long wait is lost."""


class Delivery(NamedTuple):
    """``segments`` of the run ``token``, after its first ``skip``, are to go on now."""

    token: int
    skip: int
    segments: int


class Resequencer:
    """One lane. Numbers are whole counts (see `frames.unwrap`)."""

    __slots__ = ("_filled_at", "_held", "_lost", "_since", "_starts", "_wait", "given_up", "next", "used_at")

    def __init__(self, first: int, now: float) -> None:
        self.next = first
        """The number that is to come out next."""
        self.used_at = now
        self.given_up = 0
        """Numbers that were skipped."""
        self._starts: list[int] = []
        self._held: dict[int, tuple[int, int, int, float]] = {}  # start: token, skip, count, arrival
        self._since: float | None = None
        self._wait = FIRST_WAIT
        self._filled_at = now
        self._lost = (0, 0, now)  # the last numbers given up, and since when they were missing

    @property
    def wait(self) -> float:
        """Seconds after which a gap is given up."""
        return min(MOST_WAIT, max(LEAST_WAIT, 2 * self._wait))

    def add(self, number: int, count: int, token: int, now: float) -> tuple[list[Delivery], int]:
        """A run came. Gives what is to go on now, and how many pieces of this run are held for later."""
        self.used_at = now
        skip = self.next - number
        if skip <= 0:
            if not skip and not self._starts:
                # Nothing is missing and nothing waits: nearly all runs pass here.
                self.next = number + count
                return [Delivery(token, 0, count)], 0
            skip = 0
        elif skip >= count:
            if self._lost[0] <= number < self._lost[1]:
                self._learn(now - self._lost[2], now)  # it does come, if one waits
            return [], 0
        pieces = 0
        for offset, size in self._uncovered(number + skip, count - skip):
            start = number + skip + offset
            self._starts.insert(bisect_right(self._starts, start), start)
            self._held[start] = (token, skip + offset, size, now)
            pieces += 1
        if not pieces:
            return [], 0
        if self._starts[0] != self.next:
            if self._since is None:
                self._since = now
            if len(self._starts) > MOST_HELD:
                return self._give_up(), pieces
            return [], pieces
        if self._since is not None:
            self._learn(now - self._since, now)
        out = self._drain()
        return out, pieces - sum(1 for each in out if each.token == token)

    def _uncovered(self, number: int, count: int) -> list[tuple[int, int]]:
        """(offset, count) of those numbers of a run that are not held yet."""
        starts = self._starts
        if not starts or number > starts[-1] + self._held[starts[-1]][2] - 1:
            return [(0, count)]
        free = []
        at, end = number, number + count
        place = max(bisect_right(starts, number) - 1, 0)
        while at < end and place < len(starts):
            start = starts[place]
            if start >= end:
                break
            if at < start:
                free.append((at - number, start - at))
            at = max(at, start + self._held[start][2])
            place += 1
        if at < end:
            free.append((at - number, end - at))
        return free

    def _learn(self, waited: float, now: float) -> None:
        """A gap was filled after so many seconds."""
        self._wait = max(waited, self._wait * max(0.0, 1.0 - (now - self._filled_at) / FADE))
        self._filled_at = now

    def _drain(self) -> list[Delivery]:
        out = []
        starts = self._starts
        done = 0
        while done < len(starts) and starts[done] == self.next:
            token, skip, count, _ = self._held.pop(starts[done])
            out.append(Delivery(token, skip, count))
            self.next += count
            done += 1
        del starts[:done]
        # The next gap is as old as what has been waiting behind it.
        self._since = self._held[starts[0]][3] if starts else None
        return out

    def _give_up(self) -> list[Delivery]:
        assert self._since is not None
        self._lost = (self.next, self._starts[0], self._since)
        self.given_up += self._starts[0] - self.next
        self.next = self._starts[0]
        return self._drain()

    def deadline(self) -> float | None:
        """When the oldest gap is to be given up."""
        return None if self._since is None else self._since + self.wait

    def poll(self, now: float) -> list[Delivery]:
        """What is to go on because gaps before it have stayed open for too long."""
        out: list[Delivery] = []
        while self._since is not None and now >= self._since + self.wait:
            out += self._give_up()
        return out

    def flush(self) -> list[Delivery]:
        """All that is held, whatever is missing: the lane is to be forgotten."""
        out: list[Delivery] = []
        while self._starts:
            out += self._give_up()
        return out
