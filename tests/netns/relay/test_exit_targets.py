"""What an exit dials and what it refuses: addresses of both families, and names."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from tests.netns.relay.asking import Asker
from tests.netns.relay.places import Echo, echo, until_end
from tests.netns.relay.street import SERVER, Plait, Street, exit_config, plain_log

EXIT = "10.1.1.70"

HOSTS = """
127.0.0.1 localhost
203.0.113.2 four.test
2001:db8:113::2 six.test
203.0.113.2 both.test
2001:db8:113::2 both.test
203.0.113.2 dead6.test
2001:db8:dead::1 dead6.test
198.51.100.1 dead4.test
2001:db8:113::2 dead4.test
192.168.99.5 inside.test
127.0.0.1 loop.test
127.0.0.1 mixed.test
203.0.113.2 mixed.test
"""


@pytest.fixture(scope="module")
def exit(street: Street) -> Iterator[Plait]:
    node = street.exit
    node.overlay("/etc/hosts", HOSTS)
    # A resolver that swallows every question: the address is routed, and nobody is there.
    node.overlay("/etc/resolv.conf", "nameserver 198.51.100.53\n")
    node.overlay("/etc/nsswitch.conf", "hosts: files dns\n")
    node.run("ip", "route", "add", "198.51.100.0/24", "via", SERVER[4])
    node.run("ip", "-6", "route", "add", "2001:db8:dead::/48", "via", SERVER[6])
    # Allowed, and reachable: a private network behind the exit.
    node.run("ip", "route", "add", "192.168.0.0/16", "via", SERVER[4])
    for address in ("192.168.70.9", "192.168.99.5"):
        street.server.run("ip", "addr", "add", f"{address}/32", "dev", "lo")
    config = exit_config(
        exit_lines='allow = ["192.168.70.0/24"]',
        relay="connect_timeout = 2\nhandshake_timeout = 5",
    )
    exit = street.plait(node, "exit", config)
    yield exit
    assert exit.stop() == 0
    assert plain_log(exit.log()), exit.log()


@pytest.fixture(scope="module")
def server(street: Street) -> Iterator[Echo]:
    with echo(street.server, "::") as server:
        yield server


def asks(street: Street, host: str, port: int, payload: bytes = b"") -> Asker:
    return Asker(street.gateway, EXIT, host, port, payload=payload)


@pytest.mark.parametrize(
    "host",
    [
        SERVER[4],
        SERVER[6],
        "four.test",
        "six.test",
        "both.test",
        "BOTH.test",
        "mixed.test",
        "192.168.70.9",
        "::ffff:203.0.113.2",
    ],
)
def test_what_is_dialled(street: Street, exit: Plait, server: Echo, host: str) -> None:
    with asks(street, host, server.port, b"with the address") as asker:
        assert asker.receive(16) == b"with the address"
        asker.send(b"and after it" * 10_000)
        assert asker.receive(120_000) == b"and after it" * 10_000
        asker.sock.shutdown(socket.SHUT_WR)
        assert asker.how_it_ends() == (b"", "eof")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "0.0.0.0",
        "::",
        "10.1.1.70",
        "10.2.2.70",
        "203.0.113.1",
        "2001:db8:113::1",
        "fd01::70",
        "fe80::1",
        "169.254.169.254",
        "192.168.99.5",
        "10.1.1.78",
        "172.16.0.1",
        "100.64.0.1",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "::ffff:127.0.0.1",
        "::ffff:10.1.1.70",
        "::ffff:192.168.99.5",
        "64:ff9b::127.0.0.1",
        "2002:7f00:1::",
        "localhost",
        "loop.test",
        "inside.test",
    ],
)
def test_what_is_refused(street: Street, exit: Plait, server: Echo, host: str) -> None:
    before = server.accepted
    # A name with but one family keeps the other one's question open until the dial times out.
    with asks(street, host, server.port, b"x") as asker:
        assert asker.how_it_ends() == (b"", "reset")
    assert server.accepted == before


def test_refusals_are_counted_as_such(street: Street, exit: Plait, server: Echo) -> None:
    before = exit.status()["sessions"]
    with asks(street, "127.0.0.1", server.port) as asker:
        assert asker.how_it_ends() == (b"", "reset")
    after = exit.status()["sessions"]
    assert after["outcomes"]["not allowed"] == before["outcomes"].get("not allowed", 0) + 1
    assert after["failed"] == before["failed"] + 1


def test_a_closed_port_is_refused_at_once(street: Street, exit: Plait) -> None:
    begun = time.monotonic()
    for host in (SERVER[4], SERVER[6]):
        with asks(street, host, 9) as asker:
            assert asker.how_it_ends() == (b"", "reset")
    assert time.monotonic() - begun < 1.0


def test_a_target_that_is_not_there_is_given_up_after_the_connect_timeout(
    street: Street, exit: Plait
) -> None:
    begun = time.monotonic()
    with asks(street, "198.51.100.7", 80) as asker:
        assert asker.how_it_ends() == (b"", "reset")
    assert 1.9 < time.monotonic() - begun < 5
    assert exit.status()["sessions"]["outcomes"]["timed out"] > 0


@pytest.mark.parametrize("host", ["dead6.test", "dead4.test"])
def test_a_dead_family_costs_a_quarter_of_a_second(
    street: Street, exit: Plait, server: Echo, host: str
) -> None:
    begun = time.monotonic()
    with asks(street, host, server.port, b"quick") as asker:
        assert asker.receive(5) == b"quick"
    assert time.monotonic() - begun < 1.0


def test_no_name_holds_up_another(street: Street, exit: Plait, server: Echo) -> None:
    """A hundred names that nobody answers for; the resolver is asked twice for each."""
    waiting = [asks(street, f"n{number}.nowhere.test", 80, b"x") for number in range(100)]
    exit.until("a hundred to wait", lambda status: status["sessions"]["total"] >= 100)
    begun = time.monotonic()
    with asks(street, "both.test", server.port, b"me") as asker:
        assert asker.receive(2) == b"me"
    with asks(street, SERVER[4], server.port, b"too") as asker:
        assert asker.receive(3) == b"too"
    assert time.monotonic() - begun < 1.0
    for asker in waiting:
        # connect_timeout covers the name, too.
        assert asker.how_it_ends() == (b"", "reset")
        asker.close()
    assert time.monotonic() - begun < 8


def test_a_client_that_leaves_while_its_target_is_dialled_is_forgotten(street: Street, exit: Plait) -> None:
    asker = asks(street, "198.51.100.8", 80, b"x")
    exit.until("the dial to begin", lambda status: status["sessions"]["total"] > 0)
    asker.close()
    exit.until("it to be over", lambda status: status["sessions"]["open"] == 0)


def test_every_visitor_has_gone(street: Street, exit: Plait, server: Echo) -> None:
    exit.until("no session to be left", lambda status: status["sessions"]["open"] == 0)
    with echo(street.server, SERVER[4]) as fresh, asks(street, SERVER[4], fresh.port) as asker:
        asker.send(b"a")
        assert asker.receive(1) == b"a"
        asker.close()
    with asks(street, SERVER[4], server.port) as asker:
        asker.sock.shutdown(socket.SHUT_WR)
        assert until_end(asker.sock)[1] == "eof"
