"""Which numbers have been there already: a sliding window for redundant lanes."""

from __future__ import annotations

WINDOW = 4096
"""How far back, in datagrams, a second copy is recognised. What is older counts as seen."""

_EVER = (1 << WINDOW) - 1


class Seen:
    """A bitmap of the last `WINDOW` numbers, whose lowest bit is the newest. About 0.5 µs a run."""

    __slots__ = ("_bits", "next")

    def __init__(self) -> None:
        self._bits = 0
        self.next = 0
        """One more than the newest number seen."""

    def add(self, number: int, count: int) -> list[tuple[int, int]]:
        """Take the run of ``count`` numbers from ``number`` on; gives (offset, count) of what was new."""
        end = number + count
        ahead = end - self.next
        run = (1 << count) - 1
        if ahead >= count:
            # All of it is newer than anything before: no need to look.
            self._bits = (self._bits << ahead | run) & _EVER if ahead < WINDOW else run
            self.next = end
            return [(0, count)]
        if ahead > 0:
            self._bits = self._bits << ahead & _EVER
            self.next = end
        place = self.next - end
        if place + count > WINDOW:
            return []
        new = run & ~(self._bits >> place)
        self._bits |= run << place
        if new == run:
            return [(0, count)]
        return _pieces(new, count) if new else []


def _pieces(new: int, count: int) -> list[tuple[int, int]]:
    """Runs of ones in ``new``, of which the highest of ``count`` bits is the first of the run."""
    pieces: list[tuple[int, int]] = []
    for offset in range(count):
        if new >> (count - 1 - offset) & 1:
            if pieces and sum(pieces[-1]) == offset:
                pieces[-1] = (pieces[-1][0], pieces[-1][1] + 1)
            else:
                pieces.append((offset, 1))
    return pieces
