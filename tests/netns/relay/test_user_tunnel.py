"""What a user of an exit may carry in the tunnel: held to its rate, and counted into its volume.

client ── gateway ══ two links ══ exit ── server
"""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.netns.relay.places import accept, connect, inside, listen
from tests.netns.relay.street import EXIT_OUT, SERVER, Plait, Street, exit_config, gateway_config, plain_log

from plait.lab.node import wait_for

WITHIN = 20.0
RATE = 8e6 / 8
USERS = """
[tunnel]
serve = true
[[user]]
name = "roof"
password = "of the roof"
rate = "8 Mbit/s"
volume = "VOLUME"
"""


def roof(exit: Plait) -> dict[str, Any]:
    return next(each for each in exit.status()["users"] if each["name"] == "roof")


@pytest.fixture
def tunnel(street: Street) -> Iterator[tuple[Plait, Plait]]:
    street.direct_route()
    gateway, exit = street.pair(
        gateway_config(gateway_lines='udp = "tunnel"', password="of the roof"),
        exit_config(rest=USERS.replace("VOLUME", "1 GB"), password=""),
    )
    gateway.until_log("tunnel: open")
    yield gateway, exit
    assert gateway.stop() == exit.stop() == 0
    for each in (gateway, exit):
        assert plain_log(each.log()), each.log()


def answered(street: Street) -> str:
    """Under which address a client of the LAN is seen; empty when it has no answer."""
    with ExitStack() as stack:
        with inside(street.server):
            far = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            far.bind((SERVER[4], 0))
        with inside(street.client):
            near = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            near.connect(far.getsockname())
        near.settimeout(1.0)
        far.settimeout(1.0)
        try:
            near.send(b"who am I?")
            data, peer = far.recvfrom(100)
            far.sendto(data, peer)
            near.recv(100)
        except OSError:
            return ""
        return str(peer[0])


class Flood:
    """Datagrams from a client, faster than anybody may be."""

    def __init__(self, street: Street) -> None:
        with inside(street.server):
            self.far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            self.far.bind((SERVER[4], 0))
        with inside(street.client):
            self.near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.near.connect(self.far.getsockname())
        self.took = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._send, self._take)]
        self.far.settimeout(0.1)
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        while not self._stop.wait(0.005):
            for _ in range(20):  # 32 Mbit/s
                self.near.send(bytes(1000))

    def _take(self) -> None:
        while not self._stop.is_set():
            try:
                self.took += len(self.far.recv(2000))
            except TimeoutError:
                pass

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(WITHIN)
        self.near.close()
        self.far.close()


def test_the_tunnel_and_tcp_share_a_rate_and_a_volume(street: Street, tunnel: tuple[Plait, Plait]) -> None:
    _, exit = tunnel
    with ExitStack() as stack:
        # The table of the gateway comes a moment after the tunnel.
        wait_for("the tunnel to be used", lambda: answered(street) == EXIT_OUT[4], within=WITHIN)
        exit.until("counts", lambda _: roof(exit)["up_bytes"] > 0 and roof(exit)["down_bytes"] > 0)
        log = exit.log()

        flood = Flood(street)
        stack.callback(flood.close)
        with listen(street.server, SERVER[4]) as listener:
            near = stack.enter_context(connect(street.client, SERVER[4], listener.getsockname()[1]))
            far = stack.enter_context(accept(listener))
        sent = [0]

        def send() -> None:
            try:
                while True:
                    sent[0] += near.send(bytes(65536))
            except OSError:
                pass

        def take() -> None:
            try:
                while data := far.recv(1 << 17):
                    arrived[0] += len(data)
            except OSError:
                pass

        arrived = [0]
        for run in (send, take):
            threading.Thread(target=run, daemon=True).start()
        time.sleep(1.0)  # both are under way
        begun, before, datagrams = time.monotonic(), arrived[0], flood.took
        time.sleep(4.0)
        seconds = time.monotonic() - begun
        tcp, udp = arrived[0] - before, flood.took - datagrams
        # The bound is exact at the exit; what lay in buffers on the way to the server comes on top.
        assert tcp + udp <= RATE * (seconds + 0.2) + 600_000, (tcp, udp, seconds)
        assert udp <= 0.75 * RATE * seconds
        assert udp >= 0.2 * RATE * seconds, (tcp, udp)
        assert tcp >= 0.2 * RATE * seconds, (tcp, udp)

        # Now the volume: TCP and tunnel end, and nobody restarts anything.
        exit.rewrite(exit_config(rest=USERS.replace("VOLUME", "1 MB"), password=""))
        exit.process.send(signal.SIGHUP)
        exit.until_log("user roof has used up its volume")
        used = roof(exit)["used_bytes"]
        assert used > 1_000_000
        assert answered(street) == "", "the tunnel is closed"
        assert "courier" not in exit.log().removeprefix(log), "it goes on"
        time.sleep(1.5)
        assert roof(exit)["used_bytes"] <= used + 2 * RATE, "what was carried until it was noticed"
