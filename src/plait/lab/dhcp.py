"""Real DHCP: dnsmasq serves, udhcpc asks, and a watcher starts and stops it with the carrier.

The watcher does what OpenWrt's netifd does: carrier lost, the client is ended and its address
taken away; carrier back, a client is started afresh (``dhcp_process.py``).
"""

from __future__ import annotations

import ipaddress
import signal
import sys

from plait.lab.errors import program
from plait.lab.node import Node, Process, wait_for

POOL = (100, 199)
"""First and last host number that is given away."""


class DhcpClient:
    """The watcher of one node, for all its interfaces that use DHCP.

    Routes get a metric each, in the order of ``add``: the first interface is preferred.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._interfaces: list[str] = []
        self._process: Process | None = None

    def add(self, interface: str) -> None:
        """Have an interface looked after."""
        if interface not in self._interfaces:
            self._interfaces.append(interface)

    def start(self, within: float = 15.0) -> None:
        """Start the watcher and wait until every interface has an address."""
        program("udhcpc")
        self._process = self._node.popen(
            sys.executable, "-m", "plait.lab.dhcp_process", *self._interfaces, name="dhcp-client"
        )
        for interface in self._interfaces:

            def leased(interface: str = interface) -> bool:
                return bool(self._node.addresses(interface))

            wait_for(f"{self._node.name}:{interface} to get an address by DHCP", leased, within=within)

    def renew(self) -> None:
        """Have every client ask its server again, as when half of its lease is over."""
        if self._process is not None:
            self._process.send(signal.SIGUSR1)


def serve(node: Node, *, pool: tuple[int, int] = POOL, **networks: str) -> Process:
    """Run dnsmasq for DHCP on a node: ``serve(exit, wan1="10.1.1.70/24")``.

    Each network is written as the node's own address in it, which is also the gateway that clients
    are told; they get addresses from ``pool``. A server with another pool than the one before it
    denies what that had given, as a provider that renumbers.
    """
    options = [
        *("--no-daemon", "--port=0", "--log-dhcp", "--conf-file=/dev/null", "--no-hosts", "--no-resolv"),
        # The pool is ours: the two seconds of pinging an address before offering it find nobody.
        *("--no-ping", "--dhcp-authoritative", "--bind-dynamic"),
        f"--dhcp-leasefile={node.directory / f'dhcp-{pool[0]}.leases'}",
    ]
    for interface, text in networks.items():
        own = ipaddress.IPv4Interface(text)
        base = own.network.network_address
        options += [
            f"--interface={interface}",
            f"--dhcp-range=set:{interface},{base + pool[0]},{base + pool[1]},{own.netmask},1h",
            f"--dhcp-option=tag:{interface},option:router,{own.ip}",
        ]
    process = node.popen(program("dnsmasq"), *options)

    def ready() -> bool:
        if process.status is not None:
            process.wait_line("")  # raises with its output
        return node.listening(67, udp=True)

    wait_for("dnsmasq to listen", ready, within=10.0)
    return process
