"""What was carried for whom: by client, by exit. Counted when a session ends, summed up for who asks."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest

from plait.relay.pump import Session
from plait.relay.rows import plain

Counts = list[int]
"""As in `plait.relay.rows.CountRow`."""

MOST = 1024
"""So many are told apart. When there are more, those that carried least are counted together, under
``OTHERS``: over the months most of them are addresses that a device had for a day (RFC 8981)."""
OTHERS = "others"


class Accounts:
    """Sums by client address, and by exit (at an exit itself there are none). Summed up in one go, as that
    is done once a second where somebody watches."""

    def __init__(self) -> None:
        self._clients: dict[str, Counts] = {}
        self._exits: dict[str, Counts] = {}

    def ended(self, session: Session) -> None:
        """A session is over."""
        up, down = session.up.count, session.down.count
        client = plain(session.peer)
        if len(self._clients) >= MOST and client not in self._clients:
            self._clients = _folded(self._clients)
        _add(_place(self._clients, client), 0, up, down)
        if session.exit:
            _add(_place(self._exits, session.exit), 0, up, down)

    def counts(self, live: Iterable[Session]) -> tuple[dict[str, Counts], dict[str, Counts], int, int]:
        """By client and by exit, with the sessions that are open; and the payload of these, up and down."""
        clients = {key: list(counts) for key, counts in self._clients.items()}
        exits = {key: list(counts) for key, counts in self._exits.items()}
        # As they are spelled: there are far fewer clients than sessions.
        peers: dict[str, Counts] = {}
        all_up = all_down = 0
        for session in live:
            up, down, exit_name = session.up.count, session.down.count, session.exit
            all_up += up
            all_down += down
            counts = peers.get(session.peer)
            if counts is None:
                counts = peers[session.peer] = _place(clients, plain(session.peer))
            _add(counts, 1, up, down)
            if exit_name:
                _add(_place(exits, exit_name), 1, up, down)
        return clients, exits, all_up, all_down


def _place(found: dict[str, Counts], key: str) -> Counts:
    counts = found.get(key)
    if counts is None:
        if len(found) >= MOST:
            key = OTHERS
        counts = found.setdefault(key, [0, 0, 0, 0])
    return counts


def _folded(found: dict[str, Counts]) -> dict[str, Counts]:
    """The half that carried most, and the sum of all others."""
    kept = nlargest(MOST // 2, (key for key in found if key != OTHERS), key=lambda key: sum(found[key][2:]))
    folded = {key: found[key] for key in kept}
    others = [0, 0, 0, 0]
    for key, counts in found.items():
        if key not in folded:
            others = [one + more for one, more in zip(others, counts, strict=True)]
    folded[OTHERS] = others
    return folded


def _add(counts: Counts, opened: int, up: int, down: int) -> None:
    counts[0] += opened
    counts[1] += 1
    counts[2] += up
    counts[3] += down
