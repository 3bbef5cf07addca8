"""Real traffic between unmodified clients, and the watcher that looks on."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from plait.lab.errors import LabError, program
from plait.lab.node import Node, Process, wait_for
from plait.lab.samples import ETHERNET, IPV4, IPV6, TCP, Samples
from plait.lab.scenario import IPERF_PORT

_GRACE = 20.0
"""Seconds that iperf3 may take beyond its transfer to say how it went."""


def iperf_server(node: Node, port: int = IPERF_PORT) -> Process:
    """Start iperf3 as a server and wait until it listens. It serves one transfer at a time."""
    server = node.popen(program("iperf3"), "--server", "--port", str(port), name="iperf3-server")
    wait_for(f"iperf3 to listen on {node.name}", lambda: node.listening(port), within=10.0)
    return server


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a transfer ended, as iperf3 itself tells it."""

    survived: bool
    """It ran to its end on the connection that it began with."""
    received: int
    """Payload bytes at the receiver."""
    seconds: float
    retransmits: int | None
    error: str | None


class Transfer:
    """One bulk transfer over one TCP connection."""

    def __init__(
        self,
        client: Node,
        address: str,
        *,
        seconds: float,
        reverse: bool,
        port: int = IPERF_PORT,
        congestion: str = "",
    ) -> None:
        self._seconds = seconds
        # --connect-timeout is in ms. One stream, JSON at the end.
        command = [program("iperf3"), "--client", address, "--time", str(math.ceil(seconds)), "--json"]
        command += ["--port", str(port), "--connect-timeout", "5000", "--interval", "1"]
        if reverse:
            command.append("--reverse")
        if congestion:
            command += ["--congestion", congestion]
        self._process = client.popen(*command, name="iperf3")

    @property
    def running(self) -> bool:
        """Whether iperf3 has not ended yet."""
        return self._process.status is None

    def give_up(self) -> Ended:
        """End it now. It has survived when it was still running; what it moved is not known."""
        if not self.running:
            return self.end()
        self._process.kill()
        return Ended(survived=True, received=0, seconds=0.0, retransmits=None, error=None)

    def end(self) -> Ended:
        """Wait for its end and say how it was."""
        status = self._process.wait(self._seconds + _GRACE)
        text = self._process.text()
        try:
            said = json.loads(text[text.index("{") :])
            error = said.get("error")
            total = said.get("end", {}).get("sum_received", {})
            sent = said.get("end", {}).get("sum_sent", {})
        except ValueError:
            said, error, total, sent = {}, self._process.tail().strip(), {}, {}
        received = int(total.get("bytes", 0))
        return Ended(
            survived=status == 0 and error is None and received > 0,
            received=received,
            seconds=float(total.get("seconds", 0.0)),
            retransmits=sent.get("retransmits"),
            error=error or (None if status == 0 else f"status {status}"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Poured:
    """What became of datagrams that were sent at a steady rate."""

    speed: float
    """Payload that arrived, bit/s."""
    loss: float
    """Share of the datagrams that did not."""


def pour(
    client: Node,
    server: Node,
    address: str,
    *,
    rate: float,
    seconds: float,
    reverse: bool,
    port: int,
    size: int = 1372,
) -> Poured:
    """Send UDP, ``rate`` bit/s of payload in datagrams of ``size`` bytes. Raises `LabError` when it fails.

    Nothing else may use the port: there is a server for this alone, since one whose last words a flood has
    swallowed refuses the next test.
    """
    command = [program("iperf3"), "--client", address, "--port", str(port), "--udp", "--json"]
    command += ["--bitrate", str(int(rate)), "--length", str(size), "--time", str(math.ceil(seconds))]
    command += ["--reverse"] if reverse else []
    listening = iperf_server(server, port)
    try:
        done = client.run(*command, check=False, within=seconds + _GRACE)
        told = json.loads(done.stdout[done.stdout.index("{") :])
        got = told["end"]["sum_received"]
        count = got["packets"]
        lost = got["lost_packets"] / count if count else 1.0
        return Poured(speed=float(got["bits_per_second"]), loss=lost)
    except subprocess.TimeoutExpired:
        raise LabError(f"UDP from {client.name} to {address} did not end in time") from None
    except (ValueError, KeyError):
        said = (done.stderr or done.stdout).strip()[-500:]
        raise LabError(f"UDP from {client.name} to {address} came to nothing: {said}") from None
    finally:
        listening.kill()


class Watch:
    """Runs ``watch_process`` beside a transfer and collects what it prints."""

    def __init__(
        self,
        *,
        receiver: tuple[Node, str],
        paths: list[tuple[Node, str, str]],
        ipv6: bool,
        output: Path,
    ) -> None:
        names = tuple(interface for _, interface, _ in paths)
        self.samples = Samples(paths=names, header=ETHERNET + (IPV6 if ipv6 else IPV4) + TCP)
        spec = {
            "receiver": [receiver[0].pid, receiver[1]],
            "paths": [[node.pid, interface, direction] for node, interface, direction in paths],
        }
        with output.open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "plait.lab.watch_process", json.dumps(spec)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._process = Process("watcher", child, output)
        self._reader = output.open()
        self._rest = ""

    def look(self) -> Samples:
        """Take in what the watcher has printed since the last look."""
        *lines, self._rest = (self._rest + self._reader.read()).split("\n")
        for line in lines:
            kind, at, *counters = line.split(" ")
            if kind == "R":
                self.samples.receiver(float(at), int(counters[0]), int(counters[1]))
            else:
                self.samples.path(float(at), tuple(map(int, counters)))
        return self.samples

    def stop(self) -> Samples:
        """End the watcher; gives all that it saw. Once more changes nothing."""
        if not self._reader.closed:
            self._process.kill()
            self.look()
            self._reader.close()
        return self.samples
