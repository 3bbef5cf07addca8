"""One session of sealed datagrams with one exit over one path, for an examination: asked, and waited for.

It is a gateway of its own to the exit, with an identity of its own, so that it disturbs no courier. Every
call ends within the seconds that it says.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from plait.config.model import IPAddress
from plait.courier.orders import AwayOrder, WayOrder
from plait.courier.trains import Arriving, rate
from plait.kernel.udp import Letter, open_path, receive, split
from plait.tunnel import frames, glance
from plait.tunnel.frames import Echo, EchoReply, Train, TrainReply
from plait.wire.datagram import HEADER, OVERHEAD, PLAIN, SEALED, Session, trade
from plait.wire.faults import PeerFault
from plait.wire.greeting import ANSWER, COOKIE, WELCOME, Caller, Guard, hello, mac_of, take_welcome

_AGAIN = 0.4
"""Seconds between two greetings."""
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_ERRORS = struct.Struct("=I4B2I")
"""`struct sock_extended_err` (include/uapi/linux/errqueue.h): errno, origin, type, code, pad, info, data."""
_BY_ICMP = (2, 3)
_TRAIN = 250
"""Datagrams in the train that measures a rate: 300 kB each way, 0.1 s at 24 Mbit/s."""
_TRAIN_SIZE = 1200

_QUIET = 0.7
"""Seconds without a datagram after which a train is over."""

_Frame = Echo | EchoReply | Train | TrainReply | glance.Look | glance.Seen


@dataclass(frozen=True, slots=True)
class Seen:
    """What an exit says of a datagram of ours."""

    address: IPAddress
    port: int
    skew: float
    """Seconds that its clock is ahead, by half a round trip exact."""


class Visit:
    """Raises OSError when the path has no such link or address. Close it."""

    def __init__(self, way: WayOrder, order: AwayOrder, identity: bytes) -> None:
        self._sock = open_path(way.remote, way.port, local=way.local, interface=way.interface)
        six = self._sock.family == socket.AF_INET6
        level, option = (socket.IPPROTO_IPV6, _IPV6_RECVERR) if six else (socket.IPPROTO_IP, _IP_RECVERR)
        self._sock.setsockopt(level, option, 1)
        self.headers = 48 if six else 28
        """Bytes of IP and UDP before the datagram."""
        self._order = order
        self._identity = identity
        self._session: Session | None = None
        self._number = 0
        self.serves = False
        """Whether the exit serves a tunnel."""

    def close(self) -> None:
        """Give the socket back. The exit forgets the session by itself."""
        self._sock.close()

    def greet(self, limit: float) -> bool:
        """Begin the session; whether the exit has answered within ``limit`` seconds."""
        index = int.from_bytes(os.urandom(4), "big") or 1
        kind = trade(self._order.method)
        guard = Guard(bytes.fromhex(self._order.psk)) if kind is not None else None
        caller = None
        if kind is not None and guard is not None:
            caller = Caller(
                kind,
                guard,
                ephemeral=os.urandom(32),
                index=index,
                identity=self._identity,
                exit_key=bytes.fromhex(self._order.exit_key),
            )
        cookie, mac, attempt = b"", b"", 0
        deadline = time.monotonic() + limit
        while (left := deadline - time.monotonic()) > 0:
            if caller is None:
                greeting = hello(0, attempt, index, self._identity)
            else:
                greeting = caller.greeting(0, attempt, cookie)
                mac = mac_of(greeting)
            attempt += 1
            self._give(greeting)
            for letter in self._letters(min(_AGAIN, left)):
                try:
                    if letter.data[:1] == bytes((ANSWER,)) and caller is not None:
                        self._session, epoch = caller.answered(letter.data)
                    elif letter.data[:1] == bytes((WELCOME,)) and caller is None:
                        self._session, epoch = take_welcome(letter.data, index)
                    elif letter.data[:1] == bytes((COOKIE,)) and guard is not None:
                        cookie = guard.open_cookie(letter.data, mac)
                        break
                    else:
                        continue
                except PeerFault:
                    continue
                self.serves = bool(epoch)
                return True
        return False

    def echoes(self, count: int, gap: float, patience: float) -> tuple[float | None, float]:
        """Median round trip in seconds (None: no reply), and the share lost, of ``count`` echoes sent
        ``gap`` seconds apart."""
        sent: dict[int, tuple[float, int]] = {}
        times: list[float] = []

        def take(frame: _Frame, at: int) -> bool:
            if isinstance(frame, EchoReply) and frame.id in sent:
                began, wall = sent.pop(frame.id)
                elapsed = time.monotonic() - began
                by_kernel = (at - wall) / 1e9
                if at and 0.0 < by_kernel < elapsed:
                    elapsed = by_kernel
                times.append(max(elapsed - frame.held / 1e6, 1e-6))
            return len(times) == count

        for _ in range(count):
            number = self._next()
            sent[number] = time.monotonic(), time.time_ns()
            self._say(frames.encode(Echo(number)))
            self._hear(gap, take)
        if len(times) < count:
            self._hear(patience, take)
        return (median(times) if times else None), 1 - len(times) / count

    def look(self, patience: float, tries: int = 3) -> Seen | None:
        """How the exit sees us; None when it does not say (a plait of before)."""
        found: list[Seen] = []
        for _ in range(tries):
            number, sent = self._next(), time.time()

            def take(frame: _Frame, at: int, number: int = number, sent: float = sent) -> bool:
                if isinstance(frame, glance.Seen) and frame.id == number:
                    middle = (sent + (at / 1e9 if at else time.time())) / 2
                    found.append(Seen(frame.address, frame.port, frame.clock / 1e6 - middle))
                return bool(found)

            self._say(glance.encode(glance.Look(number)))
            if self._hear(patience, take):
                break
        return found[0] if found else None

    def largest(self, least: int, most: int, patience: float, *, back: bool) -> int | None:
        """Largest IP packet, from ``least`` to ``most`` bytes, that arrives at the exit, or with ``back``
        that comes back from there; None when none does. Takes some six times ``patience`` seconds."""
        best: int | None = None
        low, high = least, most
        while low <= high:
            step = max(1, -(-(high - low) // 12))
            tried = sorted({*range(low, high + 1, step), high})
            answered = self._answered(tried, patience, back=back)
            if not answered:
                break
            best = max(answered)
            low, high = best + 1, min((size for size in tried if size > best), default=best + 1) - 1
        return best

    def rates(self, limit: float) -> tuple[int | None, int | None]:
        """Bits a second up and down by a train of 300 kB each way; None for what was not found out."""
        number = int.from_bytes(os.urandom(4), "big")
        up: list[int | None] = []
        train: list[Arriving] = []

        def take(frame: _Frame, at: int) -> bool:
            if isinstance(frame, TrainReply) and frame.id == number:
                up.append(rate(frame.count, frame.spread, frame.bytes))
            elif isinstance(frame, Train) and frame.id == number:
                size = _TRAIN_SIZE
                if train:
                    train[0].add(at or time.time_ns(), size)
                else:
                    train.append(Arriving(number, frame.count, at, at, size=size))
            return bool(up and train and train[0].complete)

        for index in range(_TRAIN):
            self._say(frames.encode(Train(number, index, _TRAIN, True, _TRAIN_SIZE - OVERHEAD)))
            if index % 16 == 15:
                # A queue of the kernel's own takes no more than that at once.
                select.select([], [self._sock], [], 0.05)
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            # What is lost is not waited for: the exit gives the train half a second, and answers.
            before = len(up) + (train[0].arrived if train else 0)
            if self._hear(_QUIET, take) or before == len(up) + (train[0].arrived if train else 0):
                break
        down = rate(train[0].arrived, train[0].spread, train[0].bytes) if train else None
        return (up[0] if up else None), down

    def told_too_large(self) -> bool:
        """Whether a router has said, since the session began, that a packet of ours was too large."""
        told = False
        while True:
            try:
                _, control, _, _ = self._sock.recvmsg(256, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return told
            for level, kind, value in control:
                if (level, kind) in ((socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR)):
                    number, origin, *_ = _ERRORS.unpack(value[: _ERRORS.size])
                    told |= number == errno.EMSGSIZE and origin in _BY_ICMP

    def _answered(self, sizes: Sequence[int], patience: float, *, back: bool) -> set[int]:
        """Those sizes of IP packets of which at least one of two gets an answer."""
        seal = HEADER if self._order.method == "none" else OVERHEAD
        waiting: dict[int, int] = {}
        found: set[int] = set()

        def take(frame: _Frame, at: int) -> bool:
            wanted = glance.Seen if back else EchoReply
            if isinstance(frame, wanted) and frame.id in waiting:
                found.add(waiting[frame.id])
            return len(found) == len(sizes)

        for _ in range(2):
            for size in sizes:
                if size not in found:
                    number, body = self._next(), size - self.headers - seal
                    waiting[number] = size
                    frame = (
                        glance.encode(glance.Look(number, whole=True, size=body))
                        if back
                        else frames.encode(Echo(number, body))
                    )
                    self._say(frame)
            if self._hear(patience, take):
                break
        return found

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _say(self, body: bytes) -> None:
        assert self._session is not None
        self._give(self._session.sealing.seal(0, body))

    def _give(self, datagram: bytes) -> None:
        for _ in range(2):
            try:
                self._sock.send(datagram)
                return
            except OSError:
                continue  # an error of an earlier one, or too large for the link: lost, as on the way

    def _hear(self, seconds: float, take: Callable[[_Frame, int], bool]) -> bool:
        """Give what comes to ``take`` until it has all that it wants, or the time is over."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            enough = False
            for letter in self._letters(left):
                for body in self._open(letter):
                    enough |= take(body, letter.at)
            if enough:
                return True
        return False

    def _letters(self, seconds: float) -> list[Letter]:
        select.select([self._sock], [], [], seconds)
        found: list[Letter] = []
        while (letter := receive(self._sock)) is not None:
            found += split(letter)
        return found

    def _open(self, letter: Letter) -> list[_Frame]:
        assert self._session is not None
        found: list[_Frame] = []
        if letter.data[:1] not in (bytes((SEALED,)), bytes((PLAIN,))):
            return found
        for _, _, bodies, _ in self._session.opening.open_run(letter.data, len(letter.data)).pieces:
            for body in bodies:
                try:
                    frame = glance.decode(body) if body[:1] == bytes((glance.SEEN,)) else frames.decode(body)
                except PeerFault:
                    continue
                if isinstance(frame, EchoReply | Train | TrainReply | glance.Seen):
                    found.append(frame)
        return found
