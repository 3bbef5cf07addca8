"""The network of the benchmark: a *lane* for every peer, all between one client and one server.

::

              ┌── gateway 0 ══ exit 0 ──┐
    client ───┼── gateway 1 ══ exit 1 ──┼─── server
              └── gateway 2 ══ exit 2 ──┘

Which peer carries a transfer is decided by the server's address alone, so that A B A B … costs
nothing and changes nothing: all peers stand ready all the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plait.lab.node import Node, Process
from plait.lab.topology import Lab

RATE = "40gbit"
"""Far above what is measured. Bare veth makes MPTCP stall for 200 ms as no real link does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One chain client, gateway, exit, server."""

    lab: Lab
    index: int
    paths: int

    @property
    def gateway(self) -> Node:
        """The LAN's side."""
        return self.lab[f"gateway{self.index}"]

    @property
    def exit(self) -> Node:
        """The server's side."""
        return self.lab[f"exit{self.index}"]

    @property
    def address(self) -> str:
        """The server's, by this lane."""
        return f"10.{self.index}.9.2"

    @property
    def exits(self) -> list[str]:
        """The exit's address on each path."""
        return [f"10.{self.index}.{path}.2" for path in range(1, self.paths + 1)]

    @property
    def processes(self) -> list[Process]:
        """All that runs on gateway and exit."""
        return [*self.gateway.processes, *self.exit.processes]

    def forwarded(self) -> int:
        """Packets that gateway and exit have routed, instead of ending their connections."""
        return sum(_counter(node, "snmp", "Ip", "ForwDatagrams") for node in (self.gateway, self.exit))

    def mptcp(self) -> int:
        """Connections that the exit has accepted as MPTCP."""
        return _counter(self.exit, "netstat", "MPTcpExt", "MPCapableACKRX")


def drawing(paths: Sequence[int], rate: str = RATE) -> str:
    """Lanes side by side; ``paths`` tells how many links each has in its middle."""
    lines: list[str] = []
    for lane, count in enumerate(paths):
        net = f"10.{lane}"
        lines.append(f"client:lane{lane} {net}.8.2/24 -- {rate} -- gateway{lane}:lan {net}.8.1/24")
        for path in range(1, count + 1):
            via = f" via {net}.1.2" if path == 1 else ""
            ends = (
                f"gateway{lane}:wan{path} {net}.{path}.1/24{via}",
                f"exit{lane}:wan{path} {net}.{path}.2/24",
            )
            lines.append(f"{ends[0]} -- {rate} -- {ends[1]}")
        lines.append(f"exit{lane}:lan {net}.9.1/24 -- {rate} -- server:lane{lane} {net}.9.2/24")
    return "\n".join(lines)


def build(paths: Sequence[int], directory: Path, rate: str = RATE) -> tuple[Lab, list[Lane]]:
    """The lab with its routes; plain routing works on every lane. Close the lab in the end."""
    lab = Lab(drawing(paths, rate), directory=directory)
    lanes = [Lane(lab=lab, index=index, paths=count) for index, count in enumerate(paths)]
    try:
        for lane in lanes:
            net = f"10.{lane.index}"
            lab.forward(lane.gateway.name, lane.exit.name)
            lab["client"].run("ip", "route", "add", f"{net}.9.0/24", "via", f"{net}.8.1")
            lab["server"].run("ip", "route", "add", f"{net}.8.0/24", "via", f"{net}.9.1")
            lane.exit.run("ip", "route", "add", f"{net}.8.0/24", "via", f"{net}.1.1")
        # Thousands of short connections from one address to one: ports would run out before the time.
        lab["client"].sysctl(**{"net.ipv4.ip_local_port_range": "1025 65000"})
    except BaseException:
        lab.close()
        raise
    return lab, lanes


def _counter(node: Node, table: str, group: str, name: str) -> int:
    """One of the kernel's counters of a node, from /proc/net/snmp or /proc/net/netstat."""
    lines = Path(f"/proc/{node.pid}/net/{table}").read_text().splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        if names.startswith(f"{group}:"):
            return int(dict(zip(names.split(), values.split(), strict=True)).get(name, "0"))
    return 0
