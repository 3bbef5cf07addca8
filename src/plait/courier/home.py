"""An exit's end of all sessions: who is let in, where each of their paths is, and what they are answered.

Nothing is ever sent to somebody who has not proved the password (or, with method ``none``, is not of a
trusted network). Until then a datagram costs one hash a user and is forgotten.
"""

from __future__ import annotations

import mmap
import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from plait.courier.measure import send_train
from plait.courier.orders import HomeOrder
from plait.courier.tally import Tally
from plait.courier.trains import PATIENCE, Arriving
from plait.kernel.udp import Letter, Peer, answer, receive, send_run, split
from plait.relay.loop import IN, Loop
from plait.tunnel import glance
from plait.tunnel.frames import Config, Echo, EchoReply, Train, TrainReply, decode, encode
from plait.wire.datagram import OVERHEAD, PLAIN, SEALED, Session, index_of, one_session, trade
from plait.wire.faults import Forged, Malformed, PeerFault, Replayed
from plait.wire.greeting import (
    GREETING,
    HELLO,
    Call,
    Guard,
    cookie_for,
    ephemeral_of,
    mac_of,
    shows_cookie,
    take_call,
    take_hello,
    welcome,
)
from plait.wire.replay import HEADER as REPLAY_HEADER
from plait.wire.replay import SaltFilter, prepare

if TYPE_CHECKING:
    from plait.courier.inn import Inn, Lodger

IDLE = 180.0
"""Seconds without a datagram after which a session is forgotten."""
OLDEST = 600.0
"""Seconds after which it is forgotten in any case: a gateway renews it every two minutes."""
UNCONFIRMED = 10.0
"""Seconds that a gateway has to use a session after it was begun."""
_SWEEP = 5.0
_MOST = 4096
"""Sessions at once."""
BUSY = 50
"""Handshakes in a second above which a cookie is asked for; one takes some 0.3 ms."""
_COOKIE_LIFE = 120.0
_REMEMBERED = 1 << 17
"""Bytes of the memory for greetings: 16 thousand of them."""
_AT_ONCE = 64
_MOST_ARRIVING = 16
"""Trains of one gateway at once."""


@dataclass(slots=True)
class Place:
    """Where one path of a gateway was last heard of."""

    sock: socket.socket
    peer: Peer
    local: bytes


@dataclass(slots=True, eq=False)
class Guest:
    """One session of one gateway."""

    session: Session
    user: str
    identity: bytes
    born: float
    heard: float
    confirmed: bool = False
    """It has sent something in this session, so it is there and not a recording."""
    places: dict[int, Place] = field(default_factory=dict)
    arriving: dict[tuple[int, int], Arriving] = field(default_factory=dict)
    epoch: int = 0
    """What it calls what it remembers of us."""
    theirs: int = 0
    """Its own index; with method ``none``, where it tells one greeting's session from another's."""
    lodger: Lodger | None = None
    """Its tunnel."""


@dataclass(slots=True)
class _Pending:
    """A handshake that was answered, kept to answer its further greetings alike."""

    call: Call
    born: float


class Home:
    """All sockets and all sessions."""

    def __init__(
        self,
        loop: Loop,
        doors: list[socket.socket],
        order: HomeOrder,
        tally: Tally,
        *,
        secret: bytes,
        inn: Inn | None = None,
    ) -> None:
        """``secret`` is 32 random bytes, for memories that nobody should be able to predict; with ``inn``
        there are tunnels."""
        self._inn = inn
        self._loop = loop
        self._tally = tally
        self._trade = trade(order.method)
        self._static = bytes.fromhex(order.private_key)
        self.renew(order)
        self.guests: dict[int, Guest] = {}
        """By our index."""
        self._pending: dict[bytes, _Pending] = {}
        if order.seen_fd >= 0:
            memory = memoryview(mmap.mmap(order.seen_fd, 0))
        else:
            memory = memoryview(bytearray(REPLAY_HEADER + _REMEMBERED))
            prepare(memory, secret)
        self._seen = SaltFilter(memory)
        self._cookies = (os.urandom(32), loop.now)
        self._second = (0, 0)
        self.others: Callable[[socket.socket, Letter], bool] | None = None
        """Who is asked about datagrams that are not ours; whether they were his."""
        for door in doors:
            loop.register(door.fileno(), self._door(door), IN)
        loop.after(_SWEEP, self._sweep)

    def renew(self, order: HomeOrder) -> None:
        """Others may come now. Sessions that have begun go on until they are to be renewed."""
        self._guards = (
            [(user, Guard(bytes.fromhex(psk))) for user, psk in order.psks.items()] if self._trade else []
        )
        self._trust = [ip_network(text) for text in order.trust]

    def bar(self, users: frozenset[str]) -> None:
        """There is no tunnel for these users; their echoes are answered all the same."""
        if self._inn is not None:
            self._inn.bar(users)
        for guest in self.guests.values():
            if guest.user in users:
                guest.lodger = None

    def carried(self) -> dict[str, list[int]]:
        """Bytes of inner packets up and down, by user."""
        inn = self._inn
        if inn is None:
            return {}
        return {user: [inn.up[user], inn.down[user]] for user in {*inn.up, *inn.down}}

    def _door(self, sock: socket.socket) -> Callable[[int], None]:
        def ready(mask: int) -> None:
            for _ in range(_AT_ONCE):
                letter = receive(sock)
                if letter is None:
                    return
                self.take(sock, letter)

        return ready

    def take(self, sock: socket.socket, letter: Letter) -> None:
        """One datagram, from anybody."""
        data = letter.data
        kind = data[0] if data else 0
        if letter.size and (kind not in (SEALED, PLAIN) or not one_session(data, letter.size)):
            for each in split(letter):
                self.take(sock, each)
            return
        why = "unsealed"
        try:
            if kind in (SEALED, PLAIN) and (guest := self.guests.get(index_of(data))) is not None:
                self._datagram(guest, sock, letter)
                return
            if kind == GREETING and self._trade is not None:
                self._greeting(sock, letter)
                return
            if kind == HELLO and self._trade is None:
                self._hello(sock, letter)
                return
        except Replayed:
            why = "replayed"
        except Forged:
            why = "forged"
        except _Stranger as stranger:
            why = str(stranger)
        except PeerFault:
            why = "malformed"
        else:
            why = "unknown session" if kind in (SEALED, PLAIN) else "malformed"
        if self.others is None or not self.others(sock, letter):
            self._tally.stranger(why, letter.peer[0])

    # Greetings.

    def _greeting(self, sock: socket.socket, letter: Letter) -> None:
        data = letter.data
        user, guard = next(((user, guard) for user, guard in self._guards if guard.proves(data)), ("", None))
        if guard is None:
            raise _Stranger("unsealed")
        if self._seen.seen_before(mac_of(data)):
            raise Replayed("greeting: seen before")
        ephemeral = ephemeral_of(data)
        pending = self._pending.get(ephemeral)
        if pending is None:
            if self._busy() and not self._has_cookie(letter):
                self._tally.stranger("asked for a cookie", letter.peer[0])
                cookie = cookie_for(self._cookie_secret(), _packed(letter.peer))
                self._answer(sock, letter, guard.seal_cookie(data, cookie, os.urandom(12)))
                return
            assert self._trade is not None
            call = take_call(
                data,
                self._trade,
                guard,
                ephemeral=os.urandom(32),
                index=self._new_index(),
                epoch=lambda identity: self._epoch(user, identity),
                static=self._static,
            )
            self._admit(call.session, user, call.identity, call.epoch)
            pending = self._pending[ephemeral] = _Pending(call, self._loop.now)
        self._answer(sock, letter, pending.call.answer(data))

    def _hello(self, sock: socket.socket, letter: Letter) -> None:
        self._check_trust(letter)
        theirs, epoch, identity = take_hello(letter.data)
        who = identity, theirs
        known = next((each for each in self.guests.values() if (each.identity, each.theirs) == who), None)
        ours = known.session.ours if known else self._new_index()
        if known is None:
            self._admit(Session.plain(ours, theirs), "", identity, epoch)
            self.guests[ours].theirs = theirs
        self._answer(sock, letter, welcome(letter.data, theirs, ours, self._epoch("", identity)))

    def _epoch(self, user: str, identity: bytes) -> int:
        return self._inn.epoch((user, identity)) if self._inn is not None else 0

    def _answer(self, sock: socket.socket, letter: Letter, datagram: bytes) -> None:
        self._tally.sent += 1
        answer(sock, datagram, letter.peer, letter.local)

    def _admit(self, session: Session, user: str, identity: bytes, epoch: int) -> None:
        if len(self.guests) >= _MOST:
            del self.guests[self._dispensable(user)]
        now = self._loop.now
        self.guests[session.ours] = Guest(session, user, identity, now, now, epoch=epoch)

    def _dispensable(self, user: str) -> int:
        """Whom to forget for a newcomer: who is perhaps not there at all, else whoever was not heard for
        longest of the user with the most, ``user``'s new one included: so nobody keeps the others out."""
        unconfirmed = next((index for index, guest in self.guests.items() if not guest.confirmed), None)
        if unconfirmed is not None:
            return unconfirmed
        ((most, _),) = Counter([user, *(guest.user for guest in self.guests.values())]).most_common(1)
        return min(
            (index for index, guest in self.guests.items() if guest.user == most),
            key=lambda index: self.guests[index].heard,
        )

    def _new_index(self) -> int:
        while True:
            index = int.from_bytes(os.urandom(4), "big")
            if index and index not in self.guests:
                return index

    def _busy(self) -> bool:
        second = int(self._loop.now)
        count = self._second[1] + 1 if self._second[0] == second else 1
        self._second = second, count
        return count > BUSY

    def _has_cookie(self, letter: Letter) -> bool:
        return shows_cookie(letter.data, cookie_for(self._cookie_secret(), _packed(letter.peer)))

    def _cookie_secret(self) -> bytes:
        secret, born = self._cookies
        if self._loop.now - born > _COOKIE_LIFE:
            secret = os.urandom(32)
            self._cookies = secret, self._loop.now
        return secret

    def _check_trust(self, letter: Letter) -> None:
        address = ip_address(letter.peer[0].partition("%")[0])
        if not any(address.version == network.version and address in network for network in self._trust):
            raise _Stranger("untrusted")

    # What guests send.

    def _datagram(self, guest: Guest, sock: socket.socket, letter: Letter) -> None:
        if self._trade is None:
            self._check_trust(letter)
        data = letter.data
        size = letter.size or len(data)
        waited = letter.waited()
        run = guest.session.opening.open_run(data, size)
        self._tally.faults(run, letter.peer[0])

        def other(path: int, frame: bytes) -> None:
            self._frame(guest, path, frame, size, letter)

        for path, first, frames, newest in run.pieces:
            guest.heard = self._loop.now
            self._tally.received += len(frames)
            if not guest.confirmed:
                self._confirm(guest)
            place = guest.places.get(path)
            if place is None:
                guest.places[path] = Place(sock, letter.peer, letter.local)
            elif newest and (place.peer != letter.peer or place.sock is not sock):
                place.sock, place.peer, place.local = sock, letter.peer, letter.local
            lodger = guest.lodger
            if lodger is not None and lodger.haul is not None:
                lodger.seen = guest.heard
                lodger.haul.run(path, first, frames, size, partial(other, path), waited)
            else:
                for frame in frames:
                    other(path, frame)

    def _confirm(self, guest: Guest) -> None:
        guest.confirmed = True
        if self._inn is None or not guest.epoch:
            # Its tunnel's epoch is never 0: one without a tunnel needs no room.
            return
        guest.lodger = self._inn.arrived(
            (guest.user, guest.identity),
            guest.epoch,
            guest.session,
            lambda path, buffers, size: self._ship(guest, path, buffers, size),
            lambda path: self._probe(guest, path),
        )
        for other in self.guests.values():
            # Where its paths were a moment ago is where they most likely are.
            if other is not guest and other.lodger is guest.lodger is not None:
                for path, place in other.places.items():
                    guest.places.setdefault(path, Place(place.sock, place.peer, place.local))

    def _frame(self, guest: Guest, path: int, body: bytes, size: int, letter: Letter) -> None:
        if glance.is_look(body):
            self._glance(guest, path, body, letter)
            return
        frame = decode(body)
        if isinstance(frame, Echo):
            # How long it lay in the kernel's queue was not spent on the way.
            held = (time.time_ns() - letter.at) // 1000 if letter.at else 0
            self._send(guest, path, encode(EchoReply(frame.id, max(0, held), frame.size & 0xFFFF)))
        elif isinstance(frame, Train):
            self._train(guest, path, frame, size, letter.at or time.time_ns())
        elif isinstance(frame, EchoReply) and guest.lodger is not None and guest.lodger.haul is not None:
            guest.lodger.haul.alive(path)
        elif isinstance(frame, Config) and guest.lodger is not None and self._inn is not None:
            self._inn.asked(guest.lodger, path, frame)
        elif self._inn is None or guest.lodger is not None:
            raise Malformed("nothing that a gateway sends")
        # Else it does not know yet that there is no tunnel for it any more.

    def _glance(self, guest: Guest, path: int, body: bytes, letter: Letter) -> None:
        """Say how it came, for a gateway's `plait doctor`."""
        look = glance.decode(body)
        assert isinstance(look, glance.Look)
        address = ip_address(letter.peer[0].partition("%")[0])
        self._send(
            guest,
            path,
            glance.encode(glance.answer(look, time.time_ns() // 1000, address, letter.peer[1])),
        )

    def _ship(self, guest: Guest, path: int, buffers: list[bytes], size: int) -> None:
        place = guest.places.get(path)
        if place is not None:
            self._tally.sent += 1
            send_run(place.sock, buffers, size, place.peer, place.local)

    def _probe(self, guest: Guest, path: int) -> None:
        if path in guest.places:
            self._send(guest, path, encode(Echo(0)))

    def _send(self, guest: Guest, path: int, frame: bytes) -> bool:
        place = guest.places[path]
        self._tally.sent += 1
        return answer(place.sock, guest.session.sealing.seal(path, frame), place.peer, place.local)

    def _train(self, guest: Guest, path: int, frame: Train, size: int, at: int) -> None:
        key = path, frame.id
        train = guest.arriving.get(key)
        if train is not None:
            train.add(at, size)
        elif len(guest.arriving) < _MOST_ARRIVING:
            train = guest.arriving[key] = Arriving(frame.id, frame.count, at, at, size=size)
            self._loop.after(PATIENCE, lambda: self._arrived(guest, path, frame))
        if train is not None and train.complete:
            self._arrived(guest, path, frame)

    def _arrived(self, guest: Guest, path: int, frame: Train) -> None:
        train = guest.arriving.pop((path, frame.id), None)
        if train is None:
            return
        reply = TrainReply(frame.id, train.arrived, train.spread, train.bytes)
        self._send(guest, path, encode(reply))
        if frame.want_back:
            # Never more than came, so that nobody can make us flood a third party with it: a train may
            # have datagrams of different sizes.
            send_train(
                frame.id,
                train.arrived,
                min(frame.size, train.size // train.arrived - OVERHEAD),
                lambda body: self._send(guest, path, body),
                want_back=False,
            )

    def _sweep(self) -> None:
        now = self._loop.now
        self._loop.after(_SWEEP, self._sweep)
        for ephemeral in [key for key, each in self._pending.items() if now - each.born > UNCONFIRMED]:
            del self._pending[ephemeral]
        for index, guest in list(self.guests.items()):
            limit = IDLE if guest.confirmed else UNCONFIRMED
            if now - guest.heard > limit or now - guest.born > OLDEST:
                del self.guests[index]
                if guest.lodger is not None and self._inn is not None:
                    self._inn.left(guest.lodger, guest.session)


class _Stranger(Exception):
    """Somebody who may not come in; the text is the kind that is counted."""


def _packed(peer: Peer) -> bytes:
    return f"{peer[0]} {peer[1]}".encode()
