"""Packets instead of connections: plait's tunnel beside OpenVPN, wireguard-go and the kernel's routing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench import usage
from tests.bench.peers import PASSWORD, ROUTED, Peer
from tests.bench.series import Results
from tests.bench.standing import Say, standing
from tests.bench.topology import Lane

from plait.lab.errors import LabError, program
from plait.lab.node import Node, wait_for
from plait.lab.traffic import iperf_server

_PORT = 1194
_WITHIN = 30.0
_OMIT = 1
"""Seconds at the beginning of a transfer that don't count: slow start, and finding out the path's rate."""
_LENGTH = 1300
"""Bytes of UDP payload in one packet."""
_FIRST_PACE = 12.0
"""Thousand packets a second at which the search for the most that gets through begins."""
_STEP = 1.25
_MOST_LOSS = 0.01
_PACE_SECONDS = 1
_BUFFER = "1M"
"""The receiver's, for UDP. That of the usual size (net.core.rmem_default) holds some ninety packets, and what
overflows on two busy cores is that of iperf3, not the tunnel."""


def _plait(lane: Lane) -> None:
    net = f"10.{lane.index}"
    secret = f'method = "aes-128-gcm"\npassword = "{PASSWORD}"\n'
    far = f'[exit]\n{secret}allow = ["{net}.9.0/24"]\n[tunnel]\nserve = true\n'
    near = (
        '[gateway]\nlan = ["lan"]\ntcp = "tunnel"\nudp = "tunnel"\n'
        f'[[exit]]\nname = "far"\naddress = {json.dumps(lane.exits)}\n{secret}'
        f'[[rule]]\ndestination = ["{net}.9.0/24"]\nto = "exit:far"\n'
    )
    near += "".join(f'[[path]]\ninterface = "wan{path}"\n' for path in range(1, lane.paths + 1))
    lane.lab.plait(lane.exit.name, "exit", {"exit.toml": far})
    lane.lab.plait(lane.gateway.name, "gateway", {"gateway.toml": near})

    def led() -> bool:
        return "plait_near" in lane.gateway.run(program("nft"), "list", "tables").stdout

    wait_for("the tunnel to open", led, within=_WITHIN)


def _openvpn(lane: Lane) -> None:
    """Point to point, UDP, AES-128-GCM; each end knows the other by its certificate's fingerprint."""
    prints = {}
    for node in (lane.gateway, lane.exit):
        where = node.directory
        words = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        files = ("-keyout", where / "key.pem", "-out", where / "cert.pem", "-subj", f"/CN={node.name}")
        node.run(program("openssl"), *words, *files, "-days", "2")
        said = node.run(
            *(program("openssl"), "x509", "-in", where / "cert.pem", "-noout", "-fingerprint", "-sha256")
        )
        prints[node.name] = said.stdout.strip().partition("=")[2]
    inner = {lane.exit: f"10.99.{lane.index}.1", lane.gateway: f"10.99.{lane.index}.2"}
    for node, other in ((lane.exit, lane.gateway), (lane.gateway, lane.exit)):
        role = ["tls-server", f"local {lane.exits[0]}"]
        if node is lane.gateway:
            role = ["tls-client", f"remote {lane.exits[0]}", "nobind"]
        lines = [
            *role,
            f"port {_PORT}",
            *("dev tun0", "dev-type tun", "proto udp", "dh none", "auth-nocache", "verb 3"),
            *("cipher AES-128-GCM", "data-ciphers AES-128-GCM", "txqueuelen 1000"),
            # As much as the kernel allows; larger ones measured no faster.
            *("sndbuf 4194304", "rcvbuf 4194304"),
            f"ifconfig {inner[node]} {inner[other]}",
            f"cert {node.directory / 'cert.pem'}",
            f"key {node.directory / 'key.pem'}",
            f"<peer-fingerprint>\n{prints[other.name]}\n</peer-fingerprint>",
        ]
        config = node.directory / "openvpn.conf"
        config.write_text("\n".join(lines) + "\n")
        node.popen(program("openvpn"), "--config", config)
    for node in (lane.gateway, lane.exit):
        process = node.processes[-1]
        wait_for(
            f"{process.name} to connect",
            lambda process=process: "Initialization Sequence Completed" in process.text(),
            within=_WITHIN,
        )
        if "AES-128-GCM" not in process.text():
            raise LabError(f"{process.name} did not agree on AES-128-GCM")
    _lead(lane, "tun0")


def _wireguard(lane: Lane) -> None:
    keys, device = {}, f"wgo{lane.index}"
    for node in (lane.gateway, lane.exit):
        private = node.run(program("wg"), "genkey").stdout.strip()
        keys[node] = private, node.run(program("wg"), "pubkey", stdin=private).stdout.strip()
    for node, other in ((lane.exit, lane.gateway), (lane.gateway, lane.exit)):
        # Its control socket is named after the device, and all nodes share the directory.
        name = f"{device}{'x' if node is lane.exit else 'g'}"
        node.popen(program("wireguard-go"), "-f", name)
        wait_for(
            f"{name} to be there",
            lambda node=node, name=name: node.run("ip", "link", "show", name, check=False).returncode == 0,
            within=_WITHIN,
        )
        secret = node.directory / "wireguard.key"
        secret.write_text(keys[node][0])
        words = ["set", name, "private-key", secret, "peer", keys[other][1], "allowed-ips", "0.0.0.0/0"]
        if node is lane.exit:
            words[2:2] = ["listen-port", str(_PORT)]
        else:
            words += ["endpoint", f"{lane.exits[0]}:{_PORT}", "persistent-keepalive", "1"]
        node.run(program("wg"), *words)
        node.run("ip", "link", "set", name, "mtu", "1420", "up")
    _lead(lane, f"{device}g", f"{device}x")


def _lead(lane: Lane, near: str, far: str = "") -> None:
    """What goes from LAN to LAN goes into the tunnel."""
    lane.gateway.run("ip", "route", "replace", f"10.{lane.index}.9.0/24", "dev", near)
    lane.exit.run("ip", "route", "replace", f"10.{lane.index}.8.0/24", "dev", far or near)


def _peer(name: str, start: Callable[[Lane], None], *programs: str, paths: int = 1) -> Peer:
    return Peer(name=name, start=start, programs=programs, relayed=False, paths=paths)


OPENVPN = _peer("openvpn aes-128-gcm", _openvpn, "openvpn", "openssl")
WIREGUARD = _peer("wireguard-go", _wireguard, "wireguard-go", "wg")
PLAIT = _peer("plait tunnel aes-128-gcm", _plait, "nft", paths=2)
ONE_PATH = _peer("plait tunnel aes-128-gcm, one path", _plait, "nft")
PEERS = (ROUTED, OPENVPN, WIREGUARD, PLAIT, ONE_PATH)


PACKETS = f"tunnel up, UDP of {_LENGTH} B"
"""The measure of packets a second."""


def bulk(direction: str, flows: int) -> str:
    """The measure of so many flows of TCP."""
    return f"tunnel {direction}, {flows} TCP"


def run(
    results: Results,
    say: Say,
    directory: Path,
    *,
    rounds: int,
    seconds: int,
    chosen: Sequence[Peer] = PEERS,
) -> None:
    """All peers in turn: TCP, one flow and eight, up and down; then packets a second of UDP."""
    with standing(chosen, directory, say) as (lab, lanes):
        client = lab["client"]
        iperf_server(lab["server"])
        for number in range(rounds):
            for direction in ("up", "down"):
                for flows in (1, 8):
                    for peer, lane in zip(chosen, lanes, strict=True):
                        usage.wait_until_quiet()
                        words = ["--reverse"] if direction == "down" else []
                        rate, cost = _tcp(lane, client, seconds, "--parallel", str(flows), *words)
                        measure = bulk(direction, flows)
                        results.add(measure, peer.name, rate / 1e9, "Gbit/s")
                        if peer is not ROUTED:
                            results.add(f"{measure}: cpu per GB", peer.name, cost, "s/GB")
                        say(f"round {number + 1}: {measure} {peer.name:34} {rate / 1e9:6.2f} Gbit/s")
            for peer, lane in zip(chosen, lanes, strict=True):
                usage.wait_until_quiet()
                pace = _most_packets(lane, client)
                results.add(PACKETS, peer.name, pace, "kpps")
                say(f"round {number + 1}: UDP {peer.name:36} {pace:6.1f} kpps")


def _tcp(lane: Lane, client: Node, seconds: int, *words: str) -> tuple[float, float]:
    """Bit/s at the receiver, and CPU seconds per GB of what runs on gateway and exit."""
    pids = usage.family(lane.processes)
    before, inside = usage.cpu_seconds(pids), _inside(lane)
    said = _iperf(lane, client, seconds + _OMIT, "--time", str(seconds), "--omit", str(_OMIT), *words)
    used = usage.cpu_seconds(pids) - before
    rate = float(said["bits_per_second"])
    # The omitted second has used CPU too, and moved about as much as the others.
    moved = rate / 8 * (float(said["seconds"]) + _OMIT)
    if lane.processes and _inside(lane) - inside < 0.8 * rate / 8 * float(said["seconds"]):
        raise LabError(f"{lane.gateway.name} has let the transfer pass by the tunnel's side")
    return rate, used / (moved / 1e9) if moved else float("nan")


def _inside(lane: Lane) -> int:
    """Bytes that have gone through the gateway's TUN device, both ways."""
    total = 0
    for line in Path(f"/proc/{lane.gateway.pid}/net/dev").read_text().splitlines()[2:]:
        name, _, numbers = line.partition(":")
        if not name.strip().startswith(("lo", "lan", "wan")):
            total += int(numbers.split()[0]) + int(numbers.split()[8])
    return total


def _most_packets(lane: Lane, client: Node) -> float:
    """Thousand packets a second at the highest pace of which less than `_MOST_LOSS` was lost: faster and
    faster, until two paces in a row have lost more or were not reached by the sender."""
    best, pace, failures = 0.0, _FIRST_PACE, 0
    while failures < 2:
        rate = round(pace * 1000 * _LENGTH * 8)
        words = ("--udp", "--length", str(_LENGTH), "--bitrate", str(rate), "--time", str(_PACE_SECONDS))
        said = _iperf(lane, client, _PACE_SECONDS, *words, "--window", _BUFFER)
        got = (said["packets"] - said["lost_packets"]) / said["seconds"] / 1000
        if said["lost_packets"] <= _MOST_LOSS * said["packets"] and got > best:
            best, failures = got, 0
        else:
            failures += 1
        pace *= _STEP
    return best


def _iperf(lane: Lane, client: Node, seconds: int, *words: str) -> dict[str, float]:
    """What the receiver has counted. Raises LabError."""
    command = (program("iperf3"), "--client", lane.address, "--json", "--connect-timeout", "5000")
    said = client.run(*command, *words, within=seconds + 30.0, check=False)
    try:
        ended = json.loads(said.stdout)["end"]
        found = ended["sum"] if "--udp" in words else ended["sum_received"]
        return {key: float(value) for key, value in found.items() if isinstance(value, int | float)}
    except (ValueError, KeyError):
        raise LabError(f"iperf3 to {lane.address}: {said.stderr.strip() or said.stdout[-300:]}") from None
