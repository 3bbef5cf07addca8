"""The process between the two ends of an emulated bridge.

``python -m plait.lab.bridge_process SPEC`` where SPEC is JSON (see ``bridge.py``). Each end is an
interface of a node, made in one of two ways:

* ``tap``: a TAP device. TUNSETCARRIER (Linux 5.0, drivers/net/tun.c) is its cable.
* ``packet``: a veth pair whose far end lies in this process' own network and is read through a
  packet socket; setting that far end down takes the carrier. For users to whom /dev/net/tun is
  closed.

One loop moves the frames: epoll on both ends, a timerfd for those on their way, a unix socket for
commands. The frames' fate is decided in ``channel.py`` and ``middlebox.py``.
"""

from __future__ import annotations

import ctypes
import dataclasses
import fcntl
import json
import os
import select
import socket
import struct
import sys
import time
from typing import Any

from plait.lab.channel import Channel
from plait.lab.drawing import Shape
from plait.lab.middlebox import Box, Meddler

_TUNSETIFF = 0x400454CA
_TUNSETCARRIER = 0x400454E2
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
_CLONE_NEWNET = 0x40000000
_ETH_P_ALL = 3
_SOL_PACKET = 263
_PACKET_IGNORE_OUTGOING = 23
_CLOCK_MONOTONIC = 1
_BATCH = 64
"""Frames read from one end before the other gets its turn."""
_EARLY = 30e-6
"""Seconds; waking for so little later would cost more than it gains."""
_HEADROOM = 64
"""Bytes beside the MTU: Ethernet header and VLAN tags."""


class _Itimerspec(ctypes.Structure):
    _fields_ = [
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    ]


_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


class Timer:
    """A timerfd on the monotonic clock (Python has none before 3.13)."""

    def __init__(self) -> None:
        flags = os.O_NONBLOCK | os.O_CLOEXEC
        self.fd = _check(_libc.timerfd_create(_CLOCK_MONOTONIC, flags))
        self._spec = _Itimerspec()

    def arm(self, seconds: float) -> None:
        """Become readable after ``seconds`` from now."""
        wait = max(seconds, 1e-6)
        self._spec.value_s = int(wait)
        self._spec.value_ns = int((wait - int(wait)) * 1e9)
        _check(_libc.timerfd_settime(self.fd, 0, ctypes.byref(self._spec), None))

    def clear(self) -> None:
        """Take the expiry in."""
        try:
            os.read(self.fd, 8)
        except BlockingIOError:
            pass


def _enter(pid: int) -> None:
    with open(f"/proc/{pid}/ns/net") as namespace:
        _check(_libc.setns(namespace.fileno(), _CLONE_NEWNET))


class TapPort:
    """An end that is a TAP device in a node."""

    def __init__(self, pid: int, interface: str) -> None:
        _enter(pid)
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        request = struct.pack("16sH22x", interface.encode(), _IFF_TAP | _IFF_NO_PI)
        fcntl.ioctl(self.fd, _TUNSETIFF, request)

    def carrier(self, on: bool) -> None:
        """Plug the cable in or pull it."""
        fcntl.ioctl(self.fd, _TUNSETCARRIER, struct.pack("I", on))


class PacketPort:
    """An end that is one half of a veth pair; the other half, ``peer``, lies in our network."""

    def __init__(self, peer: str) -> None:
        self._peer = peer.encode()
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
            sock.bind((peer, _ETH_P_ALL))
            self.fd = sock.detach()

    def carrier(self, on: bool) -> None:
        """veth has carrier only while its other half is up (drivers/net/veth.c veth_close)."""
        flags = struct.unpack_from(
            "H", fcntl.ioctl(self.fd, _SIOCGIFFLAGS, struct.pack("16s24x", self._peer)), 16
        )[0]
        flags = flags | _IFF_UP if on else flags & ~_IFF_UP
        fcntl.ioctl(self.fd, _SIOCSIFFLAGS, struct.pack("16sH22x", self._peer, flags))


class Bridge:
    """Two ends, two channels, and the loop."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._control.bind(spec["control"])
        self._ports: list[TapPort | PacketPort] = []
        for end in spec["ends"]:
            if spec["backend"] == "tap":
                self._ports.append(TapPort(end["pid"], end["interface"]))
            else:
                self._ports.append(PacketPort(end["peer"]))
        self._channels = [
            Channel(spec["seed"] * 2 + index, Shape(**spec["shapes"][index])) for index in (0, 1)
        ]
        self._meddler = Meddler(_box(spec.get("box", {})))
        self._plugged = [True, True]
        self._silent = [False, False]
        self._size = spec["mtu"] + _HEADROOM
        self._timer = Timer()
        self._armed = 0.0

    def _gates(self) -> None:
        for channel, silent in zip(self._channels, self._silent, strict=True):
            channel.open = all(self._plugged) and not silent

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command; the answer is what the link is like afterwards.

        ``do``: shape, meddle, unplug, plug, silence, unsilence, look. ``ends`` (0 left, 1 right) says whose
        cable; ``directions`` (0 forth, 1 back) says which channel. Unplugging starts with the left
        end, plugging with the right one, so that the far end is there when the left one calls.
        """
        verb = command["do"]
        directions: list[int] = command.get("directions", [0, 1])
        ends: list[int] = command.get("ends", [0, 1])
        if verb == "shape":
            for index in directions:
                self._channels[index].shape = dataclasses.replace(
                    self._channels[index].shape, **command["shape"]
                )
        elif verb == "meddle":
            self._meddler.box = _box(dataclasses.asdict(self._meddler.box) | command["box"])
        elif verb == "unplug":
            for index in ends:
                self._plugged[index] = False
            self._gates()
            for index in ends:
                self._ports[index].carrier(False)
            for channel in self._channels:
                channel.clear()
        elif verb == "plug":
            for index in reversed(ends):
                self._ports[index].carrier(True)
                self._plugged[index] = True
            self._gates()
        elif verb in ("silence", "unsilence"):
            for index in directions:
                self._silent[index] = verb == "silence"
                if verb == "silence":
                    self._channels[index].clear()
            self._gates()
        elif verb != "look":
            return {"error": f"unknown command {verb!r}"}
        return {
            "at": time.monotonic(),
            "plugged": self._plugged,
            "silent": self._silent,
            "counters": [dataclasses.asdict(channel.counters) for channel in self._channels],
            "box": dataclasses.asdict(self._meddler.box),
            "meddled": self._meddler.meddled,
        }

    def _answer(self) -> None:
        while True:
            try:
                request, _, _, sender = self._control.recvmsg(65536)
            except BlockingIOError:
                return
            try:
                reply = self.obey(json.loads(request))
            except (ValueError, KeyError, TypeError, IndexError) as problem:
                reply = {"error": f"{type(problem).__name__}: {problem}"}
            self._control.sendto(json.dumps(reply).encode(), sender)

    def _take(self, index: int) -> None:
        """Read what an end has sent, up to a batch, and put it on its way."""
        fd, size, read = self._ports[index].fd, self._size, os.read
        frames: list[bytes] = []
        try:
            for _ in range(_BATCH):
                frames.append(read(fd, size))
        except OSError:  # BlockingIOError: that was all. ENETDOWN, EIO: the interface is down
            pass
        if frames and not self._meddler.idle:
            frames, returned = self._meddler.take(frames, index, time.monotonic())
            self._carry(1 - index, returned)
        self._carry(index, frames)

    def _carry(self, index: int, frames: list[bytes]) -> None:
        """Put frames on their way in one direction."""
        if frames:
            channel = self._channels[index]
            if channel.immediate:
                self._deliver(index, frames)
            else:
                channel.offer(frames, time.monotonic())

    def _deliver(self, index: int, frames: list[bytes]) -> None:
        fd, write = self._ports[1 - index].fd, os.write
        size = count = 0
        for frame in frames:
            try:
                size += write(fd, frame)
                count += 1
            except OSError:  # the far interface is down or its queue is full: lost, as on a real link
                self._channels[index].counters.overflowed += 1
        self._channels[index].delivered(count, size)

    def close(self) -> None:
        """Give everything up."""
        for port in self._ports:
            os.close(port.fd)
        os.close(self._timer.fd)
        self._control.close()

    def serve(self) -> None:
        """Move frames until killed."""
        poll = select.epoll()
        by_fd = {port.fd: index for index, port in enumerate(self._ports)}
        for fd in (*by_fd, self._timer.fd, self._control.fileno()):
            poll.register(fd, select.EPOLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd in by_fd:
                    self._take(by_fd[fd])
                elif fd == self._timer.fd:
                    self._timer.clear()
                    self._armed = 0.0
                else:
                    self._answer()
            deadline = 0.0
            now = time.monotonic()
            for index, channel in enumerate(self._channels):
                arrived = channel.due(now + _EARLY)
                if arrived:
                    self._deliver(index, arrived)
                nearest = channel.next_deadline()
                if nearest is not None and (not deadline or nearest < deadline):
                    deadline = nearest
            if deadline and (not self._armed or deadline < self._armed):
                self._timer.arm(deadline - time.monotonic())
                self._armed = deadline


def _box(raw: dict[str, Any]) -> Box:
    """As it travels: JSON has no tuples."""
    return Box(**raw | {"block": tuple((protocol, port) for protocol, port in raw.get("block", ()))})


def _main() -> None:
    bridge = Bridge(json.loads(sys.argv[1]))
    print("ready", flush=True)
    bridge.serve()


if __name__ == "__main__":
    _main()
