"""The tunnel between two ends: inner packets in at one, out at the other. Both ends have the same.

`plait.tunnel` decides which segment leaves when and on which path, and in which order what comes is given
on. Here are the bytes: a run of segments is cut, sealed and sent in one call, and what came in one
datagram buffer is opened and written in as few calls as it allows.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from plait.courier.cargo import Bundle, Cargo
from plait.courier.landing import Landing, Packet
from plait.courier.tally import Tally
from plait.relay.loop import Loop, Timer
from plait.tunnel.frames import DATA_HEAD, LAST, Ack, Data, Kind, Segments, decode, encode, is_data, open_data
from plait.tunnel.receiver import Receiver
from plait.tunnel.sender import Sender
from plait.wire.datagram import OVERHEAD, Session
from plait.wire.faults import Malformed

MOST_AT_ONCE = 64
"""Datagrams that one call may send (UDP_MAX_SEGMENTS of Linux before 6.9)."""
MOST_BYTES = 65000
"""… and their bytes together, headers left aside."""
_OUTER = 28
"""Bytes of IPv4 and UDP headers around a datagram; what IPv6 has more does not matter to who counts."""

_BUT_LAST = (1 << 8 * DATA_HEAD) - 1 - (LAST << 8 * (DATA_HEAD - 1))

Ship = Callable[[int, list[bytes], int], None]
"""``ship(path, buffers, size)``: send the buffers as datagrams of ``size`` bytes, the last maybe shorter."""


class Haul:
    """One end of one tunnel."""

    def __init__(
        self,
        loop: Loop,
        tally: Tally,
        *,
        ship: Ship,
        write: Callable[[Packet], None],
        echo: Callable[[int], None],
        admit: Callable[[bytes], bool],
    ) -> None:
        """``echo`` sends an echo over a path; ``write`` and ``admit`` as of `Landing`."""
        now = time.monotonic()
        self._loop = loop
        self._tally = tally
        self.ship = ship
        self._echo = echo
        self._landing = Landing(write, admit, tally)
        self.sender = Sender(now)
        self.receiver = Receiver()
        self.session: Session | None = None
        """Under whose keys is sent; None while there is none."""
        self._cargos: dict[int, Cargo | Bundle] = {}
        self._kept: dict[int, _Kept] = {}
        self._next = 0
        self._pumping = False
        self._timer: Timer | None = None

    def rebind(self, ship: Ship, echo: Callable[[int], None]) -> None:
        """Send by other means from now on."""
        self.ship, self._echo = ship, echo

    def take(self, cargo: Cargo | Bundle) -> None:
        """A packet, or several, for the other end."""
        token = self._next = self._next + 1
        size = cargo.largest + OVERHEAD + _OUTER
        if self.sender.offer(cargo.key, token, cargo.count, size, time.monotonic()):
            self._cargos[token] = cargo
            self.soon()

    def soon(self) -> None:
        """Look at what is to be done when the events at hand have had their turn."""
        if not self._pumping:
            self._pumping = True
            self._loop.soon(self._pump)

    def close(self) -> None:
        """No more."""
        self.session = None
        self._cargos.clear()
        self._kept.clear()
        if self._timer is not None:
            self._timer.cancel()

    # Out.

    def _pump(self) -> None:
        self._pumping = False
        self._landing.flush()
        session = self.session
        if session is None:
            return
        now = time.monotonic()
        sender, receiver = self.sender, self.receiver
        sealing, cargos, ship = session.sealing, self._cargos, self.ship
        while parcels := sender.poll(now):
            for parcel in parcels:
                cargo = cargos[parcel.token]
                first, buffers = sealing.seal_run(
                    parcel.path,
                    cargo.frames(parcel.treatment, parcel.lane, parcel.number, parcel.first, parcel.count),
                )
                size = cargo.largest + OVERHEAD
                most = 2 * max(1, min(MOST_AT_ONCE, MOST_BYTES // size))
                if len(buffers) <= most:
                    ship(parcel.path, buffers, size)
                else:
                    for begin in range(0, len(buffers), most):
                        ship(parcel.path, buffers[begin : begin + most], size)
                sender.sent(parcel, first, now)
            for token in sender.released():
                del cargos[token]
        for token in sender.released():
            del cargos[token]
        for path in sender.probes(now):
            self._echo(path)
        for delivery in receiver.poll(now):
            self._deliver(*delivery)
        self._landing.flush()
        for ack in receiver.acks(now):
            datagram = sealing.seal(ack.path, encode(ack))
            ship(ack.path, [datagram], len(datagram))
        self._rest(now)

    def _rest(self, now: float) -> None:
        """Come back when something is due."""
        times = [when for when in (self.sender.deadline(), self.receiver.deadline()) if when is not None]
        if not times:
            return
        when = min(times)
        timer = self._timer
        if timer is not None and timer.call is not None:
            if timer.when <= when + 0.0005:
                return
            timer.cancel()
        self._timer = self._loop.after(max(0.0, when - self._loop.now), self._due)

    def _due(self) -> None:
        self._timer = None
        self._pump()

    # In.

    def run(
        self,
        path: int,
        counter: int,
        frames: list[bytes],
        wire: int,
        other: Callable[[bytes], None],
        waited: float = 0.0,
    ) -> None:
        """Frames with consecutive counters came on a path, in datagrams of ``wire`` bytes (the last maybe
        less). Those that are not DATA are given to ``other``. Raises `Malformed`.

        They came ``waited`` seconds ago. On a busy machine that can be more than the whole way took; what
        it says about the path and about this end is for `Receiver` to know.
        """
        now = time.monotonic()
        at, total = 0, len(frames)
        while at < total:
            frame = frames[at]
            if is_data(frame):
                at = self._data(path, counter, frames, at, wire, now, waited)
                continue
            self.receiver.on_datagrams(path, counter + at, 1, wire + _OUTER, None, now, waited)
            if frame and frame[0] == Kind.ACK:
                self._acknowledged(frame, now)
            else:
                other(frame)
            at += 1

    def _acknowledged(self, frame: bytes, now: float) -> None:
        ack = decode(frame)
        assert isinstance(ack, Ack)
        self.sender.on_ack(ack, now)
        self.soon()

    def alive(self, path: int) -> None:
        """An echo came back over a path."""
        self.sender.on_alive(path, time.monotonic())
        self.soon()

    def _data(
        self, path: int, counter: int, frames: list[bytes], at: int, wire: int, now: float, waited: float
    ) -> int:
        """The run that begins at ``at``, which is DATA; gives where it ends. Raises `Malformed`."""
        receiver = self.receiver
        head = open_data(frames[at])
        end = _run(head, frames, at)
        count = end - at
        size = count * (wire + _OUTER)
        receiver.on_datagrams(path, counter + at, count, size, head.treatment, now, waited)
        token = self._next = self._next + 1
        out, kept = receiver.on_data(head.treatment, head.lane, head.order + head.index, count, token, now)
        piece = frames if count == len(frames) else frames[at:end]
        if kept:
            self._kept[token] = _Kept(head, piece, kept)
        for each in out:
            if each.token == token:
                self._give(head, piece, each.skip, each.segments)
            else:
                self._deliver(*each)
        self.soon()
        return end

    def _deliver(self, token: int, skip: int, segments: int) -> None:
        """Something that was kept goes on."""
        kept = self._kept[token]
        self._give(kept.head, kept.frames, skip, segments)
        kept.pieces -= 1
        if not kept.pieces:
            del self._kept[token]

    def _give(self, head: Data, frames: list[bytes], skip: int, segments: int) -> None:
        if segments != len(frames):
            frames = frames[skip : skip + segments]
        try:
            self._landing.give(open_data(frames[0]) if skip else head, frames)
        except Malformed:
            # Only the first of a run was looked at before, and this may be long after it came.
            self._tally.stranger("malformed", "")


class _Kept:
    """A run of which some has to wait for what comes before it."""

    __slots__ = ("frames", "head", "pieces")

    def __init__(self, head: Data, frames: list[bytes], pieces: int) -> None:
        self.head = head
        self.frames = frames
        self.pieces = pieces


def _run(head: Data, frames: list[bytes], at: int) -> int:
    """Where the run ends that begins at ``at``: segments of one superpacket, or packets numbered in a row."""
    first, total = frames[at], len(frames)
    word = int.from_bytes(first[:DATA_HEAD], "big")
    step = 256 if head.segments is Segments.WHOLE else 1
    # Nearly always all that came together is one run, and then its last shows it. Who sends something else
    # in between spoils a flow of his own.
    last = frames[-1]
    if int.from_bytes(last[:DATA_HEAD], "big") & _BUT_LAST == (word & _BUT_LAST) + (total - 1 - at) * step:
        return total
    end = at + 1
    while end < total and not (head.last and step == 1):
        word += step
        found = int.from_bytes(frames[end][:DATA_HEAD], "big")
        if found & _BUT_LAST != word & _BUT_LAST:
            break
        end += 1
        if step == 1 and found != word:
            break  # the last of its superpacket
    return end
