"""``python -m plait.lab.steady_process answer PORT`` and ``… call ADDRESS PORT NAME RATE SIZE``.

Datagrams at a steady pace both ways, as a call has them: ``call`` sends ``SIZE`` bytes again and again, at
``RATE`` bit/s, and ``answer`` does the same back to whoever calls. Both note when what had left when
arrived. All nodes of the lab have one clock, so that delays are one-way.

``call`` prints ``ready`` once it is answered. On SIGTERM either stops sending, takes what is still under
way, and prints one line of JSON: for each name when each datagram left, and of each that came its number,
when it had left and how long it was on its way. Seconds.
"""

from __future__ import annotations

import json
import selectors
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from functools import partial

_HEAD = struct.Struct("!IQI8s")
"""Number, when it left in ns, µs between two, name."""
_HELLO = 0xFFFFFFFF
"""The number of what only wakes the far end."""
_LATE = 2.0
"""Seconds that are waited for what is under way."""
_PATIENCE = 20.0

Peer = tuple[str, int] | tuple[str, int, int, int]


class Steady:
    """One direction out and one in. It sends nothing before `begin`."""

    def __init__(self, name: bytes, gap: int, size: int, send: Callable[[bytes], object]) -> None:
        """``gap`` is µs between two datagrams of ``size`` bytes."""
        self.name = name
        self.next_at = float("inf")
        self.left: list[float] = []
        self.came: list[tuple[int, float, float]] = []
        self._gap = gap
        self._fill = bytes(max(size - _HEAD.size, 0))
        self._send = send

    def begin(self) -> None:
        """Send from now on."""
        self.next_at = time.monotonic()

    def tick(self, now: float) -> None:
        """Send all that is due: who was late has the rest ready, as a sound card has."""
        while self.next_at <= now:
            self.next_at += self._gap / 1e6
            number = len(self.left)
            self.left.append(now)
            self.put(number)

    def put(self, number: int = _HELLO) -> None:
        """Send one."""
        try:
            self._send(_HEAD.pack(number, time.monotonic_ns(), self._gap, self.name) + self._fill)
        except OSError:
            pass  # no route, no room: lost, as the far end will see

    def take(self, data: bytes) -> None:
        """One has come."""
        now = time.monotonic_ns()
        number, left, _, _ = _HEAD.unpack_from(data)
        if number != _HELLO:
            self.came.append((number, left / 1e9, (now - left) / 1e9))

    @property
    def facts(self) -> dict[str, object]:
        """For JSON."""
        return {"left": self.left, "came": self.came}


def answer(port: int) -> dict[str, object]:
    """Answer all callers until SIGTERM."""
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(("::", port))
    callers: dict[bytes, Steady] = {}

    def take() -> None:
        while (got := _receive(sock)) is not None:
            data, peer = got
            _, _, gap, name = _HEAD.unpack_from(data)
            if name not in callers:
                callers[name] = Steady(name, gap, len(data), partial(_send, sock, peer))
                callers[name].begin()
            callers[name].take(data)

    _serve(sock, take, callers)
    return _told(callers)


def call(address: str, port: int, name: str, rate: float, size: int) -> dict[str, object]:
    """Call until SIGTERM."""
    family, _, _, _, peer = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)[0]
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.connect(peer)
    sock.setblocking(False)
    steady = Steady(name.encode(), round(size * 8e6 / rate), size, sock.send)

    def take() -> None:
        while (got := _receive(sock)) is not None:
            steady.take(got[0])

    deadline = time.monotonic() + _PATIENCE
    while not steady.came:
        if time.monotonic() > deadline:
            raise SystemExit(f"nobody answers at {address} port {port}")
        steady.put()
        time.sleep(0.05)
        take()
    steady.begin()
    print("ready", flush=True)
    _serve(sock, take, {steady.name: steady})
    return _told({steady.name: steady})


def _send(sock: socket.socket, peer: Peer, data: bytes) -> None:
    sock.sendto(data, peer)


def _receive(sock: socket.socket) -> tuple[bytes, Peer] | None:
    while True:
        try:
            data, peer = sock.recvfrom(65535)
        except BlockingIOError:
            return None
        except OSError:
            continue  # about an earlier one
        if len(data) >= _HEAD.size:
            return data, peer


def _serve(sock: socket.socket, take: Callable[[], None], all_: dict[bytes, Steady]) -> None:
    """Send and take until SIGTERM, and then only take for a while."""
    ending: list[float] = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(time.monotonic() + _LATE))
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        while not ending or time.monotonic() < ending[0]:
            wait = 0.1
            if not ending:
                now = time.monotonic()
                for steady in all_.values():
                    steady.tick(now)
                wait = min([wait, *(steady.next_at - now for steady in all_.values())])
            if selector.select(max(wait, 0.0)):
                take()


def _told(all_: dict[bytes, Steady]) -> dict[str, object]:
    return {name.rstrip(b"\0").decode(): steady.facts for name, steady in all_.items()}


if __name__ == "__main__":
    if sys.argv[1] == "answer":
        told = answer(int(sys.argv[2]))
    else:
        told = call(sys.argv[2], int(sys.argv[3]), sys.argv[4], float(sys.argv[5]), int(sys.argv[6]))
    print(json.dumps(told), flush=True)
