"""A dial-up link between two nodes, made of two TUN devices.

Point to point, without Ethernet, neighbours or a router, as ppp devices are. Real ones need a kernel with
PPP, which not every machine that runs the tests has. Packets are carried from one to the other by a thread
of the test, as bytes, and can be stopped.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import threading

from tests.netns.relay.places import inside

from plait.lab.node import Node

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000


class DialUp:
    """``near``:``name`` with ``local`` and ``far``:``name`` with ``remote``; up when it is made."""

    def __init__(self, near: Node, far: Node, name: str, local: str, remote: str) -> None:
        self.open = True
        """Whether packets get across."""
        self._name = name
        self._ends = [_tun(near, name), _tun(far, name)]
        self._woken, self._wake = os.pipe()
        for node, own, other in ((near, local, remote), (far, remote, local)):
            node.run("ip", "addr", "add", own, "peer", f"{other}/32", "dev", name)
            node.run("ip", "link", "set", name, "mtu", "1492", "up")
        self._thread = threading.Thread(target=self._carry, name=f"dial-up {name}")
        self._thread.start()

    def hang_up(self) -> None:
        """The devices vanish, with all that was on them."""
        os.write(self._wake, b"x")
        self._thread.join(20)
        for fd in (*self._ends, self._woken, self._wake):
            os.close(fd)

    def _carry(self) -> None:
        near, far = self._ends
        while True:
            readable, _, _ = select.select([near, far, self._woken], [], [])
            if self._woken in readable:
                return
            for source in readable:
                packet = os.read(source, 65536)
                if self.open:
                    try:
                        os.write(far if source == near else near, packet)
                    except OSError:
                        continue  # the other device is set down


def _tun(node: Node, name: str) -> int:
    """A TUN device in a node; it lasts as long as the descriptor."""
    with inside(node):
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return fd
