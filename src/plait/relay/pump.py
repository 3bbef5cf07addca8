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

import socket
from collections.abc import Callable
from enum import Enum

from plait.kernel.congestion import Congestion
from plait.kernel.sockets import abort_on_close, close_orderly, unsent
from plait.relay.legs import Buffers, Leg
from plait.relay.loop import ENDED, FAILED, IN, OUT, Loop

_DRAIN_STEP = 0.02
_DRAIN_LIMIT = 5.0
"""Seconds that sent data may take to reach the peer before a reset overtakes it."""


class Outcome(Enum):
    """How a session ended: counted, logged, never raised."""

    DONE = "done"
    RESET_NEAR = "reset by the near side"
    RESET_FAR = "reset by the far side"
    IDLE = "idle too long"
    FORGED = "wrongly sealed"
    CLOSED = "closed by us"


class Session:
    """One proxied connection: two ends, two legs.

    ``near`` is the side that came to us (a LAN client, a gateway), ``far`` the one that we dialled.
    """

    __slots__ = (
        "born", "down", "exit", "far", "far_fd", "near", "near_fd", "over", "peer",
        "pump", "quiet_since", "seen", "target", "told", "up", "user",
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
        self.told: Callable[[Outcome], None] | None = None
        """Called when it is over, before its ends close."""
        self.over = False
        self.born = self.quiet_since = pump.loop.now
        self.seen = -1
        self.up: Leg
        self.down: Leg

    def start(self, up: Leg, down: Leg, near_mask: int, far_mask: int) -> None:
        """Begin to relay. ``far`` is registered with the loop already.

        The masks are what events have told of either end so far, for those edges are spent; an end
        that is only registered here (``near_mask`` 0) will tell by itself.
        """
        self.up = up
        self.down = down
        loop = self.pump.loop
        self.pump.sessions.add(self)
        loop.rebind(self.far_fd, self.far_event)
        if near_mask:
            loop.rebind(self.near_fd, self.near_event)
        else:
            loop.register(self.near_fd, self.near_event)
        congestion = self.pump.congestion
        if congestion is not None:
            congestion.suit(self.near)
            congestion.suit(self.far)
        if up.pending is not None:
            up.writable()
        if not self.over:
            self.near_event(near_mask)
        if not self.over:
            self.far_event(far_mask)

    def near_event(self, mask: int) -> None:
        """Something happened on the near socket."""
        self._event(mask, self.up, self.down)

    def far_event(self, mask: int) -> None:
        """Something happened on the far socket."""
        self._event(mask, self.down, self.up)

    def _event(self, mask: int, out: Leg, back: Leg) -> None:
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

    def both_finished(self) -> bool:
        """Whether the leg that has just finished was the last; then the session is over."""
        if not (self.up.finished and self.down.finished):
            return False
        if not self.over:
            self._end(Outcome.DONE)
            close_orderly(self.near)
            close_orderly(self.far)
        return True

    def source_broke(self, leg: Leg) -> None:
        """The socket that ``leg`` reads from is gone: reset the other one."""
        up = leg is self.up
        self._break(Outcome.RESET_NEAR if up else Outcome.RESET_FAR, self.near if up else self.far, leg)

    def sink_broke(self, leg: Leg) -> None:
        """The socket that ``leg`` writes to is gone: reset the other one."""
        up = leg is self.up
        other = self.down if up else self.up
        self._break(Outcome.RESET_FAR if up else Outcome.RESET_NEAR, self.far if up else self.near, other)

    def forged(self, leg: Leg) -> None:
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

    def _break(self, outcome: Outcome, gone: socket.socket, towards_survivor: Leg) -> None:
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
        if self.told is not None:
            self.told(outcome)


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
        abort_on_close(sock)
    except OSError:
        pass
    sock.close()
