"""One measurement of a path's capacity, at the end that asks for it."""

from __future__ import annotations

import os
from collections.abc import Callable

from plait.courier.trains import COUNT, PATIENCE, SIZE, Arriving, rate
from plait.relay.loop import Loop
from plait.tunnel.frames import Train, TrainReply, encode
from plait.wire.datagram import OVERHEAD

_LIMIT = 3.0
"""Seconds after which what is not known yet never will be."""


class Measure:
    """Sends a train, and waits for what the far end says of it and for the one it sends back."""

    def __init__(
        self,
        loop: Loop,
        send: Callable[[bytes], bool],
        done: Callable[[int | None, int | None], None],
    ) -> None:
        """``send`` seals and sends a frame. ``done(up, down)`` is called once, with bits a second."""
        self._done: Callable[[int | None, int | None], None] | None = done
        self._loop = loop
        self._number = int.from_bytes(os.urandom(4), "big")
        self._up: int | None = None
        self._up_known = False
        self._down: int | None = None
        self._down_known = False
        self._arriving: Arriving | None = None
        send_train(self._number, COUNT, SIZE - OVERHEAD, send, want_back=True)
        loop.after(_LIMIT, self._end)

    def take(self, frame: Train | TrainReply, size: int, at: int) -> None:
        """What came; ``size`` in bytes on the wire, ``at`` in nanoseconds."""
        if frame.id != self._number:
            return
        if isinstance(frame, TrainReply):
            self._up, self._up_known = rate(frame.count, frame.spread, frame.bytes), True
        elif self._arriving is None:
            self._arriving = Arriving(frame.id, frame.count, at, at, size=size)
            self._loop.after(PATIENCE, self._arrived)
        else:
            self._arriving.add(at, size)
            if self._arriving.complete:
                self._arrived()
        if self._up_known and self._down_known:
            self._end()

    def _arrived(self) -> None:
        train = self._arriving
        if train is not None and not self._down_known:
            self._down, self._down_known = rate(train.arrived, train.spread, train.bytes), True
            if self._up_known:
                self._end()

    def _end(self) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(self._up, self._down)


def send_train(number: int, count: int, size: int, send: Callable[[bytes], bool], *, want_back: bool) -> None:
    """``count`` frames of ``size`` bytes back to back, as far as the kernel takes them."""
    for index in range(count):
        if not send(encode(Train(number, index, count, want_back, size))):
            return
