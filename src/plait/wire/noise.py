"""The Noise handshake between a gateway's courier and an exit's: two messages, then two keys.

Source: "The Noise Protocol Framework", revision 34 (noiseprotocol.org), sections 5 (processing), 7.4
(one-way names), 9 (pre-shared keys). Two patterns of it:

    NNpsk0    -> psk, e       <- e, ee        the password alone proves both ends
    NKpsk0    <- s  …  -> psk, e, es   <- e, ee     … and the exit's public key proves the exit

X25519, SHA-256, and AESGCM or ChaChaPoly. Ephemeral keys come in as parameters; they give forward
secrecy: who learns the password later can't open what was recorded before.

``cryptography`` is imported when the first handshake begins, so that method ``none`` needs nothing.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING

from plait.wire.cipher import TAG, Aead, aead, invalid_tag
from plait.wire.faults import Forged

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

KEY = 32
"""Bytes of every key here: X25519's, the pre-shared one, the ciphers'."""


class Pattern(Enum):
    """Who is proved by what."""

    NN = "NNpsk0"
    NK = "NKpsk0"


class Cipher(Enum):
    """Noise's names of the two ciphers."""

    AESGCM = "AESGCM"
    CHACHAPOLY = "ChaChaPoly"


_METHODS = {Cipher.AESGCM: "aes-256-gcm", Cipher.CHACHAPOLY: "chacha20-ietf-poly1305"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """What a finished handshake leaves: a key a direction, and the hash of all that was said."""

    sending: bytes
    receiving: bytes
    transcript: bytes

    def __repr__(self) -> str:
        return "Split(***)"


class Handshake:
    """One end of one handshake.

    The initiator calls `write` then `read`, the responder `read` then `write`; then `split`.
    ``ephemeral`` is 32 fresh random bytes. ``static`` is the responder's own private key, ``remote`` what
    the initiator knows as the responder's public key; both for `Pattern.NK` only.
    """

    def __init__(
        self,
        pattern: Pattern,
        cipher: Cipher,
        *,
        initiator: bool,
        psk: bytes,
        ephemeral: bytes,
        prologue: bytes = b"",
        static: bytes = b"",
        remote: bytes = b"",
    ) -> None:
        if len(psk) != KEY or len(ephemeral) != KEY:
            raise ValueError(f"keys have {KEY} bytes")
        self._cipher = cipher
        self._initiator = initiator
        self._psk = psk
        self._ephemeral = _private(ephemeral)
        self._static = static
        self._server_key = b""
        self._aead: Aead | None = None
        self._nonce = 0
        self._remote_ephemeral = b""
        name = f"Noise_{pattern.value}_25519_{cipher.value}_SHA256".encode()
        self._hash = name.ljust(32, b"\0") if len(name) <= 32 else hashlib.sha256(name).digest()
        self._chain = self._hash
        self._mix_hash(prologue)
        if pattern is Pattern.NK:
            self._server_key = remote if initiator else public_key(static)
            if len(self._server_key) != KEY:
                raise ValueError(f"a public key has {KEY} bytes")
            self._mix_hash(self._server_key)
        self._first = True

    def write(self, payload: bytes) -> bytes:
        """The next message, with ``payload`` sealed in it."""
        own = _public(self._ephemeral)
        if self._first:
            self._mix_psk()
        self._mix_hash(own)
        # With a psk in the pattern, every ephemeral key goes into the chain too (section 9.2).
        self._mix_key(own)
        if not self._first:
            self._mix_key(_exchange(self._ephemeral, self._remote_ephemeral))
        elif self._server_key:
            self._mix_key(_exchange(self._ephemeral, self._server_key))
        self._first = False
        return own + self._seal(payload)

    def read(self, message: bytes) -> bytes:
        """The payload of the peer's message. Raises `Forged` when it is not from who it should be; then
        this handshake is spoilt."""
        if len(message) < KEY + TAG:
            raise Forged("handshake: too short")
        self._remote_ephemeral = message[:KEY]
        if self._first:
            self._mix_psk()
        self._mix_hash(self._remote_ephemeral)
        self._mix_key(self._remote_ephemeral)
        if not self._first:
            self._mix_key(_exchange(self._ephemeral, self._remote_ephemeral))
        elif self._server_key:
            self._mix_key(_exchange(_private(self._static), self._remote_ephemeral))
        self._first = False
        return self._open(message[KEY:])

    def split(self) -> Split:
        """The keys, after both messages."""
        to_responder, to_initiator = _hkdf(self._chain, b"", 2)
        sending, receiving = to_responder, to_initiator
        if not self._initiator:
            sending, receiving = receiving, sending
        return Split(sending=sending, receiving=receiving, transcript=self._hash)

    def _mix_hash(self, data: bytes) -> None:
        self._hash = hashlib.sha256(self._hash + data).digest()

    def _mix_key(self, material: bytes) -> None:
        self._chain, key = _hkdf(self._chain, material, 2)
        self._set_key(key)

    def _mix_psk(self) -> None:
        self._chain, mixed, key = _hkdf(self._chain, self._psk, 3)
        self._mix_hash(mixed)
        self._set_key(key)

    def _set_key(self, key: bytes) -> None:
        self._aead = aead(_METHODS[self._cipher], key)
        self._nonce = 0

    def _next_nonce(self) -> bytes:
        number = self._nonce
        self._nonce += 1
        return bytes(4) + number.to_bytes(8, "big" if self._cipher is Cipher.AESGCM else "little")

    def _seal(self, payload: bytes) -> bytes:
        assert self._aead is not None
        sealed = self._aead.encrypt(self._next_nonce(), payload, self._hash)
        self._mix_hash(sealed)
        return sealed

    def _open(self, sealed: bytes) -> bytes:
        assert self._aead is not None
        try:
            payload = self._aead.decrypt(self._next_nonce(), sealed, self._hash)
        except invalid_tag():
            raise Forged("handshake: wrongly sealed") from None
        self._mix_hash(sealed)
        return payload


def public_key(private: bytes) -> bytes:
    """The public key of a private one, 32 bytes each."""
    return _public(_private(private))


def _hkdf(chain: bytes, material: bytes, outputs: int) -> list[bytes]:
    """Section 4.3: HKDF (RFC 5869) with SHA-256 and no info."""
    secret = hmac.digest(chain, material, "sha256")
    found = [hmac.digest(secret, b"\x01", "sha256")]
    while len(found) < outputs:
        found.append(hmac.digest(secret, found[-1] + bytes((len(found) + 1,)), "sha256"))
    return found


def load() -> None:
    """Load all that a handshake needs: who is about to give privileges away may not be able to read it
    later."""
    key = _private(bytes(31) + b"\x40")
    _exchange(key, _public(key))


@cache
def _x25519() -> type[X25519PrivateKey]:
    invalid_tag()  # says what is missing, where something is
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey


def _private(key: bytes) -> X25519PrivateKey:
    return _x25519().from_private_bytes(key)


def _public(key: X25519PrivateKey) -> bytes:
    # `public_bytes_raw` came with cryptography 40; older ones spell it out.
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def _exchange(private: X25519PrivateKey, public: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    try:
        return private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        # A point of small order: the shared secret would be zeros whoever asks (RFC 7748, 6.1).
        raise Forged("handshake: a worthless key") from None
