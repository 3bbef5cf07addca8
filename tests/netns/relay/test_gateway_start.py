"""Starts that can't succeed: one clear line, the right status, and nothing left behind. And `plait node`."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.netns.relay.places import connect, echo, exactly, listen
from tests.netns.relay.street import (
    PASSWORD,
    Plait,
    Street,
    exit_config,
    gateway_config,
    left_in_kernel,
    plain_log,
    plait_words,
    sysctls,
)

from plait.lab.node import Process, wait_for
from plait.lab.topology import Lab, plait_command

WITHOUT_PRIVILEGES = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


def refused(plait: Process, status: int) -> str:
    """What a start said that was to fail with ``status``."""
    assert plait.wait(within=15) == status, plait.text()
    assert plain_log(plait.text()), plait.text()
    assert PASSWORD not in plait.text()
    return plait.text()


@pytest.fixture(autouse=True)
def nothing_left(street: Street) -> Iterator[None]:
    before = sysctls(street.gateway)
    yield
    assert left_in_kernel(street.gateway) == {}
    assert sysctls(street.gateway) == before


@pytest.mark.parametrize(
    ("verb", "config", "port", "address"),
    [
        ("exit", exit_config(), 8388, "0.0.0.0"),
        ("exit", exit_config(), 8388, "::"),
        ("gateway", gateway_config(), 1080, "0.0.0.0"),
        ("gateway", gateway_config(intercept="redirect"), 1080, "127.0.0.1"),
    ],
)
def test_a_port_that_is_taken(street: Street, verb: str, config: str, port: int, address: str) -> None:
    with listen(street.gateway, address, port):
        said = refused(street.launch(street.gateway, verb, config).process, 1)
    assert f":{port} is taken" in said
    assert "hint:" in said


def test_a_run_directory_that_is_in_use(street: Street) -> None:
    first = street.plait(street.gateway, "exit", exit_config())
    said = refused(street.launch(street.gateway, "exit", exit_config(exit_lines="port = 9000")).process, 1)
    assert f"another plait runs with /run/plait (pid {first.pid})" in said
    assert "--run-dir" in said
    assert first.status()["pid"] == first.pid, "the first one was to go on"
    assert first.stop() == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[exit]\npasword = 'secret-in-vain'\n", ("pasword", "password")),
        ("[exit\n", (".toml",)),
        ("[gateway]\nlan = ['lan']\n", ("[[exit]]", "[[path]]")),
    ],
)
def test_a_config_that_is_wrong(street: Street, text: str, words: tuple[str, ...]) -> None:
    said = refused(street.launch(street.gateway, "exit", text).process, 2)
    for word in words:
        assert word in said
    assert "secret-in-vain" not in said


def test_no_such_file(street: Street) -> None:
    done = street.gateway.run(*plait_words("gateway -c /nowhere/gateway.toml"), check=False)
    assert done.returncode == 2
    assert "/nowhere/gateway.toml" in done.stderr
    assert plain_log(done.stderr)


def test_without_privileges_a_gateway_says_so(street: Street) -> None:
    path = street.gateway.directory / "weak.toml"
    path.write_text(gateway_config())
    for words in (f"gateway -c {path}", "down"):
        done = street.gateway.run(*WITHOUT_PRIVILEGES, *plait_words(words), check=False)
        assert done.returncode == 3, done.stderr
        assert "root" in done.stderr
        assert plain_log(done.stderr)


def test_without_privileges_an_exit_serves(street: Street) -> None:
    path = street.exit.directory / "weak.toml"
    path.write_text(exit_config())
    exit = street.exit.popen(*WITHOUT_PRIVILEGES, *plait_words(f"exit -c {path}"), name="weak")
    exit.wait_line("ready")
    gateway = street.plait(street.gateway, "gateway", gateway_config())
    gateway.until("the exit to be up", lambda status: status["exits"][0]["state"] == "up")
    assert gateway.stop() == 0
    assert exit.stop(within=10) == 0
    assert plain_log(exit.text()), exit.text()


def test_without_nft(street: Street, tmp_path: Path) -> None:
    """As on a router without the package: every directory where it could be is empty."""
    config = gateway_config()
    path = street.gateway.directory / "no-nft.toml"
    path.write_text(config)
    nft = street.gateway.run("sh", "-c", "command -v nft").stdout.strip()
    street.gateway.run("mount", "--bind", "/dev/null", Path(nft).resolve())
    try:
        done = street.gateway.run(*plait_words(f"gateway -c {path}"), check=False)
    finally:
        street.gateway.run("umount", Path(nft).resolve())
    assert done.returncode == 3, done.stderr
    assert "nft" in done.stderr
    assert plain_log(done.stderr)


def test_the_verbs_around_a_running_one(street: Street) -> None:
    node = street.gateway
    nobody = node.run(*plait_words("status"), check=False)
    assert nobody.returncode == 1
    assert "no plait runs with /run/plait" in nobody.stderr
    far = street.plait(street.exit, "exit", exit_config())
    path = node.directory / "planned.toml"
    path.write_text(gateway_config())
    planned = node.run(*plait_words(f"plan {path}")).stdout
    assert "ip mptcp endpoint add 10.1.1.78 dev wan1" in planned
    assert left_in_kernel(node) == {}, "plan changes nothing"
    plait = street.plait(node, "gateway", gateway_config())
    plait.until("the exit to be up", lambda status: status["exits"][0]["state"] == "up")
    assert "nothing to change" in node.run(*plait_words(f"plan {path}")).stdout
    status = json.loads(node.run(*plait_words("status --json")).stdout)
    assert {"role", "version", "uptime", "sessions", "exits", "paths"} <= status.keys()
    assert {"open", "total", "failed"} <= status["sessions"].keys()
    assert {"name", "state", "rtt_ms"} <= status["exits"][0].keys()
    assert {
        "name", "interface", "mode", "state", "rtt_ms", "loss", "tx_bytes", "rx_bytes", "tx_bps", "rx_bps",
        "subflows",
    } <= status["paths"][0].keys()  # fmt: skip
    page = node.run(*plait_words("status")).stdout
    assert "attic" in page
    assert max(map(len, page.splitlines())) <= 100
    # What plan prints can be typed: the same lines by hand make the same host.
    assert plait.stop() == far.stop() == 0
    node.run("sh", "-e", stdin=planned.replace("net/mptcp/", "net.mptcp."))
    assert "nothing to change" in node.run(*plait_words(f"plan {path}")).stdout
    node.run(*plait_words("down"))
    node.run("sysctl", "-q", "-w", "net.mptcp.blackhole_timeout=3600")
    node.run("sysctl", "-q", "-w", "net.mptcp.syn_retrans_before_tcp_fallback=2")
    node.run("sysctl", "-q", "-w", "net.mptcp.stale_loss_cnt=4")
    node.run("ip", "mptcp", "limits", "set", "subflows", "2", "add_addr_accepted", "0")


MESH = """
left-client:eth0 192.168.78.2/24 via 192.168.78.1 -- left:lan 192.168.78.1/24
right-client:eth0 192.168.70.2/24 via 192.168.70.1 -- right:lan 192.168.70.1/24
left:wan1 10.1.1.78/24 -- 1gbit -- right:wan1 10.1.1.70/24
left:wan2 10.2.2.78/24 -- 1gbit -- right:wan2 10.2.2.70/24
"""


def mesh_configs(other: int, far: str, near: str) -> dict[str, str]:
    """A box that is both: gateway to the other one, and exit for it."""
    addresses = f'["10.1.1.{other}", "10.2.2.{other}"]'
    rule = f'[[rule]]\ndestination = ["{far}"]\nto = "exit:attic"\n'
    exit = f'[exit]\npassword = "{PASSWORD}"\nallow = ["{near}"]\n'
    return {"gateway.toml": gateway_config(address=addresses, rest=rule), "exit.toml": exit}


def test_two_nodes_join_their_lans(tmp_path: Path) -> None:
    """No route leads from one LAN to the other: only plait does, in either direction."""
    with Lab(MESH, directory=tmp_path) as lab:
        lab.forward("left", "right")
        left_lan, right_lan = "192.168.78.0/24", "192.168.70.0/24"
        nodes = [
            Plait(
                lab[name],
                lab.plait(name, "node", mesh_configs(other, far, near)),
                lab[name].directory / "gateway.toml",
                "/run/plait",
            )
            for name, other, far, near in (
                ("left", 70, right_lan, left_lan),
                ("right", 78, left_lan, right_lan),
            )
        ]
        for node in nodes:
            node.until("the other one", lambda status: status["exits"][0]["state"] == "up")
        for here, there, address, seen in (
            ("left-client", "right-client", "192.168.70.2", "192.168.70.1"),
            ("right-client", "left-client", "192.168.78.2", "192.168.78.1"),
        ):
            with (
                echo(lab[there], address) as server,
                closing(connect(lab[here], address, server.port)) as sock,
            ):
                sock.sendall(b"over the roofs" * 5000)
                assert exactly(sock, 70_000) == b"over the roofs" * 5000
                sock.shutdown(socket.SHUT_WR)
                assert server.peers == {seen}
        for node in nodes:
            status = node.status()
            assert status["role"] == "node"
            assert [path["state"] for path in status["paths"]] == ["up", "up"]
            node.process.send(signal.SIGTERM)
        for node in nodes:
            assert node.process.wait(within=15) == 0
            assert plain_log(node.log()), node.log()
            assert left_in_kernel(node.node) == {}


def test_the_command_itself(street: Street) -> None:
    for words, status, said in (
        (["gatewya"], 2, "did you mean gateway?"),
        (["--frobnicate"], 2, "--frobnicate"),
        (["gateway"], 2, "-c"),
        (["--version"], 0, "plait "),
        (["exit", "-c"], 2, "-c"),
    ):
        done = street.gateway.run(*plait_command(), *words, check=False)
        assert done.returncode == status, words
        assert said in done.stdout + done.stderr
        assert plain_log(done.stderr)
    wait_for("no listener to be left", lambda: not street.gateway.listening(8388), within=5)
