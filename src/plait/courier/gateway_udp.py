"""A gateway's half of Shadowsocks UDP: datagrams of the LAN to an exit, and answers to the clients.

nftables hands datagrams over with their addresses untouched (TPROXY); the socket tells for each whom it
was for. Every client address and port is one association with a socket of its own towards the exit, over
the best path at that time. When that path goes, the association moves to another: with the methods of 2022
the exit knows it again, with older ones it gets another port there.

Answers leave by sockets that speak with the address that the client had written to (`plait.courier.faces`).
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from plait.courier.faces import Face
from plait.courier.orders import WayOrder
from plait.courier.tally import Tally
from plait.kernel.udp import IP_RECVORIGDSTADDR, IPV6_RECVORIGDSTADDR, fragment, open_path
from plait.relay.admission import private
from plait.relay.loop import IN, Loop
from plait.wire.address import encode_packed
from plait.wire.cipher import Key
from plait.wire.faults import Forged, Malformed, Replayed
from plait.wire.streams import Talk, talk

Client = tuple[str, int]
"""As in a socket address, without what IPv6 has beside."""

IDLE = 300.0
"""Seconds without a datagram of its client after which an association ends."""
DNS_IDLE = 15.0
"""The same for one that asked DNS only: each question comes from a port of its own."""
MOST = 6000
"""Associations at once; then the one that is silent longest goes."""
PATIENCE = 5.0
"""Seconds without an answer after which an association leaves an exit that another one stands in for."""
_DNS = 53
_AT_ONCE = 32
_SWEEP = 5.0
_LARGEST = 65535
_CONTROL = socket.CMSG_SPACE(28)


class _Association:
    """One client's with one exit."""

    __slots__ = ("answered", "client", "dns_only", "heard", "path", "sock", "talk")

    def __init__(self, client: Client, talk: Talk, now: float) -> None:
        self.client = client
        self.talk = talk
        self.heard = now
        self.answered = now
        self.dns_only = True
        self.sock: socket.socket | None = None
        self.path = ""


class GatewayUdp:
    """All associations with one exit."""

    def __init__(
        self,
        loop: Loop,
        key: Key | None,
        tally: Tally,
        prepare: Callable[[Face], None],
        send: Callable[[Face, bytes, Client], None],
        *,
        own: frozenset[bytes] = frozenset(),
        most: int = MOST,
    ) -> None:
        """``send`` gives a client a datagram as if from some address; ``prepare`` says one may follow."""
        self._loop = loop
        self._key = key
        self._tally = tally
        self._prepare = prepare
        self._send = send
        self._most = most
        self._ways: dict[str, WayOrder] = {}
        self._lead: Sequence[str] = ()
        self._known: OrderedDict[Client, _Association] = OrderedDict()
        self._doors: list[socket.socket] = []
        self.stand_in: GatewayUdp | None = None
        """Of another exit, which serves whoever is new here while ours is not well."""
        self._lent: dict[Client, GatewayUdp] = {}
        """Whose association is another exit's, and stays there."""
        self.asked: Callable[[Client, Face, bytes], None] | None = None
        """Told of each question to a DNS server."""
        self.own = own
        """The host's own addresses, packed: nobody can have written to those through us."""
        self.total = 0
        """Associations that ever were."""
        self.dropped = 0
        """Datagrams of clients that found no way, or were not intercepted at all."""
        self.up = 0
        self.down = 0
        loop.after(_SWEEP, self._sweep)

    @property
    def open(self) -> int:
        """Associations now."""
        return len(self._known)

    def serve(self, sock: socket.socket) -> None:
        """Take what is handed over at this socket."""
        self._doors.append(sock)
        self._loop.register(sock.fileno(), lambda mask: self._arrivals(sock), IN)

    def ways(self, ways: Sequence[WayOrder]) -> None:
        """All paths to the exit that exist now."""
        self._ways = {way.path: way for way in ways}
        self._resettle()

    def lead(self, paths: Sequence[str]) -> None:
        """The paths that work, best first."""
        self._lead = paths
        self._resettle()

    def close(self) -> None:
        """End all."""
        for association in self._known.values():
            self._close(association)
        self._known.clear()
        for door in self._doors:
            self._loop.forget(door.fileno())
            door.close()

    def _arrivals(self, sock: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                payload, control, _, client = sock.recvmsg(_LARGEST, _CONTROL)
            except OSError:
                return
            target = origin(control)
            # What was sent to our own addresses has come here by itself; going on would be a loop.
            if target is None or target[0] in self.own or not target[1]:
                self.dropped += 1
                continue
            self.take((client[0], client[1]), target, payload)

    def take(self, client: Client, target: Face, payload: bytes) -> None:
        """A client has sent something to ``target``."""
        other = self._elsewhere(client, target)
        if other is not None:
            other.take(client, target, payload)
            return
        association = self._known.get(client)
        if association is None:
            if len(self._known) >= self._most:
                self._close(self._known.popitem(last=False)[1])
            self.total += 1
            association = self._known[client] = _Association(
                client, talk(self._key, os.urandom, time.time), self._loop.now
            )
        association.heard = self._loop.now
        association.dns_only = association.dns_only and target[1] == _DNS
        self._known.move_to_end(client)
        sock = association.sock or self._settle(association)
        if sock is None:
            self.dropped += 1
            return
        self._prepare(target)
        if target[1] == _DNS and self.asked is not None:
            self.asked(client, target, payload)
        try:
            sock.send(association.talk.seal(encode_packed(*target), payload))
        except OSError:
            self.dropped += 1
            return
        self.up += len(payload)
        self._tally.sent += 1

    def _elsewhere(self, client: Client, target: Face) -> GatewayUdp | None:
        """Who serves this client instead of us. What our exit alone reaches, it alone is asked for."""
        if (self.stand_in is None and not self._lent) or private(target[0]):
            return None
        lent = self._lent.get(client)
        if lent is not None:
            if client in lent._known:
                return lent
            del self._lent[client]
        if self.stand_in is None:
            return None
        own = self._known.get(client)
        if own is not None:
            if self._loop.now - own.answered < PATIENCE:
                return None
            self._close(self._known.pop(client))
        if len(self._lent) >= self._most:
            self._lent = {each: other for each, other in self._lent.items() if each in other._known}
        self._lent[client] = self.stand_in
        return self.stand_in

    def _best(self) -> Sequence[WayOrder]:
        """Where to send, best first; while nobody has said what works, any way will do."""
        return [self._ways[path] for path in self._lead if path in self._ways] or list(self._ways.values())

    def _settle(self, association: _Association) -> socket.socket | None:
        """Open the association's socket over the best path there is."""
        for way in self._best():
            try:
                sock = open_path(way.remote, way.port, local=way.local, interface=way.interface)
            except OSError:
                continue
            fragment(sock, True)
            self._bind(association, sock, way.path)
            return sock
        return None

    def _bind(self, association: _Association, sock: socket.socket, path: str) -> None:
        association.sock, association.path = sock, path
        self._loop.register(sock.fileno(), lambda mask: self._answers(association, sock), IN)

    def _resettle(self) -> None:
        """Whoever is on a path that is none any more moves with its next datagram."""
        good = {way.path for way in self._best()}
        for association in self._known.values():
            if association.sock is not None and association.path not in good:
                self._close(association)

    def _answers(self, association: _Association, sock: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                datagram = sock.recv(_LARGEST)
            except BlockingIOError:
                return
            except OSError:
                # An ICMP error about what was sent: the client's own protocol finds out.
                continue
            try:
                parcel = association.talk.open(datagram)
            except Replayed:
                self._tally.stranger("replayed", sock.getpeername()[0])
                continue
            except (Forged, Malformed):
                self._tally.stranger("wrong answer", sock.getpeername()[0])
                continue
            host = parcel.place.host
            if isinstance(host, str):
                # A name is no address to answer from; no client asked for one here.
                self._tally.stranger("wrong answer", sock.getpeername()[0])
                continue
            self._tally.received += 1
            association.answered = self._loop.now
            self.down += len(parcel.payload)
            self._send((host.packed, parcel.place.port), parcel.payload, association.client)

    def _close(self, association: _Association) -> None:
        if association.sock is not None:
            self._loop.forget(association.sock.fileno())
            association.sock.close()
            association.sock = None

    def _sweep(self) -> None:
        now = self._loop.now
        self._loop.after(_SWEEP, self._sweep)
        for client, association in list(self._known.items()):
            idle = now - association.heard
            if idle < DNS_IDLE:
                return
            if idle > (DNS_IDLE if association.dns_only else IDLE):
                self._close(self._known.pop(client))


def origin(control: list[tuple[int, int, bytes]]) -> Face | None:
    """Whom a datagram was for (IP_RECVORIGDSTADDR, IPV6_RECVORIGDSTADDR): ip(7), udp(7)."""
    for level, kind, value in control:
        if level == socket.IPPROTO_IP and kind == IP_RECVORIGDSTADDR:
            (port,) = struct.unpack_from("!H", value, 2)
            return value[4:8], port
        if level == socket.IPPROTO_IPV6 and kind == IPV6_RECVORIGDSTADDR:
            (port,) = struct.unpack_from("!H", value, 2)
            return value[8:24], port
    return None
