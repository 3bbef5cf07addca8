"""Shadowsocks datagrams (SIP004; without a seal for the method ``none``), no I/O.

    salt │ address │ payload │ tag 16 B        sealed as one piece under the salt's key, nonce 0

The address is the target's on the way to the exit, and the sender's on the way back. Nothing in such a
datagram tells when it was made or whether it came before: who records one can send it again. The edition
of 2022 ends that (`plait.wire.shadowsocks2022_udp`).

A `Talk` is one client's association at a gateway, a `Desk` is an exit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from plait.wire import address
from plait.wire.address import Target
from plait.wire.cipher import TAG, Key, invalid_tag
from plait.wire.faults import Forged, Malformed, Replayed
from plait.wire.shadowsocks import Candidates

Randomness = Callable[[int], bytes]

_NONCE = bytes(12)

_OWN = 64
"""So many of an association's last datagrams can't be sent back to it as answers."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a datagram held."""

    place: Target
    """Where it goes, or where it comes from."""
    payload: bytes
    user: str = ""
    """Whose key sealed it, at an exit."""
    session: bytes = b""
    """The client's session (2022); empty when its address is all that tells clients apart."""


class Talk:
    """A gateway's end of one association."""

    __slots__ = ("_key", "_random", "_salts")

    def __init__(self, key: Key | None, random: Randomness) -> None:
        """``key`` is None for the method ``none``."""
        self._key = key
        self._random = random
        self._salts: deque[bytes] = deque(maxlen=_OWN)

    def seal(self, header: bytes, payload: bytes) -> bytes:
        """A datagram for the exit; ``header`` comes from ``address.encode…``."""
        datagram = _seal(self._key, self._random, header + payload)
        if self._key is not None:
            self._salts.append(datagram[: self._key.salt_size])
        return datagram

    def open(self, datagram: bytes) -> Parcel:
        """What the exit sent. Raises ``PeerFault``, for our own that somebody sent back, too."""
        if self._key is not None and datagram[: self._key.salt_size] in self._salts:
            raise Replayed("a datagram of our own")
        plain = datagram if self._key is None else _open(self._key, datagram)
        return _parcel(plain, "")


class Answer:
    """An exit's end of one association."""

    __slots__ = ("_key", "_random")

    def __init__(self, key: Key | None, random: Randomness) -> None:
        self._key = key
        self._random = random

    def seal(self, header: bytes, payload: bytes) -> bytes:
        """A datagram for the client; ``header`` says whom it is from."""
        return _seal(self._key, self._random, header + payload)


class Desk:
    """An exit: opens whatever datagram comes."""

    def __init__(self, keys: Candidates, random: Randomness) -> None:
        """``keys`` by user, all of one method; none for the method ``none``. Each costs about 8 µs on
        every datagram of a user behind it in the list."""
        self._random = random
        self._key_of: dict[str, Key] = {}
        self.renew(keys)

    def renew(self, keys: Candidates) -> frozenset[str]:
        """Other keys, of the same method. Gives those whose former key is good no more."""
        former = self._key_of
        self._keys = tuple(keys)
        self._key_of = dict(keys)
        return frozenset(user for user, key in former.items() if self._key_of.get(user) != key)

    def open(self, datagram: bytes) -> Parcel:
        """What a client sent. Raises ``PeerFault``."""
        if not self._keys:
            return _parcel(datagram, "")
        for user, key in self._keys:
            try:
                plain = _open(key, datagram)
            except Forged:
                continue
            return _parcel(plain, user)
        raise Forged("sealed with no key that is known here")

    def answer(self, parcel: Parcel) -> Answer:
        """What seals answers to whoever sent ``parcel``."""
        return Answer(self._key_of.get(parcel.user), self._random)

    def forget(self, session: bytes) -> None:
        """Nothing is remembered of any session."""


def _seal(key: Key | None, random: Randomness, plain: bytes) -> bytes:
    if key is None:
        return plain
    salt = random(key.salt_size)
    return salt + key.session(salt).encrypt(_NONCE, plain, None)


def _open(key: Key, datagram: bytes) -> bytes:
    size = key.salt_size
    if len(datagram) < size + TAG:
        raise Forged("too short to be sealed")
    try:
        return key.session(datagram[:size]).decrypt(_NONCE, datagram[size:], None)
    except invalid_tag():
        raise Forged("sealed with another key, or changed") from None


def _parcel(plain: bytes, user: str) -> Parcel:
    found = address.decode(plain)
    if found is None:
        raise Malformed("a datagram that ends inside its address")
    place, end = found
    return Parcel(place, plain[end:], user)
