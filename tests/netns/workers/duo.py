"""A gateway's worker and an exit's, without control: the test speaks control's part itself.

    gateway  wan1 10.1.1.78 ──── 10.1.1.70 e1  exit        both: MPTCP limits 8, loose filters
             wan2 10.2.2.78 ──── 10.2.2.70 e2

A client connects to the worker's listening socket on the gateway's loopback; the worker takes that for
a connection to 127.0.0.1, and the exit dials its own loopback, where the test's server listens.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.netns.hands.namespaces import Namespace

from plait.kernel.sockets import listen
from plait.relay.orders import DoorOrder, ExitOrder, Job, JsonObject, Lines, ListenOrder, line
from plait.wire.cipher import Key

METHOD = "aes-128-gcm"
SECRET = Key.derive(METHOD, "a password").secret.hex()
PORT = 8388
SERVER_PORT = 7777
PATIENCE = 20.0
_SYSCTLS = (
    "net.ipv4.conf.all.rp_filter=0",
    "net.ipv4.conf.default.rp_filter=0",
    "net.mptcp.blackhole_timeout=0",
    "net.mptcp.syn_retrans_before_tcp_fallback=10",
    "net.mptcp.stale_loss_cnt=1",
)


def way(number: int, rtt: float = 0.0) -> list[str | int | float]:
    """A way as it travels: over link 1 or 2."""
    return [
        f"10.{number}.{number}.70",
        PORT,
        f"10.{number}.{number}.78",
        f"wan{number}",
        f"path{number}",
        rtt,
    ]


JOB = Job(
    listeners=[],
    exits=[],
    door=None,
    own=[],
    ways={},
    connect_timeout=10.0,
    handshake_timeout=60.0,
    idle_timeout=600.0,
    half_close_timeout=60.0,
    sessions=1000,
    uid=65534,
    gid=65534,
    verbose=0,
)


class Worker:
    """A worker process with its channel."""

    def __init__(self, space: Namespace, job: Job, listener: socket.socket) -> None:
        ours, theirs = socket.socketpair()
        with space.inside():
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "plait.relay.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno(), listener.fileno()],
            )
        theirs.close()
        listener.close()
        self._channel = ours
        self._lines = Lines()
        self._asked = 0
        self.heard: list[tuple[float, JsonObject]] = []
        """All that it has said, and when it was heard."""
        self.tell({"job": job.to_json()})
        self.until(lambda: any(message.get("ready") for _, message in self.heard))

    def tell(self, message: JsonObject) -> None:
        self._channel.sendall(line(message))

    def listen(self, seconds: float) -> None:
        """Hear what it says for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self._channel], [], [], left)[0]:
                data = self._channel.recv(65536)
                assert data, "the worker has ended"
                self.heard += [(time.monotonic(), message) for message in self._lines.feed(data)]

    def until(self, condition: Callable[[], Any]) -> Any:
        """Hear what it says until something is true; gives it."""
        end = time.monotonic() + PATIENCE
        while not (found := condition()):
            assert time.monotonic() < end, f"in vain; last heard: {self.heard[-3:]}"
            self.listen(0.01)
        return found

    def ask(self, what: str, **details: object) -> Any:
        """Its answer to a question."""
        self._asked += 1
        number = self._asked
        self.tell({"ask": number, "what": what, **details})
        return self.until(lambda: next((m for _, m in self.heard if m.get("answer") == number), None))

    def told(self, what: str) -> list[tuple[float, list[dict[str, Any]]]]:
        """All messages of a kind so far."""
        return [(at, message[what]) for at, message in self.heard if what in message]  # type: ignore[misc]

    def cpu_seconds(self) -> float:
        """User and system time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)
        self._channel.close()


class Duo:
    """The network, and what is started on it."""

    def __init__(self, here: Namespace, there: Namespace) -> None:
        self.here, self.there = here, there
        self._workers: list[Worker] = []
        self._servers: list[socket.socket] = []
        for number in (1, 2):
            net = f"10.{number}.{number}"
            here.sh(f"ip link add wan{number} type veth peer name e{number} netns {there.path}")
            for space, end, last in ((here, f"wan{number}", 78), (there, f"e{number}", 70)):
                space.sh(
                    f"ip addr add {net}.{last}/24 dev {end}",
                    f"ip link set {end} up",
                    # Bare veth makes MPTCP stall as no real link does.
                    f"tc qdisc add dev {end} root tbf rate 1gbit burst 128000 latency 50ms",
                )
            other = 3 - number
            here.sh(
                f"ip route add 10.{other}.{other}.70 via {net}.70 dev wan{number} table {100 + number}",
                f"ip rule add oif wan{number} lookup {100 + number}",
                f"ip rule add from {net}.78 lookup {100 + number}",
                f"ip mptcp endpoint add {net}.78 dev wan{number} subflow id {number}",
            )
            there.sh(f"ip route add {net}.78/32 dev e{number}")
        for space in (here, there):
            space.sh("ip mptcp limits set subflow 8 add_addr_accepted 8")
            for setting in _SYSCTLS:
                space.sh(f"sysctl -qw {setting}")
        there.sh(
            "nft add table inet lab",
            "nft 'add chain inet lab in { type filter hook input priority 0; }'",
            "nft 'add chain inet lab out { type filter hook output priority 0; }'",
        )

    def mute(self, number: int) -> None:
        """Let nothing through on a link any more; carriers stay."""
        self.there.sh(
            f"nft add rule inet lab in iifname e{number} drop",
            f"nft add rule inet lab out oifname e{number} drop",
        )

    def unmute(self) -> None:
        self.there.sh("nft flush chain inet lab in", "nft flush chain inet lab out")

    def established(self, port: int = PORT) -> int:
        """TCP connections to the exit's port that stand, subflows included."""
        listed = self.here.sh(f"ss -Htn state established dport = :{port}")
        return len(listed.splitlines())

    def exit(self, **changes: Any) -> Worker:
        """The exit's worker."""
        with self.there.inside():
            listener = listen("0.0.0.0", PORT, mptcp=True)
        door = DoorOrder(method=METHOD, secrets={"": SECRET}, allow=["127.0.0.0/8"])
        job = replace(JOB, listeners=[ListenOrder(fd=listener.fileno(), kind="exit")], door=door, **changes)
        return self._start(Worker(self.there, job, listener))

    def gateway(self, ways: list[list[str | int | float]] | None = None, **changes: Any) -> Worker:
        """The gateway's worker, with both links as ways unless told otherwise."""
        with self.here.inside():
            listener = listen("127.0.0.1", SERVER_PORT)
        job = replace(
            JOB,
            listeners=[ListenOrder(fd=listener.fileno(), kind="tproxy", exit="attic")],
            exits=[ExitOrder(name="attic", method=METHOD, secret=SECRET)],
            ways={"attic": ways if ways is not None else [way(1), way(2)]},
            **changes,
        )
        return self._start(Worker(self.here, job, listener))

    def _start(self, worker: Worker) -> Worker:
        self._workers.append(worker)
        return worker

    def server(self, serve: Callable[[socket.socket], None]) -> None:
        """Serve each connection by a thread."""
        with self.there.inside():
            listener = socket.create_server(("127.0.0.1", SERVER_PORT), backlog=128)
        self._servers.append(listener)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_served, args=(serve, connection), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()

    def client(self) -> socket.socket:
        """Connected to the gateway's worker."""
        with self.here.inside():
            return socket.create_connection(("127.0.0.1", SERVER_PORT), timeout=PATIENCE)

    def close(self) -> None:
        for worker in self._workers:
            worker.close()
        for listener in self._servers:
            # Wakes the thread that waits in accept().
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()


def _served(serve: Callable[[socket.socket], None], connection: socket.socket) -> None:
    with connection:
        try:
            serve(connection)
        except OSError:
            # The client went away: as the test meant it to.
            return


def echo(connection: socket.socket) -> None:
    """A server that sends back what it gets."""
    while data := connection.recv(65536):
        connection.sendall(data)


def sink(connection: socket.socket) -> None:
    """A server that takes all and says nothing."""
    while connection.recv(1 << 20):
        pass


def source(connection: socket.socket) -> None:
    """A server that sends without end."""
    block = bytes(65536)
    while True:
        connection.sendall(block)
