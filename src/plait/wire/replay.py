"""Which salts were seen before, in memory that all workers of an exit share.

Whoever records a sealed stream can send it again; only the salt tells (SIP004
asks the server to remember salts). Workers don't talk to each other, so what
they remember lies in one fixed buffer, a memfd mapped by each:

    64 B header: 32 B key, rest 0 | bucket 0: 8 fingerprints of 8 B, newest first | bucket 1 | ...

A salt's keyed BLAKE2b gives its bucket and its fingerprint. A bucket that is full
forgets its oldest. Looking at one 64-byte bucket and writing it back whole is all
that ever happens, about 2 µs.

Some facts about it, with n slots (one MiB has 131 064):
* A salt wrongly taken for seen: at most 8 in 2^64, whatever the load.
* A salt forgotten after so many newer ones: 1 in 100 000 after n/8, 1 in 900 after
  n/4, 1 in 20 after n/2 (the Poisson chance of 8 newer ones in the same bucket).
* Two workers that write one bucket at the same instant can lose one of the two new
  salts; nothing worse, since a bucket is only ever a list of fingerprints. A replay
  comes later than what it replays, so nobody can make use of it.

Ask only about salts that a known key has proved (``Opener.salt``): otherwise anyone
could flush the memory. Add the salts that this side makes, too, or its own answers
could be sent back to it as requests.
"""

from __future__ import annotations

import hashlib

HEADER = 64
"""Bytes before the first bucket."""

BUCKET = 64
"""Bytes of a bucket: one cache line, where the processor has lines of that size."""

_KEY = 32
_PRINT = 8
_EMPTY = bytes(_PRINT)
_NOT_EMPTY = b"\x01" + bytes(_PRINT - 1)


def prepare(buffer: memoryview, key: bytes) -> None:
    """Empty the buffer and put ``key``, 32 random bytes, into it.

    To be done once, by whoever made the buffer, before any worker maps it. A
    buffer of zeros works as well, but lets a user of the exit choose salts that
    push out one certain salt.
    """
    if len(key) != _KEY:
        raise ValueError(f"the key must be {_KEY} bytes")
    for start in range(0, len(buffer), 1 << 20):
        part = buffer[start : start + (1 << 20)]
        part[:] = bytes(len(part))
    buffer[:_KEY] = key


class SaltFilter:
    """One worker's view of the shared memory. Holds no state of its own."""

    __slots__ = ("_buckets", "_buffer", "_hash")

    def __init__(self, buffer: memoryview) -> None:
        """``buffer`` must be writable and hold at least a header and one bucket."""
        self._buckets = (len(buffer) - HEADER) // BUCKET
        if self._buckets < 1:
            raise ValueError(f"{len(buffer)} bytes can't hold one bucket")
        self._buffer = buffer
        self._hash = hashlib.blake2b(digest_size=16, key=bytes(buffer[:_KEY]))

    @property
    def slots(self) -> int:
        """How many salts fit."""
        return self._buckets * (BUCKET // _PRINT)

    def seen_before(self, salt: bytes) -> bool:
        """Whether ``salt`` is remembered; from now on it is."""
        state = self._hash.copy()
        state.update(salt)
        digest = state.digest()
        mark = digest[:_PRINT]
        if mark == _EMPTY:
            mark = _NOT_EMPTY
        start = HEADER + int.from_bytes(digest[_PRINT:], "little") % self._buckets * BUCKET
        end = start + BUCKET
        bucket = bytes(self._buffer[start:end])
        at = bucket.find(mark)
        while at >= 0:
            if at % _PRINT == 0:
                return True
            at = bucket.find(mark, at + 1)
        self._buffer[start:end] = mark + bucket[:-_PRINT]
        return False
