"""Killed with -9 at any moment: what goes on, what the next start finds, and what `down` leaves."""

from __future__ import annotations

import os
import random
import select
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from tests.netns.relay.places import Echo, accept, connect, echo, exactly, listen, until_end
from tests.netns.relay.street import (
    EXIT_OUT,
    SERVER,
    Street,
    exit_config,
    gateway_config,
    left_in_kernel,
    plain_log,
    plait_words,
    sysctls,
)

from plait.lab.node import wait_for


@pytest.fixture(scope="module")
def server(street: Street) -> Iterator[Echo]:
    with echo(street.server, SERVER[4]) as server:
        yield server


@pytest.fixture(autouse=True)
def clean_before_and_after(street: Street) -> Iterator[None]:
    """Every test begins on a host without plait, and leaves one."""
    before = {node.name: sysctls(node) for node in (street.gateway, street.exit)}
    yield
    for node in (street.gateway, street.exit):
        node.run(*plait_words("down"))
        assert left_in_kernel(node) == {}
        assert sysctls(node) == before[node.name]
    assert worker_processes() == []


def worker_processes() -> list[int]:
    """Workers of any plait in this sandbox."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
                alive = (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
            except OSError:
                continue
            if b"plait.relay.worker" in command and alive:
                found.append(int(entry.name))
    return sorted(found)


def conversation(street: Street, server: Echo) -> socket.socket:
    sock = connect(street.client, SERVER[4], server.port)
    assert lives(sock)
    return sock


def lives(sock: socket.socket) -> bool:
    sock.sendall(b"are you there?")
    return exactly(sock, 14) == b"are you there?"


@pytest.mark.parametrize("where", ["gateway", "exit"])
def test_a_worker_dies(street: Street, server: Echo, where: str) -> None:
    gateway, exit = street.pair(gateway_config(workers=2), exit_config(workers=2))
    plait = gateway if where == "gateway" else exit
    with ExitStack() as stack:
        socks = [stack.enter_context(conversation(street, server)) for _ in range(40)]
        status = plait.status()
        workers = {worker["pid"]: worker["open"] for worker in status["workers"]}
        assert all(workers.values()), f"both workers were to have sessions: {workers}"
        victim = min(workers)
        os.kill(victim, signal.SIGKILL)
        # A conversation that was cut must not look like one that came to its end: reset, not FIN.
        wait_for(
            "the cut ones to be told",
            lambda: len(select.select(socks, [], [], 0)[0]) == workers[victim],
            within=5,
        )
        cut, _, _ = select.select(socks, [], [], 0)
        for sock in cut:
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        for sock in socks:
            assert sock in cut or lives(sock)
        plait.until("another worker", lambda s: s["restarts"] == 1 and len(s["workers"]) == 2)
        for _ in range(20):
            with conversation(street, server):
                pass
        assert victim not in plait.workers()
    assert f"pid {victim}) died, killed by SIGKILL" in plait.log()
    assert gateway.stop() == exit.stop() == 0
    assert plain_log(plait.log()), plait.log()


@pytest.mark.parametrize("where", ["gateway", "exit"])
def test_control_dies_and_workers_go_on_until_another_takes_over(
    street: Street, server: Echo, where: str
) -> None:
    gateway, exit = street.pair(gateway_config(), exit_config())
    plait = gateway if where == "gateway" else exit
    with closing(conversation(street, server)) as old:
        orphans = plait.workers()
        plait.process.kill()
        assert lives(old)
        with closing(conversation(street, server)) as between:
            assert lives(between)
            fresh = street.plait(plait.node, where, plait.config.read_text())
            # On a busy machine the start may last until the exit counts as lost.
            asked = fresh if where == "gateway" else gateway
            asked.until("the exit to be up", lambda status: status["exits"][0]["state"] == "up")
            # Those who came before stay where they are, and the newcomers find the new one.
            assert lives(old)
            assert lives(between)
            with closing(conversation(street, server)) as new:
                assert lives(new)
                fresh.until("the newcomer", lambda s: s["sessions"]["open"] >= 1)
            assert not set(orphans) & set(fresh.workers())
            assert set(orphans) <= set(worker_processes())
        between.close()
    wait_for("the old workers to leave", lambda: not set(orphans) & set(worker_processes()), within=10)
    with closing(conversation(street, server)) as sock:
        assert lives(sock)
    for running in (gateway, exit, fresh):
        if running.process.status is None:
            assert running.stop() == 0
    assert plain_log(plait.log()), plait.log()


def test_down_ends_what_a_killed_control_left(street: Street, server: Echo) -> None:
    gateway, exit = street.pair(gateway_config(workers=2), exit_config(workers=2))
    assert set(left_in_kernel(street.gateway)) == {"table", "rules", "routes", "endpoints"}
    with closing(conversation(street, server)) as sock:
        for plait in (gateway, exit):
            plait.process.kill()
        assert len(worker_processes()) == 4
        said = street.gateway.run(*plait_words("down")).stdout
        assert "nft delete table inet plait" in said
        assert "ending workers" in said
        assert until_end(sock)[1] == "reset"
    assert len(worker_processes()) == 2
    street.exit.run(*plait_words("down"))
    again = street.gateway.run(*plait_words("down"))
    assert again.stdout == ""


def test_down_stops_a_running_one(street: Street, server: Echo) -> None:
    gateway, exit = street.pair(gateway_config(), exit_config())
    street.gateway.run(*plait_words("down"))
    assert gateway.process.wait(within=10) == 0
    assert left_in_kernel(street.gateway) == {}
    assert exit.stop() == 0


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_stop_is_a_reset_not_an_end(street: Street, who: str) -> None:
    gateway, exit = street.pair(gateway_config(), exit_config())
    with listen(street.server, SERVER[4]) as listener:
        client = connect(street.client, SERVER[4], listener.getsockname()[1])
        server = accept(listener)
    server.sendall(b"half of it")
    assert exactly(client, 10) == b"half of it"
    stopped = gateway if who == "client" else exit
    assert stopped.stop() == 0
    assert until_end(client) == (b"", "reset")
    assert until_end(server) == (b"", "reset")
    client.close()
    server.close()


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_a_random_moment_of_its_start(street: Street, seed: int) -> None:
    """`down` cleans up at once in one half of the cases, in the other the next start does."""
    dice = random.Random(seed)
    for verb, config in (("exit", exit_config(workers=2)), ("gateway", gateway_config(workers=2))):
        node = street.lab[verb]
        plait = street.launch(node, verb, config)
        # A moment on purpose, not a wait: before, during and after what a start does.
        time.sleep(dice.uniform(0.05, 1.6))
        plait.process.kill()
        assert plain_log(plait.log()), plait.log()
    if dice.random() < 0.5:
        for node in (street.gateway, street.exit):
            node.run(*plait_words("down"))
            assert left_in_kernel(node) == {}
        wait_for("workers to end", lambda: not worker_processes(), within=10)
    else:
        gateway, exit = street.pair(gateway_config(), exit_config())
        with echo(street.server, SERVER[4]) as server, closing(conversation(street, server)) as sock:
            assert lives(sock)
        assert server.peers == {EXIT_OUT[4]}
        wait_for("old workers to end", lambda: len(worker_processes()) == 2, within=10)
        assert gateway.stop() == exit.stop() == 0


def test_exit_and_gateway_beside_each_other(street: Street, server: Echo) -> None:
    """Two in one namespace, each with a run directory: what one has set up is no leftover to the other."""
    far = street.plait(street.exit, "exit", exit_config())
    gateway = street.plait(street.gateway, "gateway", gateway_config(), run_dir="/run/plait/one")
    gateway.until("the exit to be up", lambda s: s["exits"][0]["state"] == "up")
    marks = left_in_kernel(street.gateway)
    assert set(marks) == {"table", "rules", "routes", "endpoints"}
    with closing(conversation(street, server)) as sock:
        beside = street.plait(street.gateway, "exit", exit_config(), run_dir="/run/plait/two")
        assert left_in_kernel(street.gateway) == marks
        assert beside.stop() == 0
        assert left_in_kernel(street.gateway) == marks
        assert lives(sock)
        with closing(conversation(street, server)) as another:
            assert lives(another)
    assert server.peers == {EXIT_OUT[4]}
    assert gateway.stop() == far.stop() == 0
