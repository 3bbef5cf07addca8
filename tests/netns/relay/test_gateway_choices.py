"""Whom a gateway takes and where it sends them: bypass, rules, lost exits, wrong passwords, reloads."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.netns.relay.places import connect, echo, exactly, listen, until_end
from tests.netns.relay.street import (
    CLIENT,
    EXIT_OUT,
    PASSWORD,
    SERVER,
    Plait,
    Street,
    exit_config,
    gateway_config,
    plain_log,
    plait_words,
)

from plait.lab.node import wait_for

OTHER_SERVER = "198.51.100.2"
PRIVATE = "192.168.70.2"
"""Addresses of the server, too: one more public, one private."""
WANTED = exit_config(exit_lines='allow = ["192.168.70.0/24"]')


@pytest.fixture(scope="module")
def exit(street: Street) -> Iterator[Plait]:
    street.direct_route()
    for address in (OTHER_SERVER, PRIVATE):
        street.server.run("ip", "addr", "add", f"{address}/32", "dev", "lo")
        street.exit.run("ip", "route", "add", address, "via", SERVER[4])
    exit = street.plait(street.exit, "exit", WANTED)
    yield exit
    assert exit.stop() == 0
    assert plain_log(exit.log()), exit.log()


def gateway(street: Street, **words: str) -> Plait:
    plait = street.plait(street.gateway, "gateway", gateway_config(**words))
    plait.until("the exit to be up", lambda status: status["exits"][0]["state"] == "up")
    return plait


def seen_from(street: Street, address: str, port: int = 0, **how: str) -> str:
    """Whom the server sees when the client connects to ``address``; "reset" when that fails."""
    with listen(street.server, address, port) as listener:
        listener.settimeout(5)
        try:
            sock = connect(street.client, address, listener.getsockname()[1], **how)
        except ConnectionRefusedError:
            return "refused"
        with sock:
            # The gateway says "connected" before anybody knows: bytes must come through.
            sock.sendall(b"x")
            try:
                server, peer = listener.accept()
            except TimeoutError:
                return "nobody"
            with server:
                assert exactly(server, 1) == b"x"
                server.sendall(b"y")
                assert exactly(sock, 1) == b"y"
            return str(peer[0])


@pytest.mark.parametrize("intercept", ["tproxy", "redirect"])
def test_bypass_and_rules(street: Street, exit: Plait, intercept: str) -> None:
    street.client.run("ip", "addr", "replace", "192.168.78.3/24", "dev", "eth0")
    plait = gateway(
        street,
        intercept=intercept,
        gateway_lines='bypass = ["198.51.100.0/24"]',
        rest=f"""
[[rule]]
port = [7001]
to = "direct"
[[rule]]
port = ["7002-7003"]
to = "block"
[[rule]]
source = ["192.168.78.3"]
to = "direct"
[[rule]]
destination = ["{PRIVATE}", "{OTHER_SERVER}"]
to = "exit:attic"
""",
    )
    through, around = EXIT_OUT[4], CLIENT[4]
    assert seen_from(street, SERVER[4]) == through
    assert seen_from(street, SERVER[6]) == EXIT_OUT[6]
    assert seen_from(street, SERVER[4], 7001) == around
    assert seen_from(street, SERVER[6], 7001) == CLIENT[6]
    assert seen_from(street, SERVER[4], 7002) == "refused"
    assert seen_from(street, SERVER[6], 7003) == "refused"
    assert seen_from(street, SERVER[4], source="192.168.78.3") == "192.168.78.3"
    assert seen_from(street, OTHER_SERVER) == around, "bypass beats every rule"
    # A rule that names a private network opens it; the exit dials it from its own address.
    assert seen_from(street, PRIVATE) == through
    assert plait.stop() == 0
    assert seen_from(street, SERVER[4]) == around
    assert seen_from(street, PRIVATE) == around
    assert plain_log(plait.log()), plait.log()


@pytest.mark.parametrize("intercept", ["tproxy", "redirect"])
def test_rules_by_client_and_protocol(street: Street, exit: Plait, intercept: str) -> None:
    link = street.client.run("cat", "/sys/class/net/eth0/address").stdout.strip()
    plait = gateway(
        street,
        intercept=intercept,
        rest=f"""
[[rule]]
protocol = "udp"
port = 7004
to = "block"
[[rule]]
mac = ["02:00:5e:00:00:99", "{link.upper()}"]
port = 7005
to = "direct"
[[rule]]
mac = "02:00:5e:00:00:99"
to = "block"
""",
    )
    assert seen_from(street, SERVER[4], 7004) == EXIT_OUT[4], "this rule is not about TCP"
    assert seen_from(street, SERVER[4], 7005) == CLIENT[4]
    assert seen_from(street, SERVER[6], 7005) == CLIENT[6]
    assert seen_from(street, SERVER[4]) == EXIT_OUT[4]
    assert plait.stop() == 0


def test_reserved_ranges_own_addresses_and_exits_are_not_taken(street: Street, exit: Plait) -> None:
    plait = gateway(street)
    assert seen_from(street, PRIVATE) == CLIENT[4]
    for node, address in (
        (street.gateway, "192.168.78.1"),
        (street.gateway, "10.1.1.78"),
        (street.exit, "10.1.1.70"),
        (street.exit, "10.2.2.70"),
    ):
        with echo(node, address) as server:
            with connect(street.client, address, server.port) as sock:
                sock.sendall(b"x")
                assert exactly(sock, 1) == b"x"
            assert server.peers == {CLIENT[4]}
    assert plait.status()["sessions"]["total"] == 0
    plait.stop()


@pytest.mark.parametrize("intercept", ["tproxy", "redirect"])
def test_nobody_reaches_the_interceptor_itself(street: Street, exit: Plait, intercept: str) -> None:
    plait = gateway(street, intercept=intercept)
    wait_for("the port to be open", lambda: street.gateway.listening(1080), within=5)
    for node, address in (
        (street.client, "192.168.78.1"),
        (street.client, "fd78::1"),
        (street.client, "10.1.1.78"),
        (street.exit, "10.1.1.78"),
        (street.exit, "192.168.78.1"),
        (street.exit, "fd01::78"),
        (street.gateway, "127.0.0.1"),
        (street.gateway, "10.1.1.78"),
    ):
        with pytest.raises(ConnectionRefusedError):
            connect(node, address, 1080)
    # A client may well want that very port of a server.
    assert seen_from(street, SERVER[4], 1080) == EXIT_OUT[4]
    assert seen_from(street, SERVER[6], 1080) == EXIT_OUT[6]
    plait.stop()


@pytest.mark.parametrize("intercept", ["tproxy", "redirect"])
def test_when_the_exit_is_lost_the_lan_goes_out_directly(street: Street, exit: Plait, intercept: str) -> None:
    plait = gateway(street, intercept=intercept, relay="connect_timeout = 2")
    assert seen_from(street, SERVER[4]) == EXIT_OUT[4]
    kill(street, exit)
    plait.until("the exit to be missed", lambda status: not status["intercepting"])
    assert plait.status()["exits"][0]["state"] == "down"
    assert seen_from(street, SERVER[4]) == CLIENT[4]
    assert seen_from(street, SERVER[6]) == CLIENT[6]
    revive(street, exit)
    plait.until("the exit to be back", lambda status: status["intercepting"])
    assert seen_from(street, SERVER[4]) == EXIT_OUT[4]
    assert plait.stop() == 0
    assert "goes out directly" in plait.log()
    assert plain_log(plait.log()), plait.log()


def test_when_the_exit_is_lost_the_lan_is_blocked(street: Street, exit: Plait) -> None:
    plait = gateway(street, gateway_lines='when_exit_lost = "block"', relay="connect_timeout = 2")
    kill(street, exit)
    plait.until("the exit to be missed", lambda status: not status["intercepting"])
    assert seen_from(street, SERVER[4]) == "refused"
    assert seen_from(street, SERVER[6]) == "refused"
    assert seen_from(street, PRIVATE) == CLIENT[4], "what was never taken goes on"
    revive(street, exit)
    plait.until("the exit to be back", lambda status: status["intercepting"])
    assert seen_from(street, SERVER[4]) == EXIT_OUT[4]
    assert plait.stop() == 0
    assert "is blocked" in plait.log()


def test_a_wrong_password_is_said_in_one_clear_line(street: Street, exit: Plait) -> None:
    plait = street.plait(street.gateway, "gateway", gateway_config(password="not the password"))
    line = plait.until_log("another password, method", within=12)
    assert "attic" in line
    assert plait.status()["exits"][0]["state"] == "down"
    # Nobody serves us there: the config says what becomes of the LAN then.
    plait.until("the exit to be given up", lambda status: not status["intercepting"], within=15)
    assert seen_from(street, SERVER[4]) == CLIENT[4]
    exit.until_log("not authenticated")
    plait.stop()
    assert sum("another password, method" in line for line in plait.log().splitlines()) == 1
    assert "not the password" not in plait.log()
    assert PASSWORD not in exit.log()


def test_a_reload_brings_another_exit_when_the_only_one_was_lost(street: Street, exit: Plait) -> None:
    plait = street.plait(street.gateway, "gateway", gateway_config(address='["10.1.1.71"]'))
    plait.until("the wrong exit to be given up", lambda status: not status["intercepting"])
    assert seen_from(street, SERVER[4]) == CLIENT[4]
    old = plait.workers()
    plait.rewrite(gateway_config().replace('"attic"', '"cellar"'))
    reload(plait, "config reloaded")
    plait.until("the right exit to be used", lambda status: status["intercepting"])
    assert seen_from(street, SERVER[4]) == EXIT_OUT[4]
    status = plait.until("its echo", lambda status: status["exits"][0]["state"] == "up" and status)
    assert [each["name"] for each in status["exits"]] == ["cellar"]
    assert status["restarts"] == 0, "nobody may stumble over an exit that is no more"
    assert not set(old) & set(plait.workers())
    assert plait.stop() == 0
    assert plain_log(plait.log()), plait.log()


def test_a_reload_takes_a_new_config_and_keeps_sessions(street: Street, exit: Plait) -> None:
    plait = gateway(street)
    with (
        echo(street.server, SERVER[4]) as server,
        closing(connect(street.client, SERVER[4], server.port)) as sock,
    ):
        sock.sendall(b"before")
        assert exactly(sock, 6) == b"before"
        old = plait.workers()

        plait.rewrite(
            gateway_config(gateway_lines="port = 1090", rest='[[rule]]\nport = [7001]\nto = "direct"')
        )
        reload(plait, "config reloaded")
        sock.sendall(b"after")
        assert exactly(sock, 5) == b"after"
        assert seen_from(street, SERVER[4]) == EXIT_OUT[4]
        assert seen_from(street, SERVER[4], 7001) == CLIENT[4]
        assert not street.gateway.listening(1080) or set(old) <= set(plait.workers())

        plait.rewrite("[gateway]\nlan = 7\nlann = 8\n")
        reload(plait, "stays as it was")
        for word in ("lann", "lan"):
            assert word in plait.log()
        sock.sendall(b"still")
        assert exactly(sock, 5) == b"still"
        assert seen_from(street, SERVER[4], 7001) == CLIENT[4]

        # A password that the exit does not know: the old sessions have theirs.
        plait.rewrite(gateway_config(password="changed"))
        reload(plait, "config reloaded")
        sock.sendall(b"alive")
        assert exactly(sock, 5) == b"alive"
        plait.until_log("another password, method", within=15)

        plait.rewrite(gateway_config())
        reload(plait, "config reloaded")
        plait.until("the exit to be used", lambda status: status["intercepting"])
        assert seen_from(street, SERVER[4], 7001) == EXIT_OUT[4]
        sock.sendall(b"last")
        assert exactly(sock, 4) == b"last"
        sock.shutdown(socket.SHUT_WR)
        assert until_end(sock) == (b"", "eof")
    plait.until("old workers to leave", lambda status: len(status["workers"]) == 1)
    sessions = plait.status()["sessions"]
    assert sessions["total"] == 3, "what former workers had counted is kept"
    assert sessions["outcomes"]["done"] >= 1
    assert sessions["up_bytes"] >= len(b"beforeafterstillalivelast")
    assert plait.stop() == 0
    assert plain_log(plait.log()), plait.log()


def test_an_exit_reloads_too(street: Street, exit: Plait) -> None:
    plait = gateway(street)
    with (
        echo(street.server, SERVER[4]) as server,
        closing(connect(street.client, SERVER[4], server.port)) as sock,
    ):
        sock.sendall(b"before")
        assert exactly(sock, 6) == b"before"
        exit.config.write_text(WANTED.replace("workers = 1", "workers = 2"))
        reload(exit, "config reloaded")
        assert len(exit.status()["workers"]) == 3
        for _ in range(20):
            assert seen_from(street, SERVER[4]) == EXIT_OUT[4]
        # Fewer again: no client may land in a queue that nobody serves any more.
        exit.config.write_text(WANTED)
        reload(exit, "config reloaded")
        for _ in range(20):
            assert seen_from(street, SERVER[4]) == EXIT_OUT[4]
        # A port that is taken: all stays, and the new port is given back.
        with listen(street.exit, "0.0.0.0", 8401):
            exit.config.write_text(WANTED.replace("[exit]", "[exit]\nport = 8401"))
            reload(exit, "stays as it was")
            assert "8401 is taken" in exit.log()
        assert not street.exit.listening(8401)
        sock.sendall(b"after")
        assert exactly(sock, 5) == b"after"
    exit.config.write_text(WANTED)
    plait.stop()


def test_many_reloads_at_once_are_as_good_as_one(street: Street, exit: Plait) -> None:
    plait = gateway(street)
    before = plait.log().count("config reloaded")
    for _ in range(5):
        plait.process.send(signal.SIGHUP)
    wait_for("reloads", lambda: plait.log().count("config reloaded") > before, within=20)
    plait.until("one worker", lambda status: len(status["workers"]) == 1)
    assert seen_from(street, SERVER[4]) == EXIT_OUT[4]
    assert plait.stop() == 0
    assert plain_log(plait.log()), plait.log()


def reload(plait: Plait, word: str) -> None:
    """SIGHUP, and wait until it has said ``word`` once more."""
    before = plait.log().count(word)
    plait.process.send(signal.SIGHUP)
    wait_for(f"{word!r} in the log", lambda: plait.log().count(word) > before, within=15)


def kill(street: Street, exit: Plait) -> None:
    """kill -9, and what its owner would do then."""
    exit.process.kill()
    street.exit.run(*plait_words("down"))


def revive(street: Street, exit: Plait) -> None:
    """Start it once more."""
    again = street.plait(street.exit, "exit", WANTED)
    exit.process, exit.config = again.process, again.config
    street.lasting.append(exit.process)
