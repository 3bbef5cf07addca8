"""The Shadowsocks TCP stream (SIP004), one object a direction, no I/O.

    gateway ──▶ exit    salt  chunk  chunk ...      plaintext: address, then payload
    exit ──▶ gateway    salt  chunk  chunk ...      plaintext: payload

    chunk:  +----------------+--------+-----------------+--------+
            | length n, 2 B  | tag    | payload, n B    | tag    |    1 <= n <= 0x3FFF
            | sealed         | 16 B   | sealed          | 16 B   |
            +----------------+--------+-----------------+--------+
            nonce 2k                    nonce 2k+1

Method ``none`` has neither salt nor chunks: the address, then the payload.

These objects sit on the data path. They are handed 256 KiB at a time and make
no bytes object of any payload: each chunk is one AEAD call from the caller's
buffer into the caller's buffer. Only a chunk's sealed length (18 B) is a bytes
object, which measures the same as a buffer and spares one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from plait.wire import address
from plait.wire.address import Target
from plait.wire.cipher import MAX_PAYLOAD, TAG, Aead, Bytes, Key, invalid_tag
from plait.wire.faults import Forged, Malformed, PeerFault

__all__ = ["Accept", "Candidates", "Dial", "Forged", "Malformed", "Opener", "Request", "Sealer"]

_HEAD = 2 + TAG
OVERHEAD = _HEAD + TAG
"""Bytes that one chunk adds to its payload."""

MAX_LEFTOVER = OVERHEAD + MAX_PAYLOAD - 1
"""Most bytes that an ``Opener`` ever leaves with its caller."""

_FULL = MAX_PAYLOAD.to_bytes(2, "big")

Candidates = Sequence[tuple[str, Key]]
"""Who may have sealed a stream: names and keys, all of one method."""


class Sealer:
    """One direction, outgoing."""

    __slots__ = ("_aead", "_count", "_salt")

    def __init__(self, key: Key, salt: bytes) -> None:
        """``salt`` must be fresh and random; the session key rests on it."""
        if len(salt) != key.salt_size:
            raise ValueError(f"{key.suite.method} needs a salt of {key.salt_size} bytes, not {len(salt)}")
        self._aead = key.session(salt)
        self._salt = salt
        self._count = 0

    def sealed_size(self, size: int) -> int:
        """Bytes that the next ``size`` plain bytes become, the salt included while it is unsent."""
        if not size:
            return 0
        return size + -(-size // MAX_PAYLOAD) * OVERHEAD + len(self._salt)

    def seal_into(self, data: Bytes, out: memoryview) -> int:
        """Seal all of ``data`` into ``out``; return the bytes written.

        ``out`` must hold ``sealed_size(len(data))`` bytes and not overlap
        ``data``. The salt goes first, once. No data, nothing written.
        """
        size = len(data)
        if len(out) < self.sealed_size(size):
            raise ValueError(
                f"{size} bytes need {self.sealed_size(size)} sealed, there is room for {len(out)}"
            )
        if not size:
            return 0
        data = memoryview(data)
        put = len(self._salt)
        if put:
            out[:put] = self._salt
            self._salt = b""
        seal, seal_into = self._aead.encrypt, self._aead.encrypt_into
        count, take = self._count, 0
        while take < size:
            stop = take + MAX_PAYLOAD
            if stop <= size:
                length = _FULL
            else:
                length, stop = (size - take).to_bytes(2, "big"), size
            body = put + _HEAD
            out[put:body] = seal(count.to_bytes(12, "little"), length, None)
            put = body + stop - take + TAG
            seal_into((count + 1).to_bytes(12, "little"), data[take:stop], None, out[body:put])
            count += 2
            take = stop
        self._count = count
        return put


class Opener:
    """One direction, incoming. Finds out by itself whose key it is sealed with.

    Every candidate costs about 6 µs on the first bytes of a stream, so keep it to
    hundreds of users, not thousands.
    """

    __slots__ = ("_aead", "_broken", "_candidates", "_count", "_length", "_salt", "_salt_size", "_user")

    _most = MAX_PAYLOAD
    """Bytes of the longest payload that is taken."""

    def __init__(self, keys: Key | Candidates) -> None:
        candidates = (("", keys),) if isinstance(keys, Key) else tuple(keys)
        sizes = {key.salt_size for _, key in candidates}
        if len(sizes) != 1:
            raise ValueError("an Opener needs keys, all of one method")
        self._candidates: Candidates = candidates
        self._salt_size = sizes.pop()
        self._aead: Aead | None = None
        self._broken = False
        self._count = 0
        self._length = 0  # payload of the chunk that comes next, 0 while unknown
        self._salt = b""
        self._user = ""

    @property
    def user(self) -> str | None:
        """Whose key it is; None until the first length was opened. A lone key is nobody's: ``""``."""
        return None if self._aead is None else self._user

    @property
    def salt(self) -> bytes | None:
        """The stream's salt, once it is proved that a known key made it: ask the ``SaltFilter`` then."""
        return None if self._aead is None else self._salt

    @property
    def wanted(self) -> int:
        """Bytes that ``open_into`` must be given at least to get any further."""
        if self._aead is None:
            return self._salt_size + _HEAD
        return self._length + OVERHEAD if self._length else _HEAD

    def open_into(self, data: Bytes, out: memoryview) -> tuple[int, int]:
        """Open all whole chunks of ``data`` into ``out``: (bytes consumed, bytes produced).

        What is not consumed, at most ``MAX_LEFTOVER`` bytes, must come again as
        the beginning of the next ``data``. ``out`` must be as long as ``data``
        and not overlap it. Raises ``Forged`` for ever after the first byte that
        does not hold; what the same call had opened before it is lost with it.
        """
        size = len(data)
        if len(out) < size:
            raise ValueError(f"{size} bytes to open, room for {len(out)}")
        if self._broken:
            raise Forged("more bytes after a forged one")
        data = memoryview(data)
        aead, take = self._aead, 0
        if aead is None:
            take = self._salt_size
            if size < take + _HEAD:
                return 0, 0
            aead = self._identify(bytes(data[:take]), data[take : take + _HEAD])
        opened, opened_into = aead.decrypt, aead.decrypt_into
        count, length, put, most = self._count, self._length, 0, self._most
        try:
            while True:
                body = take + _HEAD
                if not length:
                    if body > size:
                        break
                    head = opened(count.to_bytes(12, "little"), data[take:body], None)
                    length = head[0] << 8 | head[1]
                    if not 0 < length <= most:
                        raise Forged(f"a chunk of {length} bytes")
                stop = body + length + TAG
                if stop > size:
                    break
                filled = put + length
                opened_into((count + 1).to_bytes(12, "little"), data[body:stop], None, out[put:filled])
                put = filled
                take = stop
                count += 2
                length = 0
        except Forged:
            self._broken = True
            raise
        except invalid_tag():
            self._broken = True
            raise Forged(f"the seal of chunk {count // 2} does not hold") from None
        self._count = count
        self._length = length
        return take, put

    def _identify(self, salt: bytes, head: memoryview) -> Aead:
        """Try the candidates on the first sealed length."""
        nonce, wrong = bytes(12), invalid_tag()
        for user, key in self._candidates:
            aead = key.session(salt)
            try:
                aead.decrypt(nonce, head, None)
            except wrong:
                continue
            self._aead, self._salt, self._user = aead, salt, user
            return aead
        self._broken = True
        raise Forged("sealed with no key that is known here")


class Dial:
    """How a gateway greets: the address and what payload is there, as one piece."""

    __slots__ = ("_key", "_sealer")

    def __init__(self, key: Key | None, salt: bytes = b"") -> None:
        """``key`` is None for the method ``none``, which takes no salt."""
        self._key = key
        self._sealer = None if key is None else Sealer(key, salt)

    def first(self, header: bytes, payload: Bytes = b"") -> tuple[bytes, Sealer | None]:
        """The first bytes to send, and what seals all that follows (None: nothing does).

        ``header`` comes from ``address.encode…``. Both go into one chunk when they
        fit, so that neither packet count nor sizes tell the header's length.
        """
        plain = b"".join((header, payload))
        sealer = self._sealer
        if sealer is None:
            return plain, None
        out = bytearray(sealer.sealed_size(len(plain)))
        sealer.seal_into(plain, memoryview(out))
        return bytes(out), sealer

    def opener(self) -> Opener | None:
        """What opens the answer; None for the method ``none``."""
        return None if self._key is None else Opener(self._key)


@dataclass(frozen=True, slots=True)
class Request:
    """What an accepted connection asks for."""

    target: Target
    first_payload: bytes
    """Plain bytes for the target that came along with the address."""
    opener: Opener | None
    """Opens all that follows; None for the method ``none``."""
    user: str | None
    """Whose key; None for the method ``none``."""
    leftover: bytes
    """Sealed bytes of an unfinished chunk, to be put before whatever is received next."""


class Accept:
    """How an exit is greeted: feed it what comes until it says ``Request``.

    It never holds more than one unfinished chunk and one unfinished address
    beside what it was just fed.
    """

    __slots__ = ("_fault", "_opener", "_plain", "_sealed")

    def __init__(self, keys: Key | Candidates | None) -> None:
        """``keys`` is None for the method ``none``."""
        self._opener = None if keys is None else Opener(keys)
        self._sealed = bytearray()
        self._plain = b""
        self._fault: PeerFault | None = None

    @property
    def salt(self) -> bytes | None:
        """As ``Opener.salt``: known before the request is, when its first chunk comes in pieces."""
        return None if self._opener is None else self._opener.salt

    def feed(self, data: Bytes) -> Request | None:
        """Take the next bytes; None while more are needed.

        Raises ``Malformed`` or ``Forged``, and again on every later call, so that
        a peer that is held open to tell it nothing can't come back into favour.
        """
        if self._fault is not None:
            raise self._fault.with_traceback(None)
        try:
            if self._opener is None:
                self._plain += data
            elif not self._open(self._opener, data):
                return None
            found = address.decode(self._plain)
        except PeerFault as fault:
            self._fault = fault
            self._sealed, self._plain = bytearray(), b""
            raise
        if found is None:
            return None
        target, end = found
        user = None if self._opener is None else self._opener.user
        return Request(target, self._plain[end:], self._opener, user, bytes(self._sealed))

    def _open(self, opener: Opener, data: Bytes) -> bool:
        """Open what can be opened; whether that made any plain bytes."""
        sealed = self._sealed
        sealed += data
        if len(sealed) < opener.wanted:
            return False
        out = bytearray(len(sealed))
        consumed, produced = opener.open_into(sealed, memoryview(out))
        del sealed[:consumed]
        self._plain += memoryview(out)[:produced]
        return produced > 0
