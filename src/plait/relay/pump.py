"""Sessions and their legs: where the bytes move.

A session owns two sockets (its *ends*) and two *legs*, one for each direction. Nothing here looks at
a payload byte: a leg reads up to 256 KiB into the worker's one shared buffer and sends it from there;
sealed legs put one into-buffer AEAD call between. A leg keeps only what its sink would not take, so
an idle session costs two descriptors and no buffer.

How ends are passed on:

* end of stream → `shutdown(SHUT_WR)` on the other side, the opposite leg goes on (half-close);
* reset, or an error on either socket → the other side is reset too, after what it was sent before has
  left (a client that would have seen data and then RST sees just that);
* a sealed stream that ends inside a chunk has been cut, which is a reset.
"""

from __future__ import annotations

import array
import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from plait.kernel.congestion import Congestion
from plait.relay.loop import ENDED, FAILED, IN, OUT, Loop
from plait.wire.shadowsocks import Forged, Opener, Sealer

_SIZES = (16384, 32768, 65536, 131072, 262144)
"""How much a leg reads at once. It starts small and grows while reads are full and sends are whole, so
that a slow sink never makes us hold more than a little, and a fast one gets few, large calls."""

_START = 2
_TURN = 8
"""Reads in one turn; then the other sessions come first."""

_RESET = struct.pack("ii", 1, 0)
"""`struct linger`: on close, drop and reset (on MPTCP: MP_FASTCLOSE)."""

_DRAIN_STEP = 0.02
_DRAIN_LIMIT = 5.0
"""Seconds that sent data may take to reach the peer before a reset overtakes it."""

_SEAL_ROOM = 1 << 13
"""Most that salt, lengths and tags add to one full read (17 chunks of 34 bytes, and 32)."""

_CHUNK_ROOM = 1 << 15
"""More than a partial sealed chunk can need (2 + 16 + 16383 + 16 bytes)."""


class Outcome(Enum):
    """How a session ended: counted, logged, never raised."""

    DONE = "done"
    RESET_NEAR = "reset by the near side"
    RESET_FAR = "reset by the far side"
    IDLE = "idle too long"
    FORGED = "wrongly sealed"
    CLOSED = "closed by us"


class Buffers:
    """The buffers that all sessions of a worker share, as ready-made views."""

    __slots__ = ("plain", "sealed", "views")

    def __init__(self) -> None:
        largest = _SIZES[-1]
        self.plain = memoryview(bytearray(largest + _CHUNK_ROOM))
        """Where reads go."""
        self.sealed = memoryview(bytearray(largest + _CHUNK_ROOM + _SEAL_ROOM))
        """Where seals and opens write."""
        self.views = tuple(self.plain[:size] for size in _SIZES)
        """`plain`, cut to every read size."""


class Leg(Protocol):
    """One direction of a session."""

    pending: memoryview | None
    """What the sink would not take yet."""
    more: bool
    """The source may hold something that no further edge will announce."""
    ended: bool
    """The source has an end or an error waiting behind its data: read up to it."""
    finished: bool
    """The source has said that it is done, and that has been passed on."""
    count: int
    """Payload bytes moved, as the clients see them."""

    def run(self) -> None:
        """Move until the source is empty, the sink is full or the turn is over."""

    def writable(self) -> None:
        """The sink takes more: send what waits, then go on."""


class _Leg:
    """What the three kinds of leg have in common."""

    __slots__ = (
        "buffers", "count", "ended", "finished", "grade", "more",
        "pending", "queued", "session", "sink", "source",
    )  # fmt: skip

    def __init__(self, session: Session, source: socket.socket, sink: socket.socket) -> None:
        self.session = session
        self.source = source
        self.sink = sink
        self.buffers = session.pump.buffers
        self.pending: memoryview | None = None
        self.more = True
        self.ended = False
        self.finished = False
        self.queued = False
        self.count = 0
        self.grade = _START

    def run(self) -> None:
        raise AssertionError("every kind of leg has its own")

    def writable(self) -> None:
        pending = self.pending
        if pending is not None:
            try:
                sent = self.sink.send(pending)
            except BlockingIOError:
                return
            except OSError:
                self.session.sink_broke(self)
                return
            if sent < len(pending):
                self.pending = pending[sent:]
                return
            self.pending = None
        if self.more and not self.finished and not self.queued:
            self.run()

    def turn(self) -> None:
        """Our turn again, after the others had theirs."""
        self.queued = False
        if self.more and self.pending is None and not self.finished and not self.session.over:
            self.run()

    def put_off(self) -> None:
        """Let the others have their turn."""
        self.queued = True
        self.session.pump.loop.soon(self.turn)

    def keep(self, rest: memoryview) -> None:
        """The sink is full: copy what it would not take, and read less at once from now on."""
        self.pending = memoryview(bytes(rest))
        if self.grade:
            self.grade -= 1

    def finish(self) -> None:
        """The source is done: tell the sink so."""
        self.finished = True
        self.more = False
        try:
            self.sink.shutdown(socket.SHUT_WR)
        except OSError:
            # The sink is gone already; its own event tells how.
            pass
        self.session.leg_finished()


class PlainLeg(_Leg):
    """Bytes as they are."""

    __slots__ = ()

    def run(self) -> None:
        recv_into = self.source.recv_into
        send = self.sink.send
        views = self.buffers.views
        for _ in range(_TURN):
            view = views[self.grade]
            try:
                n = recv_into(view)
            except BlockingIOError:
                self.more = self.ended = False
                return
            except OSError:
                self.session.source_broke(self)
                return
            if not n:
                self.finish()
                return
            self.count += n
            full = n == len(view)
            try:
                sent = send(view if full else view[:n])
            except BlockingIOError:
                sent = 0
            except OSError:
                self.session.sink_broke(self)
                return
            if sent < n:
                self.keep(view[sent:n])
                return
            if not full:
                if not self.ended:
                    self.more = False
                    return
            elif self.grade < 4:
                self.grade += 1
        self.put_off()


class SealLeg(_Leg):
    """Plain in, sealed out."""

    __slots__ = ("sealer",)

    def __init__(self, session: Session, source: socket.socket, sink: socket.socket, sealer: Sealer) -> None:
        super().__init__(session, source, sink)
        self.sealer = sealer

    def run(self) -> None:
        recv_into = self.source.recv_into
        send = self.sink.send
        views = self.buffers.views
        sealed = self.buffers.sealed
        seal_into = self.sealer.seal_into
        for _ in range(_TURN):
            view = views[self.grade]
            try:
                n = recv_into(view)
            except BlockingIOError:
                self.more = self.ended = False
                return
            except OSError:
                self.session.source_broke(self)
                return
            if not n:
                self.finish()
                return
            self.count += n
            full = n == len(view)
            size = seal_into(view if full else view[:n], sealed)
            try:
                sent = send(sealed[:size])
            except BlockingIOError:
                sent = 0
            except OSError:
                self.session.sink_broke(self)
                return
            if sent < size:
                self.keep(sealed[sent:size])
                return
            if not full:
                if not self.ended:
                    self.more = False
                    return
            elif self.grade < 4:
                self.grade += 1
        self.put_off()


class OpenLeg(_Leg):
    """Sealed in, plain out. Keeps a chunk that has not come whole in ``rest`` (under 16.5 kB)."""

    __slots__ = ("opener", "rest")

    def __init__(
        self, session: Session, source: socket.socket, sink: socket.socket, opener: Opener, rest: bytes = b""
    ) -> None:
        super().__init__(session, source, sink)
        self.opener = opener
        self.rest = rest

    def run(self) -> None:
        recv_into = self.source.recv_into
        send = self.sink.send
        plain = self.buffers.plain
        opened = self.buffers.sealed
        open_into = self.opener.open_into
        for _ in range(_TURN):
            size = _SIZES[self.grade]
            rest = self.rest
            held = len(rest)
            try:
                n = recv_into(plain[held : held + size])
            except BlockingIOError:
                self.more = self.ended = False
                return
            except OSError:
                self.session.source_broke(self)
                return
            if not n:
                if held:
                    self.session.source_broke(self)
                else:
                    self.finish()
                return
            full = n == size
            if held:
                plain[:held] = rest
                n += held
            try:
                used, produced = open_into(plain[:n], opened)
            except Forged:
                self.session.forged(self)
                return
            self.rest = bytes(plain[used:n]) if used < n else b""
            if produced:
                self.count += produced
                try:
                    sent = send(opened[:produced])
                except BlockingIOError:
                    sent = 0
                except OSError:
                    self.session.sink_broke(self)
                    return
                if sent < produced:
                    self.keep(opened[sent:produced])
                    return
            if not full:
                if not self.ended:
                    self.more = False
                    return
            elif self.grade < 4:
                self.grade += 1
        self.put_off()


class Session:
    """One proxied connection: two ends, two legs.

    ``near`` is the side that came to us (a LAN client, a gateway), ``far`` the one that we dialled.
    """

    __slots__ = (
        "born", "down", "exit", "far", "far_fd", "near", "near_fd", "over", "peer",
        "pump", "quiet_since", "seen", "target", "up", "user",
    )  # fmt: skip

    def __init__(self, pump: Pump, near: socket.socket, far: socket.socket, target: str) -> None:
        self.pump = pump
        self.near = near
        self.far = far
        self.near_fd = near.fileno()
        self.far_fd = far.fileno()
        self.target = target
        self.peer = ""
        self.exit = ""
        self.user: str | None = None
        self.over = False
        self.born = self.quiet_since = pump.loop.now
        self.seen = -1
        self.up: _Leg
        self.down: _Leg

    def start(self, up: _Leg, down: _Leg) -> None:
        """Begin to relay. ``far`` is registered with the loop already, ``near`` may be."""
        self.up = up
        self.down = down
        loop = self.pump.loop
        self.pump.sessions.add(self)
        loop.rebind(self.far_fd, self.far_event)
        self.pump.watch(self.near_fd, self.near_event)
        congestion = self.pump.congestion
        if congestion is not None:
            congestion.suit(self.near)
            congestion.suit(self.far)
        # Edges seen before this moment are spent, that of an end behind the data too: read both sides up
        # to EAGAIN once.
        up.ended = down.ended = True
        if up.pending is not None:
            up.writable()
        elif not self.over:
            up.run()
        if not self.over and down.pending is None:
            down.run()

    def near_event(self, mask: int) -> None:
        """Something happened on the near socket."""
        self._event(mask, self.up, self.down)

    def far_event(self, mask: int) -> None:
        """Something happened on the far socket."""
        self._event(mask, self.down, self.up)

    def _event(self, mask: int, out: _Leg, back: _Leg) -> None:
        """``out`` reads from the socket that the event is about, ``back`` writes to it."""
        if mask & (IN | ENDED) and not out.finished:
            out.more = True
            if mask & ENDED:
                out.ended = True
            if out.pending is None and not out.queued:
                out.run()
        if mask & OUT and back.pending is not None and not self.over:
            back.writable()
        if mask & FAILED and not self.over and out.finished:
            # It had said "done" before, so no read will tell us; nor may there be anything to send.
            self.source_broke(out)

    def leg_finished(self) -> None:
        """A leg has passed on its end of stream; with both done the session is over."""
        if self.up.finished and self.down.finished and not self.over:
            self._end(Outcome.DONE)
            self.near.close()
            self.far.close()

    def source_broke(self, leg: _Leg) -> None:
        """The socket that ``leg`` reads from is gone: reset the other one."""
        up = leg is self.up
        self._break(Outcome.RESET_NEAR if up else Outcome.RESET_FAR, self.near if up else self.far, leg)

    def sink_broke(self, leg: _Leg) -> None:
        """The socket that ``leg`` writes to is gone: reset the other one."""
        up = leg is self.up
        other = self.down if up else self.up
        self._break(Outcome.RESET_FAR if up else Outcome.RESET_NEAR, self.far if up else self.near, other)

    def forged(self, leg: _Leg) -> None:
        """The peer's bytes are not what the key says: nothing more of them is passed on."""
        self._end(Outcome.FORGED)
        reset(self.near)
        reset(self.far)

    def abort(self, outcome: Outcome) -> None:
        """End both sides now."""
        if not self.over:
            self._end(outcome)
            reset(self.near)
            reset(self.far)

    def _break(self, outcome: Outcome, gone: socket.socket, towards_survivor: _Leg) -> None:
        if self.over:
            return
        survivor = towards_survivor.sink
        self._end(outcome)
        reset(gone)
        if towards_survivor.pending is None and not unsent(survivor):
            reset(survivor)
        else:
            _Drain(self.pump, survivor, towards_survivor.pending)

    def _end(self, outcome: Outcome) -> None:
        self.over = True
        loop = self.pump.loop
        loop.forget(self.near_fd)
        loop.forget(self.far_fd)
        self.pump.ended(self, outcome)


class _Drain:
    """A socket that is to be reset once what it was sent has arrived, or after a while."""

    __slots__ = ("deadline", "pending", "pump", "sock")

    def __init__(self, pump: Pump, sock: socket.socket, pending: memoryview | None) -> None:
        self.pump = pump
        self.sock = sock
        self.pending = pending
        self.deadline = pump.loop.now + _DRAIN_LIMIT
        self.step()

    def step(self) -> None:
        try:
            if self.pending is not None:
                sent = self.sock.send(self.pending)
                self.pending = self.pending[sent:] if sent < len(self.pending) else None
            waits = self.pending is not None or unsent(self.sock)
        except BlockingIOError:
            waits = True
        except OSError:
            waits = False
        if waits and self.pump.loop.now < self.deadline:
            self.pump.loop.after(_DRAIN_STEP, self.step)
        else:
            reset(self.sock)


class Pump:
    """All sessions of a worker, and what they share."""

    def __init__(self, loop: Loop, ended: Callable[[Session, Outcome], None]) -> None:
        self.loop = loop
        self.buffers = Buffers()
        self.sessions: set[Session] = set()
        self.congestion: Congestion | None = None
        self._ended = ended

    def watch(self, fd: int, handler: Callable[[int], None]) -> None:
        """Register a descriptor, or take over one that is registered."""
        loop = self.loop
        try:
            loop.register(fd, handler)
        except FileExistsError:
            loop.rebind(fd, handler)

    def ended(self, session: Session, outcome: Outcome) -> None:
        """A session is over."""
        self.sessions.discard(session)
        self._ended(session, outcome)

    def sweep(self, idle: float, half_close: float) -> None:
        """End the sessions that have carried nothing for ``idle`` seconds (``half_close``, once one side
        is done). Compares counters, so that the data path need not note the time."""
        now = self.loop.now
        for session in list(self.sessions):
            moved = session.up.count + session.down.count
            if moved != session.seen:
                session.seen = moved
                session.quiet_since = now
                continue
            half = session.up.finished or session.down.finished
            if now - session.quiet_since >= (half_close if half else idle):
                session.abort(Outcome.IDLE)


def reset(sock: socket.socket) -> None:
    """Close with RST (MPTCP: fastclose), so that the peer sees what a plain connection would have shown."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    except OSError:
        pass
    sock.close()


def unsent(sock: socket.socket) -> int:
    """Bytes that the peer's kernel has not acknowledged (SIOCOUTQ); 0 when that can't be told."""
    waiting = array.array("i", [0])
    try:
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, waiting)
    except OSError:
        return 0
    return waiting[0]
