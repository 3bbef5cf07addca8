"""The middlebox of a link, met by a real kernel's MPTCP."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from plait.lab.middlebox import Box
from plait.lab.topology import Lab

MakeLab = Callable[..., Lab]
DRAWING = """
a:eth0 10.9.1.1/24 fd09::1/64 == air 1ms == b:eth0 10.9.1.2/24 fd09::2/64
"""
SERVER = """
import socket, sys
sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, 262)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sock.bind(("::", 8388)); sock.listen(); print("ready", flush=True)
while True:
    one, _ = sock.accept()
    try:
        one.settimeout(4)
        one.sendall(one.recv(4096))
        one.recv(1)
    except OSError:
        pass
    one.close()
"""
CLIENT = """
import json, socket, sys
sock = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_STREAM, 262)
sock.settimeout(2.0)
found = {"connected": False, "answered": False, "mptcp": None}
try:
    sock.connect((sys.argv[1], 8388)); found["connected"] = True
    sock.sendall(bytes(int(sys.argv[2])))
    found["answered"] = len(sock.recv(4096)) > 0
    found["mptcp"] = bool(sock.getsockopt(6, 43))
except OSError as error:
    found["error"] = str(error)
print(json.dumps(found))
"""


@pytest.fixture
def lab(make_lab: MakeLab, tmp_path: Path) -> Lab:
    made = make_lab(DRAWING)
    for name in ("a", "b"):
        made[name].sysctl(**{"net.mptcp.blackhole_timeout": 0})
    made["b"].popen("python3", "-c", SERVER, name="server").wait_line("ready")
    return made


def ask(lab: Lab, address: str = "10.9.1.2", size: int = 10) -> dict[str, object]:
    said = lab["a"].run("python3", "-c", CLIENT, address, str(size)).stdout
    found: dict[str, object] = json.loads(said)
    return found


@pytest.mark.parametrize("address", ["10.9.1.2", "fd09::2"])
@pytest.mark.parametrize(
    ("box", "connected", "mptcp"),
    [
        (Box(), True, True),
        (Box(strip="syn"), True, False),
        (Box(strip="synack"), True, False),
        (Box(strip="data"), True, False),
        (Box(strip="all"), True, False),
        (Box(drop=True), False, None),
    ],
    ids=["nothing", "syn", "synack", "data", "all", "drop"],
)
def test_mptcp_meets_a_box(lab: Lab, address: str, box: Box, connected: bool, mptcp: bool | None) -> None:
    lab.bridge("air").meddle(strip=box.strip, drop=box.drop)
    found = ask(lab, address)
    assert found["connected"] is connected
    assert found["answered"] is connected, "what is stripped goes on as TCP"
    assert found["mptcp"] is mptcp


def test_large_packets_vanish_and_small_ones_do_not(lab: Lab) -> None:
    lab.bridge("air").meddle(blackhole=1000)
    assert ask(lab)["answered"] is True
    assert ask(lab, size=3000)["answered"] is False


def test_a_name_is_answered_by_the_box(lab: Lab) -> None:
    lab.bridge("air").meddle(hijack=True)
    question = """
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); sock.settimeout(2)
sock.sendto(bytes.fromhex("1234010000010000000000000568656c6c6f0378797a0000010001"), ("10.9.1.2", 53))
data, peer = sock.recvfrom(512)
print(peer[0], socket.inet_ntoa(data[-4:]))
"""
    assert lab["a"].run("python3", "-c", question).stdout.split() == ["10.9.1.2", "10.66.66.66"]
