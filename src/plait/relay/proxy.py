"""Proxies for applications that choose an exit themselves: SOCKS5, and HTTP's CONNECT.

A client says where it wants to go; names are passed on to the exit as they are, so that nobody here
asks for them. Success is told once the connection to the exit stands: the wire format has no word for
"the target has refused", which the client sees as a reset, as it would behind the interceptor.

Requests to HTTP servers themselves (``GET http://…``) are `plait.relay.forward`'s, datagrams are
`plait.relay.associate`'s.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from plait.kernel.sockets import close_orderly
from plait.relay.associate import Desk, associate
from plait.relay.dialer import Failure
from plait.relay.farewell import Farewell
from plait.relay.gateway import Upstream, Way, begin, reach
from plait.relay.loop import ENDED, IN, OUT
from plait.relay.pump import Pump, Session, reset
from plait.relay.tally import Tally
from plait.wire import socks5
from plait.wire.address import Target, encode
from plait.wire.faults import Malformed
from plait.wire.passes import Pass
from plait.wire.socks5 import Command, Conversation, Reply

_GUESTS = 1024
"""Most clients of one proxy in one worker that have not said where they want to go; then the oldest goes."""

REPLIES = {
    Failure.REFUSED: Reply.REFUSED,
    Failure.UNREACHABLE: Reply.HOST_UNREACHABLE,
    Failure.TIMEOUT: Reply.HOST_UNREACHABLE,
    Failure.NO_WAY: Reply.NETWORK_UNREACHABLE,
}
"""What a client is told of an exit that can't be reached; of all else, that it failed."""


class Guest(Protocol):
    """A client that has not said where it wants to go."""

    sock: socket.socket
    peer: str

    def event(self, mask: int) -> None:
        """Something happened on its socket."""

    def leave(self) -> None:
        """We want no more of it: close, if nothing is half-way."""

    def expel(self, kind: str) -> None:
        """It has taken too long, or the place of others."""


class Proxy:
    """What all clients of one ``[[proxy]]`` share in one worker."""

    def __init__(
        self,
        pump: Pump,
        upstream: Upstream,
        tally: Tally,
        welcome: Callable[[Proxy, socket.socket, str], Guest],
        *,
        held: Pass | None,
        handshake: float,
        limit: float,
    ) -> None:
        """``welcome`` makes a guest of a client; ``held`` is the pass that it must show, if any."""
        self.pump = pump
        self.upstream = upstream
        self.tally = tally
        self.limit = limit
        self.held = held
        self.desk = Desk(pump, upstream, tally)
        self.draining = False
        self._welcome = welcome
        self._handshake = handshake
        self._waiting: OrderedDict[Guest, float] = OrderedDict()

    def accepted(self, sock: socket.socket, peer: str) -> None:
        """Somebody has connected."""
        guest = self._welcome(self, sock, peer)
        self.pump.loop.register(sock.fileno(), guest.event)
        self.wait(guest)

    def wait(self, guest: Guest) -> None:
        """A guest has its time to say what it wants, from now on."""
        self._waiting[guest] = self.pump.loop.now + self._handshake
        self._waiting.move_to_end(guest)
        if len(self._waiting) > _GUESTS:
            next(iter(self._waiting)).expel("crowded out")

    def known(self, guest: Guest) -> None:
        """It has said it, or left."""
        self._waiting.pop(guest, None)

    @property
    def busy(self) -> bool:
        """Whether somebody is half-way through saying what it wants, or has datagrams carried."""
        return bool(self._waiting) or self.desk.busy

    def drain(self) -> None:
        """No more come; those who are idle may go."""
        self.draining = True
        for guest in list(self._waiting):
            guest.leave()

    def sweep(self) -> None:
        """Close those whose time has passed. All have equally long, so the oldest are first."""
        while self._waiting:
            guest, deadline = next(iter(self._waiting.items()))
            if deadline > self.pump.loop.now:
                return
            guest.expel("silent")

    def stranger(self, guest: Guest, kind: str, words: bytes = b"") -> None:
        """A guest has to go, and why; it is told ``words``."""
        self.known(guest)
        self.tally.stranger(kind, guest.peer)
        if words:
            Farewell(self.pump, guest.sock, words)
        else:
            self.close(guest)

    def close(self, guest: Guest) -> None:
        """A guest has gone."""
        self.known(guest)
        self.pump.loop.forget(guest.sock.fileno())
        close_orderly(guest.sock)


class Socks:
    """A client that speaks SOCKS5."""

    __slots__ = ("_proxy", "_talk", "peer", "sock")

    def __init__(self, proxy: Proxy, sock: socket.socket, peer: str) -> None:
        self._proxy = proxy
        self._talk = Conversation(proxy.held.admits if proxy.held is not None else None)
        self.sock = sock
        self.peer = peer

    def leave(self) -> None:
        """It is always half-way: it has at most the handshake's time."""

    def expel(self, kind: str) -> None:
        """It has taken too long, or the place of others."""
        self._proxy.stranger(self, kind)

    def event(self, mask: int) -> None:
        """More of what it says, or its end."""
        if not mask & (IN | ENDED):
            return
        proxy, talk = self._proxy, self._talk
        view = proxy.pump.buffers.views[0]
        while True:
            try:
                n = self.sock.recv_into(view)
            except BlockingIOError:
                return
            except OSError:
                n = 0
            if not n:
                proxy.stranger(self, "left")
                return
            try:
                said = talk.feed(bytes(view[:n]))
            except Malformed:
                proxy.stranger(self, "not a proxy's client")
                return
            if talk.over:
                proxy.stranger(self, "wrong password" if talk.denied else "not a proxy's client", said)
                return
            if said and not tell(self.sock, said):
                proxy.stranger(self, "left")
                return
            if talk.request is not None:
                self._serve(talk.request)
                return

    def _serve(self, request: socks5.Request) -> None:
        proxy = self._proxy
        proxy.known(self)
        if request.command is not Command.CONNECT or request.target is None:
            associate(proxy.desk, self.sock, self.peer)
            return
        Call(
            proxy,
            self.sock,
            self.peer,
            request.target,
            first=self._talk.leftover,
            granted=socks5.reply(Reply.DONE),
            refusal=lambda failure: socks5.reply(REPLIES.get(failure, Reply.FAILED)),
        )


class Call:
    """A client whose target is known and whose exit is being dialled; then they are connected."""

    __slots__ = ("_first", "_granted", "_mask", "_peer", "_proxy", "_refusal", "_sock", "_target")

    def __init__(
        self,
        proxy: Proxy,
        sock: socket.socket,
        peer: str,
        target: Target,
        *,
        first: bytes,
        granted: bytes,
        refusal: Callable[[Failure], bytes],
    ) -> None:
        """``first`` is what the client has said to the target already; ``granted`` is told when the exit
        is reached, ``refusal`` says what is told when not."""
        self._proxy = proxy
        self._sock = sock
        self._peer = peer
        self._target = target
        self._first = first
        self._granted = granted
        self._refusal = refusal
        # Edges that were spent on the way here: there may be more to read.
        self._mask = IN | OUT
        proxy.pump.loop.rebind(sock.fileno(), self._note)
        proxy.tally.total += 1
        proxy.tally.opening += 1
        reach(proxy.pump, proxy.upstream, self._connected, self._failed, proxy.limit)

    def _note(self, mask: int) -> None:
        """What the client says or does meanwhile waits in the kernel."""
        self._mask |= mask

    def _failed(self, failure: Failure) -> None:
        proxy = self._proxy
        proxy.tally.opening -= 1
        proxy.tally.ended(failure.value)
        proxy.tally.exit_failed(proxy.upstream.name, failure.value)
        Farewell(proxy.pump, self._sock, self._refusal(failure))

    def _connected(self, exit_sock: socket.socket, way: Way, mask: int) -> None:
        proxy = self._proxy
        proxy.tally.opening -= 1
        if not tell(self._sock, self._granted):
            proxy.tally.ended("gone")
            for sock in (exit_sock, self._sock):
                proxy.pump.loop.forget(sock.fileno())
                reset(sock)
            return
        session = connect(proxy, self._sock, self._peer, exit_sock, self._target, self._first)
        session.start(session.up, session.down, self._mask, mask)


def connect(
    proxy: Proxy, near: socket.socket, peer: str, exit_sock: socket.socket, target: Target, first: bytes
) -> Session:
    """A session between ``near`` and a target behind the exit, to be started."""
    return begin(
        proxy.pump, proxy.upstream, near, exit_sock, encode(target), first, target=str(target), peer=peer
    )


def tell(sock: socket.socket, words: bytes) -> bool:
    """Say a few words to a client that was told nothing much yet; False when it is gone."""
    try:
        return sock.send(words) == len(words)
    except OSError:
        return False
