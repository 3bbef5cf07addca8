"""What is not TCP, through the tunnel: a client that knows nothing, gateway, exit, and a server.

client ── gateway ══ two links ══ exit ── server
"""

from __future__ import annotations

import errno
import signal
import socket
from collections.abc import Iterator

import pytest
from tests.netns.relay.places import inside
from tests.netns.relay.seen import Echo, pinged
from tests.netns.relay.street import (
    CLIENT,
    EXIT_OUT,
    SERVER,
    Plait,
    Street,
    exit_config,
    gateway_config,
    left_in_kernel,
    plain_log,
)

from plait.lab.node import wait_for

WITHIN = 20.0
SERVE = "[tunnel]\nserve = true\n"


@pytest.fixture(scope="module", autouse=True)
def _routes(street: Street) -> None:
    street.direct_route()


@pytest.fixture
def tunnel(street: Street) -> Iterator[tuple[Plait, Plait]]:
    """Gateway and exit, with the tunnel open."""
    gateway, exit = street.pair(gateway_config(gateway_lines='udp = "tunnel"'), exit_config(rest=SERVE))
    gateway.until_log("tunnel: open")
    wait_for("the table", lambda: "plait_near" in tables(street), within=WITHIN)
    yield gateway, exit
    assert gateway.stop() == exit.stop() == 0
    assert plain_log(gateway.log()), gateway.log()
    assert plain_log(exit.log()), exit.log()
    for node in (street.gateway, street.exit):
        assert left_in_kernel(node) == {}
        assert "plait0" not in node.run("ip", "link", "show").stdout


def tables(street: Street) -> str:
    return street.gateway.run("nft", "list", "tables").stdout


@pytest.fixture
def echo(street: Street) -> Iterator[Echo]:
    echo = Echo(street.client, street.server, SERVER[4])
    yield echo
    echo.close()


@pytest.mark.parametrize("family", [4, 6])
def test_datagrams_go_out_at_the_exit(street: Street, tunnel: tuple[Plait, Plait], family: int) -> None:
    echo = Echo(street.client, street.server, SERVER[family])
    try:
        for length in (1, 1200, 1372 if family == 4 else 1352):
            assert echo.ask(bytes(length)) == EXIT_OUT[family]
    finally:
        echo.close()
    assert pinged(street.client, SERVER[family]) == SERVER[family]


def test_a_client_is_told_what_is_too_long(tunnel: tuple[Plait, Plait], echo: Echo) -> None:
    def refused() -> bool:
        try:
            echo.near.send(bytes(1373))
        except OSError as error:
            return error.errno == errno.EMSGSIZE
        return False

    wait_for("the refusal", refused, within=WITHIN)


def test_a_conversation_stays_where_it_began(street: Street, echo: Echo) -> None:
    gateway, exit = street.pair(gateway_config(gateway_lines='udp = "direct"'), exit_config(rest=SERVE))
    assert echo.ask() == CLIENT[4]
    gateway.rewrite(gateway_config(gateway_lines='udp = "tunnel"'))
    gateway.process.send(signal.SIGHUP)
    gateway.until_log("tunnel: open")
    wait_for("the table", lambda: "plait_near" in tables(street), within=WITHIN)
    assert echo.ask() == CLIENT[4], "it began outside"
    other = Echo(street.client, street.server, SERVER[4])
    try:
        assert other.ask() == EXIT_OUT[4], "it began inside"
    finally:
        other.close()
    assert gateway.stop() == exit.stop() == 0


def test_an_exit_that_serves_no_more(street: Street, tunnel: tuple[Plait, Plait]) -> None:
    _, exit = tunnel
    exit.rewrite(exit_config())
    exit.process.send(signal.SIGHUP)
    wait_for("the table to go", lambda: "plait_near" not in tables(street), within=2 * WITHIN)
    later = Echo(street.client, street.server, SERVER[4])
    try:
        assert later.ask() == CLIENT[4]
    finally:
        later.close()


def test_an_exit_that_does_not_serve_changes_nothing(street: Street, echo: Echo) -> None:
    gateway, exit = street.pair(gateway_config(gateway_lines='udp = "tunnel"'), exit_config())
    assert echo.ask() == CLIENT[4]
    assert "plait_near" not in tables(street)
    assert "plait0" not in street.gateway.run("ip", "link", "show").stdout
    assert gateway.stop() == exit.stop() == 0


def test_the_exit_forwards_to_no_private_address(street: Street, tunnel: tuple[Plait, Plait]) -> None:
    street.server.run("ip", "address", "add", "10.77.0.1/32", "dev", "eth0")
    street.exit.run("ip", "route", "replace", "10.77.0.1/32", "via", SERVER[4])
    try:
        with inside(street.gateway):
            probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"plait0")
            probe.connect(("10.77.0.1", 9))
        with probe:
            probe.settimeout(WITHIN)
            probe.send(b"x")
            with pytest.raises(ConnectionRefusedError):
                probe.recv(10)
    finally:
        street.server.run("ip", "address", "del", "10.77.0.1/32", "dev", "eth0")
        street.exit.run("ip", "route", "del", "10.77.0.1/32")


def test_the_exit_restarts_under_a_conversation(
    street: Street, tunnel: tuple[Plait, Plait], echo: Echo
) -> None:
    _, exit = tunnel
    assert echo.ask() == EXIT_OUT[4]
    pid = int(
        next(
            line.split()[0]
            for line in street.exit.run("ps", "-eo", "pid,ppid,args").stdout.splitlines()
            if "plait.courier.process" in line and line.split()[1] == str(exit.pid)
        )
    )
    street.exit.run("kill", "-9", str(pid))
    exit.until_log("the courier (pid")
    echo.near.settimeout(1.0)
    echo.far.settimeout(1.0)

    def answered() -> bool:
        try:
            return echo.ask() == EXIT_OUT[4]
        except TimeoutError:
            return False

    wait_for("an answer", answered, within=2 * WITHIN)
