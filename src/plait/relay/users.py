"""What an exit knows of its users in one worker: what they carried, how fast they may be, who is barred."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from plait.relay.allowance import Kind, pair
from plait.relay.limits import Limit
from plait.relay.pump import Session

Counts = list[int]
"""Open sessions, sessions that ever relayed, payload bytes up, payload bytes down."""


class Users:
    """All users of a worker. The exit's own password is the user ``""``."""

    def __init__(
        self,
        rates: Mapping[str, int] | None = None,
        cells: Mapping[str, int] | None = None,
        memory: memoryview[float] | None = None,
        barred: Collection[str] = (),
    ) -> None:
        """``rates`` in bits a second; ``cells`` are the first of each user's in ``memory``."""
        self.barred = frozenset(barred)
        self._ended: dict[str, Counts] = {}
        self._limits: dict[str, tuple[Limit, Limit]] = {}
        if memory is not None and cells is not None:
            for user, rate in (rates or {}).items():
                up, down = pair(memory, cells[user], rate, Kind.STREAMS)
                self._limits[user] = Limit(up), Limit(down)

    def limits(self, user: str | None) -> tuple[Limit, Limit] | None:
        """Up and down, where a user has a limit."""
        return self._limits.get(user) if user is not None else None

    def ended(self, session: Session) -> None:
        """A session is over."""
        if session.user is not None:
            counts = self._ended.setdefault(session.user, [0, 0, 0, 0])
            _add(counts, session)

    def counts(self, live: Iterable[Session]) -> dict[str, Counts]:
        """By user, with the sessions that are open."""
        found = {user: list(counts) for user, counts in self._ended.items()}
        for session in live:
            if session.user is not None:
                counts = found.setdefault(session.user, [0, 0, 0, 0])
                counts[0] += 1
                _add(counts, session)
        return found


def _add(counts: Counts, session: Session) -> None:
    counts[1] += 1
    counts[2] += session.up.count
    counts[3] += session.down.count
