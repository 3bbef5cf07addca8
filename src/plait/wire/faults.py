"""What a peer can do wrong on the wire.

These are not ``PlaitError``: a peer's failure ends one session and is counted,
it never ends a command (DESIGN.md, rule 8). The text is for our log only; a
prober must be told nothing.
"""

from __future__ import annotations


class PeerFault(Exception):
    """The peer's bytes can't be used. The session has to end."""


class Malformed(PeerFault):
    """Readable, but not what the protocol allows: bad address type, bad name, port 0."""


class Forged(PeerFault):
    """Not sealed with a key we know, changed on the way, or a length that is not allowed."""


class Replayed(PeerFault):
    """Authentic once, and seen before (or so old that nobody remembers)."""
