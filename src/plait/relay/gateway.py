"""The gateway's half of a session: take a client off the LAN, dial an exit, say where to.

The dial begins the moment a client is accepted. By the time it is done the client's first bytes are
usually there, and travel together with the address (one round trip saved); a client that waits for
the server to speak first is not waited for.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from plait.kernel.sockets import Where, begin_connect, local_address, original_destination
from plait.relay.admission import private
from plait.relay.dialer import Dial, Failure
from plait.relay.legs import Leg, OpenLeg, SealLeg
from plait.relay.pump import Pump, Session, reset
from plait.relay.race import delay_for
from plait.relay.tally import Tally
from plait.wire.address import encode_packed
from plait.wire.cipher import Bytes, Key
from plait.wire.shadowsocks import Sealer
from plait.wire.streams import Dial as Greeting
from plait.wire.streams import dial as greet

FIRST = 16384
"""Most client bytes that travel with the address: as much as one sealed chunk takes."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to an exit: which address to dial, and from which link."""

    address: str
    port: int
    local: str = ""
    interface: str = ""
    path: str = ""
    rtt: float = field(default=0.0, compare=False)
    """Seconds; 0 when not known."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A connection to an exit that was dialled in advance."""

    sock: socket.socket
    way: Way
    mask: int
    """What events have told of it so far."""


@dataclass(slots=True)
class Upstream:
    """An exit as a worker knows it. ``ways`` changes while we run, best first."""

    name: str
    key: Key | None
    ways: Sequence[Way]
    mptcp: bool = True
    dials: set[Dial[Way]] = field(default_factory=set)
    """Those under way: they learn of it when the ways change."""
    take: Callable[[], Taken | None] | None = None
    """Gives a connection that was dialled in advance, where some are."""
    changed: Callable[[], None] | None = None
    """Called when there are other ways than before."""
    begun: WeakKeyDictionary[socket.socket, Greeting] = field(default_factory=WeakKeyDictionary)
    """Greetings of which the salt is already sent."""

    def turn_to(self, ways: Sequence[Way]) -> None:
        """The ways have changed. When there is none now, dials under way wait for one."""
        news = set(ways) != set(self.ways)
        self.ways = ways
        if news and self.changed is not None:
            self.changed()
        if ways:
            for race in list(self.dials):
                race.revise(ways)


def reach(
    pump: Pump,
    upstream: Upstream,
    done: Callable[[socket.socket, Way, int], None],
    failed: Callable[[Failure], None],
    limit: float,
) -> None:
    """A connection to an exit for a client: one that was dialled in advance, or else a new one.

    ``done`` is never called before this returns.
    """
    taken = upstream.take() if upstream.take is not None else None
    if taken is None:
        dial(pump, upstream, done, failed, limit)
    else:
        # Soon is early enough: the client's first bytes may be here by then.
        pump.loop.soon(lambda: done(taken.sock, taken.way, taken.mask))


def dial(
    pump: Pump,
    upstream: Upstream,
    done: Callable[[socket.socket, Way, int], None],
    failed: Callable[[Failure], None],
    limit: float,
) -> Dial[Way] | None:
    """Dial an exit over its ways; None when it has failed at once (and ``failed`` has been told)."""
    ways = upstream.ways
    if not ways:
        failed(Failure.NO_WAY)
        return None
    mptcp = upstream.mptcp

    def connect(way: Way) -> socket.socket:
        return begin_connect(
            way.address,
            way.port,
            mptcp=mptcp,
            local=way.local,
            interface=way.interface,
            congestion=pump.congestion,
        )

    def over(race: Dial[Way]) -> None:
        upstream.dials.discard(race)

    race: Dial[Way] = Dial(pump.loop, connect, done, failed, limit, delay=_patience, over=over)
    upstream.dials.add(race)
    race.offer(ways)
    return race


def _patience(way: Way) -> float:
    return delay_for(way.rtt)


def spell(where: Where) -> str:
    """An address and port as people write them."""
    packed, port = where
    if len(packed) == 4:
        return f"{socket.inet_ntop(socket.AF_INET, packed)}:{port}"
    return f"[{socket.inet_ntop(socket.AF_INET6, packed)}]:{port}"


def begin(
    pump: Pump,
    upstream: Upstream,
    client: socket.socket,
    exit_sock: socket.socket,
    header: bytes,
    first: Bytes,
    *,
    target: str,
    peer: str,
) -> Session:
    """A session over a connection to an exit that stands; ``start`` it with what is known of its ends.

    ``header`` is the encoded address, ``first`` what the client has said already (``FIRST`` bytes at
    most); both travel in one write.
    """
    greeting = upstream.begun.pop(exit_sock, None)
    if greeting is None:
        greeting = greet(upstream.key, os.urandom, time.time)
        sealed, sealer = greeting.first(header, first)
    else:
        sealed, sealer = _go_on(upstream, greeting, header, first)
    session = Session(pump, client, exit_sock, target)
    session.peer = peer
    session.exit = upstream.name
    opener = greeting.opener()
    if opener is None or sealer is None:
        session.up = Leg(session, client, exit_sock)
        session.down = Leg(session, exit_sock, client)
    else:
        session.up = SealLeg(session, client, exit_sock, sealer)
        session.down = OpenLeg(session, exit_sock, client, opener)
    session.up.count = len(first)
    session.up.pending = memoryview(sealed)
    return session


def _go_on(
    upstream: Upstream, greeting: Greeting, header: bytes, first: Bytes
) -> tuple[bytes, Sealer | None]:
    """What follows a salt that is sent. The address is a chunk of its own: a server that counts the
    pieces in which a greeting comes (shadowsocks-libev takes two) gets it whole with its next read."""
    assert upstream.key is not None
    sealed, sealer = greeting.first(header)
    assert sealer is not None
    chunk = bytearray(sealer.sealed_size(len(first)))
    sealer.seal_into(first, memoryview(chunk))
    return sealed[upstream.key.salt_size :] + chunk, sealer


class Interceptor:
    """Accepts what nftables has taken from the LAN and brings it to one exit."""

    def __init__(
        self,
        pump: Pump,
        upstream: Upstream,
        tally: Tally,
        *,
        redirected: bool,
        own: frozenset[bytes],
        limit: float,
    ) -> None:
        self._pump = pump
        self._upstream = upstream
        self._tally = tally
        self._redirected = redirected
        self._limit = limit
        self.own = own
        """The host's own addresses, packed: nobody can have asked for those through us."""
        self.stand_in: Upstream | None = None
        """Another exit that serves new connections while ours can't."""

    @property
    def exit(self) -> str:
        """The exit that it leads to when all is well."""
        return self._upstream.name

    def accepted(self, client: socket.socket, peer: str) -> None:
        """A client is here. It has been told "connected" already, by our kernel."""
        try:
            target = original_destination(client) if self._redirected else local_address(client)
        except OSError:
            # It went away between accept and here.
            self._tally.ended("gone")
            client.close()
            return
        if target is None or target[0] in self.own:
            # Somebody talks to the interceptor itself; going on would dial ourselves for ever.
            self._tally.ended("not intercepted")
            reset(client)
            return
        upstream = self._upstream
        # A private network is behind one exit; what has its address behind another is something else.
        if self.stand_in is not None and not private(target[0]):
            upstream = self.stand_in
        _Opening(self._pump, upstream, self._tally, client, peer, target, self._limit)


class _Opening:
    """A client whose exit is being dialled."""

    __slots__ = ("_client", "_peer", "_pump", "_tally", "_target", "_upstream")

    def __init__(
        self,
        pump: Pump,
        upstream: Upstream,
        tally: Tally,
        client: socket.socket,
        peer: str,
        target: Where,
        limit: float,
    ) -> None:
        self._pump = pump
        self._upstream = upstream
        self._tally = tally
        self._client = client
        self._peer = peer
        self._target = target
        tally.total += 1
        tally.opening += 1
        reach(pump, upstream, self._connected, self._failed, limit)

    def _failed(self, failure: Failure) -> None:
        self._tally.opening -= 1
        self._tally.ended(failure.value)
        self._tally.exit_failed(self._upstream.name, failure.value)
        reset(self._client)

    def _connected(self, exit_sock: socket.socket, way: Way, mask: int) -> None:
        tally, client, pump = self._tally, self._client, self._pump
        tally.opening -= 1
        buffer = pump.buffers.views[0]
        try:
            n = client.recv_into(buffer, FIRST)
        except BlockingIOError:
            n = 0
        except OSError:
            # The client has given up meanwhile. Nothing was asked of the exit yet.
            tally.ended("gone")
            pump.loop.forget(exit_sock.fileno())
            reset(exit_sock)
            client.close()
            return
        session = begin(
            pump,
            self._upstream,
            client,
            exit_sock,
            encode_packed(*self._target),
            buffer[:n],
            target=spell(self._target),
            peer=self._peer,
        )
        session.start(session.up, session.down, 0, mask)
