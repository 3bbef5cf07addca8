"""Who may use a proxy, told to a worker without the password itself.

A worker gets a random salt and a keyed BLAKE2b hash (RFC 7693) of user and password, enough to
compare and nothing that could be typed in elsewhere. Comparing takes the same time for every guess.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

SALT = 16
"""Bytes of salt; more than BLAKE2b takes as a key are not given."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One user and password."""

    salt: bytes = field(repr=False)
    proof: bytes = field(repr=False)

    @classmethod
    def of(cls, user: str, password: str, salt: bytes) -> Pass:
        """The pass of somebody. ``salt`` is random, `SALT` bytes."""
        return cls(salt, _proof(salt, user.encode(), password.encode()))

    def admits(self, user: bytes, password: bytes) -> bool:
        """Whether these are they."""
        return hmac.compare_digest(_proof(self.salt, user, password), self.proof)


def _proof(salt: bytes, user: bytes, password: bytes) -> bytes:
    # The length keeps ("ab", "c") and ("a", "bc") apart.
    said = len(user).to_bytes(4, "big") + user + password
    return hashlib.blake2b(said, key=salt, digest_size=32).digest()
