"""A world without sockets for the tunnel: a numeric clock, lossy lines, and drivers of both ends.

A `Line` does what the lab's emulated bridge does, in the same order: loss, queue, rate, delay with
jitter that never reorders. It carries whole runs of datagrams, as a kernel with GSO and GRO does.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

from plait.tunnel.classes import Wish
from plait.tunnel.frames import ORDERS, Ack, decode, encode
from plait.tunnel.receiver import Receiver
from plait.tunnel.resequencer import Delivery
from plait.tunnel.scheduler import Mode
from plait.tunnel.sender import Sender

OVERHEAD = 28 + 16 + 16 + 8
"""IPv4, UDP, the datagram's header, tag and the frame's head."""
MTU = 1500
INNER = MTU - OVERHEAD
MBIT = 1e6 / 8


class World:
    """Events in the order of their time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, when: float, what: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._events, (max(when, self.now), self._count, what))

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, what = heappop(self._events)
            what()
        self.now = until


@dataclass(slots=True)
class Shape:
    """One direction of a line: Mbit/s of IP packets, seconds, and a share."""

    rate: float
    delay: float
    jitter: float = 0.0
    """Added to the delay: evenly between nothing and this."""
    loss: float = 0.0
    queue: float = 0.2
    """Seconds of queue before the tail is dropped."""


class Line:
    """One direction of a path."""

    def __init__(
        self, world: World, shape: Shape, seed: int, arrive: Callable[[Any, int, int, int], None]
    ) -> None:
        self.world = world
        self.shape = shape
        self.open = True
        self.lost = self.overflowed = 0
        self.longest = 0.0
        self._free = 0.0
        self._last = 0.0
        self._random = random.Random(seed)
        self._arrive = arrive

    def send(self, what: Any, size: int, count: int) -> None:
        """A run of ``count`` datagrams of ``size`` bytes; pieces arrive as (what, offset, count, size)."""
        if not self.open:
            return
        shape, now, draw = self.shape, self.world.now, self._random.random
        per = size / (shape.rate * MBIT)
        begin = -1
        for index in range(count):
            if shape.loss and draw() < shape.loss:
                self.lost += 1
            elif self._free - now > shape.queue:
                self.overflowed += 1
            else:
                self._free = max(self._free, now) + per
                if begin < 0:
                    begin = index
                continue
            if begin >= 0:
                self._carry(what, begin, index - begin, size)
                begin = -1
        if begin >= 0:
            self._carry(what, begin, count - begin, size)
        self.longest = max(self.longest, self._free - now)

    def _carry(self, what: Any, offset: int, count: int, size: int) -> None:
        arrives = self._free + self.shape.delay
        if self.shape.jitter:
            arrives += self.shape.jitter * self._random.random()
        self._last = max(self._last, arrives)

        def arrive() -> None:
            if self.open:
                self._arrive(what, offset, count, size)

        self.world.at(self._last, arrive)


@dataclass(slots=True)
class Packet:
    """What an application gave to the tunnel: ``count`` segments, the first being number ``first``."""

    to: Callable[[int, int, float], None]
    """Told of (first, count) delivered, and when they had been sent."""
    first: int
    count: int
    size: int
    born: float


@dataclass(slots=True)
class Kept:
    """A run that has arrived and is, in ``pieces`` pieces, not delivered yet."""

    packet: Packet
    first: int
    pieces: int


@dataclass(slots=True)
class Tally:
    """Segments."""

    accepted: int = 0
    delivered: int = 0
    refused: int = 0


class End:
    """What the driver of one end does, with numbers for payloads."""

    def __init__(self, world: World, name: str, wish: Callable[[bytes], Wish] | None = None) -> None:
        self.world = world
        self.name = name
        self.sender = Sender(world.now, wish) if wish else Sender(world.now)
        self.receiver = Receiver()
        self.lines: dict[int, Line] = {}
        self.tally = Tally()
        self.sent_bytes = 0
        """All that this end has put on its lines."""
        self.late: Callable[[], float] | None = None
        """Seconds until what comes is looked at, drawn anew each time; None: at once."""
        self.clock_error = 1234.5
        """What this end's clock is off by: nothing may depend on it."""
        self._counters: dict[int, int] = {}
        self._tokens = 0
        self._sending: dict[int, Packet] = {}
        self._keeping: dict[int, Kept] = {}
        self._wakes = -1.0
        self._unread: list[tuple[float, Any, int, int, int]] = []

    @property
    def clock(self) -> float:
        return self.world.now + self.clock_error

    def give(self, key: bytes, packet: Packet) -> bool:
        """An application's packet: ``packet.size`` is that of an inner packet."""
        self._tokens += 1
        taken = self.sender.offer(key, self._tokens, packet.count, packet.size + OVERHEAD, self.clock)
        if taken:
            self._sending[self._tokens] = packet
            self.tally.accepted += packet.count
        else:
            self.tally.refused += packet.count
        self.pump()
        return taken

    def pump(self) -> None:
        """Send what may be sent, and come back when there is more to do."""
        world, sender = self.world, self.sender
        while runs := sender.poll(self.clock):
            for run in runs:
                counter = self._counters.get(run.path, 0)
                self._counters[run.path] = counter + run.count
                sender.sent(run, counter, self.clock)
                self.sent_bytes += run.size * run.count
                self.lines[run.path].send((self._sending[run.token], run, counter), run.size, run.count)
        for token in sender.released():
            del self._sending[token]
        for ack in self.receiver.acks(self.clock):
            self._control(ack.path, encode(ack))
        for path in sender.probes(self.clock):
            self._control(path, b"echo")
        times = [when for when in (sender.deadline(), self.receiver.deadline()) if when is not None]
        if times:
            # A process wakes up up to 1 ms late.
            when = max(min(times) - self.clock_error, world.now) + 0.0005
            if not world.now < self._wakes <= when:
                self._wakes = when
                world.at(when, self._wake)

    def _wake(self) -> None:
        if self.world.now >= self._wakes:
            self._wakes = -1.0
        self._deliver(self.receiver.poll(self.clock))
        self.pump()

    def _control(self, path: int, frame: bytes) -> None:
        counter = self._counters.get(path, 0)
        self._counters[path] = counter + 1
        size = len(frame) + OVERHEAD - 8
        self.sent_bytes += size
        self.lines[path].send((path, counter, frame), size, 1)

    def arrive(self, what: Any, offset: int, count: int, size: int) -> None:
        """The far end's datagrams."""
        if self.late is None:
            self._take(what, offset, count, size, 0.0)
            return
        if not self._unread:
            self.world.at(self.world.now + self.late(), self._read)
        self._unread.append((self.world.now, what, offset, count, size))

    def _read(self) -> None:
        unread, self._unread = self._unread, []
        for at, what, offset, count, size in unread:
            self._take(what, offset, count, size, self.world.now - at)

    def _take(self, what: Any, offset: int, count: int, size: int, waited: float) -> None:
        receiver = self.receiver
        if isinstance(what[2], bytes):
            path, counter, frame = what
            receiver.on_datagrams(path, counter, 1, size, None, self.clock, waited)
            if frame == b"echo":
                self._control(path, b"reply")
            elif frame == b"reply":
                self.sender.on_alive(path, self.clock)
            else:
                ack = decode(frame)
                assert isinstance(ack, Ack)
                self.sender.on_ack(ack, self.clock)
            self.pump()
            return
        packet, run, counter = what
        whole = size * count
        receiver.on_datagrams(run.path, counter + offset, count, whole, run.treatment, self.clock, waited)
        self._tokens += 1
        token = self._tokens
        self._keeping[token] = Kept(packet, packet.first + run.first + offset, 0)
        out, kept = receiver.on_data(
            run.treatment, run.lane, (run.number + offset) % ORDERS, count, token, self.clock
        )
        now_out = sum(1 for each in out if each.token == token)
        self._keeping[token].pieces = kept + now_out
        if not kept and not now_out:
            del self._keeping[token]
        self._deliver(out)
        self.pump()

    def _deliver(self, out: list[Delivery]) -> None:
        for token, skip, count in out:
            kept = self._keeping[token]
            kept.pieces -= 1
            if not kept.pieces:
                del self._keeping[token]
            self.tally.delivered += count
            kept.packet.to(kept.first + skip, count, kept.packet.born)


class Tunnel:
    """Two ends and the paths between them: shapes there and back, per path."""

    def __init__(
        self,
        world: World,
        paths: list[tuple[Shape, Shape]],
        seed: int,
        wish: Callable[[bytes], Wish] | None = None,
    ) -> None:
        self.near, self.far = End(world, "near", wish), End(world, "far", wish)
        self.far.clock_error = -77.25
        self.far.sender = Sender(self.far.clock, wish) if wish else Sender(self.far.clock)
        self.near.sender = Sender(self.near.clock, wish) if wish else Sender(self.near.clock)
        for path, (there, back) in enumerate(paths):
            self.near.lines[path] = Line(world, there, seed * 100 + path, self.far.arrive)
            self.far.lines[path] = Line(world, back, seed * 100 + 50 + path, self.near.arrive)
            for end in (self.near, self.far):
                end.sender.set_path(path, end.clock, mode=Mode.ON)

    @property
    def payloads(self) -> int:
        """Payloads that the drivers of both ends still keep."""
        return sum(len(end._sending) + len(end._keeping) for end in (self.near, self.far))

    def plug(self, path: int, in_: bool) -> None:
        """Cut a path silently, or mend it."""
        self.near.lines[path].open = self.far.lines[path].open = in_
