"""Build what a drawing declares."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from plait.lab import drawing
from plait.lab.bridge import Bridge, stable_mac
from plait.lab.dhcp import DhcpClient
from plait.lab.drawing import End, Wire
from plait.lab.errors import LabError, UnknownName, program
from plait.lab.node import Node, Process, wait_for

_TBF_LATENCY = "50ms"


def plait_command() -> list[str]:
    """The installed command of this Python, as a user would call it."""
    installed = Path(sys.executable).parent / "plait"
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "plait"]


class Lab:
    """A built network. Use as a context manager, inside a sandbox.

    ``directory`` gets a folder a node with its programs' output; a temporary one by default.
    """

    def __init__(self, text: str, *, directory: Path | None = None, backend: str | None = None) -> None:
        self.text = text
        self.wires = drawing.parse(text)
        self._temporary = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="lab-", dir="/run"))
        self._nodes: dict[str, Node] = {}
        self._bridges: dict[str, Bridge] = {}
        self._clients: dict[str, DhcpClient] = {}
        try:
            for name in drawing.nodes(self.wires):
                self._nodes[name] = Node(name, self.directory / name)
            for wire in self.wires:
                self._build(wire, backend)
            for wire in self.wires:
                for end in (wire.left, wire.right):
                    self._routes(end)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getitem__(self, name: str) -> Node:
        try:
            return self._nodes[name]
        except KeyError:
            raise UnknownName(f"no node {name!r}", f"there are {', '.join(self._nodes)}") from None

    @property
    def nodes(self) -> list[Node]:
        """All nodes, in the drawing's order."""
        return list(self._nodes.values())

    def bridge(self, name: str) -> Bridge:
        """The emulated bridge of that name."""
        try:
            return self._bridges[name]
        except KeyError:
            raise UnknownName(f"no bridge {name!r}", f"there are {', '.join(self._bridges)}") from None

    @property
    def bridges(self) -> list[Bridge]:
        """All emulated bridges, in the drawing's order."""
        return list(self._bridges.values())

    def forward(self, *names: str) -> None:
        """Make these nodes routers."""
        for name in names:
            self[name].forward()

    def plait(self, node: str, verb: str, configs: dict[str, str], *options: str) -> Process:
        """Start ``plait VERB -c FILE…`` in a node and wait until it says that it serves.

        ``configs`` maps file names to their content.
        """
        files: list[str] = []
        for name, text in configs.items():
            path = self[node].directory / name
            path.write_text(text)
            path.chmod(0o600)
            files += ["-c", str(path)]
        process = self[node].popen(*plait_command(), verb, *files, *options, name=f"plait-{verb}")
        process.wait_line("ready", within=20.0)
        return process

    def exits_up(self, node: str, within: float = 15.0) -> None:
        """Wait until the plait of a node says that all its exits answer."""

        def up() -> bool:
            said = self[node].run(*plait_command(), "status", "--json", check=False)
            if said.returncode != 0:
                return False
            return all(found["state"] == "up" for found in json.loads(said.stdout)["exits"])

        wait_for(f"plait on {node} to reach its exits", up, within=within, every=0.1)

    def dhcp_clients(self) -> None:
        """Start a real DHCP client on every end that the drawing marks with ``dhcp``."""
        for wire in self.wires:
            for end in (wire.left, wire.right):
                if end.dhcp:
                    client = self._clients.get(end.node) or DhcpClient(self[end.node])
                    self._clients[end.node] = client
                    client.add(end.interface)
        for client in self._clients.values():
            client.start()

    def renew(self, node: str) -> None:
        """Have the DHCP clients of a node ask their servers again."""
        self._clients[node].renew()

    def close(self) -> None:
        """Take everything down. The sandbox would, too: this is for labs that follow each other."""
        for bridge in self._bridges.values():
            bridge.close()
        self._bridges.clear()
        for node in self._nodes.values():
            node.close()
        self._nodes.clear()
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _build(self, wire: Wire, backend: str | None) -> None:
        left, right = self[wire.left.node], self[wire.right.node]
        if wire.bridge:
            if wire.name in self._bridges:
                raise LabError(f"two bridges are called {wire.name!r}")
            self._bridges[wire.name] = Bridge(wire, left, right, backend=backend)
        else:
            _veth(wire)
        for node, end, shape in ((left, wire.left, wire.forth), (right, wire.right, wire.back)):
            mac = stable_mac(end.node, end.interface)
            node.run("ip", "link", "set", end.interface, "address", mac, "mtu", str(wire.mtu), "up")
            for address in end.addresses:
                # brd + is what ifupdown and netifd do; an IPv6 address ready at once needs nodad
                extra = ["nodad"] if ":" in address else ["brd", "+"]
                node.run("ip", "addr", "add", address, "dev", end.interface, *extra)
            if not wire.bridge and shape.rate:
                # Bare veth has no queue and no pace; MPTCP stalls on it as on no real link.
                burst = max(64_000, int(shape.rate / 8 / 1000))
                node.run(
                    *("tc", "qdisc", "add", "dev", end.interface, "root", "tbf"),
                    *("rate", f"{int(shape.rate)}bit", "burst", str(burst), "latency", _TBF_LATENCY),
                )

    def _routes(self, end: End) -> None:
        for gateway in end.via:
            family = "-6" if ":" in gateway else "-4"
            self[end.node].run("ip", family, "route", "add", "default", "via", gateway, "dev", end.interface)


def _veth(wire: Wire) -> None:
    left, right = wire.left, wire.right
    command = [program("ip"), "link", "add", left.interface, "netns", left.node]
    command += ["type", "veth", "peer", "name", right.interface, "netns", right.node]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise LabError(f"can't make the link {wire.name}: {done.stderr.strip()}")
