"""One direction of an emulated link, without clocks or sockets: frames in, frames out when due.

A frame passes four things in this order: *loss* (a seeded draw a frame, so that the same traffic
meets the same losses), the *queue* (a frame that would wait longer than ``queue`` is dropped at
the tail), the *rate* (frames leave one after the other, len·8/rate apart), and the *delay* with its
jitter (a draw a frame from a second seeded generator). Without ``reorder`` a frame never
overtakes another: jitter then only stretches, as on a radio link that repeats lost frames.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from heapq import heappop, heappush

from plait.lab.drawing import Shape


@dataclass(slots=True)
class Counters:
    """What became of the frames of one direction. Bytes are those of Ethernet frames."""

    frames: int = 0
    bytes: int = 0
    lost: int = 0
    """Vanished by the seeded loss."""
    overflowed: int = 0
    """Dropped because the queue was full."""
    unplugged: int = 0
    """Dropped because the link was silenced or unplugged."""


@dataclass(slots=True)
class Channel:
    """One direction. ``offer`` takes frames from the sender, ``due`` gives those that arrive."""

    seed: int
    shape: Shape = field(default_factory=Shape)
    open: bool = True
    """False: frames vanish (silence, or no carrier)."""
    counters: Counters = field(default_factory=Counters)
    _heap: list[tuple[float, int, bytes]] = field(default_factory=list)
    _free_at: float = 0.0
    _last: float = 0.0
    _sequence: int = 0
    _loss: random.Random = field(default_factory=random.Random)
    _jitter: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self._loss.seed(self.seed)
        self._jitter.seed(self.seed + 0x9E3779B9)

    @property
    def immediate(self) -> bool:
        """Whether frames may pass at once: nothing shapes them and none is waiting."""
        shape = self.shape
        return self.open and not (shape.rate or shape.delay or shape.jitter or shape.loss or self._heap)

    def offer(self, frames: list[bytes], now: float) -> None:
        """Take frames that the sender put on the link at ``now`` (seconds)."""
        counters = self.counters
        if not self.open:
            counters.unplugged += len(frames)
            return
        shape = self.shape
        seconds_per_byte = 8.0 / shape.rate if shape.rate else 0.0
        for frame in frames:
            if shape.loss and self._loss.random() < shape.loss:
                counters.lost += 1
                continue
            leaves = now
            if seconds_per_byte:
                leaves = max(self._free_at, now)
                if leaves - now > shape.queue:
                    counters.overflowed += 1
                    continue
                leaves += len(frame) * seconds_per_byte
                self._free_at = leaves
            arrives = leaves + shape.delay
            if shape.jitter:
                arrives += shape.jitter * self._jitter.random()
            if arrives < self._last and not (shape.reorder and self._jitter.random() < shape.reorder):
                arrives = self._last
            self._last = max(self._last, arrives)
            self._sequence += 1
            heappush(self._heap, (arrives, self._sequence, frame))

    def due(self, now: float) -> list[bytes]:
        """Take out the frames that have arrived by ``now``, in order of arrival."""
        heap = self._heap
        arrived: list[bytes] = []
        while heap and heap[0][0] <= now:
            arrived.append(heappop(heap)[2])
        return arrived

    def next_deadline(self) -> float | None:
        """When ``due`` will give something again, None when nothing is under way."""
        return self._heap[0][0] if self._heap else None

    def delivered(self, frames: int, size: int) -> None:
        """Count what reached the far end: ``frames`` of ``size`` bytes in all."""
        self.counters.frames += frames
        self.counters.bytes += size

    def clear(self) -> None:
        """Forget all that is under way, as when a cable is pulled."""
        self.counters.unplugged += len(self._heap)
        self._heap.clear()
        self._free_at = self._last = 0.0
