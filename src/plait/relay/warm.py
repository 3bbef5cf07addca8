"""Connections to an exit that are dialled in advance, so that a client needs not wait for a handshake.

What is saved is a round trip, and more: an MPTCP connection opens its further subflows only once its
first data has been acknowledged, so that a short flow is over before it has more than one path. The
first thing a stream of the methods of 2017 says is its salt, which depends on nothing: sent at once,
it makes the kernel open the other subflows, and the exit waits for the rest as it waits for any slow
greeting. (The methods of 2022 begin with the time, and ``none`` with the address: their connections
are opened and nothing more.)

Nothing is dialled for an exit that is so near that a round trip is nothing, nor for one that nobody
has wanted for a minute: a metered path must not pay for what is not used.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Callable

from plait.kernel.mptcp_info import is_mptcp
from plait.kernel.sockets import close_orderly
from plait.relay.dialer import Failure
from plait.relay.gateway import Taken, Upstream, Way, dial
from plait.relay.loop import ENDED, IN
from plait.relay.pump import Pump
from plait.wire.streams import dial as greet

IDLE = 60.0
"""Seconds without a client after which nothing is kept."""
LIFETIME = 20.0
"""Seconds for which a connection is kept: less than servers let one wait that says nothing (ss-server of
shadowsocks-libev 30 to 60, plait 60). Where one closes sooner, that is learnt."""
WORTH = 0.002
"""Round trip, in seconds, under which it saves nothing that anybody could feel."""
MOST = 32
"""Most that are kept while clients come faster than the ones in stock are renewed."""

_AT_ONCE = 8
_EVERY = 1.0
_RETRY = 2.0
_CALM = 5.0
"""Seconds without shortage before one less is kept."""
_SHARE_OF_LIFE = 0.7
_SHORTEST_LIFE = 1.0
_LONGER = 1.1


class _Spare:
    """One connection in stock."""

    __slots__ = ("born", "mask", "sock", "way")

    def __init__(self, sock: socket.socket, way: Way, born: float, mask: int) -> None:
        self.sock = sock
        self.way = way
        self.born = born
        self.mask = mask


class Stock:
    """The spare connections to one exit, of one worker."""

    def __init__(self, pump: Pump, upstream: Upstream, least: int, limit: float) -> None:
        """``least`` are kept while clients come at all; ``limit`` is the seconds that a dial may take."""
        self._pump = pump
        self._upstream = upstream
        self._least = self._target = least
        self._limit = limit
        self._spares: deque[_Spare] = deque()
        self._dialling = 0
        self._lifetime = LIFETIME
        self._wanted_at = self._short_at = pump.loop.now
        self._not_before = 0.0
        self._closed = False
        self._tended = True
        upstream.take, upstream.changed = self.take, self._ways_changed
        pump.loop.after(0.0, self._tend)

    def __len__(self) -> int:
        return len(self._spares)

    def take(self) -> Taken | None:
        """A connection for a client, if there is one that still lives."""
        now = self._pump.loop.now
        self._wanted_at = now
        found: Taken | None = None
        while self._spares and found is None:
            spare = self._spares.popleft()
            if now - spare.born < self._lifetime and _quiet(spare.sock) and self._bonds(spare):
                found = Taken(spare.sock, spare.way, spare.mask)
            else:
                self._discard(spare)
        if not self._spares:
            self._short_at = now
            self._target = min(max(MOST, self._least), self._target + 1)
        # The client comes first.
        self._pump.loop.soon(self._fill if self._tended else self._tend)
        # Of several clients in one round only the first begins to tend: each would go on for itself.
        self._tended = True
        return found

    def _bonds(self, spare: _Spare) -> bool:
        """Whether it can have several subflows, or a new one would be no better. One that was opened over a
        path that takes MPTCP's options out, before that was known, is plain TCP for good."""
        ways = self._upstream.ways
        elsewhere = bool(ways) and ways[0] != spare.way
        return not (elsewhere and self._upstream.mptcp) or is_mptcp(spare.sock)

    def close(self) -> None:
        """Keep nothing any more."""
        self._closed = True
        self._clear()

    def _tend(self) -> None:
        """Once a second while clients come: renew the old, keep fewer when there was enough."""
        now = self._pump.loop.now
        self._tended = not self._closed and now - self._wanted_at < IDLE
        if not self._tended:
            self._target = self._least
            self._clear()
            return
        while self._spares and now - self._spares[0].born >= self._lifetime:
            # It was let live for so long: that it was not once (an exit that restarted) may be over.
            self._lifetime = min(LIFETIME, _LONGER * self._lifetime)
            self._discard(self._spares.popleft())
        if now - self._short_at >= _CALM:
            self._short_at = now
            self._target = max(self._least, self._target - 1)
        self._fill()
        self._pump.loop.after(_EVERY, self._tend)

    def _fill(self) -> None:
        now, ways = self._pump.loop.now, self._upstream.ways
        if self._closed or now < self._not_before or not ways or 0.0 < ways[0].rtt < WORTH:
            return
        while len(self._spares) + self._dialling < self._target and self._dialling < _AT_ONCE:
            self._dialling += 1
            dial(self._pump, self._upstream, self._connector(now), self._failed, self._limit)
            if self._not_before > now:
                return

    def _connector(self, begun: float) -> Callable[[socket.socket, Way, int], None]:
        return lambda sock, way, mask: self._connected(sock, way, mask, begun)

    def _failed(self, failure: Failure) -> None:
        self._dialling -= 1
        self._not_before = self._pump.loop.now + _RETRY

    def _connected(self, sock: socket.socket, way: Way, mask: int, begun: float) -> None:
        self._dialling -= 1
        loop = self._pump.loop
        spare = _Spare(sock, way, loop.now, mask)
        if self._closed or way not in self._upstream.ways:
            self._discard(spare)
            return
        if (way.rtt or loop.now - begun) < WORTH:
            # So near that there is nothing to save; things may change, so look again some day.
            self._discard(spare)
            self._clear()
            self._not_before = loop.now + IDLE
            return
        key = self._upstream.key
        if key is not None and key.suite.edition != 2022:
            salt = os.urandom(key.salt_size)
            try:
                sock.send(salt)
            except OSError:
                self._discard(spare)
                return
            self._upstream.begun[sock] = greet(key, lambda _: salt, time.time)
        self._spares.append(spare)
        loop.rebind(sock.fileno(), lambda mask: self._event(spare, mask))
        self._fill()

    def _event(self, spare: _Spare, mask: int) -> None:
        """An exit has nothing to say before it is asked: it hangs up."""
        spare.mask |= mask
        if mask & (IN | ENDED) and spare in self._spares:
            self._spares.remove(spare)
            age = self._pump.loop.now - spare.born
            self._lifetime = min(self._lifetime, max(_SHORTEST_LIFE, _SHARE_OF_LIFE * age))
            self._discard(spare)

    def _ways_changed(self) -> None:
        """A path has come or gone: what is in stock has a subflow too many or too few."""
        self._clear()
        self._not_before = 0.0
        self._fill()

    def _clear(self) -> None:
        while self._spares:
            self._discard(self._spares.popleft())

    def _discard(self, spare: _Spare) -> None:
        self._pump.loop.forget(spare.sock.fileno())
        close_orderly(spare.sock)


def _quiet(sock: socket.socket) -> bool:
    """Whether a connection stands and says nothing, as it should."""
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
