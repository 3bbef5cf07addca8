"""Is the cable in? Asked of the kernel directly, for a few microseconds a link.

Why ask, when there are events: the kernel lets at most one batch of carrier-lost
events out per second, for the whole machine (``linkwatch_schedule_work`` in
net/core/link_watch.c; carrier-back events are let through). Who pulls two cables,
or pulls one within a second of another change, hears of the second a second late,
while the state itself is true at once. So the path keeper asks some times a second.

``ETHTOOL_GLINK`` (include/uapi/linux/ethtool.h) needs no privilege. A link that can't
say, as PPP, counts as one that has its carrier: its events are all there is.
"""

from __future__ import annotations

import array
import errno
import fcntl
import socket
import struct
from collections.abc import Iterable

_SIOCETHTOOL = 0x8946
_ETHTOOL_GLINK = 0x0A
_REQUEST = struct.Struct("@16sP16x")  # struct ifreq: a name, a union that begins with a pointer
_MUTE = (errno.EOPNOTSUPP, errno.EINVAL)


class CarrierProbe:
    """Reads carriers in the network namespace in which it was made."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._value = array.array("I", (_ETHTOOL_GLINK, 0))  # struct ethtool_value: command, data

    def close(self) -> None:
        """Give the descriptor back."""
        self._socket.close()

    def read(self, names: Iterable[str]) -> tuple[bool, ...]:
        """Whether each link has its carrier; one that is not there has none."""
        return tuple(self._one(name) for name in names)

    def _one(self, name: str) -> bool:
        self._value[0], self._value[1] = _ETHTOOL_GLINK, 0
        address, _length = self._value.buffer_info()
        try:
            fcntl.ioctl(self._socket, _SIOCETHTOOL, _REQUEST.pack(name.encode(), address))
        except OSError as error:
            return error.errno in _MUTE
        return bool(self._value[1])
