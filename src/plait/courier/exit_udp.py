"""An exit's half of Shadowsocks UDP: datagrams out to where clients want them, and answers back.

Each client association has a socket of its own (two, when it speaks to both families), through which
anybody may answer it (endpoint-independent mapping and filtering, RFC 4787). An association ends five
minutes after its client's last datagram; its own datagrams count, what comes in from outside does not.
One that has only asked DNS ends after one minute: no shorter, as replays of an edition-2022 session
are refused only while it is remembered.

Whoever can't prove a key costs one or two decryptions and is counted. Admission is asked about every
address after names are resolved, as for TCP.
"""

from __future__ import annotations

import socket
from collections import Counter, OrderedDict
from collections.abc import Iterable
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_address

from plait.courier.pace import Paces
from plait.courier.tally import Tally
from plait.kernel.sockets import pack
from plait.kernel.udp import Letter, Peer, answer_whole
from plait.relay.admission import Admission
from plait.relay.loop import IN, Loop
from plait.relay.resolver import Resolver
from plait.wire import shadowsocks2022_udp, shadowsocks_udp
from plait.wire.address import encode_packed
from plait.wire.faults import PeerFault, Replayed
from plait.wire.shadowsocks import Candidates
from plait.wire.shadowsocks_udp import Parcel

Desk = shadowsocks_udp.Desk | shadowsocks2022_udp.Desk
Answer = shadowsocks_udp.Answer | shadowsocks2022_udp.Answer

IDLE = 300.0
"""Seconds without a datagram of its client after which an association ends (RFC 4787, REQ-5)."""
LEAST = 60.0
"""The same for one that asked DNS only; and before that none is pushed out (SIP022, section 3.2.4)."""
MOST = 6000
"""Associations at once."""
_DNS = 53
_WAITING = 16
"""Datagrams of one association that wait for names to be resolved."""
_AT_ONCE = 32
_SWEEP = 5.0
_LARGEST = 65535


class _Association:
    """One client's: where it is, and the sockets that speak for it."""

    __slots__ = ("answer", "dns_only", "heard", "key", "place", "session", "socks", "user", "waiting")

    def __init__(self, key: bytes | tuple[str, Peer], answer: Answer, parcel: Parcel, now: float) -> None:
        self.key = key
        self.answer = answer
        self.session = parcel.session
        self.user = parcel.user
        self.heard = now
        self.dns_only = True
        self.waiting = 0
        self.socks: dict[int, socket.socket] = {}
        self.place: tuple[socket.socket, Peer, bytes] | None = None
        """The door at which its client was last heard, the client, and the address that it knows us by."""


class ExitUdp:
    """All associations of an exit."""

    def __init__(
        self,
        loop: Loop,
        desk: Desk,
        admission: Admission,
        resolver: Resolver,
        tally: Tally,
        *,
        trust: Iterable[IPv4Network | IPv6Network] | None = None,
        most: int = MOST,
        paces: Paces | None = None,
    ) -> None:
        """``trust`` are the networks that may come with the method ``none``; None for sealed methods."""
        self._paces = paces if paces is not None else Paces(loop)
        self._loop = loop
        self._desk = desk
        self.admission = admission
        self._resolver = resolver
        self._tally = tally
        self._trust = None if trust is None else tuple(trust)
        self._most = most
        self._barred: frozenset[str] = frozenset()
        self._known: OrderedDict[bytes | tuple[str, Peer], _Association] = OrderedDict()
        """The one that was heard last is last."""
        self.outcomes: Counter[str] = Counter()
        """Datagrams of clients that went nowhere, by reason."""
        self.total = 0
        """Associations that ever were."""
        self.up: Counter[str] = Counter()
        """Payload bytes to targets, by user."""
        self.down: Counter[str] = Counter()
        """Payload bytes from them."""
        loop.after(_SWEEP, self._sweep)

    @property
    def open(self) -> int:
        """Associations now."""
        return len(self._known)

    def take(self, door: socket.socket, letter: Letter) -> bool:
        """A datagram that is not the tunnel's. False when it is not ours either; nothing was done then."""
        if self._trust is not None and not self._trusts(letter.peer[0]):
            self._tally.stranger("untrusted", letter.peer[0])
            return True
        try:
            parcel = self._desk.open(letter.data)
        except Replayed as fault:
            self._tally.stranger("out of time" if "time" in str(fault) else "replayed", letter.peer[0])
            return True
        except PeerFault:
            return False
        self._tally.received += 1
        if parcel.user in self._barred:
            self.outcomes["barred"] += 1
            self._desk.forget(parcel.session)
            return True
        association = self._find(parcel, letter)
        if association is None:
            self.outcomes["crowded out"] += 1
            self._desk.forget(parcel.session)
            return True
        association.place = door, letter.peer, letter.local
        association.heard = self._loop.now
        association.dns_only = association.dns_only and parcel.place.port == _DNS
        self._known.move_to_end(association.key)
        self._forward(association, parcel)
        return True

    def renew(self, keys: Candidates, trust: Iterable[IPv4Network | IPv6Network] | None) -> None:
        """Others may come now. Associations whose key is good no more end."""
        gone = self._desk.renew(keys)
        for association in [each for each in self._known.values() if each.user in gone]:
            self._end(association)
        self._trust = None if trust is None else tuple(trust)

    def bar(self, users: frozenset[str]) -> None:
        """These users are not served any more."""
        self._barred = users
        for association in [each for each in self._known.values() if each.user in users]:
            self._end(association)

    def close(self) -> None:
        """End all."""
        while self._known:
            self._end(next(iter(self._known.values())))

    def _find(self, parcel: Parcel, letter: Letter) -> _Association | None:
        """The association of whoever sent this, made when there is none; None when there is no room."""
        key = parcel.session or (parcel.user, letter.peer)
        association = self._known.get(key)
        if association is not None:
            return association
        if len(self._known) >= self._most:
            oldest = next(iter(self._known.values()))
            if parcel.session and self._loop.now - oldest.heard < LEAST:
                return None
            self._end(oldest)
        self.total += 1
        association = _Association(key, self._desk.answer(parcel), parcel, self._loop.now)
        self._known[key] = association
        return association

    def _forward(self, association: _Association, parcel: Parcel) -> None:
        host = parcel.place.host
        if not isinstance(host, str):
            self._send(association, str(host), parcel)
            return
        if association.waiting >= _WAITING:
            self.outcomes["crowded out"] += 1
            return
        association.waiting += 1

        def second(addresses: list[str]) -> None:
            association.waiting -= 1
            if not addresses:
                self.outcomes["no address"] += 1
            elif self._known.get(association.key) is association:
                self._send(association, addresses[0], parcel)

        def first(addresses: list[str]) -> None:
            if addresses:
                second(addresses)
            else:
                self._resolver.resolve(host, socket.AF_INET6, second)

        # There is no race as for TCP: no answer tells that a datagram arrived. IPv4 works nearly everywhere.
        self._resolver.resolve(host, socket.AF_INET, first)

    def _send(self, association: _Association, address: str, parcel: Parcel) -> None:
        if not self.admission.admits(address):
            self.outcomes["not allowed"] += 1
            return
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            sock = association.socks.get(family) or self._open(association, family)
        except OSError:
            self.outcomes["unreachable"] += 1
            return

        def send() -> None:
            try:
                sock.sendto(parcel.payload, (address, parcel.place.port))
            except OSError:
                # Or the association has ended meanwhile.
                self.outcomes["unreachable"] += 1
            else:
                self.up[parcel.user] += len(parcel.payload)

        self._paces.up(parcel.user, len(parcel.payload), send)

    def _open(self, association: _Association, family: socket.AddressFamily) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        association.socks[family] = sock
        self._loop.register(sock.fileno(), lambda mask: self._answers(association, sock), IN)
        return sock

    def _answers(self, association: _Association, sock: socket.socket) -> None:
        """Somebody sent something to the association's socket."""
        for _ in range(_AT_ONCE):
            try:
                payload, sender = sock.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            except OSError:
                # An ICMP error about what was sent: nothing that a client could be told.
                continue
            if sender[1]:
                self._paces.down(
                    association.user, len(payload), partial(self._back, association, payload, sender)
                )

    def _back(self, association: _Association, payload: bytes, sender: tuple[str, int]) -> None:
        """Give a client what somebody sent."""
        if association.place is None or self._known.get(association.key) is not association:
            return
        door, peer, local = association.place
        header = encode_packed(pack(sender[0]), sender[1])
        if answer_whole(door, association.answer.seal(header, payload), peer, local):
            self._tally.sent += 1
            self.down[association.user] += len(payload)

    def _trusts(self, text: str) -> bool:
        address = ip_address(text.partition("%")[0])
        assert self._trust is not None
        return any(address.version == network.version and address in network for network in self._trust)

    def _end(self, association: _Association) -> None:
        del self._known[association.key]
        self._desk.forget(association.session)
        for sock in association.socks.values():
            self._loop.forget(sock.fileno())
            sock.close()

    def _sweep(self) -> None:
        now = self._loop.now
        self._loop.after(_SWEEP, self._sweep)
        for association in list(self._known.values()):
            idle = now - association.heard
            if idle < LEAST:
                return
            if idle > (LEAST if association.dns_only else IDLE):
                self._end(association)
