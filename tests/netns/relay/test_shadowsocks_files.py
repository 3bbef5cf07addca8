"""The two files of the article that this project began with, run as they are."""

from __future__ import annotations

from pathlib import Path

from tests.netns.relay.places import connect, echo, exactly
from tests.netns.relay.street import EXIT_OUT, SERVER, Street, plain_log

from plait.lab.node import wait_for
from plait.lab.topology import plait_command
from plait.views.ask import ask

REDIR = """
{
    "server" : ["10.1.1.70", "10.2.2.70"],
    "server_port" : 8388,
    "local_address" : "0.0.0.0",
    "local_port" : 1080,
    "password" : "",
    "timeout" : 300,
    "method" : "none",
    "fast_open" : false,
}
"""
SERVER_FILE = REDIR.replace('["10.1.1.70", "10.2.2.70"]', '"0.0.0.0"')


def test_both_ends(street: Street) -> None:
    there = street.exit.directory / "ss_server.json"
    here = street.gateway.directory / "ss_redir.json"
    there.write_text(SERVER_FILE)
    here.write_text(REDIR)
    exit = street.exit.popen(*plait_command(), "exit", "--shadowsocks", there, "--trust", "10.0.0.0/8")
    gateway = street.gateway.popen(
        *plait_command(), "gateway", "--shadowsocks", here, "--lan", "lan", "--path", "wan1", "--path", "wan2"
    )
    for process in (exit, gateway):
        wait_for("ready", lambda process=process: "ready: " in process.text(), within=20.0)
    root = Path(f"/proc/{street.gateway.pid}/root/run/plait")
    wait_for("the exit", lambda: ask(root, "/v1/status")["exits"][0]["state"] == "up", within=20.0)
    with echo(street.server, SERVER[4]) as server:
        with connect(street.client, SERVER[4], server.port) as sock:
            sock.sendall(b"hello" * 10000)
            assert exactly(sock, 50000) == b"hello" * 10000
        assert server.peers == {EXIT_OUT[4]}
    assert "timeout: not used; the limits of [relay] are kept" in gateway.text()
    for process in (gateway, exit):
        assert process.stop(within=15.0) == 0
        assert plain_log(process.text()), process.text()


def test_what_is_lacking_is_said_at_the_start(street: Street) -> None:
    here = street.gateway.directory / "lacking.json"
    here.write_text(REDIR)
    done = street.gateway.run(*plait_command(), "gateway", "--shadowsocks", here, check=False)
    assert done.returncode == 2
    assert "--lan INTERFACE" in done.stderr
    assert "--path INTERFACE" in done.stderr
    done = street.gateway.run(*plait_command(), "gateway", "--lan", "lan", check=False)
    assert done.returncode == 2
    assert "no config is given" in done.stderr
