"""A gateway whose path swallows large packets without a word: TCP is kept to what gets through."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from plait.lab.node import wait_for
from plait.lab.topology import Lab

MakeLab = Callable[..., Lab]

DRAWING = """
laptop:eth0 192.168.78.100/24 via 192.168.78.1 -- gateway:lan 192.168.78.1/24
gateway:wan1 10.1.1.2/24 fd01::2/64 == air 50mbit 5ms blackhole 1300 == exit:wan1 10.1.1.70/24 fd01::70/64
exit:out0 45.0.0.1/24 -- server:eth0 45.0.0.2/24 via 45.0.0.1
"""
GATEWAY = """
[gateway]
lan = ["lan"]
[[exit]]
name = "attic"
address = ["{address}"]
password = "two roofs"
[[path]]
interface = "wan1"
"""
EXIT = '[exit]\npassword = "two roofs"\n'
ECHO = """
import socket, threading
door = socket.create_server(("0.0.0.0", 7000)); print("ready", flush=True)
def serve(sock):
    while data := sock.recv(65536):
        sock.sendall(data)
while True:
    threading.Thread(target=serve, args=(door.accept()[0],), daemon=True).start()
"""
BULK = """
import socket, threading
sock = socket.create_connection(("45.0.0.2", 7000), timeout=10); sock.settimeout(15)
threading.Thread(target=lambda: sock.sendall(bytes(300000)), daemon=True).start()
got = 0
while got < 300000:
    got += len(sock.recv(65536)) or 1 << 30
print(got)
"""


@pytest.mark.parametrize("address", ["10.1.1.70", "fd01::70"])
def test_a_black_hole_for_large_packets(make_lab: MakeLab, address: str) -> None:
    lab = make_lab(DRAWING, routers=("gateway", "exit"))
    lab["server"].popen("python3", "-c", ECHO, name="echo").wait_line("ready")
    lab.plait("exit", "exit", {"exit.toml": EXIT})
    gateway = lab.plait("gateway", "gateway", {"gateway.toml": GATEWAY.format(address=address)})
    lab.exits_up("gateway")
    wait_for("its size", lambda: "at most 1300 bytes" in gateway.text(), within=20.0)
    wait_for(
        "the clamp",
        lambda: "maxseg size set 1260" in lab["gateway"].run("nft", "list", "table", "inet", "plait").stdout,
        within=20.0,
    )
    assert lab["laptop"].run("python3", "-c", BULK, within=40.0).stdout == "300000\n"
