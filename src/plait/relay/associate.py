"""UDP ASSOCIATE of SOCKS5 (RFC 1928, section 7): datagrams of an application, as Shadowsocks datagrams.

The application keeps the TCP connection on which it asked; the association lives as long. It sends to
a socket of its own at the proxy's address, wrapped in the target's; only the host that asked is heard,
and answers go to where it spoke from last. Towards the exit it has a socket of its own too, over the
best way of the moment; when that way goes, the next datagram opens another.

What is lost is lost: these are datagrams.
"""

from __future__ import annotations

import os
import socket
import time
from collections import OrderedDict
from ipaddress import ip_address

from plait.kernel.sockets import close_orderly
from plait.kernel.udp import fragment, open_path
from plait.relay.farewell import Farewell
from plait.relay.gateway import Upstream, Way
from plait.relay.loop import ENDED, IN
from plait.relay.pump import Pump
from plait.relay.tally import Tally
from plait.wire import socks5
from plait.wire.address import encode
from plait.wire.faults import Malformed, PeerFault
from plait.wire.socks5 import Reply
from plait.wire.streams import talk

MOST = 1024
"""Associations of one proxy in one worker; then the one that has been there longest goes."""

_AT_ONCE = 32
"""Datagrams in one turn; the sockets are level-triggered, so the rest is told again."""
_LARGEST = 65535


class Desk:
    """The associations of one proxy."""

    def __init__(self, pump: Pump, upstream: Upstream, tally: Tally, most: int = MOST) -> None:
        self.pump = pump
        self.upstream = upstream
        self.tally = tally
        self._most = most
        self._open: OrderedDict[_Association, None] = OrderedDict()

    @property
    def busy(self) -> bool:
        """Whether there is any."""
        return bool(self._open)

    def enter(self, association: _Association) -> None:
        """One more."""
        self.tally.total += 1
        self._open[association] = None
        if len(self._open) > self._most:
            next(iter(self._open)).close("crowded out")

    def leave(self, association: _Association) -> None:
        """One less."""
        self._open.pop(association, None)


def associate(desk: Desk, control: socket.socket, peer: str) -> None:
    """Open an association for the client at ``control``, a registered socket, and tell it where."""
    address = control.getsockname()[0]
    inward = socket.socket(control.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        inward.bind((address, 0))
        port = inward.getsockname()[1]
        sent = control.send(socks5.reply(Reply.DONE, ip_address(address.partition("%")[0]), port))
    except OSError:
        inward.close()
        Farewell(desk.pump, control, socks5.reply(Reply.FAILED))
        return
    if not sent:
        inward.close()
        Farewell(desk.pump, control)
        return
    _Association(desk, control, inward, peer)


class _Association:
    """One application's."""

    __slots__ = ("_client", "_control", "_desk", "_inward", "_outward", "_peer", "_talk", "_way")

    def __init__(self, desk: Desk, control: socket.socket, inward: socket.socket, peer: str) -> None:
        self._desk = desk
        self._control = control
        self._inward = inward
        self._peer = peer
        self._client: tuple[str, int] | None = None
        self._outward: socket.socket | None = None
        self._way: Way | None = None
        self._talk = talk(desk.upstream.key, os.urandom, time.time)
        desk.enter(self)
        loop = desk.pump.loop
        loop.register(inward.fileno(), self._from_client, IN)
        loop.rebind(control.fileno(), self._control_event)

    def close(self, how: str = "done") -> None:
        """The application has closed its connection, or others need the room."""
        self._desk.leave(self)
        self._desk.tally.ended(how)
        loop = self._desk.pump.loop
        for sock in (self._inward, self._outward):
            if sock is not None:
                loop.forget(sock.fileno())
                sock.close()
        loop.forget(self._control.fileno())
        close_orderly(self._control)

    def _control_event(self, mask: int) -> None:
        """Nothing is to be said on this connection any more; its end is the association's."""
        if not mask & (IN | ENDED):
            return
        view = self._desk.pump.buffers.views[0]
        while True:
            try:
                n = self._control.recv_into(view)
            except BlockingIOError:
                return
            except OSError:
                n = 0
            if not n:
                self.close()
                return

    def _from_client(self, mask: int) -> None:
        tally = self._desk.tally
        for _ in range(_AT_ONCE):
            try:
                datagram, sender = self._inward.recvfrom(_LARGEST)
            except OSError:
                return
            if sender[0] != self._peer:
                # Not who asked (RFC 1928: such datagrams are to be dropped).
                tally.stranger("not a proxy's client", sender[0])
                continue
            try:
                unwrapped = socks5.unwrap(datagram)
            except Malformed:
                tally.stranger("not a proxy's client", sender[0])
                continue
            if unwrapped is None:
                continue
            self._client = sender
            target, payload = unwrapped
            outward = self._settled()
            if outward is None:
                continue
            try:
                outward.send(self._talk.seal(encode(target), payload))
            except OSError:
                continue
            tally.up_bytes += len(payload)

    def _settled(self) -> socket.socket | None:
        """The socket towards the exit, over a way that is one now."""
        ways = self._desk.upstream.ways
        if self._outward is not None and self._way in ways:
            return self._outward
        loop = self._desk.pump.loop
        if self._outward is not None:
            loop.forget(self._outward.fileno())
            self._outward.close()
            self._outward = None
        for way in ways:
            try:
                sock = open_path(way.address, way.port, local=way.local, interface=way.interface)
            except OSError:
                continue
            fragment(sock, True)
            self._outward, self._way = sock, way
            loop.register(sock.fileno(), self._from_exit, IN)
            return sock
        return None

    def _from_exit(self, mask: int) -> None:
        tally = self._desk.tally
        for _ in range(_AT_ONCE):
            assert self._outward is not None
            try:
                datagram = self._outward.recv(_LARGEST)
            except BlockingIOError:
                return
            except OSError:
                # An ICMP error about what was sent before.
                continue
            try:
                parcel = self._talk.open(datagram)
                wrapped = socks5.wrap(parcel.place, parcel.payload)
            except PeerFault:
                tally.wrong_answer(self._desk.upstream.name)
                continue
            if self._client is None:
                continue
            try:
                self._inward.sendto(wrapped, self._client)
            except OSError:
                continue
            tally.down_bytes += len(parcel.payload)
