"""Sealed datagrams: a header of 16 bytes in the clear, a body under the session's key.

    0x73 sealed │ path 1 B │ 0, 2 B │ receiver's index 4 B │ counter 8 B │ body, sealed │ tag 16 B
    0x74 plain  │ path 1 B │ 0, 2 B │ receiver's index 4 B │ counter 8 B │ body            method ``none``

Numbers are big-endian. The index names the session at whom it is sent to, whatever address it comes
from, so that a path may change its address. The counter is one a path, a direction and a session; the
nonce is the header without the index, so that whatever else was changed in the header breaks the seal.

The format has WireGuard's transport messages for a model (whitepaper, section 5.4.6), and RFC 6479 for
the window; the path is what they have not.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from plait.wire.cipher import SUITES, TAG, Aead, Bytes, aead, invalid_tag
from plait.wire.faults import Forged, Malformed, Replayed
from plait.wire.noise import Cipher, Split

SEALED = 0x73
PLAIN = 0x74
HEADER = 16
"""Bytes before the body."""
OVERHEAD = HEADER + TAG
"""Bytes that a sealed datagram has beside its body."""
WINDOW = 8192
"""How far, in datagrams of one path, one may come late and still be taken (RFC 6479 has 1024; a run of
64 segments that is overtaken by several others is ordinary here)."""
LAST = 1 << 60
"""A path's counter never gets there: a new session is made long before."""

_HEADER = struct.Struct("!BBHIQ")
_FRONT = struct.Struct("!BBHI")
_LONGEST = 1 << 16
"""More datagrams than any run has."""
_EVER = (1 << WINDOW) - 1


class Window:
    """Which counters of one path have been taken: a bitmap whose lowest bit is the newest of them."""

    __slots__ = ("_bits", "newest")

    def __init__(self) -> None:
        self._bits = 0
        self.newest = -1
        """The highest counter taken; -1 before the first."""

    def fresh(self, counter: int) -> bool:
        """Whether ``counter`` was neither taken nor is too old to know."""
        behind = self.newest - counter
        return behind < 0 or (behind < WINDOW and not self._bits >> behind & 1)

    def take(self, counter: int) -> None:
        """Remember a counter; only ever one whose datagram was proved authentic."""
        ahead = counter - self.newest
        if ahead > 0:
            self._bits = (self._bits << ahead | 1) & _EVER if ahead < WINDOW else 1
            self.newest = counter
        else:
            self._bits |= 1 << -ahead

    def take_run(self, first: int, count: int) -> None:
        """The same for ``count`` counters from ``first`` on."""
        if first > self.newest and count < WINDOW:
            ahead = first + count - 1 - self.newest
            self._bits = ((self._bits << ahead if ahead < WINDOW else 0) | (1 << count) - 1) & _EVER
            self.newest += ahead
        else:
            for counter in range(first, first + count):
                self.take(counter)


@dataclass(frozen=True, slots=True)
class Trade:
    """How datagrams of a config's method are sealed."""

    noise: Cipher
    suite: str
    """The cipher of the datagrams, with the key size that its name says."""

    def key(self, secret: bytes) -> Aead:
        """A session key. Noise gives 32 bytes; a shorter key is their beginning."""
        return aead(self.suite, secret[: SUITES[self.suite].key_size])


def trade(method: str) -> Trade | None:
    """How datagrams are sealed where streams are by ``method``; None for ``none``."""
    if method == "none":
        return None
    suite = method.removeprefix("2022-blake3-")
    if "chacha20" in suite:
        return Trade(Cipher.CHACHAPOLY, "chacha20-ietf-poly1305")
    return Trade(Cipher.AESGCM, suite)


class Sealing:
    """The datagrams that one end sends in one session."""

    __slots__ = ("_aead", "_counters", "_index")

    def __init__(self, key: Aead | None, index: int) -> None:
        self._aead = key
        self._index = index
        self._counters: dict[int, int] = {}

    def follow(self, former: Sealing) -> None:
        """Go on counting where another session of the same two ends stopped: what counts acknowledged
        datagrams need not notice that keys were renewed."""
        self._counters = former._counters

    def seal(self, path: int, body: Bytes) -> bytes:
        """A whole datagram. Raises OverflowError once a path's counters are used up."""
        counter = self._counters.get(path, 0)
        if counter >= LAST:
            raise OverflowError("this session has lasted too long")
        self._counters[path] = counter + 1
        if self._aead is None:
            return _HEADER.pack(PLAIN, path, 0, self._index, counter) + body
        header = _HEADER.pack(SEALED, path, 0, self._index, counter)
        return header + self._aead.encrypt(header[:4] + header[8:], body, None)

    def seal_run(self, path: int, bodies: Iterable[bytes]) -> tuple[int, list[bytes]]:
        """Several datagrams with consecutive counters: the first counter, and the buffers to send, two a
        datagram. On the data path; raises OverflowError as `seal` does."""
        first = counter = self._counters.get(path, 0)
        if first >= LAST - _LONGEST:
            raise OverflowError("this session has lasted too long")
        buffers: list[bytes] = []
        add = buffers.append
        if self._aead is None:
            head = _FRONT.pack(PLAIN, path, 0, self._index)
            for body in bodies:
                add(head + counter.to_bytes(8, "big"))
                add(body)
                counter += 1
        else:
            head = _FRONT.pack(SEALED, path, 0, self._index)
            front, encrypt = head[:4], self._aead.encrypt
            for body in bodies:
                number = counter.to_bytes(8, "big")
                counter += 1
                buffers += (head + number, encrypt(front + number, body, None))
        self._counters[path] = counter
        return first, buffers


@dataclass(frozen=True, slots=True)
class Opened:
    """A datagram that was proved to be of its session, and new."""

    path: int
    counter: int
    body: bytes
    newest: bool
    """No later one of its path came before it."""


class Run:
    """What several datagrams that came together held."""

    __slots__ = ("forged", "malformed", "pieces", "replayed")

    def __init__(self) -> None:
        self.pieces: list[tuple[int, int, list[bytes], bool]] = []
        """Path, first counter, bodies with consecutive counters, and whether they are the newest."""
        self.forged = 0
        self.replayed = 0
        self.malformed = 0


class Opening:
    """The datagrams that one end takes in one session."""

    __slots__ = ("_aead", "_windows")

    def __init__(self, key: Aead | None) -> None:
        self._aead = key
        self._windows: dict[int, Window] = {}

    def open(self, datagram: bytes) -> Opened:
        """What is in a datagram. Raises `Malformed`, `Replayed` or `Forged`, and then has learnt nothing."""
        if len(datagram) < HEADER:
            raise Malformed("datagram: too short")
        kind, path, _, _, counter = _HEADER.unpack_from(datagram)
        if kind != (PLAIN if self._aead is None else SEALED):
            raise Malformed("datagram: of another method")
        window = self._windows.get(path)
        if window is not None and not window.fresh(counter):
            raise Replayed("datagram: seen before, or too late to tell")
        if counter >= LAST:
            raise Malformed("datagram: no such counter")
        if self._aead is None:
            body = datagram[HEADER:]
        elif len(datagram) < OVERHEAD:
            raise Forged("datagram: too short for a seal")
        else:
            try:
                body = self._aead.decrypt(datagram[:4] + datagram[8:HEADER], datagram[HEADER:], None)
            except invalid_tag():
                raise Forged("datagram: wrongly sealed") from None
        if window is None:
            window = self._windows[path] = Window()
        newest = counter > window.newest
        window.take(counter)
        return Opened(path, counter, body, newest)

    def open_run(self, data: bytes, size: int) -> Run:
        """What is in datagrams of ``size`` bytes that came as one buffer (the last may be shorter).

        On the data path: what is wrong is counted in the result, not raised.
        """
        run = Run()
        begin = 0 if self._aead is None else self._open_straight(run, data, size, self._aead)
        if begin >= len(data):
            return run
        kind = PLAIN if self._aead is None else SEALED
        decrypt = None if self._aead is None else self._aead.decrypt
        wrong = invalid_tag() if decrypt is not None else ValueError
        front, path, window = b"", -1, Window()
        bodies: list[bytes] = []
        first = expected = 0
        if 0 < len(data) % size < HEADER:
            # The last may be anything; a head cut short would be a nonce that no cipher takes.
            run.malformed += 1
            data = data[: -(len(data) % size)]
        for at in range(begin, len(data), size):
            head = data[at : at + 8]
            end = at + size if at + size < len(data) else len(data)
            if head != front:
                if end - at < HEADER or head[0] != kind:
                    run.malformed += 1
                    continue
                if bodies:
                    self._close(run, path, window, first, bodies)
                    bodies = []
                front, path = head, head[1]
                window = self._windows.get(path) or Window()
            number = data[at + 8 : at + HEADER]
            counter = int.from_bytes(number, "big")
            if bodies and counter != expected:
                self._close(run, path, window, first, bodies)
                bodies = []
            if (counter <= window.newest and not window.fresh(counter)) or counter >= LAST:
                run.replayed += 1
                continue
            if decrypt is None:
                body = data[at + HEADER : end]
            else:
                try:
                    body = decrypt(front[:4] + number, data[at + HEADER : end], None)
                except wrong:
                    run.forged += 1
                    continue
            if not bodies:
                first = counter
            bodies.append(body)
            expected = counter + 1
        if bodies:
            self._close(run, path, window, first, bodies)
        return run

    def _open_straight(self, run: Run, data: bytes, size: int, aead: Aead) -> int:
        """Open datagrams for as long as each is the next one of the first's path, as nearly all are; gives
        where the rest begins.

        The seal itself shows that a datagram has the number that it should have, so that nobody needs to
        look at any header but the first's and the last's.
        """
        last = len(data) - 1 - (len(data) - 1) % size
        if len(data) - last < OVERHEAD:
            return 0
        kind, path, zero, index, first = _HEADER.unpack_from(data)
        window = self._windows.get(path) or Window()
        count = last // size + 1
        straight = kind, path, zero, index, first + count - 1
        if kind != SEALED or first <= window.newest or first >= LAST - _LONGEST:
            return 0
        if count > 1 and _HEADER.unpack_from(data, last) != straight:
            return 0
        front, decrypt, room = data[:4], aead.decrypt, size - HEADER
        bodies: list[bytes] = []
        counter, begin = first, HEADER
        try:
            for begin in range(HEADER, len(data), size):
                bodies.append(decrypt(front + counter.to_bytes(8, "big"), data[begin : begin + room], None))
                counter += 1
            begin += size
        except invalid_tag():
            pass  # the loop for all other cases says what is wrong with it
        if bodies:
            self._close(run, path, window, first, bodies)
        return begin - HEADER

    def _close(self, run: Run, path: int, window: Window, first: int, bodies: list[bytes]) -> None:
        self._windows[path] = window
        run.pieces.append((path, first, bodies, first > window.newest))
        window.take_run(first, len(bodies))


def index_of(datagram: bytes) -> int:
    """Whose session a datagram claims to be of; -1 for what is too short to claim any."""
    return int.from_bytes(datagram[4:8], "big") if len(datagram) >= HEADER else -1


def one_session(data: bytes, size: int) -> bool:
    """Whether datagrams of ``size`` bytes that came as one buffer are of one session, by first and last."""
    last = (len(data) - 1) // size * size
    return data[4:8] == data[last + 4 : last + 8]


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """Two ends that have proved themselves to each other (or trust each other, with ``none``)."""

    ours: int
    """Index under which the peer addresses us."""
    sealing: Sealing
    opening: Opening

    @classmethod
    def sealed(cls, kind: Trade, split: Split, ours: int, theirs: int) -> Session:
        """Of a finished handshake."""
        return cls(ours, Sealing(kind.key(split.sending), theirs), Opening(kind.key(split.receiving)))

    @classmethod
    def plain(cls, ours: int, theirs: int) -> Session:
        """Of method ``none``."""
        return cls(ours, Sealing(None, theirs), Opening(None))
