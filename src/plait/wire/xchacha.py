"""XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) out of ChaCha20 and ChaCha20-Poly1305.

``cryptography`` has no XChaCha20. What it lacks, HChaCha20, is in a key stream's first block: ChaCha20 adds
the initial state to what its rounds made, HChaCha20 does not. So the words whose initial values are known
to everybody, the constants and the nonce, are subtracted again, and those are just the words it wants.
"""

from __future__ import annotations

import struct

from plait.wire import cipher
from plait.wire.cipher import Bytes

NONCE = 24

_WORDS = struct.Struct("<8I")
_CONSTANTS = struct.unpack("<4I", b"expand 32-byte k")
_MASK = 0xFFFFFFFF


def hchacha20(key: bytes, nonce: bytes) -> bytes:
    """A key of 32 bytes from one of 32 and a nonce of 16."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

    block = Cipher(algorithms.ChaCha20(key, nonce), None).encryptor().update(bytes(64))
    initial = (*_CONSTANTS, *struct.unpack("<4I", nonce))
    made = _WORDS.unpack(block[:16] + block[48:])
    return _WORDS.pack(*((word - known) & _MASK for word, known in zip(made, initial, strict=True)))


class XChaCha20Poly1305:
    """One key, for any number of random nonces of 24 bytes."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encrypt(self, nonce: bytes, data: Bytes) -> bytes:
        """Seal."""
        return self._inner(nonce).encrypt(bytes(4) + nonce[16:], data, None)

    def decrypt(self, nonce: bytes, data: Bytes) -> bytes:
        """Open. Raises `cipher.invalid_tag()`."""
        return self._inner(nonce).decrypt(bytes(4) + nonce[16:], data, None)

    def _inner(self, nonce: bytes) -> cipher.Aead:
        return cipher.aead("chacha20-ietf-poly1305", hchacha20(self._key, nonce[:16]))
