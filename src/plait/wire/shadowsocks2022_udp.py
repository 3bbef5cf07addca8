"""Shadowsocks datagrams of 2022 (SIP022, sections 3.2 and 4.1; SIP023), no I/O.

    AES       session 8 B, number 8 B: one AES block │ identity 16 B each │ body, sealed │ tag
    ChaCha    nonce 24 B │ session 8 B, number 8 B, body, all sealed │ tag

    body    type 0 │ time 8 B │ length of padding 2 B │ padding │ target │ payload
            type 1 │ time 8 B │ the client's session 8 B │ length of padding 2 B │ padding │ sender │ payload

Each side numbers the datagrams of its session from 0. The other takes each number once (a window, as
in RFC 6479), and none that is 30 s off; so nothing recorded can be sent again. A client may change its
address: the session's number, not the address, says who it is. An exit that was restarted answers under a
new session, so a client takes several.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field

from plait.wire import address, blake
from plait.wire.address import Target
from plait.wire.cipher import TAG, Aead, Key, invalid_tag
from plait.wire.datagram import Window
from plait.wire.faults import Forged, Malformed, Replayed
from plait.wire.shadowsocks import Candidates
from plait.wire.shadowsocks2022 import MAX_PADDING, Clock, Directory, Randomness, for_ever, in_time
from plait.wire.shadowsocks_udp import Parcel
from plait.wire.xchacha import NONCE, XChaCha20Poly1305

_CLIENT, _SERVER = 0, 1
_HEAD = struct.Struct("!8sQ")
_BODY = struct.Struct("!BQ")
_SESSION = 8
_DNS = 53
_SERVERS = 4
"""Sessions of a restarted exit that a client takes at once."""
_KEEP = 60.0
"""Seconds for which a session of an exit is remembered at least (SIP022, section 3.2.4)."""


def _spell(kind: int, now: float, client: bytes, filler: int, header: bytes, payload: bytes) -> bytes:
    head = _BODY.pack(kind, int(now)) + client + filler.to_bytes(2, "big") + bytes(filler)
    return b"".join((head, header, payload))


def _read(plain: bytes, kind: int, now: float, memory: float = math.inf) -> tuple[Target, bytes, bytes]:
    """Read and judge a body of which it is known that a known key made it: place, payload, and in an
    answer the client's session."""
    at = _BODY.size + (_SESSION if kind == _SERVER else 0)
    if len(plain) < at + 2:
        raise Malformed("a datagram that ends inside its head")
    said, stamp = _BODY.unpack_from(plain)
    if said != kind:
        raise Forged("a datagram that goes the other way")
    if not in_time(stamp, now, memory):
        raise Replayed("a datagram of another time: are both clocks right?")
    start = at + 2 + int.from_bytes(plain[at : at + 2], "big")
    found = address.decode(memoryview(plain)[start:])
    if found is None:
        raise Malformed("a datagram that ends inside its address")
    place, end = found
    return place, plain[start + end :], plain[_BODY.size : at]


def _filler(random: Randomness, port: int, payload: bytes) -> int:
    """Questions to DNS and their answers are short and few: their sizes tell most, so they are padded."""
    room = MAX_PADDING - len(payload)
    if port != _DNS or room <= 0:
        return 0
    return int.from_bytes(random(4), "big") % room + 1


def _port(header: bytes) -> int:
    return header[-2] << 8 | header[-1]


class _Envelope:
    """How session, number and body become a datagram, under the methods of one key."""

    __slots__ = ("_block", "_chacha", "_key", "_random")

    def __init__(self, key: Key, random: Randomness) -> None:
        self._key = key
        self._random = random
        self._chacha = XChaCha20Poly1305(key.secret) if "chacha20" in key.suite.method else None
        self._block = blake.block(key.secret) if self._chacha is None else None

    @property
    def by_session(self) -> bool:
        """Whether each session has a cipher, and not each datagram."""
        return self._chacha is None

    def session(self, session: bytes) -> Aead | None:
        """The cipher of a session of this key's; None where each datagram has its own."""
        return self._key.session(session) if self.by_session else None

    def seal(self, head: bytes, aead: Aead | None, body: bytes) -> bytes:
        """A datagram without identities."""
        if self._chacha is not None:
            nonce = self._random(NONCE)
            return nonce + self._chacha.encrypt(nonce, head + body)
        assert aead is not None
        assert self._block is not None
        return self._block.encrypt(head) + aead.encrypt(head[4:], body, None)

    def peel(self, datagram: bytes) -> tuple[bytes, bytes]:
        """Session and number, and what the rest is: a plain body (ChaCha) or a sealed one."""
        try:
            if self._chacha is not None:
                plain = self._chacha.decrypt(datagram[:NONCE], datagram[NONCE:])
                if len(plain) < _HEAD.size:
                    raise Malformed("a datagram that ends inside its head")
                return plain[: _HEAD.size], plain[_HEAD.size :]
            assert self._block is not None
            return self._block.decrypt(datagram[: blake.BLOCK]), datagram[blake.BLOCK :]
        except invalid_tag():
            raise Forged("sealed with another key, or changed") from None


_LEAST = {True: NONCE + _HEAD.size + TAG, False: blake.BLOCK + TAG}


def _long_enough(key: Key, datagram: bytes) -> None:
    if len(datagram) < _LEAST["chacha20" in key.suite.method]:
        raise Forged("too short to be sealed")


def _open(aead: Aead | None, head: bytes, sealed: bytes) -> bytes:
    if aead is None:
        return sealed
    try:
        return aead.decrypt(head[4:], sealed, None)
    except invalid_tag():
        raise Forged("sealed with another key, or changed") from None


@dataclass(slots=True)
class _Incoming:
    """One session of the other side, as we receive it."""

    aead: Aead | None
    user: str = ""
    window: Window = field(default_factory=Window)
    heard: float = 0.0


class Talk:
    """A gateway's end of one association."""

    __slots__ = ("_aead", "_clock", "_count", "_envelope", "_key", "_outer", "_random", "_servers", "session")

    def __init__(self, key: Key, random: Randomness, clock: Clock) -> None:
        self._key = key
        self._random = random
        self._clock = clock
        self.session = random(_SESSION)
        """By which the exit knows this association."""
        self._envelope = _Envelope(key, random)
        self._aead = self._envelope.session(self.session)
        self._outer = tuple(blake.block(above) for above in key.above)
        self._count = 0
        self._servers: dict[bytes, _Incoming] = {}

    def seal(self, header: bytes, payload: bytes) -> bytes:
        """A datagram for the exit; ``header`` comes from ``address.encode…``."""
        head = _HEAD.pack(self.session, self._count)
        self._count += 1
        filler = _filler(self._random, _port(header), payload)
        body = _spell(_CLIENT, self._clock(), b"", filler, header, payload)
        if not self._outer:
            return self._envelope.seal(head, self._aead, body)
        assert self._aead is not None
        below = (*self._key.above[1:], self._key.secret)
        identities = [
            block.encrypt(_xor(blake.identity(secret), head))
            for block, secret in zip(self._outer, below, strict=True)
        ]
        sealed = self._aead.encrypt(head[4:], body, None)
        return b"".join((self._outer[0].encrypt(head), *identities, sealed))

    def open(self, datagram: bytes) -> Parcel:
        """What the exit sent. Raises ``PeerFault``."""
        _long_enough(self._key, datagram)
        head, rest = self._envelope.peel(datagram)
        session, number = _HEAD.unpack(head)
        now = self._clock()
        server = self._servers.get(session) or _Incoming(self._envelope.session(session))
        if not server.window.fresh(number):
            raise Replayed("a datagram that came before")
        place, payload, client = _read(_open(server.aead, head, rest), _SERVER, now)
        if client != self.session:
            raise Forged("an answer to another session")
        if session not in self._servers:
            self._make_room(now)
            self._servers[session] = server
        server.window.take(number)
        server.heard = now
        return Parcel(place, payload)

    def _make_room(self, now: float) -> None:
        if len(self._servers) < _SERVERS:
            return
        oldest = min(self._servers, key=lambda session: self._servers[session].heard)
        if now - self._servers[oldest].heard < _KEEP:
            raise Replayed("too many sessions of one exit within a minute")
        del self._servers[oldest]


class Answer:
    """An exit's end of one association."""

    __slots__ = ("_aead", "_client", "_clock", "_count", "_envelope", "_random", "_session")

    def __init__(self, key: Key, client: bytes, random: Randomness, clock: Clock) -> None:
        self._client = client
        self._random = random
        self._clock = clock
        self._session = random(_SESSION)
        self._envelope = _Envelope(key, random)
        self._aead = self._envelope.session(self._session)
        self._count = 0

    def seal(self, header: bytes, payload: bytes) -> bytes:
        """A datagram for the client; ``header`` says whom it is from."""
        head = _HEAD.pack(self._session, self._count)
        self._count += 1
        filler = _filler(self._random, _port(header), payload)
        body = _spell(_SERVER, self._clock(), self._client, filler, header, payload)
        return self._envelope.seal(head, self._aead, body)


class Desk:
    """An exit: opens whatever datagram comes.

    It remembers every session until told to `forget` it, which must not be within a minute of its last
    datagram (SIP022, section 3.2.4).
    """

    def __init__(self, keys: Candidates, random: Randomness, clock: Clock, memory: Clock = for_ever) -> None:
        """``keys`` by user; ``""`` is the exit's own, which only names users once there are any. ``memory``
        tells for how many seconds sessions have been remembered: since this courier began."""
        self._memory = memory
        self._random = random
        self._clock = clock
        self._sessions: dict[bytes, _Incoming] = {}
        self._use(Directory(keys))

    def _use(self, directory: Directory) -> None:
        self._directory = directory
        self._envelope = _Envelope(directory.key, self._random)
        self._names = blake.block(directory.key.secret) if directory.several else None

    def renew(self, keys: Candidates) -> frozenset[str]:
        """Other keys, of the same method. Gives those whose former key is good no more; their sessions are
        forgotten, which nobody can open any longer."""
        former = self._directory.key_of
        self._use(Directory(keys))
        gone = frozenset(user for user, key in former.items() if self._directory.key_of.get(user) != key)
        for session in [each for each, client in self._sessions.items() if client.user in gone]:
            del self._sessions[session]
        return gone

    def open(self, datagram: bytes) -> Parcel:
        """What a client sent. Raises ``PeerFault``."""
        _long_enough(self._directory.key, datagram)
        head, rest = self._envelope.peel(datagram)
        user = ""
        if self._names is not None:
            if len(rest) < blake.BLOCK + TAG:
                raise Forged("too short to be sealed")
            user = self._directory.user(_xor(self._names.decrypt(rest[: blake.BLOCK]), head))
            rest = rest[blake.BLOCK :]
        session, number = _HEAD.unpack(head)
        client = self._sessions.get(session)
        if client is None:
            own = self._directory.key_of[user]
            client = _Incoming(own.session(session) if self._envelope.by_session else None, user)
        elif client.user != user:
            raise Forged("a session of another user")
        if not client.window.fresh(number):
            raise Replayed("a datagram that came before")
        place, payload, _ = _read(_open(client.aead, head, rest), _CLIENT, self._clock(), self._memory())
        self._sessions[session] = client
        client.window.take(number)
        return Parcel(place, payload, user, session)

    def answer(self, parcel: Parcel) -> Answer:
        """What seals answers to the session of ``parcel``."""
        key = self._directory.key_of[parcel.user]
        return Answer(key, parcel.session, self._random, self._clock)

    def forget(self, session: bytes) -> None:
        """This session is over."""
        self._sessions.pop(session, None)


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")
