"""How a session of sealed datagrams begins: greeting, answer, and a cookie when the exit is busy.

    0x70 greeting  path 1 B │ attempt 1 B │ pattern 1 B │ Noise message 73 B │ mac 16 B │ cookie mac 16 B
    0x71 answer    path 1 B │ attempt 1 B │ 0 1 B │ receiver's index 4 B │ Noise message 57 B
    0x72 cookie    path 1 B │ attempt 1 B │ 0 1 B │ nonce 12 B │ cookie 16 B, sealed │ tag 16 B
    0x75 hello     path 1 B │ attempt 1 B │ 0 1 B │ 1, index 4 B, epoch 4 B, identity 16 B    method ``none``
    0x76 welcome   path 1 B │ attempt 1 B │ 0 1 B │ receiver's index 4 B │ 1, index 4 B, epoch 4 B

In the Noise messages are sealed: 1 (the version), the sender's index and epoch, and the gateway's
identity; then 1 and the exit's index and epoch. An epoch is a number that is the same as long as what an
end remembers of the other's datagrams is: when keys are renewed it stays, when an end begins anew it is
another. The mac is a keyed BLAKE2s of all before it: a stranger costs the exit one hash
a user and is never answered. A greeting goes out once over each path and again until it is answered;
each has a path and an attempt of its own, so that an exit can answer each and drop all that it has seen.

The cookie is WireGuard's (whitepaper, section 5.4.7): it proves that a greeting's sender receives what
is sent to its address. It is sent only to who knows the password, and only by an exit under load.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass

from plait.wire.cipher import TAG, aead, invalid_tag
from plait.wire.datagram import Session, Trade
from plait.wire.faults import Forged, Malformed
from plait.wire.noise import KEY, Handshake, Pattern

GREETING, ANSWER, COOKIE, HELLO, WELCOME = 0x70, 0x71, 0x72, 0x75, 0x76
VERSION = 1
IDENTITY = 16
MAC = 16
_HEAD = 4
_ABOUT = 9
_NOISE = KEY + _ABOUT + IDENTITY + TAG
_PROVED = _HEAD + _NOISE
"""Bytes of a greeting that its mac covers."""
GREETING_SIZE = _PROVED + 2 * MAC
ANSWER_SIZE = _HEAD + 4 + KEY + _ABOUT + TAG
COOKIE_SIZE = _HEAD + 12 + MAC + TAG
HELLO_SIZE = _HEAD + _ABOUT + IDENTITY
WELCOME_SIZE = _HEAD + 4 + _ABOUT
_PATTERNS = {Pattern.NN: 0, Pattern.NK: 1}
_BY_CODE = {code: pattern for pattern, code in _PATTERNS.items()}


def preshared(password: str) -> bytes:
    """The Noise key of a password: HKDF-SHA256 (RFC 5869). Made by control; the courier gets only this.

    With Shadowsocks 2022 a gateway's password may name the exit's key and its own, ``exit:own``; the
    own one is what the exit knows the user by.
    """
    secret = hmac.digest(b"plait datagrams", password.rpartition(":")[2].encode(), "sha256")
    return hmac.digest(secret, b"noise psk\x01", "sha256")


class Guard:
    """What can be told by one password's key without any arithmetic on curves."""

    __slots__ = ("_cookie_key", "_mac", "psk")

    def __init__(self, psk: bytes) -> None:
        self.psk = psk
        self._mac = hashlib.blake2s(key=psk, digest_size=MAC, person=b"greeting")
        self._cookie_key = hashlib.blake2s(key=psk, person=b"cookie").digest()

    def mac(self, proved: bytes) -> bytes:
        """The mac of the first part of a greeting."""
        state = self._mac.copy()
        state.update(proved)
        return state.digest()

    def proves(self, greeting: bytes) -> bool:
        """Whether a greeting was written by who knows the password, now or once."""
        return len(greeting) == GREETING_SIZE and hmac.compare_digest(
            self.mac(greeting[:_PROVED]), greeting[_PROVED:-MAC]
        )

    def seal_cookie(self, greeting: bytes, cookie: bytes, nonce: bytes) -> bytes:
        """The datagram that gives a cookie; ``nonce`` is 12 random bytes. Bound to its greeting."""
        sealed = aead("chacha20-ietf-poly1305", self._cookie_key).encrypt(nonce, cookie, mac_of(greeting))
        return bytes((COOKIE, greeting[1], greeting[2], 0)) + nonce + sealed

    def open_cookie(self, datagram: bytes, mac: bytes) -> bytes:
        """The cookie that answers the greeting with this ``mac``. Raises `Forged`."""
        if len(datagram) != COOKIE_SIZE:
            raise Forged("cookie: wrong size")
        try:
            return aead("chacha20-ietf-poly1305", self._cookie_key).decrypt(
                datagram[_HEAD : _HEAD + 12], datagram[_HEAD + 12 :], mac
            )
        except invalid_tag():
            raise Forged("cookie: wrongly sealed") from None


def mac_of(greeting: bytes) -> bytes:
    """The mac in a greeting: no two greetings have the same."""
    return greeting[_PROVED:-MAC]


def cookie_for(secret: bytes, address: bytes) -> bytes:
    """The cookie of a source address (and port, packed). ``secret`` is the exit's, new every two minutes."""
    return hashlib.blake2s(address, key=secret, digest_size=MAC).digest()


def shows_cookie(greeting: bytes, cookie: bytes) -> bool:
    """Whether a greeting was made by who got ``cookie``."""
    return hmac.compare_digest(_cookie_mac(greeting[:-MAC], cookie), greeting[-MAC:])


def _cookie_mac(covered: bytes, cookie: bytes) -> bytes:
    return hashlib.blake2s(covered, key=cookie, digest_size=MAC).digest()


class Caller:
    """A gateway's end of one handshake; used for several greetings, until one is answered."""

    def __init__(
        self,
        kind: Trade,
        guard: Guard,
        *,
        ephemeral: bytes,
        index: int,
        identity: bytes,
        epoch: int = 0,
        exit_key: bytes = b"",
    ) -> None:
        self._kind = kind
        self._guard = guard
        self.index = index
        self._pattern = Pattern.NK if exit_key else Pattern.NN
        self._handshake = Handshake(
            self._pattern, kind.noise, initiator=True, psk=guard.psk, ephemeral=ephemeral, remote=exit_key
        )
        self._message = self._handshake.write(_about(index, epoch) + identity)

    def greeting(self, path: int, attempt: int, cookie: bytes = b"") -> bytes:
        """A greeting to send over ``path``."""
        head = bytes((GREETING, path, attempt & 0xFF, _PATTERNS[self._pattern]))
        proved = head + self._message
        covered = proved + self._guard.mac(proved)
        return covered + (_cookie_mac(covered, cookie) if cookie else bytes(MAC))

    def answered(self, answer: bytes) -> tuple[Session, int]:
        """The session, and the exit's epoch. Raises `Forged`; then the handshake goes on as before."""
        if len(answer) != ANSWER_SIZE or int.from_bytes(answer[4:8], "big") != self.index:
            raise Forged("answer: not to us")
        trial = copy(self._handshake)
        theirs, epoch = _read_about(trial.read(answer[8:]))
        return Session.sealed(self._kind, trial.split(), self.index, theirs), epoch


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A greeting that was understood, and what it led to, at an exit."""

    identity: bytes
    """The gateway's."""
    epoch: int
    """The gateway's."""
    session: Session
    _receiver: int
    _message: bytes

    def answer(self, greeting: bytes) -> bytes:
        """What to send back to this greeting, one of the same handshake."""
        return bytes((ANSWER, *greeting[1:3], 0)) + self._receiver.to_bytes(4, "big") + self._message


def ephemeral_of(greeting: bytes) -> bytes:
    """The same for all greetings of one handshake."""
    return greeting[_HEAD : _HEAD + KEY]


def take_call(
    greeting: bytes,
    kind: Trade,
    guard: Guard,
    *,
    ephemeral: bytes,
    index: int,
    epoch: Callable[[bytes], int],
    static: bytes = b"",
) -> Call:
    """Understand a greeting whose mac was good. ``static`` is the exit's private key, if it has one;
    ``epoch`` gives
    the exit's own towards the gateway of an identity.

    Raises `Forged` when the seals don't hold, `Malformed` when it asks for what we don't have.
    """
    pattern = _BY_CODE.get(greeting[3])
    if pattern is None or (pattern is Pattern.NK and not static):
        raise Malformed("greeting: it wants a key that we have not")
    handshake = Handshake(
        pattern,
        kind.noise,
        initiator=False,
        psk=guard.psk,
        ephemeral=ephemeral,
        static=static if pattern is Pattern.NK else b"",
    )
    payload = handshake.read(greeting[_HEAD:_PROVED])
    theirs, their_epoch = _read_about(payload)
    identity = payload[_ABOUT : _ABOUT + IDENTITY]
    message = handshake.write(_about(index, epoch(identity)))
    session = Session.sealed(kind, handshake.split(), index, theirs)
    return Call(identity, their_epoch, session, theirs, message)


def hello(path: int, attempt: int, index: int, identity: bytes, epoch: int = 0) -> bytes:
    """A greeting of method ``none``."""
    return bytes((HELLO, path, attempt & 0xFF, 0)) + _about(index, epoch) + identity


def take_hello(datagram: bytes) -> tuple[int, int, bytes]:
    """The gateway's index, epoch and identity. Raises `Malformed`."""
    if len(datagram) != HELLO_SIZE:
        raise Malformed("hello: wrong size")
    return *_read_about(datagram[_HEAD:]), datagram[-IDENTITY:]


def welcome(greeting: bytes, theirs: int, ours: int, epoch: int = 0) -> bytes:
    """The answer to a `hello`."""
    return bytes((WELCOME, *greeting[1:3], 0)) + theirs.to_bytes(4, "big") + _about(ours, epoch)


def take_welcome(datagram: bytes, ours: int) -> tuple[Session, int]:
    """The session, and the exit's epoch. Raises `Malformed` for no answer to the hello of index ``ours``."""
    if len(datagram) != WELCOME_SIZE or int.from_bytes(datagram[4:8], "big") != ours:
        raise Malformed("welcome: not to us")
    theirs, epoch = _read_about(datagram[8:])
    return Session.plain(ours, theirs), epoch


def _about(index: int, epoch: int) -> bytes:
    return bytes((VERSION,)) + index.to_bytes(4, "big") + epoch.to_bytes(4, "big")


def _read_about(payload: bytes) -> tuple[int, int]:
    if payload[0] != VERSION:
        raise Malformed("greeting: of another version")
    return int.from_bytes(payload[1:5], "big"), int.from_bytes(payload[5:9], "big")
