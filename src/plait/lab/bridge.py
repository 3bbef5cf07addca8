"""The handle of an emulated bridge: start its process, change the link while it runs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from plait.lab.drawing import Shape, Wire
from plait.lab.errors import HostLacks, LabError, program
from plait.lab.middlebox import Box
from plait.lab.node import Node, Process

FORTH, BACK = 0, 1
"""Directions: from the left end to the right one, and back."""
LEFT, RIGHT = 0, 1
"""Ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What one direction of a bridge has done since the start."""

    frames: int
    bytes: int
    lost: int
    overflowed: int
    unplugged: int


def stable_mac(*words: str) -> str:
    """A locally administered address that is the same in every run, so that leases are too."""
    digest = hashlib.sha256("/".join(words).encode()).digest()
    return ":".join(f"{byte:02x}" for byte in bytes([0x02]) + digest[:5])


def tap_allowed() -> bool:
    """Whether we may make TAP devices. Without root, /dev/net/tun is closed on some hosts."""
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError:
        return False
    return True


def control_path(directory: Path, name: str) -> Path:
    """Where a bridge listens for commands."""
    path = directory / f"{name}.ctl"
    # sun_path holds 108 bytes, unix(7)
    return path if len(str(path)) <= 100 else Path("/run") / f"{name}.ctl"


def ask(path: Path, **command: object) -> dict[str, object]:
    """Send one command to the bridge that listens at ``path``; gives its answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asker:
        asker.settimeout(5.0)
        asker.bind("")  # autobind: the answer needs somewhere to go
        asker.connect(str(path))
        asker.send(json.dumps(command).encode())
        reply: dict[str, object] = json.loads(asker.recv(65536))
    if "error" in reply:
        raise LabError(f"bridge {path.stem}: {reply['error']}")
    return reply


class Bridge:
    """An emulated bridge between two nodes."""

    def __init__(self, wire: Wire, left: Node, right: Node, *, backend: str | None = None) -> None:
        self.wire = wire
        self.name = wire.name
        self.backend = backend or ("tap" if tap_allowed() else "packet")
        directory = left.directory.parent
        self._path = control_path(directory, wire.name)
        ends = [
            {"pid": node.pid, "interface": end.interface, "peer": f"{wire.name}.{index}"}
            for index, (node, end) in enumerate(((left, wire.left), (right, wire.right)))
        ]
        if self.backend == "packet":
            _make_veths(wire, (left, right))
        self._process = self._start(directory, ends)
        self._process.wait_line("ready")

    def _start(self, directory: Path, ends: list[dict[str, object]]) -> Process:
        wire = self.wire
        spec = {
            "control": str(self._path),
            "backend": self.backend,
            "ends": ends,
            "shapes": [dataclasses.asdict(wire.forth), dataclasses.asdict(wire.back)],
            "seed": wire.seed,
            "mtu": wire.mtu,
            "box": dataclasses.asdict(wire.box),
        }
        output = directory / f"bridge-{wire.name}.log"
        with output.open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "plait.lab.bridge_process", json.dumps(spec)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return Process(f"bridge {wire.name}", child, output)

    def _ask(self, **command: object) -> dict[str, object]:
        try:
            return ask(self._path, **command)
        except OSError as problem:
            raise LabError(f"bridge {self.name} does not answer: {problem}\n{self._process.tail()}") from None

    def _time(self, reply: dict[str, object]) -> float:
        at = reply["at"]
        assert isinstance(at, float)
        return at

    def unplug(self, *ends: int) -> float:
        """Pull the cable at these ends (both by default): carrier is lost, frames under way too.

        Gives the monotonic time at which it was done, like the other three.
        """
        return self._time(self._ask(do="unplug", ends=ends or (LEFT, RIGHT)))

    def plug(self, *ends: int) -> float:
        """Put the cable back."""
        return self._time(self._ask(do="plug", ends=ends or (LEFT, RIGHT)))

    def silence(self, *directions: int) -> float:
        """Let frames vanish while carrier stays; one direction, or both by default."""
        return self._time(self._ask(do="silence", directions=directions or (FORTH, BACK)))

    def unsilence(self, *directions: int) -> float:
        """Let frames pass again."""
        return self._time(self._ask(do="unsilence", directions=directions or (FORTH, BACK)))

    def reshape(self, *directions: int, **shape: float) -> None:
        """Change rate (bit/s), delay, jitter, queue (s), loss, reorder (0 to 1) while running."""
        known = {field.name for field in dataclasses.fields(Shape)}
        if not shape.keys() <= known:
            raise LabError(f"a bridge has {sorted(known)}, not {sorted(shape.keys() - known)}")
        self._ask(do="shape", directions=directions or (FORTH, BACK), shape=shape)

    def meddle(self, **box: object) -> None:
        """Change what the link does to what passes: the fields of `plait.lab.middlebox.Box`."""
        known = {field.name for field in dataclasses.fields(Box)}
        if not box.keys() <= known:
            raise LabError(f"a middlebox has {sorted(known)}, not {sorted(box.keys() - known)}")
        self._ask(do="meddle", box=box)

    def traffic(self) -> tuple[Traffic, Traffic]:
        """Counters of both directions: forth, back."""
        counters = self._ask(do="look")["counters"]
        assert isinstance(counters, list)
        return Traffic(**counters[FORTH]), Traffic(**counters[BACK])

    def close(self) -> None:
        """End the process; TAP devices go with it."""
        self._process.kill()
        self._path.unlink(missing_ok=True)


def _make_veths(wire: Wire, nodes: tuple[Node, Node]) -> None:
    """For the packet backend: one veth pair an end, its other half in our own network.

    Offloads are off, because what the process reads must be frames as they are on a cable.
    """
    ip = program("ip")
    for index, (node, end) in enumerate(zip(nodes, (wire.left, wire.right), strict=True)):
        peer = f"{wire.name}.{index}"
        if len(peer) > 15:
            raise LabError(f"bridge name {wire.name!r} is too long", "at most 13 letters")
        command = [ip, "link", "add", peer, "type", "veth", "peer", "name", end.interface, "netns", node.name]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise HostLacks(f"can't make a veth pair: {done.stderr.strip()}")
        subprocess.run([ip, "link", "set", peer, "mtu", str(wire.mtu), "up"], check=True)
        node.run(sys.executable, "-m", "plait.lab.offload", end.interface)
