"""What a worker counts, and the few lines it says.

Counters are plain integers; control adds those of all workers up. Lines about the same trouble are
written at most once in `QUIET` seconds, with the number of times it happened since.
"""

from __future__ import annotations

import logging
import time
from collections import Counter

log = logging.getLogger(__name__)

QUIET = 10.0
"""Seconds between two lines about the same trouble."""


class Tally:
    """Counts of one worker."""

    def __init__(self) -> None:
        self.opening = 0
        """Sessions that are being dialled."""
        self.total = 0
        """Sessions that were ever accepted."""
        self.outcomes: Counter[str] = Counter()
        """How sessions ended, by `Outcome`, `Failure` or a word."""
        self.up_bytes = 0
        """Payload from clients to targets, of ended sessions."""
        self.down_bytes = 0
        """Payload from targets to clients, of ended sessions."""
        self.strangers: Counter[str] = Counter()
        """What unauthenticated peers did, by kind."""
        self._said: dict[str, tuple[float, int]] = {}

    def ended(self, how: str) -> None:
        """A session came to its end before it relayed anything."""
        self.outcomes[how] += 1

    def exit_failed(self, name: str, why: str) -> None:
        """An exit could not be reached."""
        self._say(f"exit {name}: {why}", "sessions are refused until it answers")

    def stranger(self, kind: str, peer: str) -> None:
        """A peer that could not prove itself. Counted; said without its bytes."""
        self.strangers[kind] += 1
        if kind == "unsealed":
            self._say(
                f"connection from {peer} not authenticated",
                "a scanner, or a gateway with another password or method",
                subject=kind,
            )
        elif kind == "wrong password":
            self._say(f"proxy client {peer}: wrong user name or password", "see [[proxy]]", subject=kind)
        elif kind == "untrusted":
            self._say(
                f"connection from {peer} refused", "method is none and it is not in trust", subject=kind
            )

    def wrong_answer(self, name: str) -> None:
        """An exit answered with bytes that our key does not open."""
        self._say(f"exit {name}: its answer is wrongly sealed", "check method and password at both ends")

    def _say(self, what: str, hint: str, subject: str = "") -> None:
        now = time.monotonic()
        # One for all peers: a flood of scanners must not become a flood of lines.
        subject = subject or what
        last, since = self._said.get(subject, (-QUIET, 0))
        if now - last < QUIET:
            self._said[subject] = (last, since + 1)
            return
        self._said[subject] = (now, 0)
        more = f" ({since} more like this in between)" if since else ""
        log.warning("%s: %s%s", what, hint, more)
