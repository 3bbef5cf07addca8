"""The courier's hold of the TUN device: reads what there is, in rows that can go out together."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from plait.courier.cargo import Bundle, Cargo, load
from plait.courier.landing import Packet, singly
from plait.courier.tally import Tally
from plait.kernel.tun import GSO_UDP_L4, LARGEST
from plait.relay.loop import IN, Loop

_AT_ONCE = 64
"""Packets read before others have their turn."""
_ROW = 64
"""Single packets that go out as one run."""


class Tun:
    """``taken(cargo)`` is called for what the kernel routes into the device."""

    def __init__(self, loop: Loop, fd: int, tally: Tally) -> None:
        self._loop = loop
        self._fd = fd
        self._tally = tally
        self.taken: Callable[[Cargo | Bundle], None] | None = None
        loop.register(fd, self._ready, IN)

    def _ready(self, mask: int) -> None:
        taken = self.taken
        if taken is None:
            return
        first: Cargo | None = None
        alike: Callable[[bytes], bool] | None = None
        others: list[bytes] = []
        for _ in range(_AT_ONCE):
            try:
                data = os.read(self._fd, LARGEST)
            except OSError as error:
                if error.errno == errno.EBADFD:
                    # Somebody has deleted the device: this can be read no more, and is ready for ever.
                    self._loop.unregister(self._fd)
                break  # nothing more; or the device is down, and then nothing either
            if alike is not None and len(others) < _ROW - 1 and alike(data):
                others.append(data)
                continue
            if first is not None:
                taken(Bundle(first, others) if others else first)
            others = []
            first = load(data)
            if first is None:
                alike = None
                self._tally.stranger("not carried", "")
            else:
                alike = first.alike()
        if first is not None:
            taken(Bundle(first, others) if others else first)

    def write(self, packet: Packet) -> None:
        """Give a packet, headed by what `virtio_net_hdr` says of it, to the kernel."""
        try:
            os.writev(self._fd, packet)
        except OSError as error:
            if error.errno == errno.EINVAL and packet[0][1] == GSO_UDP_L4:
                # Linux before 6.2 does not know them.
                for each in singly(packet):
                    self.write(each)
                return
            # What the kernel does not like: EINVAL for headers that make no sense, EIO while it is down.
            self._tally.stranger("not delivered", "")
