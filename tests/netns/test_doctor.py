"""`plait doctor` among all that meddles with paths: each sentence is proved by somebody who does it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from plait.lab.node import Node
from plait.lab.topology import Lab, plait_command

MakeLab = Callable[..., Lab]

CROWD = {
    "wan1": "",
    "wan2": "strip syn",
    "wan3": "strip data block udp/8388 forget 3s",
    "wan4": "drop mptcp blackhole 1300 hijack dns",
    "wan5": "mtu 1400",
    "wan6": "loss 10% blackhole 1500/1300",
}
"""Behind a modem each; beside these there are wan7 and wan8 without one, and answers to wan7 come by wan8."""

EXIT = '[exit]\npassword = "two roofs"\n[tunnel]\nserve = true\n'


def config(
    *paths: str, address: str = "45.0.0.70", method: str = "aes-128-gcm", password: str = "two roofs"
) -> str:
    text = '[gateway]\nlan = ["lan"]\n'
    text += (
        f'[[exit]]\nname = "attic"\naddress = ["{address}"]\nmethod = "{method}"\npassword = "{password}"\n'
    )
    return text + "".join(f'[[path]]\ninterface = "{path}"\n' for path in paths)


def crowd(make_lab: MakeLab) -> Lab:
    lines = [
        "laptop:eth0 192.168.78.100/24 via 192.168.78.1 -- gateway:lan 192.168.78.1/24",
        "isp:out0 45.0.0.1/24 -- exit:eth0 45.0.0.70/24 via 45.0.0.1",
        "gateway:wan7 10.7.0.2/24 -- isp:in7 10.7.0.1/24",
        "gateway:wan8 10.8.0.2/24 -- isp:in8 10.8.0.1/24",
    ]
    for n, (wan, words) in enumerate(CROWD.items(), 1):
        lines.append(f"gateway:{wan} 192.168.{n}.2/24 -- modem{n}:lan 192.168.{n}.1/24")
        lines.append(
            f"modem{n}:wan 100.7{n}.0.2/24 via 100.7{n}.0.1 == air{n} 50mbit 5ms {words}"
            f" == isp:in{n} 100.7{n}.0.1/24"
        )
    modems = tuple(f"modem{n}" for n in range(1, len(CROWD) + 1))
    lab = make_lab("\n".join(lines), routers=("gateway", "isp", "exit", *modems))
    for modem in modems:
        if modem != "modem5":
            lab[modem].masquerade("wan")
    translate(lab["modem5"], "oifname wan masquerade fully-random")
    translate(lab["isp"], "ip saddr 100.72.0.0/16 oifname out0 masquerade")
    lab["modem5"].sysctl(**{"net.netfilter.nf_conntrack_udp_timeout": 2})
    lab["modem5"].sysctl(**{"net.netfilter.nf_conntrack_udp_timeout_stream": 2})
    for n in range(1, 9):
        hop = f"192.168.{n}.1" if n < 7 else f"10.{n}.0.1"
        route = ("ip", "route", "add", "default", "via", hop, "dev", f"wan{n}", "metric", str(n))
        lab["gateway"].run(*route)
    lab["isp"].run("ip", "route", "add", "10.7.0.2/32", "via", "10.8.0.2", "dev", "in8")
    lab["gateway"].sysctl(**{"net.ipv4.conf.wan8.rp_filter": 0})
    return lab


def translate(node: Node, rule: str) -> None:
    table = f"table inet lab_nat {{ chain out {{ type nat hook postrouting priority srcnat;\n{rule}\n}}\n}}\n"
    node.run("nft", "-f", "-", stdin=table)


def examine(lab: Lab, text: str, *options: str) -> tuple[int, dict[str, dict[str, str]], str]:
    """Exit status, sentences by subject and id, and all that was printed."""
    path = lab["gateway"].directory / "examined.toml"
    path.write_text(text)
    path.chmod(0o600)
    command = [*plait_command(), "doctor", "-c", str(path), "--json", *options]
    done = lab["gateway"].run(*command, check=False, within=90.0)
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    found: dict[str, dict[str, str]] = {}
    for finding in report["findings"]:
        found.setdefault(finding["subject"], {})[finding["id"]] = finding["sentence"]
    assert report["healthy"] is (done.returncode == 0)
    return done.returncode, found, done.stdout


@pytest.mark.timeout(120)
def test_each_meddler_is_named(make_lab: MakeLab) -> None:
    lab = crowd(make_lab)
    lab.plait("exit", "exit", {"exit.toml": EXIT})
    before = lab["gateway"].run("ip", "route", "show", "table", "all").stdout
    status, found, told = examine(lab, config(*(f"wan{n}" for n in range(1, 9))), "--idle", "5")
    assert status == 1

    assert set(found["wan1"]) == {"path.mptcp", "path.figures"}, "nobody meddles with it"
    assert "between hop 1 (192.168.2.1) and hop 2 (100.72.0.1)" in found["wan2"]["path.mptcp.stripped"]
    assert "connections begin on the other paths" in found["wan2"]["path.mptcp.stripped"]
    assert "45.0.0.1 at the exit" in found["wan2"]["path.nat.double"]
    assert set(found["wan3"]) >= {"path.mptcp.stripped-later", "path.udp.blocked", "path.nat.forgets"}
    assert "vanish beyond hop 1 (192.168.4.1)" in found["wan4"]["path.mptcp.dropped"]
    assert "more than 1300 bytes" in found["wan4"]["path.mtu.blackhole"]
    assert "path.dns.hijacked" in found["wan4"]
    assert "more than 1400 bytes" in found["wan5"]["path.mtu.small"]
    assert "path.nat.forgets-udp" in found["wan5"]
    assert "more than 1300 bytes do not come back" in found["wan6"]["path.mtu.down"]
    assert "answered by way of wan8" in found["wan7"]["path.asymmetric"]
    assert "path.asymmetric" not in found["wan8"]
    assert "path.nat.double" not in found["wan1"]
    assert "two roofs" not in told
    assert set(found["attic"]) == {"exit.fine"}
    # Nothing was changed on the host, and nothing is left behind.
    assert lab["gateway"].run("ip", "route", "show", "table", "all").stdout == before
    assert lab["gateway"].run("ip", "mptcp", "endpoint").stdout == ""
    assert "table inet plait" not in lab["gateway"].run("nft", "list", "ruleset").stdout


SMALL = """
laptop:eth0 192.168.78.100/24 via 192.168.78.1 -- gateway:lan 192.168.78.1/24
gateway:wan1 10.1.1.2/24 fd01::2/64 == air1 50mbit 5ms == exit:wan1 10.1.1.70/24 fd01::70/64
gateway:wan2 10.2.2.2/24 fd02::2/64 == air2 50mbit 5ms == exit:wan2 10.2.2.70/24 fd02::70/64
"""
BOTH = '10.1.1.70", "10.2.2.70'
BOTH6 = 'fd01::70", "fd02::70'


@pytest.fixture
def small(make_lab: MakeLab) -> Lab:
    return make_lab(SMALL, routers=("gateway", "exit"))


def test_beside_a_running_plait_and_over_ipv6(small: Lab) -> None:
    """Without a config the running one's is taken; what it does is not disturbed."""
    small.plait("exit", "exit", {"exit.toml": EXIT})
    small.plait("gateway", "gateway", {"gateway.toml": config("wan1", "wan2", address=BOTH6)})
    small.exits_up("gateway")
    small.bridge("air2").meddle(strip="all", blackhole=1320)
    done = small["gateway"].run(*plait_command(), "doctor", check=False, within=60.0)
    assert done.returncode == 1
    text = " ".join(done.stdout.split())
    assert "PROBLEM wan2: MPTCP's options are taken out" in text
    assert "more than 1320 bytes do not get to the exit" in text
    assert "fine wan1: MPTCP gets through" in text
    status = json.loads(small["gateway"].run(*plait_command(), "status", "--json").stdout)
    assert [each["state"] for each in status["exits"]] == ["up"]
    assert status["restarts"] == 0


@pytest.mark.parametrize(
    ("text", "id"),
    [
        (config("wan1", "wan2", address=BOTH, password="another"), "exit.password"),
        (config("wan1", "wan2", address="10.1.1.99"), "exit.unreachable"),
        (config("wan1", "wan3", address=BOTH), "path.down"),
    ],
    ids=["password", "unreachable", "no link"],
)
def test_other_troubles(small: Lab, text: str, id: str) -> None:
    small.plait("exit", "exit", {"exit.toml": EXIT})
    status, found, _ = examine(small, text)
    assert status == 1
    assert id in {each for ids in found.values() for each in ids}


def test_an_exit_without_mptcp_whose_clock_is_wrong(small: Lab, tmp_path: Path) -> None:
    """Its clock is that of a Python that adds ten minutes; for the kernel there is only one."""
    (tmp_path / "sitecustomize.py").write_text(
        "import time\n_t, _n = time.time, time.time_ns\n"
        "time.time = lambda: _t() + 600\ntime.time_ns = lambda: _n() + 600_000_000_000\n"
    )
    secret = "MDEyMzQ1Njc4OWFiY2RlZg=="
    method = "2022-blake3-aes-128-gcm"
    path = small["exit"].directory / "exit.toml"
    path.write_text(f'[exit]\nmethod = "{method}"\npassword = "{secret}"\n')
    path.chmod(0o600)
    command = [*plait_command(), "exit", "-c", str(path)]
    exit_process = small["exit"].popen(*command, environment={"PYTHONPATH": str(tmp_path)})
    exit_process.wait_line("ready", within=20.0)
    for bridge in small.bridges:
        # Nobody on the way can be told from an exit that has none.
        bridge.meddle(strip="synack")
    _, found, _ = examine(small, config("wan1", "wan2", address=BOTH, method=method, password=secret))
    assert "600 s ahead of ours" in found["attic"]["exit.clock"]
    assert "exit.mptcp.none" in found["attic"]


def test_usage(small: Lab) -> None:
    done = small["gateway"].run(*plait_command(), "doctor", check=False)
    assert done.returncode == 2
    assert "no config is given, and no plait runs" in done.stderr
    assert "Traceback" not in done.stderr
    path = small["gateway"].directory / "broken.toml"
    path.write_text("[gateway]\nlam = 1\n")
    done = small["gateway"].run(*plait_command(), "doctor", "-c", str(path), check=False)
    assert done.returncode == 2
    assert sys.executable not in done.stderr
