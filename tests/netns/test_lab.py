"""The lab itself: what a scenario relies on."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from plait.lab.errors import LabError, UnknownName
from plait.lab.node import Node, wait_for
from plait.lab.topology import Lab

PAIR = "left:eth0 10.9.0.1/24 == air {words} == right:eth0 10.9.0.2/24"
BACKENDS = ("tap", "packet")

# Runs in a node: sends N numbered datagrams, 2 ms apart; the other prints which arrived.
SENDER = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for n in range(int(sys.argv[1])):
    s.sendto(b"%06d" % n, ("10.9.0.2", 7000)); time.sleep(0.0005)
s.sendto(b"end", ("10.9.0.2", 7001))
"""
RECEIVER = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 7000)); s.settimeout(0.5)
print("ready", flush=True)
got = [s.recv(99)]
try:
    while True: got.append(s.recv(99))
except TimeoutError:
    print("got", *(int(x) for x in got), flush=True)
"""


def carrier(node: Node, interface: str) -> bool:
    return "LOWER_UP" in node.run("ip", "-o", "link", "show", "dev", interface).stdout


def probe(node: Node) -> bool:
    """Whether a datagram comes back from the echo at the right node."""
    code = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.3)\n"
        "s.sendto(b'x', ('10.9.0.2', 7)); s.recv(9)"
    )
    return node.run(sys.executable, "-c", code, check=False).returncode == 0


def start_echo(node: Node) -> None:
    code = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('0.0.0.0', 7))\n"
        "print('ready', flush=True)\n"
        "while True: s.sendto(*s.recvfrom(2000))"
    )
    node.popen(sys.executable, "-c", code, name="echo").wait_line("ready")


def available(backend: str) -> None:
    if backend == "tap":
        from plait.lab.bridge import tap_allowed

        if not tap_allowed():
            pytest.skip("/dev/net/tun is closed to this user; the packet backend is tested instead")


@pytest.mark.parametrize("backend", BACKENDS)
def test_unplug_takes_carrier_at_both_ends_and_silence_at_none(
    make_lab: Callable[..., Lab], backend: str
) -> None:
    available(backend)
    lab = make_lab(PAIR.format(words="1ms"), backend=backend)
    left, right, air = lab["left"], lab["right"], lab.bridge("air")
    start_echo(right)
    assert probe(left)

    air.unplug()
    assert not carrier(left, "eth0")
    assert not carrier(right, "eth0")
    assert not probe(left)
    air.plug()
    assert carrier(left, "eth0")
    assert carrier(right, "eth0")
    wait_for("the link to work again", lambda: probe(left), within=5)

    air.silence()
    assert carrier(left, "eth0")
    assert carrier(right, "eth0")
    assert not probe(left)
    air.unsilence()
    wait_for("the link to speak again", lambda: probe(left), within=5)


def test_unplug_one_end_only(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(PAIR.format(words="1ms"))
    lab.bridge("air").unplug(0)
    assert not carrier(lab["left"], "eth0")
    assert carrier(lab["right"], "eth0")


def test_silence_one_direction(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(PAIR.format(words="1ms"))
    left, right, air = lab["left"], lab["right"], lab.bridge("air")
    start_echo(right)
    assert probe(left)
    arrived = air.traffic()[0].frames
    air.silence(1)
    assert not probe(left)
    assert air.traffic()[0].frames > arrived, "the way forth was to stay open"
    assert air.traffic()[1].unplugged > 0


def test_same_seed_same_losses(make_lab: Callable[..., Lab]) -> None:
    def arrivals(seed: int) -> list[int]:
        lab = make_lab(PAIR.format(words=f"1ms seed {seed}"))
        # Without IPv6 and with neighbour entries by hand, no other frame rolls the dice.
        macs = {
            name: lab[name].run("cat", "/sys/class/net/eth0/address").stdout.strip()
            for name in ("left", "right")
        }
        for name, other, address in (("left", "right", "10.9.0.2"), ("right", "left", "10.9.0.1")):
            lab[name].run("ip", "neigh", "replace", address, "lladdr", macs[other], "dev", "eth0")
            lab[name].sysctl(**{"net.ipv6.conf.eth0.disable_ipv6": 1})
        air = lab.bridge("air")
        air.reshape(loss=0.2)
        before = air.traffic()[0]
        receiver = lab["right"].popen(sys.executable, "-c", RECEIVER, name="receiver")
        receiver.wait_line("ready")
        lab["left"].run(sys.executable, "-c", SENDER, "200")
        got = [int(word) for word in receiver.wait_line("got").split()[1:]]
        lost = air.traffic()[0].lost - before.lost
        lab.close()
        assert before.lost == 0
        assert lost in (200 - len(got), 201 - len(got))
        return got

    first = arrivals(7)
    assert 130 < len(first) < 190
    assert arrivals(7) == first
    assert arrivals(8) != first


def test_delay_and_rate(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(PAIR.format(words="20mbit 10ms queue 100ms"))
    start_echo(lab["right"])
    code = (
        "import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1)\n"
        "t = []\n"
        "for _ in range(40):\n"
        "    a = time.monotonic(); s.sendto(b'x', ('10.9.0.2', 7)); s.recv(9)\n"
        "    t.append(time.monotonic() - a)\n"
        "print(sorted(t)[20])"
    )
    median = float(lab["left"].run(sys.executable, "-c", code).stdout)
    assert 0.020 <= median < 0.030, "two times 10 ms, and little more"

    # 600 frames of 1514 bytes at 20 Mbit/s take 363 ms, of which the queue takes 100 and no more.
    flood = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "for _ in range(600): s.sendto(bytes(1472), ('10.9.0.2', 9))"
    )
    before = lab.bridge("air").traffic()[0]
    lab["left"].run(sys.executable, "-c", flood)

    def settled() -> bool:
        now = lab.bridge("air").traffic()[0]
        return now.frames + now.overflowed - before.frames - before.overflowed >= 600

    wait_for("all frames to arrive or be dropped", settled, within=5)
    passed = lab.bridge("air").traffic()[0].frames - before.frames
    assert 160 < passed < 450, "100 ms of queue hold 165 frames, and some leave while they come in"


def test_change_while_running(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(PAIR.format(words="1ms"))
    start_echo(lab["right"])
    assert probe(lab["left"])
    lab.bridge("air").reshape(loss=1.0)
    assert not probe(lab["left"])
    lab.bridge("air").reshape(loss=0.0)
    assert probe(lab["left"])
    with pytest.raises(LabError, match="speed"):
        lab.bridge("air").reshape(speed=1)


def test_veth_with_rate_and_gateway(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(
        """
        a:eth0 10.9.1.2/24 fd09:1::2/64 via 10.9.1.1 via fd09:1::1 -- 1gbit -- r:one 10.9.1.1/24 fd09:1::1/64
        b:eth0 10.9.2.2/24 fd09:2::2/64 via 10.9.2.1 via fd09:2::1 -- r:two 10.9.2.1/24 fd09:2::1/64
        """,
        routers=("r",),
    )
    assert "tbf" in lab["a"].run("tc", "qdisc", "show", "dev", "eth0").stdout
    for address in ("10.9.2.2", "fd09:2::2"):
        code = f"import socket; socket.create_connection(({address!r}, 9), 2)"
        said = lab["a"].run(sys.executable, "-c", code, check=False).stderr
        assert "ConnectionRefusedError" in said, "refused by b itself, so the way there and back works"


def test_nodes_are_machines(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab("a:eth0 10.9.1.1/24 -- b:eth0 10.9.1.2/24")
    a, b = lab["a"], lab["b"]
    assert a.run("hostname").stdout == "a\n"
    a.run("touch", "/run/plait/mine")
    assert not Path("/run/plait/mine").exists()
    assert b.run("ls", "/run/plait").stdout == ""
    a.overlay("/etc/hosts", "10.9.1.2 far\n")
    assert a.run("cat", "/etc/hosts").stdout == "10.9.1.2 far\n"
    assert b.run("cat", "/etc/hosts").stdout == Path("/etc/hosts").read_text()
    with pytest.raises(UnknownName, match="there are a, b"):
        lab["c"]


def test_a_failing_program_says_what_it_said(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab("a:eth0 -- b:eth0")
    with pytest.raises(LabError, match="no such thing"):
        lab["a"].popen("sh", "-c", "echo no such thing; exit 3").wait_line("ready")
    with pytest.raises(LabError, match="status 4: bad"):
        lab["a"].run("sh", "-c", "echo bad >&2; exit 4")


def test_a_closed_lab_leaves_nothing(make_lab: Callable[..., Lab]) -> None:
    before = set(Path("/run/netns").iterdir())
    lab = make_lab("a:eth0 10.9.1.1/24 == air == b:eth0 10.9.1.2/24")
    pids = [node.pid for node in lab.nodes]
    pids.append(lab["a"].popen("sleep", "99").pid)
    lab.close()
    assert set(Path("/run/netns").iterdir()) == before
    for pid in pids:
        assert not Path(f"/proc/{pid}").exists()


def test_dhcp_follows_the_cable(make_lab: Callable[..., Lab]) -> None:
    from plait.lab import dhcp

    lab = make_lab("box:wan dhcp == air 1ms == isp:lan 10.9.3.1/24")
    dhcp.serve(lab["isp"], lan="10.9.3.1/24")
    lab.dhcp_clients()
    box = lab["box"]
    (address,) = box.addresses("wan")
    assert address.startswith("10.9.3.1")
    assert "default via 10.9.3.1 dev wan metric 10" in box.run("ip", "route").stdout

    lab.bridge("air").unplug()
    wait_for("the address to go", lambda: not box.addresses("wan"), within=5)
    wait_for("the route to go", lambda: box.run("ip", "route").stdout == "", within=5)
    lab.bridge("air").plug()
    wait_for("the address to come back", lambda: box.addresses("wan"), within=10)
    assert box.addresses("wan") == [address], "the same lease for the same address"


def test_the_lab_has_no_way_out() -> None:
    with socket.socket() as sock, pytest.raises(OSError, match=r"unreachable"):
        sock.connect(("192.0.2.1", 80))
