"""From a password to sealed bytes: the Shadowsocks key schedules.

    password --EVP_BytesToKey(MD5)--> master key        once, when the config is read
    master key, salt --HKDF-SHA1, "ss-subkey"--> session key    one a direction
    session key, nonce 0, 1, 2, ... (12 B, little-endian)       two a chunk

Source: shadowsocks.org, "AEAD ciphers" (SIP004); RFC 5869 for HKDF; OpenSSL's
EVP_BytesToKey(3) with one round, MD5 and no salt. The methods of 2022 (SIP022)
take their keys as they are, in base64, and derive with BLAKE3: `plait.wire.blake`.

The key schedule needs the standard library only. The AEAD ciphers come from
``cryptography``, imported when the first sealed key is made and never for the
method ``none``. Versions that can write into a buffer of ours save one
allocation and two copies a chunk; Debian 12's 38 and OpenWrt's 41 can't, so
they are given the same two methods here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

from plait.errors import MissingCapability
from plait.wire import blake

Bytes = bytes | bytearray | memoryview

TAG = 16
"""Bytes that a seal adds, the same for all methods."""

MAX_PAYLOAD = 0x3FFF
"""Most payload bytes in one chunk; the two upper bits of a length are reserved."""

_HKDF_INFO = b"ss-subkey"


class Aead(Protocol):
    """One session key. ``buf`` must be exactly as long as the result, and must not overlap ``data``."""

    def encrypt_into(self, nonce: Bytes, data: Bytes, associated_data: bytes | None, buf: Bytes) -> int: ...

    def decrypt_into(self, nonce: Bytes, data: Bytes, associated_data: bytes | None, buf: Bytes) -> int: ...

    def encrypt(self, nonce: Bytes, data: Bytes, associated_data: bytes | None) -> bytes: ...

    def decrypt(self, nonce: Bytes, data: Bytes, associated_data: bytes | None) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Suite:
    """The sizes of one method, in bytes."""

    method: str
    key_size: int
    salt_size: int
    edition: int = 2017
    """Of the protocol: 2017 (SIP004) or 2022 (SIP022)."""


SUITES = {
    suite.method: suite
    for suite in (
        Suite("aes-128-gcm", 16, 16),
        Suite("aes-256-gcm", 32, 32),
        Suite("chacha20-ietf-poly1305", 32, 32),
    )
}
"""The sealed methods of 2017 by name. ``none`` is not among them: it has no key."""

SUITES_2022 = {
    suite.method: suite
    for suite in (
        Suite("2022-blake3-aes-128-gcm", 16, 16, 2022),
        Suite("2022-blake3-aes-256-gcm", 32, 32, 2022),
        Suite("2022-blake3-chacha20-poly1305", 32, 32, 2022),
    )
}
"""The methods of SIP022 by name."""


@dataclass(frozen=True, slots=True)
class Key:
    """A method and the master key for it. Made once, at config time: ``Key.derive``."""

    suite: Suite
    secret: bytes = field(repr=False)
    above: tuple[bytes, ...] = field(default=(), repr=False)
    """Identity keys that a client names before its own, outermost first (SIP023); none with the
    methods of 2017."""

    @classmethod
    def derive(cls, method: str, password: str) -> Key:
        """The key of a password. ``MissingCapability`` when this host can't seal that way.

        With a method of 2022 the password is the key in base64, or several with ``:`` between them: the
        identity keys of servers, then the user's own. ``ValueError`` when it is not, without a word of it.
        """
        suite = SUITES.get(method)
        if suite is not None:
            key = cls(suite, bytes_to_key(password.encode(), suite.key_size))
        else:
            suite = SUITES_2022[method]
            keys = [_raw(part, suite) for part in password.split(":")]
            key = cls(suite, keys[-1], tuple(keys[:-1]))
        key.try_out()  # so that what is missing shows at the start, not at the first client
        return key

    @classmethod
    def heard(cls, method: str, text: str) -> Key:
        """The opposite of `told`."""
        *above, own = (bytes.fromhex(part) for part in text.split(":"))
        return cls(SUITES.get(method) or SUITES_2022[method], own, tuple(above))

    def told(self) -> str:
        """As one process tells another, over a channel that nobody else hears."""
        return ":".join(secret.hex() for secret in (*self.above, self.secret))

    def try_out(self) -> None:
        """Use it once, which loads all that it will ever need. May raise ``MissingCapability``."""
        self.session(bytes(self.suite.salt_size))
        if self.suite.edition == 2022 and self.suite.method != "2022-blake3-chacha20-poly1305":
            blake.block(self.secret).decrypt(bytes(16))

    @property
    def key_size(self) -> int:
        """Bytes of the master key and of a session key."""
        return self.suite.key_size

    @property
    def salt_size(self) -> int:
        """Bytes of the salt that begins each direction."""
        return self.suite.salt_size

    def session(self, salt: bytes) -> Aead:
        """The cipher of the direction that begins with ``salt``."""
        schedule = blake.session_key if self.suite.edition == 2022 else session_key
        return _backend().aeads[self.suite.method](schedule(self.secret, salt))


def _raw(text: str, suite: Suite) -> bytes:
    """One key in base64."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != suite.key_size:
        raise ValueError(f"{suite.method} takes keys of {suite.key_size} bytes in base64")
    return raw


def bytes_to_key(password: bytes, size: int) -> bytes:
    """OpenSSL's EVP_BytesToKey with MD5, one round and no salt: D_i = MD5(D_(i-1) + password)."""
    key = block = b""
    while len(key) < size:
        block = hashlib.md5(block + password, usedforsecurity=False).digest()
        key += block
    return key[:size]


def session_key(secret: bytes, salt: bytes) -> bytes:
    """HKDF-SHA1 (RFC 5869) with the info ``ss-subkey``; as long as ``secret``.

    The loop of RFC 5869 is unrolled: no key is longer than two SHA-1 blocks.
    """
    extracted = hmac.digest(salt, secret, "sha1")
    first = hmac.digest(extracted, _HKDF_INFO + b"\x01", "sha1")
    if len(secret) <= len(first):
        return first[: len(secret)]
    return (first + hmac.digest(extracted, first + _HKDF_INFO + b"\x02", "sha1"))[: len(secret)]


def aead(method: str, key: bytes) -> Aead:
    """The bare cipher of a method (one of `SUITES`) under a key of its size."""
    return _backend().aeads[method](key)


def invalid_tag() -> type[Exception]:
    """What the ciphers raise when a seal does not hold."""
    return _backend().invalid_tag


@dataclass(frozen=True, slots=True)
class _Backend:
    """What ``cryptography`` offers here."""

    aeads: dict[str, Callable[[bytes], Aead]]
    invalid_tag: type[Exception]


class _Copying:
    """An older ``cryptography``: it takes and gives bytes only, so both ways are copied."""

    __slots__ = ("_aead",)

    def __init__(self, aead: Aead) -> None:
        self._aead = aead

    def encrypt(self, nonce: Bytes, data: Bytes, associated_data: bytes | None) -> bytes:
        return self._aead.encrypt(nonce, bytes(data), associated_data)

    def decrypt(self, nonce: Bytes, data: Bytes, associated_data: bytes | None) -> bytes:
        return self._aead.decrypt(nonce, bytes(data), associated_data)

    def encrypt_into(self, nonce: Bytes, data: Bytes, associated_data: bytes | None, buf: Bytes) -> int:
        return _copy(self.encrypt(nonce, data, associated_data), buf)

    def decrypt_into(self, nonce: Bytes, data: Bytes, associated_data: bytes | None, buf: Bytes) -> int:
        return _copy(self.decrypt(nonce, data, associated_data), buf)


def _copy(result: bytes, buf: Bytes) -> int:
    memoryview(buf)[:] = result  # ValueError unless the sizes are equal, as with the real ones
    return len(result)


@cache
def _backend() -> _Backend:
    try:
        from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
    except ImportError as error:
        raise MissingCapability(
            f"sealed methods need the Python package cryptography, which can't be loaded: {error}",
            "pip install cryptography; Debian python3-cryptography; OpenWrt python3-cryptography; "
            'or method = "none" on links you trust',
        ) from None

    def maker(kind: Callable[[bytes], Aead]) -> Callable[[bytes], Aead]:
        def make(key: bytes) -> Aead:
            try:
                return kind(key)
            except UnsupportedAlgorithm as error:
                raise MissingCapability(
                    f"this host's OpenSSL lacks a cipher: {error}", "choose another method at both ends"
                ) from None

        def make_copying(key: bytes) -> Aead:
            return _Copying(make(key))

        return make if hasattr(kind, "encrypt_into") and hasattr(kind, "decrypt_into") else make_copying

    aes, chacha = maker(AESGCM), maker(ChaCha20Poly1305)
    aeads = {suite: chacha if "chacha20" in suite else aes for suite in (*SUITES, *SUITES_2022)}
    return _Backend(aeads, InvalidTag)
