"""The exit's half of a session: find out who asks for what, dial it, relay.

Whoever can't prove to know the key learns nothing: their bytes are read and dropped, and the
connection ends when the handshake timeout passes, exactly as if they had never spoken. Or, where the
owner names a fallback, they are handed on to it with all that they have said (`plait.relay.strangers`).
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from plait.kernel.sockets import begin_connect, close_orderly
from plait.relay.admission import Admission
from plait.relay.dialer import Dial, Failure
from plait.relay.legs import Leg, OpenLeg, SealLeg
from plait.relay.limits import LimitedOpenLeg, LimitedSealLeg
from plait.relay.loop import ENDED, IN, OUT
from plait.relay.pump import Pump, Session, reset
from plait.relay.race import RESOLUTION_DELAY, interleave
from plait.relay.resolver import Resolver
from plait.relay.strangers import HandedOn, Where
from plait.relay.tally import Tally
from plait.relay.users import Users
from plait.wire.faults import PeerFault, Replayed
from plait.wire.replay import SaltFilter
from plait.wire.shadowsocks import Opener, Request, Sealer
from plait.wire.streams import Accept, Keyring

PROBE_HOST = "probe.plait.invalid"
"""A target that every plait exit answers itself, by sending the payload back: so a gateway can tell a
wrong password from a dead exit. The name can't exist (RFC 2606)."""

_STRANGERS = 4096
"""Most connections of one worker that have not said where they want to go; then the oldest goes."""

_PROBE_LIMIT = 256

_PEERS = 4096
"""Most peers whose place in ``trust`` is remembered."""


class Doorkeeper:
    """Accepts gateways, and holds those that have not proved themselves."""

    def __init__(
        self,
        pump: Pump,
        tally: Tally,
        resolver: Resolver,
        admission: Admission,
        *,
        keys: Keyring,
        salts: SaltFilter | None,
        trust: Iterable[IPv4Network | IPv6Network],
        handshake: float,
        limit: float,
        users: Users | None = None,
        fallback: Where | None = None,
    ) -> None:
        self.fallback = fallback
        self.users = users or Users()
        self.pump = pump
        self.tally = tally
        self.resolver = resolver
        self.admission = admission
        self.salts = salts
        self._keys = keys
        self._trust = tuple(trust)
        self._trusted: dict[str, bool] = {}
        self._handshake = handshake
        self.limit = limit
        self._waiting: OrderedDict[_Visitor, float] = OrderedDict()
        self._handed = 0
        """Strangers that are with the fallback now."""

    @property
    def expects(self) -> bool:
        """Whether somebody has connected who may still say where to go."""
        return bool(self._waiting)

    def accepted(self, sock: socket.socket, peer: str) -> None:
        """Somebody has connected."""
        if not self._keys and not self._trusts(peer):
            self.tally.stranger("untrusted", peer)
            if self.fallback is None:
                reset(sock)
            else:
                self.pump.loop.register(sock.fileno(), _ignore)
                self.hand_on(sock, peer, b"", IN)
            return
        visitor = _Visitor(self, sock, peer, self._keys.accept())
        self._waiting[visitor] = self.pump.loop.now + self._handshake
        if len(self._waiting) > _STRANGERS:
            self._waiting.popitem(last=False)[0].close("crowded out")
        self.pump.loop.register(sock.fileno(), visitor.event)

    def hand_on(self, sock: socket.socket, peer: str, greeting: bytes, mask: int) -> None:
        """A stranger, registered, goes to the fallback."""
        assert self.fallback is not None
        if self._handed >= _STRANGERS:
            # They may stay for as long as anybody's session; gateways must find descriptors all the same.
            self.tally.stranger("crowded out", peer)
            self.pump.loop.forget(sock.fileno())
            close_orderly(sock)
            return
        self._handed += 1
        self.tally.strangers["handed on"] += 1
        HandedOn(
            self.pump,
            self.tally,
            self.resolver,
            self.fallback,
            self.limit,
            sock,
            peer,
            greeting,
            mask,
            self._handed_back,
        )

    def _handed_back(self) -> None:
        self._handed -= 1

    def known(self, visitor: _Visitor) -> None:
        """A visitor has proved itself, or left."""
        self._waiting.pop(visitor, None)

    def sweep(self) -> None:
        """Close those whose time has passed. They all waited equally long, so the oldest are first."""
        now = self.pump.loop.now
        while self._waiting:
            visitor, deadline = next(iter(self._waiting.items()))
            if deadline > now:
                return
            visitor.close("silent")

    def welcome(self, sock: socket.socket, peer: str, request: Request, mask: int) -> None:
        """A peer has proved itself and said where it wants to go."""
        if request.user in self.users.barred:
            self.tally.ended("barred")
            self.pump.loop.forget(sock.fileno())
            reset(sock)
        elif request.target.host == PROBE_HOST:
            _Echo(self, sock, request)
        else:
            _Opening(self, sock, peer, request, mask)

    def sealer(self, opener: Opener) -> Sealer:
        """A sealer for the answer to what ``opener`` opens."""
        sealer, salt = self._keys.answer(opener)
        if self.salts is not None and salt is not None:
            # Our own answer must not come back to us as a request.
            self.salts.seen_before(salt)
        return sealer

    def _trusts(self, peer: str) -> bool:
        known = self._trusted.get(peer)
        if known is None:
            if len(self._trusted) >= _PEERS:
                self._trusted.clear()
            address: IPv4Address | IPv6Address = ip_address(peer.partition("%")[0])
            if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
                address = address.ipv4_mapped
            known = self._trusted[peer] = any(address in network for network in self._trust)
        return known


def _ignore(mask: int) -> None:
    """Until somebody else listens."""


class _Visitor:
    """A connection that has not said where it wants to go."""

    __slots__ = ("_accept", "_door", "_failed", "_said", "peer", "sock")

    def __init__(self, door: Doorkeeper, sock: socket.socket, peer: str, accept: Accept) -> None:
        self._door = door
        self._accept = accept
        self._failed = False
        self._said = b""
        """All of it, where somebody else may have to hear it."""
        self.sock = sock
        self.peer = peer

    def close(self, how: str) -> None:
        """It is over; a plain close, as any server does with a client that says nothing."""
        self._door.known(self)
        if not self._failed:
            self._door.tally.stranger(how, self.peer)
        self._door.pump.loop.forget(self.sock.fileno())
        close_orderly(self.sock)

    def event(self, mask: int) -> None:
        """More of the greeting, or its end."""
        if not mask & (IN | ENDED):
            return
        view = self._door.pump.buffers.views[0]
        while True:
            try:
                n = self.sock.recv_into(view)
            except BlockingIOError:
                return
            except OSError:
                n = 0
            if not n:
                if not self._failed and self._said:
                    # Not even the beginning of a greeting: whoever this is, it expects an answer now.
                    self._door.tally.stranger("left", self.peer)
                    self._unknown(IN)
                else:
                    self.close("left")
                return
            if self._failed:
                continue
            if self._door.fallback is not None:
                self._said += view[:n]
            try:
                request = self._accept.feed(bytes(view[:n]))
            except Replayed:
                # Of another time: a replay, or a wrong clock (methods of 2022).
                if self._unproved("out of time", mask):
                    return
                continue
            except PeerFault:
                if self._unproved("unsealed", mask):
                    return
                continue
            if request is None:
                continue
            salt = request.opener.salt if request.opener is not None else None
            if salt is not None and self._door.salts is not None and self._door.salts.seen_before(salt):
                if self._unproved("replayed", mask):
                    return
                continue
            self._door.known(self)
            # What this event told beside the request is to be looked at once the target is dialled: an
            # end, or more bytes than the buffer took.
            left = OUT | mask & ENDED | (IN if n == len(view) else 0)
            self._door.welcome(self.sock, self.peer, request, left)
            return

    def _unproved(self, kind: str, mask: int) -> bool:
        """It is nobody we know; whether somebody else takes it from here."""
        self._failed = True
        self._door.tally.stranger(kind, self.peer)
        if self._door.fallback is None:
            return False
        self._unknown(mask)
        return True

    def _unknown(self, mask: int) -> None:
        self._door.known(self)
        self._door.hand_on(self.sock, self.peer, self._said, mask | IN)


class _Opening:
    """A request whose target is being dialled."""

    def __init__(self, door: Doorkeeper, sock: socket.socket, peer: str, request: Request, mask: int) -> None:
        self._door = door
        self._sock = sock
        self._peer = peer
        self._request = request
        self._mask = mask
        door.pump.loop.rebind(sock.fileno(), self._note)
        self._target = request.target
        self._refused = False
        self._v4: list[str] = []
        self._v6: list[str] = []
        self._unanswered = 2
        door.tally.total += 1
        door.tally.opening += 1
        self._dial: Dial[str] = Dial(door.pump.loop, self._connect, self._connected, self._failed, door.limit)
        host = request.target.host
        if isinstance(host, str):
            door.resolver.resolve(host, socket.AF_INET6, self._answer_v6)
            door.resolver.resolve(host, socket.AF_INET, self._answer_v4)
        else:
            self._dial.offer(self._admitted([str(host)]))

    def _note(self, mask: int) -> None:
        """Something comes in while the target is being dialled: it waits in the kernel until then."""
        self._mask |= mask

    def _admitted(self, addresses: list[str]) -> list[str]:
        """Those that may be dialled: judged here, after resolution, so that no name gets around it."""
        admitted = [address for address in addresses if self._door.admission.admits(address)]
        if len(admitted) < len(addresses):
            self._refused = True
        return admitted

    def _answer_v6(self, addresses: list[str]) -> None:
        self._v6 = self._admitted(addresses)
        self._answered(hold=0.0)

    def _answer_v4(self, addresses: list[str]) -> None:
        self._v4 = self._admitted(addresses)
        # RFC 8305, section 3: a lone IPv4 answer waits a moment for the IPv6 one.
        self._answered(hold=RESOLUTION_DELAY)

    def _answered(self, hold: float) -> None:
        self._unanswered -= 1
        last = not self._unanswered
        self._dial.offer(interleave(self._v6, self._v4), last=last, hold=0.0 if last else hold)

    def _connect(self, address: str) -> socket.socket:
        return begin_connect(address, self._target.port, congestion=self._door.pump.congestion)

    def _failed(self, failure: Failure) -> None:
        if failure is Failure.NO_ADDRESS and self._refused:
            failure = Failure.FORBIDDEN
        tally = self._door.tally
        tally.opening -= 1
        tally.ended(failure.value)
        self._door.pump.loop.forget(self._sock.fileno())
        reset(self._sock)

    def _connected(self, target_sock: socket.socket, address: str, mask: int) -> None:
        door, request = self._door, self._request
        door.tally.opening -= 1
        session = Session(door.pump, self._sock, target_sock, str(self._target))
        session.peer = self._peer
        session.user = request.user
        if request.opener is None:
            up: Leg = Leg(session, self._sock, target_sock)
            down: Leg = Leg(session, target_sock, self._sock)
        else:
            up, down = self._legs(session, target_sock, request.opener)
        if request.first_payload:
            up.count = len(request.first_payload)
            up.pending = memoryview(request.first_payload)
        session.start(up, down, self._mask, mask)

    def _legs(self, session: Session, target_sock: socket.socket, opener: Opener) -> tuple[Leg, Leg]:
        """Those of a sealed session, at the user's rate where it has one."""
        door, rest = self._door, self._request.leftover
        sealer = door.sealer(opener)
        limits = door.users.limits(session.user)
        if limits is None:
            return (
                OpenLeg(session, self._sock, target_sock, opener, rest),
                SealLeg(session, target_sock, self._sock, sealer),
            )
        up = LimitedOpenLeg(session, self._sock, target_sock, opener, rest)
        down = LimitedSealLeg(session, target_sock, self._sock, sealer)
        up.limit, down.limit = limits
        return up, down


class _Echo:
    """The answer to a gateway's probe: what it sent, once."""

    __slots__ = ("_door", "_sock")

    def __init__(self, door: Doorkeeper, sock: socket.socket, request: Request) -> None:
        self._door = door
        self._sock = sock
        payload = request.first_payload[:_PROBE_LIMIT]
        if request.opener is not None and payload:
            sealer = door.sealer(request.opener)
            answer = bytearray(sealer.sealed_size(len(payload)))
            sealer.seal_into(payload, memoryview(answer))
            payload = bytes(answer)
        try:
            # So little always fits into a fresh socket's buffer.
            sock.send(payload)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        door.pump.loop.rebind(sock.fileno(), self.event)
        door.pump.loop.after(door.limit, self.close)

    def event(self, mask: int) -> None:
        """The gateway has its answer and leaves."""
        if mask & ENDED:
            self.close()

    def close(self) -> None:
        """Done, or overdue."""
        if self._sock.fileno() >= 0:
            self._door.pump.loop.forget(self._sock.fileno())
            close_orderly(self._sock)
