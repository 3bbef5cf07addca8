"""What was carried for whom: by client, by exit. Counted when a session ends, summed up for who asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from plait.relay.pump import Session
from plait.relay.rows import plain

Counts = list[int]
"""As in `plait.relay.rows.CountRow`."""

MOST = 1024
"""So many are told apart; later ones are counted together, under ``OTHERS``."""
OTHERS = "others"


class Accounts:
    """Sums by what ``key`` says of a session; those of which it says nothing are left out."""

    def __init__(self, key: Callable[[Session], str]) -> None:
        self._key = key
        self._ended: dict[str, Counts] = {}

    def ended(self, session: Session) -> None:
        """A session is over."""
        key = self._key(session)
        if key:
            _add(_place(self._ended, key), session)

    def counts(self, live: Iterable[Session]) -> dict[str, Counts]:
        """By key, with the sessions that are open."""
        found = {key: list(counts) for key, counts in self._ended.items()}
        name = self._key
        for session in live:
            key = name(session)
            if key:
                counts = _place(found, key)
                counts[0] += 1
                _add(counts, session)
        return found


def by_client() -> Accounts:
    """By the address that a session came from."""
    return Accounts(lambda session: plain(session.peer))


def by_exit() -> Accounts:
    """By the exit that it goes to; nothing at the exit itself."""
    return Accounts(lambda session: session.exit)


def _place(found: dict[str, Counts], key: str) -> Counts:
    counts = found.get(key)
    if counts is None:
        if len(found) >= MOST:
            key = OTHERS
        counts = found.setdefault(key, [0, 0, 0, 0])
    return counts


def _add(counts: Counts, session: Session) -> None:
    counts[1] += 1
    counts[2] += session.up.count
    counts[3] += session.down.count
