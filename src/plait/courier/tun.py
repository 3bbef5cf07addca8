"""The courier's hold of the TUN device: reads what there is, in rows that can go out together."""

from __future__ import annotations

import os
from collections.abc import Callable

from plait.courier.cargo import Bundle, Cargo, load
from plait.courier.tally import Tally
from plait.kernel.tun import LARGEST
from plait.relay.loop import IN, Loop

_AT_ONCE = 64
"""Packets read before others have their turn."""
_ROW = 64
"""Single packets that go out as one run."""


class Tun:
    """``taken(cargo)`` is called for what the kernel routes into the device."""

    def __init__(self, loop: Loop, fd: int, tally: Tally) -> None:
        self._fd = fd
        self._tally = tally
        self.taken: Callable[[Cargo | Bundle], None] | None = None
        loop.register(fd, self._ready, IN)

    def _ready(self, mask: int) -> None:
        taken = self.taken
        if taken is None:
            return
        row: Cargo | Bundle | None = None
        last: Cargo | None = None
        for _ in range(_AT_ONCE):
            try:
                data = os.read(self._fd, LARGEST)
            except OSError:
                break  # nothing more; or the device is down, and then nothing either
            cargo = load(data)
            if cargo is None:
                self._tally.stranger("not carried", "")
                continue
            if last is not None and row is not None and last.joins(cargo):
                if isinstance(row, Cargo):
                    row = Bundle(row)
                if row.count < _ROW:
                    row.add(cargo)
                    continue
            if row is not None:
                taken(row)
            row = last = cargo
        if row is not None:
            taken(row)

    def write(self, packet: list[bytes | bytearray]) -> None:
        """Give a packet, headed by what `virtio_net_hdr` says of it, to the kernel."""
        try:
            os.writev(self._fd, packet)
        except OSError:
            # What the kernel does not like: EINVAL for headers that make no sense, EIO while it is down.
            self._tally.stranger("not delivered", "")
