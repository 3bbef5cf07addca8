"""Two emulated Wi-Fi bridges of 20 Mbit/s: what both give together, against each alone."""

from __future__ import annotations

import json
from pathlib import Path

from tests.bench.series import Results
from tests.bench.standing import Say

from plait.lab.errors import program
from plait.lab.node import Node
from plait.lab.topology import Lab
from plait.lab.traffic import iperf_server

DRAWING = """
client:eth0 10.0.8.2/24 via 10.0.8.1 -- 1gbit -- gateway:lan 10.0.8.1/24
gateway:wan1 10.0.1.1/24 via 10.0.1.2 == bridge1 20mbit 3ms queue 80ms == exit:wan1 10.0.1.2/24
gateway:wan2 10.0.2.1/24 == bridge2 20mbit 5ms queue 80ms == exit:wan2 10.0.2.2/24
exit:lan 10.0.9.1/24 -- 1gbit -- server:eth0 10.0.9.2/24 10.0.9.11/24 10.0.9.12/24 via 10.0.9.1
"""
_ALONE = {1: "10.0.9.11", 2: "10.0.9.12"}
"""The server's addresses that are routed over one bridge each; 10.0.9.2 is for plait."""
_WOVEN = "10.0.9.2"
_GATEWAY = """
[gateway]
lan = ["lan"]
bypass = ["10.0.9.8/29"]
[[exit]]
name = "far"
address = ["10.0.1.2", "10.0.2.2"]
password = "benchmark"
[[path]]
interface = "wan1"
[[path]]
interface = "wan2"
[[rule]]
destination = ["10.0.9.2/32"]
to = "exit:far"
"""
_EXIT = '[exit]\npassword = "benchmark"\nallow = ["10.0.9.0/24"]\n'


def run(results: Results, say: Say, directory: Path, *, rounds: int, seconds: int) -> None:
    """Bridge 1, bridge 2, both woven; ``rounds`` times, up and down."""
    with Lab(DRAWING, directory=directory) as lab:
        lab.forward("gateway", "exit")
        lab["exit"].run("ip", "route", "add", "10.0.8.0/24", "via", "10.0.1.1")
        for path, address in _ALONE.items():
            table = str(50 + path)
            lab["gateway"].run("ip", "route", "add", f"{address}/32", "via", f"10.0.{path}.2")
            lab["exit"].run("ip", "rule", "add", "from", address, "lookup", table)
            lab["exit"].run("ip", "route", "add", "10.0.8.0/24", "via", f"10.0.{path}.1", "table", table)
        iperf_server(lab["server"])
        lab.plait("exit", "exit", {"exit.toml": _EXIT})
        lab.plait("gateway", "gateway", {"gateway.toml": _GATEWAY})
        targets = {"bridge 1 alone": _ALONE[1], "bridge 2 alone": _ALONE[2], "plait, both": _WOVEN}
        for number in range(rounds):
            for direction in ("up", "down"):
                for name, address in targets.items():
                    rate = _transfer(lab["client"], address, seconds, reverse=direction == "down")
                    results.add(f"bridges {direction}", name, rate / 1e6, "Mbit/s")
                    say(f"round {number + 1}: bridges {direction:4} {name:16} {rate / 1e6:6.2f} Mbit/s")


def _transfer(client: Node, address: str, seconds: int, *, reverse: bool) -> float:
    words = [
        "--client",
        address,
        "--time",
        str(seconds),
        "--omit",
        "2",
        "--json",
        "--connect-timeout",
        "5000",
    ]
    words += ["--reverse"] if reverse else []
    said = client.run(program("iperf3"), *words, within=seconds + 40.0)
    return float(json.loads(said.stdout)["end"]["sum_received"]["bits_per_second"])
