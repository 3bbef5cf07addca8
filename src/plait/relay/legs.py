"""The three kinds of leg: plain, sealing, opening. This is the data path.

A leg reads into the worker's one shared buffer and sends from there; nothing here looks at a payload
byte, and what the sink takes is never copied. ``run`` moves until the source is empty, the sink is
full or the turn is over; the edge-triggered rules behind it are told in `plait.relay.loop`.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from plait.kernel.mptcp_info import look
from plait.kernel.sockets import unsent
from plait.relay.backlog import HOLD, Backlog
from plait.wire.shadowsocks import Forged, Opener, Sealer

if TYPE_CHECKING:
    from plait.relay.pump import Session

SIZES = (16384, 32768, 65536, 131072, 262144)
"""How much a leg reads at once. It starts small and grows while reads are full and sends are whole, so
that a slow sink never makes us hold more than a little, and a fast one gets few, large calls."""

_START = 2
_LARGEST = len(SIZES) - 1
TURN = 8
"""Reads in one turn; then the other sessions come first."""

_HELPINGS = 3

_SEAL_ROOM = 1 << 13
"""Most that salt, lengths and tags add to one full read (17 chunks of 34 bytes, and 32)."""

_CHUNK_ROOM = 1 << 17
"""More than a partial sealed chunk can need (some 16,400 bytes, with the methods of 2022 some 65,700)."""


class Buffers:
    """The buffers that all sessions of a worker share, as ready-made views."""

    __slots__ = ("plain", "sealed", "views")

    def __init__(self) -> None:
        largest = SIZES[-1]
        self.plain = memoryview(bytearray(largest + _CHUNK_ROOM))
        """Where reads go."""
        self.sealed = memoryview(bytearray(largest + _CHUNK_ROOM + _SEAL_ROOM))
        """Where seals and opens write."""
        self.views = tuple(self.plain[:size] for size in SIZES)
        """`plain`, cut to every read size."""


class Leg:
    """One direction of a session, plain: bytes as they are. The sealed kinds convert on the way."""

    __slots__ = (
        "backlog", "buffers", "count", "ended", "finished", "grade", "more",
        "pending", "queued", "session", "sink", "source",
    )  # fmt: skip

    def __init__(self, session: Session, source: socket.socket, sink: socket.socket) -> None:
        self.session = session
        self.source = source
        self.sink = sink
        self.buffers = session.pump.buffers
        self.pending: memoryview | None = None
        """What the sink would not take yet; nothing is read meanwhile."""
        self.more = False
        """The source may hold something that no further edge will announce."""
        self.ended = False
        """The source has an end or an error waiting behind its data: read up to it."""
        self.finished = False
        """The source has said that it is done, and that has been passed on."""
        self.queued = False
        """Its turn was over; another one is arranged."""
        self.count = 0
        """Payload bytes, as the clients see them."""
        self.grade = _START
        self.backlog: Backlog | None = None
        """While it is set, the sink is given a little at a time."""

    @property
    def turns(self) -> int:
        """Reads in one turn."""
        return TURN

    def run(self) -> None:
        """Move until the source is empty, the sink is full or the turn is over."""
        turns, largest = self.turns, _LARGEST
        backlog = self.backlog
        if backlog is not None:
            turns = self.helping(backlog)
            largest = self.grade
        recv_into = self.source.recv_into
        send = self.sink.send
        for _ in range(turns):
            room = self.room()
            try:
                n = recv_into(room)
            except BlockingIOError:
                # No end waits behind what was read, or it would have been told instead.
                self.more = self.ended = False
                return
            except OSError:
                self.session.source_broke(self)
                return
            if not n:
                self.end_of_stream()
                return
            full = n == len(room)
            try:
                out = self.convert(room if full else room[:n])
            except Forged:
                self.session.forged(self)
                return
            if out:
                try:
                    sent = send(out)
                except BlockingIOError:
                    sent = 0
                except OSError:
                    self.session.sink_broke(self)
                    return
                if sent < len(out):
                    self.keep(out[sent:])
                    return
            if full:
                if self.grade < largest:
                    self.grade += 1
            elif not self.ended:
                self.more = False
                return
        self.queued = True
        if backlog is not None:
            self.session.pump.loop.after(HOLD, self.turn)
        else:
            self.session.pump.loop.soon(self.turn)

    def helping(self, backlog: Backlog) -> int:
        """How many reads the sink may be given now, of a size that is chosen here."""
        try:
            free = backlog.helping(look(self.sink), unsent(self.sink))
        except OSError:
            # It is gone; a send will tell.
            return 1
        if not backlog.engaged:
            self.backlog = None
        if free < SIZES[0]:
            return 0
        # Some reads instead of one, so that little of the room is left over.
        grade = _LARGEST
        while grade and SIZES[grade] * _HELPINGS > free:
            grade -= 1
        self.grade = grade
        return min(TURN, free // SIZES[grade])

    def room(self) -> memoryview:
        """Where the next read goes."""
        return self.buffers.views[self.grade]

    def convert(self, data: memoryview) -> memoryview:
        """What becomes of freshly read bytes. May raise Forged."""
        self.count += len(data)
        return data

    def end_of_stream(self) -> None:
        """The source has sent its last byte: tell the sink so."""
        self.finished = True
        self.more = False
        if self.session.both_finished():
            # Closing sends the end of stream as well.
            return
        try:
            self.sink.shutdown(socket.SHUT_WR)
        except OSError:
            # The sink is gone already; its own event tells how.
            pass

    def writable(self) -> None:
        """The sink takes more: send what waits, then go on."""
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

    def keep(self, rest: memoryview) -> None:
        """The sink is full: copy what it would not take, and read less at once from now on."""
        self.pending = memoryview(bytes(rest))
        if self.grade:
            self.grade -= 1


class SealLeg(Leg):
    """Plain in, sealed out."""

    __slots__ = ("sealer",)

    def __init__(self, session: Session, source: socket.socket, sink: socket.socket, sealer: Sealer) -> None:
        super().__init__(session, source, sink)
        self.sealer = sealer

    def convert(self, data: memoryview) -> memoryview:
        self.count += len(data)
        sealed = self.buffers.sealed
        return sealed[: self.sealer.seal_into(data, sealed)]


class OpenLeg(Leg):
    """Sealed in, plain out. Keeps a chunk that has not come whole in ``rest``."""

    __slots__ = ("opener", "rest")

    def __init__(
        self, session: Session, source: socket.socket, sink: socket.socket, opener: Opener, rest: bytes = b""
    ) -> None:
        super().__init__(session, source, sink)
        self.opener = opener
        self.rest = rest

    def room(self) -> memoryview:
        # Behind the place where `convert` will put the rest, so that both are in one piece.
        held = len(self.rest)
        return self.buffers.plain[held : held + SIZES[self.grade]]

    def convert(self, data: memoryview) -> memoryview:
        plain, opened = self.buffers.plain, self.buffers.sealed
        rest = self.rest
        size = len(rest) + len(data)
        plain[: len(rest)] = rest
        used, produced = self.opener.open_into(plain[:size], opened)
        self.rest = bytes(plain[used:size])
        self.count += produced
        return opened[:produced]

    def end_of_stream(self) -> None:
        if self.rest:
            self.session.source_broke(self)
        else:
            super().end_of_stream()
