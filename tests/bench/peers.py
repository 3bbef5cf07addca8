"""The relays that are compared: how each is started on a lane."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.topology import Lane

from plait.lab.errors import LabError, program
from plait.lab.node import Node, Process, wait_for

IPERF, HTTP = 5201, 80
PASSWORD = "only for the benchmark"
_RELAY = 10_000
"""What the peers' gateways listen on; HAProxy on one port more for each service."""
_SERVER = 8388


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A way to carry a LAN's TCP from gateway to exit."""

    name: str
    start: Callable[[Lane], None]
    programs: tuple[str, ...] = ()
    """What must be installed, by name."""
    relayed: bool = True
    """Whether it ends the client's connections; else it routes their packets."""
    mptcp: bool = False
    """Whether it goes from gateway to exit by MPTCP."""
    paths: int = 1


def _routed(lane: Lane) -> None:
    """Routing is what the lane does anyway."""


def _plait(method: str, workers: int = 0) -> Callable[[Lane], None]:
    def start(lane: Lane) -> None:
        net = f"10.{lane.index}"
        secret = f'password = "{PASSWORD}"\n' if method != "none" else ""
        relay = f"[relay]\nworkers = {workers}\n" if workers else ""
        trust = [f"{net}.{path}.0/24" for path in range(1, lane.paths + 1)] if method == "none" else []
        far = f'[exit]\nmethod = "{method}"\n{secret}allow = ["{net}.9.0/24"]\ntrust = {json.dumps(trust)}\n'
        lane.lab.plait(lane.exit.name, "exit", {"exit.toml": far + relay})
        near = (
            f'[gateway]\nlan = ["lan"]\n[[exit]]\nname = "far"\naddress = {json.dumps(lane.exits)}\n'
            f'method = "{method}"\n{secret}[[rule]]\ndestination = ["{net}.9.0/24"]\nto = "exit:far"\n'
        )
        near += "".join(f'[[path]]\ninterface = "wan{path}"\n' for path in range(1, lane.paths + 1))
        lane.lab.plait(lane.gateway.name, "gateway", {"gateway.toml": near + relay})

    return start


def _shadowsocks(method: str) -> Callable[[Lane], None]:
    """Both ends under mptcpize, which makes every socket of theirs an MPTCP one."""

    def start(lane: Lane) -> None:
        _endpoints(lane)
        far = _json(lane.exit, "server.json", server="0.0.0.0", server_port=_SERVER, method=method)
        _listening(_mptcp(lane.exit, "ss-server", "-c", far), lane.exit, _SERVER)
        near = _json(
            lane.gateway,
            "redir.json",
            server=lane.exits[0],
            server_port=_SERVER,
            local_address="0.0.0.0",
            local_port=_RELAY,
            method=method,
        )
        _listening(_mptcp(lane.gateway, "ss-redir", "-c", near), lane.gateway, _RELAY)
        _redirect(lane.gateway, {IPERF: _RELAY, HTTP: _RELAY})

    return start


def _haproxy(lane: Lane) -> None:
    """A pair that knows one server only, and moves its bytes by splice over plain TCP."""
    services = {IPERF: _RELAY, HTTP: _RELAY + 1}
    for node, target in ((lane.exit, lane.address), (lane.gateway, lane.exits[0])):
        lines = ["global", " nbthread 1", " maxconn 4000"]
        lines += ["defaults", " mode tcp", " option splice-auto", " timeout connect 5s"]
        lines += [" timeout client 1h", " timeout server 1h"]
        for service, port in services.items():
            there = service if node is lane.exit else port
            lines += [f"listen l{port}", f" bind 0.0.0.0:{port}", f" server s {target}:{there}"]
        path = node.directory / "haproxy.cfg"
        path.write_text("\n".join(lines) + "\n")
        process = node.popen(program("haproxy"), "-db", "-f", path)
        for port in services.values():
            _listening(process, node, port)
    _redirect(lane.gateway, services)


def _endpoints(lane: Lane) -> None:
    """What the owner of such a pair sets up by hand: a subflow on every path."""
    net = f"10.{lane.index}"
    for node in (lane.gateway, lane.exit):
        node.run("ip", "mptcp", "limits", "set", "subflows", "8", "add_addr_accepted", "8")
    for path in range(2, lane.paths + 1):
        own, device = f"{net}.{path}.1", f"wan{path}"
        lane.gateway.run("ip", "rule", "add", "from", own, "lookup", str(path))
        lane.gateway.run("ip", "route", "add", "default", "via", lane.exits[path - 1], "table", str(path))
        lane.gateway.run("ip", "mptcp", "endpoint", "add", own, "dev", device, "subflow")


def _json(node: Node, name: str, **settings: object) -> Path:
    path = node.directory / name
    path.write_text(json.dumps({"password": PASSWORD, "timeout": 3600, "nofile": 8192, **settings}))
    return path


def _mptcp(node: Node, *command: str | Path) -> Process:
    return node.popen(
        program("mptcpize"), "run", program(str(command[0])), *command[1:], name=str(command[0])
    )


def _listening(process: Process, node: Node, port: int) -> None:
    def look() -> bool:
        if process.status is not None:
            raise LabError(f"{process.name} ended with status {process.status}\n{process.tail()}")
        return node.listening(port)

    wait_for(f"{process.name} to listen", look, within=10.0)


def _redirect(node: Node, ports: dict[int, int]) -> None:
    rules = "\n".join(f'iifname "lan" tcp dport {port} redirect to :{to}' for port, to in ports.items())
    chain = f"chain take {{ type nat hook prerouting priority dstnat;\n{rules}\n}}"
    node.run(program("nft"), "-f", "-", stdin=f"table ip bench {{ {chain}\n}}\n")
    # Each short connection would stay in conntrack for two minutes, and all tables share one limit.
    node.sysctl(**{"net.netfilter.nf_conntrack_tcp_timeout_time_wait": 2})


_SS = ("ss-redir", "ss-server", "mptcpize", "nft")
AEADS = ("aes-128-gcm", "aes-256-gcm", "chacha20-ietf-poly1305")

ROUTED = Peer(name="routed", start=_routed, relayed=False)
HAPROXY = Peer(name="haproxy splice", start=_haproxy, programs=("haproxy", "nft"))


def _shadowsocks_peer(method: str, paths: int = 2) -> Peer:
    suffix = "" if paths == 2 else ", one path"
    start = _shadowsocks(method)
    return Peer(name=f"shadowsocks {method}{suffix}", start=start, programs=_SS, mptcp=True, paths=paths)


def _plait_peer(method: str, paths: int = 2) -> Peer:
    suffix = "" if paths == 2 else ", one path"
    start = _plait(method)
    return Peer(name=f"plait {method}{suffix}", start=start, programs=("nft",), mptcp=True, paths=paths)


SHADOWSOCKS = tuple(_shadowsocks_peer(method) for method in AEADS)
PLAIT = tuple(_plait_peer(method) for method in ("none", *AEADS))
ONE_PATH = (_shadowsocks_peer("aes-128-gcm", 1), _plait_peer("none", 1), _plait_peer("aes-128-gcm", 1))
"""Linux stalls such a connection whenever its reader is slower than the link: here for comparison."""
ALL = (ROUTED, HAPROXY, *SHADOWSOCKS, *PLAIT, *ONE_PATH)


def named(name: str) -> Peer:
    """The peer of that name."""
    return next(peer for peer in ALL if peer.name == name)
