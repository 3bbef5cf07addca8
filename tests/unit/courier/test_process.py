"""The real process: it does its job, shows nobody its keys, and ends when it should."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tests.unit.courier.posts import PSK, way

from plait.courier.orders import AwayOrder, CourierJob, HomeOrder
from plait.kernel.udp import open_door
from plait.relay.orders import Lines, line

PATIENCE = 20.0


class Held:
    """A courier that the test is the control of."""

    def __init__(self) -> None:
        self.door = open_door("127.0.0.1", 0)
        self.port = self.door.getsockname()[1]
        self.sock, theirs = socket.socketpair()
        self.sock.settimeout(PATIENCE)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "plait.courier.process", str(theirs.fileno())],
            pass_fds=[theirs.fileno(), self.door.fileno()],
            stderr=subprocess.PIPE,
        )
        theirs.close()
        self._lines = Lines()
        self._messages: list[dict[str, Any]] = []

    def say(self, **message: object) -> None:
        self.sock.sendall(line(message))

    def hear(self, kind: str) -> dict[str, Any]:
        """The next message of a kind; others are passed over."""
        while True:
            while self._messages:
                message = self._messages.pop(0)
                if kind in message:
                    return message
            data = self.sock.recv(65536)
            assert data, "the courier has gone"
            self._messages += self._lines.feed(data)  # type: ignore[arg-type]

    def begin(self) -> None:
        job = CourierJob(
            identity="00" * 16,
            aways=[AwayOrder(name="attic", method="aes-128-gcm", psk=PSK)],
            home=HomeOrder(doors=[self.door.fileno()], method="aes-128-gcm", psks={"": PSK}),
            uid=os.getuid(),
            gid=os.getgid(),
            verbose=0,
        )
        self.say(job=job.to_json())
        assert self.hear("ready")["ready"] is True
        self.say(ways={"attic": [asdict(way(self.port))], "a former exit": []}, pace={"wan1": 0.05})


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.sock.close()
    held.process.kill()
    held.process.communicate(timeout=PATIENCE)
    held.door.close()


def test_it_probes_and_counts(held: Held) -> None:
    held.begin()
    assert held.hear("session")["session"] == {"exit": "attic", "state": "up", "why": ""}
    for _ in range(3):
        assert held.hear("echo")["echo"]["path"] == "wan1"
    held.say(burst=["wan1"], train=["wan1"])
    assert held.hear("capacity")["capacity"]["up_bps"] > 0
    held.say(ask=7, what="tally")
    answer = held.hear("answer")
    assert answer["answer"] == 7
    tally = answer["tally"]
    assert (tally["pid"], tally["guests"], tally["strangers"]) == (held.process.pid, 1, {})
    assert tally["sent"] >= 4 <= tally["received"]


def test_its_keys_are_nowhere_to_be_seen(held: Held) -> None:
    held.begin()
    held.hear("echo")
    about = Path(f"/proc/{held.process.pid}")
    assert PSK.encode() not in (about / "cmdline").read_bytes()
    held.process.send_signal(signal.SIGTERM)
    _, said = held.process.communicate(timeout=PATIENCE)
    assert PSK.encode() not in said
    assert b"Traceback" not in said


def test_it_loads_little(held: Held) -> None:
    held.begin()
    held.hear("echo")
    status = Path(f"/proc/{held.process.pid}/status").read_text()
    resident = int(next(each for each in status.splitlines() if each.startswith("VmRSS")).split()[1])
    # Measured 22 MB here; what is asserted is that no large library crept in.
    assert resident < 40_000


def test_it_tells_its_counts_last_of_all(held: Held) -> None:
    held.begin()
    held.hear("echo")
    held.process.send_signal(signal.SIGTERM)
    assert held.hear("tally")["tally"]["sent"] >= 1
    assert held.process.wait(PATIENCE) == 0


def test_it_ends_with_control_before_it_has_anything_to_do(held: Held) -> None:
    held.sock.close()
    assert held.process.wait(PATIENCE) == 0


def test_it_outlives_control_and_ends_when_told(held: Held) -> None:
    held.begin()
    held.hear("session")
    held.sock.close()
    assert held.process.stderr is not None
    assert b"going on" in held.process.stderr.readline()
    assert held.process.poll() is None
    held.process.send_signal(signal.SIGTERM)
    assert held.process.wait(PATIENCE) == 0


def test_the_terminals_interrupt_is_not_for_it(held: Held) -> None:
    held.begin()
    held.process.send_signal(signal.SIGINT)
    held.say(ask=1, what="tally")
    assert held.hear("answer")


def test_a_control_that_does_not_read_does_not_stop_it(held: Held) -> None:
    held.begin()
    held.say(pace={"wan1": 0.0005})
    held.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"x", ("127.0.0.1", held.port))
    held.say(pace={"wan1": 1000.0}, ask=1, what="tally")
    assert json.loads(json.dumps(held.hear("answer")))["answer"] == 1
