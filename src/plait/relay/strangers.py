"""Strangers at an exit, handed on to an address that the owner names.

What they have said is said again there, whole, so that a web server on the same port sees the request
as it came. From then on it is a session like any other, in plain TCP, and belongs to nobody.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import ip_address

from plait.kernel.sockets import begin_connect
from plait.relay.dialer import Dial, Failure
from plait.relay.legs import Leg
from plait.relay.loop import OUT
from plait.relay.pump import Pump, Session, reset
from plait.relay.race import RESOLUTION_DELAY, interleave
from plait.relay.resolver import Resolver
from plait.relay.tally import Tally

Where = tuple[str, int]


class HandedOn:
    """A stranger, a registered socket, on its way to the fallback."""

    __slots__ = ("_dial", "_done", "_greeting", "_mask", "_peer", "_port", "_pump", "_sock", "_tally",
                 "_unanswered", "_v4", "_v6")  # fmt: skip

    def __init__(
        self,
        pump: Pump,
        tally: Tally,
        resolver: Resolver,
        where: Where,
        limit: float,
        sock: socket.socket,
        peer: str,
        greeting: bytes,
        mask: int,
        done: Callable[[], None],
    ) -> None:
        """``mask`` is what events have told of the stranger's socket already; ``done`` is called once it
        is gone."""
        self._pump = pump
        self._tally = tally
        self._sock = sock
        self._peer = peer
        self._greeting = greeting
        self._mask = mask | OUT
        self._done = done
        self._v4: list[str] = []
        self._v6: list[str] = []
        self._unanswered = 2
        host, self._port = where
        tally.opening += 1
        pump.loop.rebind(sock.fileno(), self._note)
        self._dial: Dial[str] = Dial(pump.loop, self._connect, self._connected, self._failed, limit)
        try:
            self._dial.offer([str(ip_address(host))])
        except ValueError:
            resolver.resolve(host, socket.AF_INET6, self._answer_v6)
            resolver.resolve(host, socket.AF_INET, self._answer_v4)

    def _note(self, mask: int) -> None:
        self._mask |= mask

    def _answer_v6(self, addresses: list[str]) -> None:
        self._v6 = addresses
        self._answered(0.0)

    def _answer_v4(self, addresses: list[str]) -> None:
        self._v4 = addresses
        self._answered(RESOLUTION_DELAY)

    def _answered(self, hold: float) -> None:
        self._unanswered -= 1
        last = not self._unanswered
        self._dial.offer(interleave(self._v6, self._v4), last=last, hold=0.0 if last else hold)

    def _connect(self, address: str) -> socket.socket:
        return begin_connect(address, self._port, congestion=self._pump.congestion)

    def _failed(self, failure: Failure) -> None:
        self._tally.opening -= 1
        self._tally.exit_failed("fallback", failure.value)
        self._pump.loop.forget(self._sock.fileno())
        reset(self._sock)
        self._done()

    def _connected(self, there: socket.socket, address: str, mask: int) -> None:
        self._tally.opening -= 1
        session = Session(self._pump, self._sock, there, f"fallback {address}")
        session.peer = self._peer
        done = self._done
        session.told = lambda outcome: done()
        up, down = Leg(session, self._sock, there), Leg(session, there, self._sock)
        if self._greeting:
            up.count = len(self._greeting)
            up.pending = memoryview(self._greeting)
        session.start(up, down, self._mask, mask)
