"""Keys as the methods of 2022 make them: BLAKE3's key derivation, and single AES blocks.

Sources: SIP022 ("2022 edition"), sections 2.2 and 3.2.1; SIP023 (identity headers); the BLAKE3 paper,
section 2.3 (``derive_key``). BLAKE3 is in no standard library and comes from the package ``blake3``,
imported when the first such key is made.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Protocol

from plait.errors import MissingCapability

BLOCK = 16
"""Bytes of an AES block."""

_SESSION = "shadowsocks 2022 session subkey"
_IDENTITY = "shadowsocks 2022 identity subkey"


def session_key(secret: bytes, salt: bytes) -> bytes:
    """The key of one direction of a stream, or of one session of datagrams; as long as ``secret``."""
    return _derive()(_SESSION, secret + salt, len(secret))


def identity_key(secret: bytes, salt: bytes) -> bytes:
    """The key under which a stream's identity header is sealed (SIP023)."""
    return _derive()(_IDENTITY, secret + salt, len(secret))


def identity(secret: bytes) -> bytes:
    """What an identity header says of the key that comes next: 16 bytes of its hash."""
    return _hash()(secret)[:BLOCK]


class Block(Protocol):
    """AES on single blocks of 16 bytes, under one key."""

    def encrypt(self, block: bytes) -> bytes: ...

    def decrypt(self, block: bytes) -> bytes: ...


class _Ecb:
    """By two contexts that never end: ECB has no state that one block would leave to the next."""

    __slots__ = ("decrypt", "encrypt")

    def __init__(self, encrypt: Callable[[bytes], bytes], decrypt: Callable[[bytes], bytes]) -> None:
        self.encrypt = encrypt
        self.decrypt = decrypt


def block(key: bytes) -> Block:
    """AES under a key of 16 or 32 bytes."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    cipher = Cipher(algorithms.AES(key), modes.ECB())
    return _Ecb(cipher.encryptor().update, cipher.decryptor().update)


class _Hash(Protocol):
    def digest(self, length: int = ...) -> bytes: ...


@cache
def _derive() -> Callable[[str, bytes, int], bytes]:
    blake3 = _load()

    def derive(context: str, material: bytes, size: int) -> bytes:
        state: _Hash = blake3(material, derive_key_context=context)
        return state.digest(size)

    return derive


@cache
def _hash() -> Callable[[bytes], bytes]:
    blake3 = _load()

    def digest(data: bytes) -> bytes:
        state: _Hash = blake3(data)
        return state.digest()

    return digest


def _load() -> Callable[..., _Hash]:
    try:
        from blake3 import blake3
    except ImportError as error:
        raise MissingCapability(
            f"the methods of 2022 need the Python package blake3, which can't be loaded: {error}",
            "pip install 'plait[sip022]', or choose a method without 2022 at both ends",
        ) from None
    return blake3
