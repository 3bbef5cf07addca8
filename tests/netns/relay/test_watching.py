"""What a running plait shows: sessions with subflows, devices, events; at both ends, and at bad moments."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.netns.relay.places import connect, echo, exactly
from tests.netns.relay.street import (
    CLIENT,
    SERVER,
    Plait,
    Street,
    exit_config,
    gateway_config,
    plain_log,
    plait_words,
)

from plait.errors import PlaitError
from plait.lab.node import wait_for
from plait.views.ask import ask, follow

MANY = 300


@pytest.fixture(scope="module")
def plaits(street: Street) -> Iterator[tuple[Plait, Plait]]:
    gateway, exit = street.pair(gateway_config(workers=2), exit_config())
    street.lasting += [gateway.process, exit.process]
    yield gateway, exit
    assert gateway.stop() == exit.stop() == 0
    assert plain_log(gateway.log()), gateway.log()
    assert plain_log(exit.log()), exit.log()


def place(plait: Plait) -> Path:
    """Its run directory, seen from here."""
    return Path(f"/proc/{plait.node.pid}/root{plait.run_dir}")


def connections(plait: Plait, **query: object) -> list[dict[str, Any]]:
    answer: Any = ask(place(plait), "/v1/connections", query)
    found: list[dict[str, Any]] = answer["connections"]
    return found


def talk(sock: socket.socket, count: int) -> None:
    sock.sendall(b"x" * count)
    assert exactly(sock, count) == b"x" * count


def test_sessions_of_both_families_with_their_subflows(street: Street, plaits: tuple[Plait, Plait]) -> None:
    gateway, exit = plaits
    with ExitStack() as held:
        socks = {}
        for version in (4, 6):
            server = held.enter_context(echo(street.server, SERVER[version]))
            socks[version] = held.enter_context(connect(street.client, SERVER[version], server.port))

        def grown() -> Any:
            for sock in socks.values():
                talk(sock, 1000)
            found = connections(gateway)
            return found if [len(each["subflows"]) for each in found] == [2, 2] else None

        found = wait_for("two subflows each", grown, within=20.0)
        for version, sock in socks.items():
            host, port = sock.getsockname()[:2]
            spelled = f"[{host}]:{port}" if version == 6 else f"{host}:{port}"
            mine = next(each for each in found if each["client"] == spelled)
            assert mine["target"].startswith(f"[{SERVER[6]}]:" if version == 6 else f"{SERVER[4]}:")
            assert (mine["exit"], mine["transport"]) == ("attic", "mptcp")
            assert {flow["path"] for flow in mine["subflows"]} == {"wan1", "wan2"}
            assert all(flow["state"] == "established" and flow["cwnd"] for flow in mine["subflows"])
            assert sum(flow["tx_bytes"] for flow in mine["subflows"]) > mine["up_bytes"] >= 1000
            assert f"token:{int(mine['token'], 16):x}" in gateway.node.run("ss", "-HMni").stdout
        # One device has both addresses, as its MAC says.
        status: Any = ask(place(gateway), "/v1/status")
        (device,) = [each for each in status["clients"] if each["open"]]
        assert set(device["addresses"]) == {CLIENT[4], CLIENT[6]}
        assert device["mac"] == street.client.run("cat", "/sys/class/net/eth0/address").stdout.strip()
        assert (device["open"], status["exits"][0]["open"]) == (2, 2)
        assert device["up_bytes"] == status["exits"][0]["up_bytes"] == status["sessions"]["up_bytes"]
        assert connections(gateway, client=device["mac"], limit=1)[0]["client"]
        assert connections(gateway, client="192.0.2.1") == []
        # The exit has the same connections, by their other ends.
        there = connections(exit)
        assert {each["exit"] for each in there} == {""}
        near = {flow["local"] for each in found for flow in each["subflows"]}
        assert {flow["remote"] for each in there for flow in each["subflows"]} == near
        assert {flow["path"] for each in there for flow in each["subflows"]} == {""}
        # Filters reach the workers.
        for sock in socks.values():
            talk(sock, 10)
        assert len(connections(gateway, text=SERVER[6])) == 1
        assert connections(gateway, exit="cellar") == []
    gateway.until("all to end", lambda status: status["sessions"]["open"] == 0)
    assert connections(gateway) == []


@pytest.mark.usefixtures("plaits")
def test_the_pages_are_printed(street: Street) -> None:
    with (
        echo(street.server, SERVER[4]) as server,
        connect(street.client, SERVER[4], server.port) as sock,
    ):
        talk(sock, 100)
        shown = {
            words: street.gateway.run(*plait_words(words)).stdout
            for words in ("connections", "connections --devices", "top --once", "status")
        }
        assert f"> {SERVER[4]}:{server.port}  via attic" in shown["connections"]
        assert "established" in shown["connections"]
        assert CLIENT[4] in shown["connections --devices"]
        assert "wan1" in shown["top --once"]
        assert "exit attic: up" in shown["status"]
        listed = json.loads(street.gateway.run(*plait_words("connections --json")).stdout)
        assert [each["exit"] for each in listed] == ["attic"]


def test_a_path_that_goes_is_an_event_with_its_cause(street: Street, plaits: tuple[Plait, Plait]) -> None:
    gateway, _ = plaits
    last: Any = ask(place(gateway), "/v1/events")["events"]
    since = last[-1]["id"]
    street.gateway.run("ip", "link", "set", "wan2", "down")
    try:
        told: Any = ask(place(gateway), "/v1/events", {"since": since, "wait": 8})["events"]
        assert [(each["kind"], each["name"], each["what"], each["why"]) for each in told[:1]] == [
            ("path", "wan2", "down", "the interface is down")
        ]
    finally:
        street.gateway.run("ip", "link", "set", "wan2", "up")
        street.gateway.run("ip", "-6", "addr", "replace", "fd02::78/64", "dev", "wan2", "nodad")
    gateway.until("wan2", lambda status: status["paths"][1]["state"] == "up", within=30.0)
    ask(place(gateway), "/v1/paths/wan2", body={"mode": "backup"})
    gateway.until("the mode", lambda status: status["paths"][1]["state"] == "standby")
    ask(place(gateway), "/v1/paths/wan2", body={"mode": "config"})
    with pytest.raises(PlaitError, match="no path is named wan9"):
        ask(place(gateway), "/v1/paths/wan9", body={"mode": "off"})
    events: Any = ask(place(gateway), "/v1/events", {"since": since})["events"]
    assert ("wan2", "mode backup") in {(each["name"], each["what"]) for each in events}


def test_many_sessions_and_a_worker_that_is_killed_meanwhile(
    street: Street, plaits: tuple[Plait, Plait]
) -> None:
    gateway, _ = plaits
    with ExitStack() as held:
        server = held.enter_context(echo(street.server, SERVER[4]))
        for _ in range(MANY):
            sock = held.enter_context(connect(street.client, SERVER[4], server.port))
            talk(sock, 1)
        answer: Any = ask(place(gateway), "/v1/connections", {"limit": 10_000})
        assert (len(answer["connections"]), answer["matched"]) == (MANY, MANY)
        assert len({each["id"] for each in answer["connections"]}) == MANY
        gateway.until("all subflows", lambda status: status["paths"][1]["subflows"] == MANY, within=30.0)
        victim = gateway.workers()[0]
        # The kernel's pids are those of the sandbox, as ours are.
        killer = threading.Timer(0.3, os.kill, (victim, signal.SIGKILL))
        killer.start()
        seen = []
        for number, status in enumerate(follow(place(gateway), {"every": 0.5, "connections": 50})):
            seen.append(status)
            if number == 6:
                break
        killer.join()
        last: Any = seen[-1]
        assert 0 < last["sessions"]["open"] < MANY
        assert last["restarts"] == 1
        died = [each for status in seen for each in status["events"] if each["kind"] == "worker"]  # type: ignore[attr-defined]
        assert [(each["name"], each["what"], each["why"]) for each in died] == [
            (str(victim), "died", "killed by SIGKILL")
        ]


def test_a_stream_ends_with_control_and_the_socket_goes(street: Street, plaits: tuple[Plait, Plait]) -> None:
    other = street.plait(
        street.gateway, "exit", exit_config().replace("[exit]", "[exit]\nport = 9999"), run_dir="/run/o"
    )
    stream = follow(place(other))
    assert next(stream)["role"] == "exit"
    assert other.stop() == 0
    with pytest.raises(PlaitError, match="says nothing any more"):
        list(stream)
    with pytest.raises(PlaitError, match="no plait runs with"):
        ask(place(other), "/v1/status")
