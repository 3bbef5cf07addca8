"""Two bridges of 20 Mbit/s between gateway and exit, and a transfer that shows every stall."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise

from tests.netns.relay.places import accept, connect, listen
from tests.netns.relay.street import SERVER, Plait, Street

from plait.lab.node import wait_for

LINKS = """
gateway:wan1 10.1.1.78/24 fd01::78/64 == bridge1 20mbit 3ms == exit:w1 10.1.1.70/24 fd01::70/64
gateway:wan2 10.2.2.78/24 fd02::78/64 == bridge2 20mbit 5ms == exit:w2 10.2.2.70/24 fd02::70/64
"""
RATE = 20e6 / 8
"""Of one bridge, in bytes a second."""


@dataclass
class Stream:
    """A bulk transfer, and when what of it arrived."""

    source: socket.socket
    sink: socket.socket
    arrivals: list[tuple[float, int]] = field(default_factory=list)
    """Time and bytes so far."""
    faults: list[OSError] = field(default_factory=list)
    wrong: bool = False
    _stop: bool = False

    def start(self) -> None:
        self._threads = [threading.Thread(target=self._send), threading.Thread(target=self._take)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        pattern = bytes(range(256)) * 256
        try:
            while not self._stop:
                self.source.sendall(pattern)
            self.source.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.faults.append(error)

    def _take(self) -> None:
        want, total = bytes(range(256)) * 1025, 0
        try:
            while data := self.sink.recv(1 << 18):
                at = total % 256
                self.wrong |= data != want[at : at + len(data)]
                total += len(data)
                self.arrivals.append((time.monotonic(), total))
        except OSError as error:
            self.faults.append(error)

    def rate(self, since: float, until: float) -> float:
        """Bytes a second that arrived between two moments."""
        inside = [(at, total) for at, total in self.arrivals if since <= at <= until]
        return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])

    def longest_gap(self, since: float, until: float) -> float:
        """Seconds of the longest silence between two moments."""
        times = [since, *(at for at, _ in self.arrivals if since <= at <= until), until]
        return max(after - before for before, after in pairwise(times))

    def at_rate(self, rate: float, over: float = 0.5) -> bool:
        """Whether the last half second was at least as fast as ``rate``."""
        now = time.monotonic()
        recent = [(at, total) for at, total in self.arrivals if at > now - over]
        return len(recent) > 2 and (recent[-1][1] - recent[0][1]) / over > rate

    def end(self) -> None:
        self._stop = True
        for thread in self._threads:
            thread.join(30)
        self.source.close()
        self.sink.close()


def transfer(street: Street, direction: str) -> Stream:
    """A running ``upload`` or ``download`` through plait."""
    with listen(street.server, SERVER[4]) as listener:
        client = connect(street.client, SERVER[4], listener.getsockname()[1])
        server = accept(listener)
    stream = Stream(client, server) if direction == "upload" else Stream(server, client)
    stream.start()
    return stream


def up(plait: Plait, name: str, state: str = "up") -> bool:
    """Whether a path is in a state."""
    return any(path["name"] == name and path["state"] == state for path in plait.status()["paths"])


def pause(seconds: float) -> None:
    """Let time pass that is to be measured."""
    begun = time.monotonic()
    wait_for("time to pass", lambda: time.monotonic() > begun + seconds, within=seconds + 20)
