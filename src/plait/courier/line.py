"""One path to one exit: its socket, its number in the session, and the echoes on it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from enum import Enum

from plait.courier.echoes import Echoes
from plait.courier.measure import Measure
from plait.courier.orders import WayOrder
from plait.courier.room import Room
from plait.kernel.udp import GONE, Letter, open_path, receive, send_run
from plait.relay.loop import IN, Loop, Timer

PACE = 1.0
"""Seconds between two echoes unless control says otherwise."""
_AT_ONCE = 64
"""Datagrams taken from one socket before others have their turn."""


class Sent(Enum):
    """What became of a datagram that was given to the kernel."""

    YES = "yes"
    BUSY = "busy"
    """Not now: a queue is full. Says nothing about the path."""
    LARGE = "large"
    """It does not fit through the link."""
    BROKEN = "broken"
    """There is no such link or address, or no route."""


class Line:
    """``heard(line, letter)`` is called for every datagram that comes."""

    def __init__(self, loop: Loop, way: WayOrder, number: int, heard: Callable[[Line, Letter], None]) -> None:
        self._loop = loop
        self._heard = heard
        self.way = way
        self.number = number
        """The path's number in the session, 0 to 255; it outlives changes of address."""
        self.echoes = Echoes()
        self.pace = PACE
        self.tick: Timer | None = None
        self.asked = float("-inf")
        """When the last echo was sent."""
        self.tx_bytes = self.rx_bytes = 0
        """Of sealed datagrams."""
        self.measured = float("-inf")
        """When its room was last asked about."""
        self.cookie = b""
        self.mac = b""
        """Of the last greeting sent here: what a cookie must answer to."""
        self.measure: Measure | None = None
        """The newest measurement of its capacity."""
        self.room: Room | None = None
        """What it lets through, where that has to be known."""
        self._sock = self._try_open()

    def send(self, datagram: bytes) -> Sent:
        """Give a datagram to the kernel."""
        if self._sock is None:
            self._sock = self._try_open()
            if self._sock is None:
                return Sent.BROKEN
        for _ in range(2):
            try:
                self._sock.send(datagram)
                return Sent.YES
            except OSError as error:
                if error.errno == errno.ECONNREFUSED:
                    continue  # that was about an earlier one
                if error.errno in GONE:
                    return Sent.BUSY
                if error.errno == errno.EMSGSIZE:
                    return Sent.LARGE
                break
        else:
            return Sent.BUSY
        # A socket stays bound to an interface that is no more, even when one of its name comes back.
        self.close()
        return Sent.BROKEN

    def send_run(self, buffers: list[bytes], size: int) -> None:
        """Many datagrams of ``size`` bytes, the last maybe shorter; what the kernel does not take is lost."""
        if self._sock is not None:
            send_run(self._sock, buffers, size)

    def drain(self) -> None:
        """Take what has come."""
        for _ in range(_AT_ONCE):
            if self._sock is None:
                return
            letter = receive(self._sock)
            if letter is None:
                return
            self._heard(self, letter)

    def close(self) -> None:
        """Give the socket back; `send` opens another."""
        if self._sock is not None:
            self._loop.forget(self._sock.fileno())
            self._sock.close()
            self._sock = None

    def end(self) -> None:
        """The path is gone for good, or has other addresses now."""
        self.close()
        if self.tick is not None:
            self.tick.cancel()

    def _try_open(self) -> socket.socket | None:
        way = self.way
        try:
            sock = open_path(way.remote, way.port, local=way.local, interface=way.interface)
        except OSError:
            return None
        self._loop.register(sock.fileno(), lambda _: self.drain(), IN)
        return sock
