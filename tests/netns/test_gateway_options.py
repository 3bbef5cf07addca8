"""A gateway whose paths take MPTCP's options out: it begins elsewhere, and takes the tunnel when all do."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from plait.lab.node import Process, wait_for
from plait.lab.topology import Lab, plait_command

MakeLab = Callable[..., Lab]

DRAWING = """
laptop:eth0 192.168.78.100/24 via 192.168.78.1 -- gateway:lan 192.168.78.1/24
gateway:wan1 10.1.1.2/24 == air1 50mbit 5ms == exit:wan1 10.1.1.70/24
gateway:wan2 10.2.2.2/24 == air2 50mbit 5ms == exit:wan2 10.2.2.70/24
exit:out0 45.0.0.1/24 -- server:eth0 45.0.0.2/24 via 45.0.0.1
"""
GATEWAY = """
[gateway]
lan = ["lan"]
when_exit_lost = "block"
[[exit]]
name = "attic"
address = ["10.1.1.70", "10.2.2.70"]
password = "two roofs"
[[path]]
interface = "wan1"
mode = "master"
[[path]]
interface = "wan2"
"""
EXIT = '[exit]\npassword = "two roofs"\n[tunnel]\nserve = true\n'
ECHO = """
import socket, threading
door = socket.create_server(("0.0.0.0", 7000)); print("ready", flush=True)
def serve(sock):
    while data := sock.recv(65536):
        sock.sendall(data)
while True:
    threading.Thread(target=serve, args=(door.accept()[0],), daemon=True).start()
"""
TALK = """
import socket, sys, time
sock = socket.create_connection(("45.0.0.2", 7000), timeout=10); sock.settimeout(10)
print("ready", flush=True)
while True:
    sock.sendall(b"x" * 1000)
    got = 0
    while got < 1000:
        got += len(sock.recv(65536)) or sys.exit("hung up")
    print("said", flush=True)
    time.sleep(0.1)
"""
ONCE = """
import socket
sock = socket.create_connection(("45.0.0.2", 7000), timeout=10); sock.settimeout(10)
sock.sendall(b"hello"); print(sock.recv(10).decode())
"""


@pytest.fixture
def lab(make_lab: MakeLab) -> Lab:
    made = make_lab(DRAWING, routers=("gateway", "exit"))
    made["server"].popen("python3", "-c", ECHO, name="echo").wait_line("ready")
    made.plait("exit", "exit", {"exit.toml": EXIT})
    return made


def status(lab: Lab) -> dict[str, Any]:
    said = lab["gateway"].run(*plait_command(), "status", "--json").stdout
    found: dict[str, Any] = json.loads(said)
    return found


def whys(lab: Lab) -> dict[str, str]:
    return {path["name"]: path["why"] for path in status(lab)["paths"]}


def endpoints(lab: Lab) -> str:
    return lab["gateway"].run("ip", "mptcp", "endpoint").stdout


def talks_on(talk: Process) -> None:
    before = talk.text().count("said")
    wait_for("an echo", lambda: talk.text().count("said") > before + 3, within=20.0)
    assert talk.status is None


@pytest.mark.timeout(120)
def test_connections_begin_where_options_get_through(lab: Lab) -> None:
    lab.bridge("air1").meddle(strip="syn")
    gateway = lab.plait("gateway", "gateway", {"gateway.toml": GATEWAY})
    lab.exits_up("gateway")
    wait_for("wan1 to be found out", lambda: "taken out" in whys(lab)["wan1"], within=20.0)
    assert not whys(lab)["wan2"]
    wait_for("its endpoint to go", lambda: "wan1" not in endpoints(lab), within=20.0)
    assert "wan2" in endpoints(lab)
    talk = lab["laptop"].popen("python3", "-c", TALK, name="talk")
    talk.wait_line("ready")
    wait_for("a subflow", lambda: status(lab)["paths"][1]["subflows"] == 1, within=20.0)
    assert status(lab)["paths"][0]["subflows"] == 0

    # Now the other path does it, too: what is new takes the tunnel, what there is stays.
    wait_for("the tunnel", lambda: "plait0" in lab["gateway"].run("ip", "-br", "link").stdout, within=20.0)
    lab.bridge("air2").meddle(strip="syn")
    wait_for("the tunnel to be taken", lambda: "go through the tunnel" in gateway.text(), within=30.0)
    total = status(lab)["sessions"]["total"]
    assert lab["laptop"].run("python3", "-c", ONCE).stdout == "hello\n"
    assert status(lab)["sessions"]["total"] == total, "it is no session of a worker"
    talks_on(talk)


@pytest.mark.timeout(120)
def test_where_syns_vanish_plain_tcp_gets_through(lab: Lab) -> None:
    """No tunnel here: the exit's UDP port is closed."""
    for bridge in lab.bridges:
        bridge.meddle(drop=True, block=[[17, 8388]])
    lab.plait("gateway", "gateway", {"gateway.toml": GATEWAY})
    wait_for("wan1 to be found out", lambda: "vanish" in whys(lab)["wan1"], within=40.0)
    lab.exits_up("gateway", within=30.0)
    wait_for(
        "an echo",
        lambda: lab["laptop"].run("python3", "-c", ONCE, check=False).stdout == "hello\n",
        within=20.0,
        every=0.5,
    )
