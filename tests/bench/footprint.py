"""What plait itself takes: memory and descriptors at rest and with many idle sessions; start-up."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.bench import peers, usage
from tests.bench.series import Results
from tests.bench.standing import Say, standing
from tests.bench.topology import Lane, build

from plait.lab.errors import LabError
from plait.lab.node import Node, Process
from plait.lab.topology import plait_command

CROWD = 2000
METHOD = "aes-128-gcm"
_HERE = Path(__file__).parent
_PORT = 5202
_MB = 1e6


def idle(results: Results, say: Say, directory: Path) -> None:
    """Memory and descriptors at 0 and at ``CROWD`` idle sessions, gateway and exit apart."""
    peer = peers.named(f"plait {METHOD}")
    with standing((peer,), directory, say) as (lab, lanes):
        lane, client, server = lanes[0], lab["client"], lab["server"]
        holder = _crowd(server, "serve", str(_PORT))
        holder.wait_line("ready")
        ends = {"gateway": lane.gateway, "exit": lane.exit}
        # One session first: what is loaded on first use belongs to the process, not to sessions.
        first = _crowd(client, "call", lane.address, str(_PORT), "20")
        first.wait_line("ready", within=20.0)
        first.stop()
        before = {name: _Reading(node) for name, node in ends.items()}
        for name, reading in before.items():
            for kind, size in reading.memory.items():
                results.add(f"RSS {kind}", f"plait {name}", size / _MB, "MB")
        callers = _crowd(client, "call", lane.address, str(_PORT), str(CROWD))
        callers.wait_line("ready", within=60.0)
        for name, node in ends.items():
            after, was = _Reading(node), before[name]
            grown = (after.private - was.private) / _MB
            each = (after.descriptors - was.descriptors) / CROWD
            results.add(f"{CROWD} idle: memory", f"plait {name}", grown, "MB more")
            results.add(f"{CROWD} idle: descriptors", f"plait {name}", each, "each")
            say(f"{CROWD} idle sessions: {name} {grown:.1f} MB more, {each:.2f} descriptors each")


def startup(results: Results, say: Say, directory: Path, *, rounds: int) -> None:
    """How long ``plait --version`` takes, and how long until ``ready``."""
    for _ in range(rounds * 2):
        began = time.monotonic()
        subprocess.run([*plait_command(), "--version"], check=True, stdout=subprocess.DEVNULL)
        results.add("plait --version", "plait", (time.monotonic() - began) * 1000, "ms")
    for number in range(rounds):
        lab, lanes = build([2], directory / str(number))
        with lab:
            peer = peers.named(f"plait {METHOD}")
            peer.start(lanes[0])
            # The exit first, then the gateway; each is started again by itself, now that files are warm.
            for verb, node in (("exit", lanes[0].exit), ("gateway", lanes[0].gateway)):
                node.processes[-1].stop()
                results.add("ready after", f"plait {verb}", _ready(lanes[0], node, verb) * 1000, "ms")
    say("start-up measured")


def _ready(lane: Lane, node: Node, verb: str) -> float:
    """Seconds from the start of the command to its line ``ready``."""
    command = [*node.enter(), *plait_command(), verb, "-c", str(node.directory / f"{verb}.toml")]
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        took = time.monotonic() - began
        child.terminate()
    if not line.startswith("ready"):
        raise LabError(f"plait {verb} on {lane.gateway.name} did not start again: {line!r}")
    return took


class _Reading:
    """Memory and descriptors of plait on one node."""

    def __init__(self, node: Node) -> None:
        pids = [pid for pid in usage.family(node.processes) if "plait" in usage.command(pid)]
        workers = [pid for pid in pids if "plait.relay.worker" in usage.command(pid)]
        if not workers:
            raise LabError(f"no worker of plait found on {node.name}")
        self.memory = {
            "control": max(usage.rss(pid) for pid in pids if pid not in workers),
            "worker": max(usage.rss(pid) for pid in workers),
        }
        self.private = sum(usage.private(pid) for pid in pids)
        self.descriptors = sum(usage.descriptors(pid) for pid in workers)


def _crowd(node: Node, *words: str) -> Process:
    return node.popen(sys.executable, str(_HERE / "crowd.py"), *words, name=f"crowd-{words[0]}")
