"""The Shadowsocks TCP stream of 2022 (SIP022, with the identity headers of SIP023), no I/O.

    gateway ──▶ exit    salt  identities  fixed head  variable head  chunk  chunk ...
    exit ──▶ gateway    salt  answer head, payload                   chunk  chunk ...

    identity        16 B: AES block of the hash of the key that comes next, under a key from this key and salt
    fixed head      type 0 │ time 8 B │ length of the variable head 2 B │ tag
    variable head   address │ length of padding 2 B │ padding │ first payload │ tag
    answer head     type 1 │ time 8 B │ the request's salt │ length of the payload 2 B │ tag

Every head and every piece of a chunk takes the next nonce. From there on chunks are those of
`plait.wire.shadowsocks`, except that a payload may have 65535 bytes; so its objects do the work here,
and only how a stream begins is told in this file. We send chunks of 16383 bytes all the same: what an end
holds back until a chunk is whole stays small.

Time is seconds since the epoch and is asked for when a head is made or read: an answer may begin long
after its request. A head that is 30 s off counts as replayed. The salts of requests must be
remembered for 60 s by whoever accepts (SIP022, section 3.1.4): ask `Accept.salt`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from itertools import pairwise

from plait.wire import address, blake
from plait.wire.cipher import MAX_PAYLOAD, TAG, Aead, Bytes, Key, invalid_tag
from plait.wire.faults import Forged, Malformed, PeerFault, Replayed
from plait.wire.shadowsocks import Candidates, Opener, Request, Sealer

Clock = Callable[[], float]
"""Seconds since the epoch."""

Randomness = Callable[[int], bytes]
"""So many random bytes."""

PATIENCE = 30.0
"""Seconds by which two ends' clocks may differ."""

MAX_PADDING = 900
MOST = 0xFFFF
"""Most payload bytes in one chunk."""

_CLIENT, _SERVER = 0, 1
_FIXED = struct.Struct("!BQH")
_FIXED_SIZE = _FIXED.size + TAG
_ANSWER = struct.Struct("!BQ")

MAX_LEFTOVER = 32 + 1 + 8 + 32 + 2 + TAG + MOST + TAG
"""Most bytes that an ``Opener`` ever leaves with its caller: an answer's head and first payload."""


def padding(random: Randomness) -> int:
    """A length of padding for a head that has no payload beside it: 1 to 900."""
    return int.from_bytes(random(4), "big") % MAX_PADDING + 1


def for_ever() -> float:
    """Of who has never been restarted."""
    return math.inf


def in_time(stamp: int, now: float, memory: float = math.inf) -> bool:
    """Whether a message of that time is neither too old nor from the future. ``memory`` is for how many
    seconds what came has been remembered: what is older may have come before. Stamps are whole seconds, so
    one of the second in which that began is taken."""
    return abs(now - stamp) <= PATIENCE and now - stamp < memory + 1


class RequestSealer(Sealer):
    """A gateway's direction."""

    __slots__ = ()

    def begin(self, identities: bytes, fixed: bytes, variable: bytes) -> bytes:
        """The two heads, sealed, with all that stands before them."""
        seal = self._aead.encrypt
        salt, self._salt, self._count = self._salt, b"", 2
        return b"".join((salt, identities, seal(_nonce(0), fixed, None), seal(_nonce(1), variable, None)))


class AnswerSealer(Sealer):
    """An exit's direction: its head goes with the first payload."""

    __slots__ = ("_clock", "_request")

    def __init__(self, key: Key, salt: bytes, request: bytes, clock: Clock) -> None:
        """``request`` is the salt of the stream that this one answers."""
        super().__init__(key, salt)
        self._request = request
        self._clock = clock

    def sealed_size(self, size: int) -> int:
        more = _ANSWER.size + len(self._request) if size and self._salt else 0
        return super().sealed_size(size) + more

    def seal_into(self, data: Bytes, out: memoryview) -> int:
        size = len(data)
        salt = self._salt
        if not size or not salt:
            return super().seal_into(data, out)
        if len(out) < self.sealed_size(size):
            raise ValueError(
                f"{size} bytes need {self.sealed_size(size)} sealed, there is room for {len(out)}"
            )
        data = memoryview(data)
        first = data[:MAX_PAYLOAD]
        head = _ANSWER.pack(_SERVER, int(self._clock())) + self._request + len(first).to_bytes(2, "big")
        put = len(salt) + len(head) + TAG
        out[:put] = salt + self._aead.encrypt(_nonce(0), head, None)
        stop = put + len(first) + TAG
        self._aead.encrypt_into(_nonce(1), first, None, out[put:stop])
        self._salt, self._count = b"", 2
        return stop + super().seal_into(data[MAX_PAYLOAD:], out[stop:])


class AnswerOpener(Opener):
    """What comes back to a gateway."""

    __slots__ = ("_clock", "_first", "_request")

    _most = MOST

    def __init__(self, key: Key, request: bytes, clock: Clock) -> None:
        """``request`` is the salt of our own stream; an answer to any other is refused."""
        super().__init__(key)
        self._request = request
        self._clock = clock
        self._first = 0  # bytes of the payload that the head announced, until it is there

    @property
    def wanted(self) -> int:
        if self._aead is None:
            return self._head
        return self._head + self._first + TAG if self._first else super().wanted

    @property
    def _head(self) -> int:
        return self._salt_size + _ANSWER.size + len(self._request) + 2 + TAG

    def open_into(self, data: Bytes, out: memoryview) -> tuple[int, int]:
        if self._count or self._broken:
            return super().open_into(data, out)
        size = len(data)
        if len(out) < size:
            raise ValueError(f"{size} bytes to open, room for {len(out)}")
        data = memoryview(data)
        if size < self.wanted:
            return 0, 0
        start = self._head
        try:
            aead = self._aead or self._begin(bytes(data[: self._salt_size]), data[self._salt_size : start])
            stop = start + self._first + TAG
            if size < stop:
                return 0, 0
            aead.decrypt_into(_nonce(1), data[start:stop], None, out[: self._first])
        except PeerFault:
            self._broken = True
            raise
        except invalid_tag():
            self._broken = True
            raise Forged("the answer's first seals do not hold") from None
        produced, self._first, self._count = self._first, 0, 2
        used, more = super().open_into(data[stop:], out[produced:])
        return stop + used, produced + more

    def _begin(self, salt: bytes, sealed: memoryview) -> Aead:
        """Open the head."""
        aead = self._candidates[0][1].session(salt)
        head = aead.decrypt(_nonce(0), sealed, None)
        kind, stamp = _ANSWER.unpack_from(head)
        if kind != _SERVER or head[_ANSWER.size : -2] != self._request:
            raise Forged("an answer to something else")
        if not in_time(stamp, self._clock()):
            raise Forged("an answer of another time: are both clocks right?")
        length = head[-2] << 8 | head[-1]
        if not length:
            raise Forged("a chunk of 0 bytes")
        self._aead, self._salt, self._first = aead, salt, length
        return aead


class RequestOpener(Opener):
    """What comes to an exit, behind the heads."""

    __slots__ = ()

    _most = MOST

    def __init__(self, key: Key, user: str, salt: bytes, aead: Aead) -> None:
        super().__init__(key)
        self._aead, self._user, self._salt, self._count = aead, user, salt, 2


class Dial:
    """How a gateway greets: address, padding and what payload is there, as one piece."""

    __slots__ = ("_clock", "_key", "_random", "_salt")

    def __init__(self, key: Key, random: Randomness, clock: Clock) -> None:
        self._key = key
        self._random = random
        self._clock = clock
        self._salt = random(key.salt_size)

    def first(self, header: bytes, payload: Bytes = b"") -> tuple[bytes, Sealer]:
        """The first bytes to send, and what seals all that follows. ``payload``: 64,000 bytes at most."""
        key, salt = self._key, self._salt
        filler = 0 if len(payload) else padding(self._random)
        variable = b"".join((header, filler.to_bytes(2, "big"), bytes(filler), payload))
        fixed = _FIXED.pack(_CLIENT, int(self._clock()), len(variable))
        chain = (*key.above, key.secret)
        identities = b"".join(
            blake.block(blake.identity_key(above, salt)).encrypt(blake.identity(below))
            for above, below in pairwise(chain)
        )
        sealer = RequestSealer(key, salt)
        return sealer.begin(identities, fixed, variable), sealer

    def opener(self) -> Opener:
        """What opens the answer to this greeting, and to no other."""
        return AnswerOpener(self._key, self._salt, self._clock)


class Directory:
    """Who may come: one key, or users below an identity key."""

    __slots__ = ("_by_identity", "key", "key_of")

    def __init__(self, keys: Candidates) -> None:
        """``keys`` by user; ``""`` is the exit's own, which only names users once there are any."""
        self.key_of: Mapping[str, Key] = dict(keys)
        if "" not in self.key_of:
            raise ValueError("the methods of 2022 need a key of the exit's own")
        self.key = self.key_of[""]
        self._by_identity = {blake.identity(key.secret): user for user, key in self.key_of.items() if user}

    @property
    def several(self) -> bool:
        """Whether requests must say whose they are."""
        return bool(self._by_identity)

    def user(self, identity: bytes) -> str:
        """Whose key that is the hash of."""
        user = self._by_identity.get(identity)
        if user is None:
            raise Forged("a user that is not known here")
        return user


class Accept:
    """How an exit is greeted: feed it what comes until it says ``Request``.

    SIP022 wants salt and fixed head taken by exactly one read, so that a probe that sends byte by byte
    can't count what is consumed. Here nothing can be counted either: a stranger's bytes are all read,
    and it is left alone until the handshake times out. So a head that comes in pieces is put together.
    """

    __slots__ = ("_aead", "_clock", "_directory", "_fault", "_length", "_memory", "_sealed", "_user", "salt")

    def __init__(self, directory: Directory, clock: Clock, memory: Clock = for_ever) -> None:
        """``memory`` tells for how many seconds salts have been remembered."""
        self._memory = memory
        self._directory = directory
        self._clock = clock
        self._sealed = bytearray()
        self._aead: Aead | None = None
        self._length = 0
        self._user = ""
        self._fault: PeerFault | None = None
        self.salt: bytes | None = None
        """The stream's salt, once it is proved that a known key made it, and just now."""

    def feed(self, data: Bytes) -> Request | None:
        """Take the next bytes; None while more are needed. Raises ``PeerFault``, and again on every
        later call."""
        if self._fault is not None:
            raise self._fault.with_traceback(None)
        self._sealed += data
        try:
            return self._request()
        except PeerFault as fault:
            self._fault = fault
            self._sealed = bytearray()
            raise
        except invalid_tag():
            self._fault = Forged("sealed with no key that is known here")
            self._sealed = bytearray()
            raise self._fault from None

    def _request(self) -> Request | None:
        key, sealed = self._directory.key, self._sealed
        start = key.salt_size + (blake.BLOCK if self._directory.several else 0)
        end = start + _FIXED_SIZE
        if len(sealed) < end:
            return None
        aead = self._aead or self._begin(bytes(sealed[:end]), start)
        stop = end + self._length + TAG
        if len(sealed) < stop:
            return None
        plain = aead.decrypt(_nonce(1), bytes(sealed[end:stop]), None)
        found = address.decode(plain)
        if found is None:
            raise Malformed("a head that ends inside its address")
        target, at = found
        payload = at + 2 + int.from_bytes(plain[at : at + 2], "big")
        if len(plain) < at + 2 or payload > len(plain):
            raise Malformed("a head that ends inside its padding")
        if payload == at + 2 == len(plain):
            raise Malformed("neither padding nor payload")
        assert self.salt is not None
        user = self._directory.key_of[self._user]
        opener = RequestOpener(user, self._user, self.salt, aead)
        # Whole chunks may have come along. Nobody would look at them before more bytes come, if ever.
        rest = bytes(sealed[stop:])
        opened = bytearray(len(rest))
        used, produced = opener.open_into(rest, memoryview(opened))
        first = plain[payload:] + opened[:produced]
        return Request(target, first, opener, self._user, rest[used:])

    def _begin(self, sealed: bytes, start: int) -> Aead:
        """Find out whose it is, and open the fixed head."""
        directory = self._directory
        salt = sealed[: directory.key.salt_size]
        user = ""
        if directory.several:
            cipher = blake.block(blake.identity_key(directory.key.secret, salt))
            user = directory.user(cipher.decrypt(sealed[len(salt) : start]))
        aead = directory.key_of[user].session(salt)
        kind, stamp, length = _FIXED.unpack(aead.decrypt(_nonce(0), sealed[start:], None))
        if kind != _CLIENT:
            raise Forged("an answer where a request is due")
        if not in_time(stamp, self._clock(), self._memory()):
            raise Replayed("a request of another time: are both clocks right?")
        self._user, self.salt, self._aead, self._length = user, salt, aead, length
        return aead


def _nonce(count: int) -> bytes:
    return count.to_bytes(12, "little")
