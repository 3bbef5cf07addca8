"""What the courier counts, and the few lines it says: of one kind at most one in `QUIET` seconds."""

from __future__ import annotations

import logging
import time
from collections import Counter

from plait.wire.datagram import Run

log = logging.getLogger(__name__)

QUIET = 10.0

_WORDS = {
    "unsealed": ("not authenticated", "a scanner, or a gateway with another password or method"),
    "untrusted": ("refused", "method is none and it is not in trust"),
}
"""Kinds that an owner can do something about; the others are only counted."""


class Tally:
    """Counts since the process began."""

    def __init__(self) -> None:
        self.strangers: Counter[str] = Counter()
        """Datagrams that were dropped, by kind; see docs/reference/status.md."""
        self.received = 0
        """Datagrams that were taken."""
        self.sent = 0
        self._said: dict[str, tuple[float, int]] = {}

    def faults(self, run: Run, peer: str) -> None:
        """What was wrong with datagrams that came together."""
        for kind, count in (
            ("forged", run.forged),
            ("replayed", run.replayed),
            ("malformed", run.malformed),
        ):
            for _ in range(count):
                self.stranger(kind, peer)

    def stranger(self, kind: str, peer: str) -> None:
        """A datagram was dropped. Its bytes are never shown."""
        self.strangers[kind] += 1
        if (words := _WORDS.get(kind)) is None:
            return
        now = time.monotonic()
        last, since = self._said.get(kind, (-QUIET, 0))
        if now - last < QUIET:
            self._said[kind] = (last, since + 1)
            return
        self._said[kind] = (now, 0)
        more = f" ({since} more like this in between)" if since else ""
        log.warning("datagram from %s %s: %s%s", peer, *words, more)
