"""New connections a second: 1 kB each, 50 at a time, by two load generators."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.bench import peers, usage
from tests.bench.peers import HTTP
from tests.bench.series import Results
from tests.bench.standing import Say, standing

from plait.lab.errors import LabError, program
from plait.lab.node import Node, wait_for

PEERS = tuple(
    peers.named(name)
    for name in (
        "routed",
        "haproxy splice",
        "shadowsocks aes-128-gcm",
        "shadowsocks aes-128-gcm, one path",
        "plait none",
        "plait aes-128-gcm",
        "plait none, one path",
    )
)
PROGRAMS = ("nginx", "wrk", "ab")
_AT_ONCE = 50
_MOST = 1_000_000
"""More than anything reaches in a few seconds."""
_NGINX = """
daemon off;
master_process off;   # else it would want to become another user, which a sandbox may not have
user root;            # the only one there is without real root
pid {directory}/nginx.pid;
error_log {directory}/nginx-error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_timeout 0;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{ listen 80 backlog=4096; location / {{ root {directory}; }} }}
}}
"""


def run(results: Results, say: Say, directory: Path, *, rounds: int, seconds: int) -> None:
    """All peers in turn, ``rounds`` times, with wrk and with ab."""
    tools: dict[str, Callable[[Node, str, int], float]] = {"wrk": _wrk, "ab": _ab}
    with standing(PEERS, directory, say) as (lab, lanes):
        _serve(lab["server"])
        for number in range(rounds):
            for tool, rate_by in tools.items():
                for peer, lane in zip(PEERS, lanes, strict=True):
                    usage.wait_until_quiet()
                    pids = usage.family(lane.processes)
                    before = usage.cpu_seconds(pids)
                    rate = rate_by(lab["client"], f"http://{lane.address}/1k", seconds)
                    results.add(f"connections {tool}", peer.name, rate, "1/s")
                    if peer.relayed:
                        # What both ends spent, which the machine's other work changes least.
                        spent = (usage.cpu_seconds(pids) - before) / (rate * seconds)
                        results.add(f"cpu per connection {tool}", peer.name, spent * 1e6, "µs")
                    say(f"round {number + 1}: {tool:3} {peer.name:34} {rate:7.0f} connections/s")


def _serve(node: Node) -> None:
    (node.directory / "1k").write_bytes(b"x" * 1024)
    config = node.directory / "nginx.conf"
    config.write_text(_NGINX.format(directory=node.directory))
    node.popen(program("nginx"), "-c", config)
    wait_for("nginx to listen", lambda: node.listening(HTTP), within=10.0)


def _wrk(client: Node, url: str, seconds: int) -> float:
    said = client.run(
        *(program("wrk"), "-t1", f"-c{_AT_ONCE}", f"-d{seconds}s"),
        *("-H", "Connection: close", url),
        within=seconds + 30.0,
    ).stdout
    return _figure(said, r"Requests/sec:\s+([0-9.]+)", r"Non-2xx or 3xx responses: (\d+)")


def _ab(client: Node, url: str, seconds: int) -> float:
    # -q: no progress; ab closes after each answer, as HTTP/1.0 does.
    said = client.run(
        *(program("ab"), "-q", "-c", str(_AT_ONCE), "-t", str(seconds), "-n", str(_MOST), url),
        within=seconds + 30.0,
    ).stdout
    return _figure(said, r"Requests per second:\s+([0-9.]+)", r"Failed requests:\s+([1-9]\d*)")


def _figure(said: str, rate: str, failures: str) -> float:
    found = re.search(rate, said)
    failed = re.search(failures, said)
    if found is None or failed is not None:
        raise LabError(f"the load generator has seen failures:\n{said}")
    return float(found[1])
