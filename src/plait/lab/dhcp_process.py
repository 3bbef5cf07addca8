"""``python -m plait.lab.dhcp_process INTERFACE…``: keep a DHCP client on every plugged interface.

The watcher part runs for ever: a netlink message of the link group says "look again", and the
IFF_RUNNING flag says whether there is carrier. With carrier there is one ``udhcpc``; without, there
is none, and no address; on SIGUSR1 all clients ask again. What the server said is carried out by a
script that udhcpc calls, as OpenWrt's ``/lib/netifd/dhcp.script`` does.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

_SIOCGIFFLAGS = 0x8913
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
_RTMGRP_LINK = 1
_METRIC_FIRST, _METRIC_STEP = 10, 10
_OPTIONS = ("-f", "-t", "0", "-T", "1", "-C")
"""Foreground, ask for ever, no client id, as netifd does; and ask again after a second, so that one
lost frame does not cost three."""
_SCRIPT = """#!/bin/sh
# Called by udhcpc: $1 is the event, the environment what the server said. METRIC is ours.
case "$1" in
deconfig | leasefail | nak)
	ip -4 addr flush dev "$interface"
	;;
bound | renew)
	ip -4 addr replace "$ip/${mask:-24}" brd + dev "$interface"
	for gateway in $router; do
		ip -4 route replace default via "$gateway" dev "$interface" metric "$METRIC"
		break
	done
	echo "$interface: $1 $ip/${mask:-24} via ${router:-nobody} metric $METRIC"
	;;
esac
"""


class Watcher:
    """Which interfaces have a client at present."""

    def __init__(self, interfaces: list[str]) -> None:
        found = shutil.which("udhcpc")
        assert found is not None, "the lab looked for udhcpc before it started us"
        self._udhcpc = found
        self._interfaces = interfaces
        self._clients: dict[str, subprocess.Popen[bytes]] = {}
        self._script = Path(f"/run/plait/udhcpc-{os.getpid()}.sh")
        self._script.parent.mkdir(exist_ok=True)
        self._script.write_text(_SCRIPT)
        self._script.chmod(0o755)
        self._queries = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def _running(self, interface: str) -> bool:
        request = struct.pack("16s24x", interface.encode())
        try:
            answer = fcntl.ioctl(self._queries, _SIOCGIFFLAGS, request)
        except OSError:  # it does not exist (yet, or any more)
            return False
        flags: int = struct.unpack_from("H", answer, 16)[0]
        return flags & (_IFF_UP | _IFF_RUNNING) == (_IFF_UP | _IFF_RUNNING)

    def look(self) -> None:
        """Start and end clients as the carriers ask."""
        for index, interface in enumerate(self._interfaces):
            client = self._clients.get(interface)
            if client is not None and client.poll() is not None:
                client = self._clients.pop(interface) and None
            running = self._running(interface)
            if running and client is None:
                metric = _METRIC_FIRST + _METRIC_STEP * index
                self._clients[interface] = subprocess.Popen(
                    [self._udhcpc, *_OPTIONS, "-i", interface, "-s", str(self._script)],
                    env={**os.environ, "METRIC": str(metric)},
                )
                print(f"{interface}: carrier, client started", flush=True)
            elif not running and client is not None:
                client.terminate()
                client.wait()
                del self._clients[interface]
                subprocess.run(["ip", "-4", "addr", "flush", "dev", interface], check=False)
                print(f"{interface}: no carrier, client ended", flush=True)

    def renew(self) -> None:
        """Have all clients ask again: udhcpc renews its lease on SIGUSR1."""
        for client in self._clients.values():
            client.send_signal(signal.SIGUSR1)

    def watch(self) -> None:
        """Look whenever the kernel says that a link has changed."""
        events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        events.bind((0, _RTMGRP_LINK))
        signal.signal(signal.SIGUSR1, lambda *_: self.renew())
        while True:
            self.look()
            try:
                events.recv(65536)
            except OSError:  # ENOBUFS: messages were lost, so look all the same
                pass


if __name__ == "__main__":
    Watcher(sys.argv[1:]).watch()
