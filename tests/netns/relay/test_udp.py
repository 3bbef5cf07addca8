"""UDP of the LAN through a gateway and an exit as Shadowsocks datagrams."""

from __future__ import annotations

import base64
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.netns.relay.letters import PASSWORDS, UdpEcho, ask, hear, letters, udp_echo
from tests.netns.relay.street import (
    CLIENT,
    EXIT_OUT,
    SERVER,
    Plait,
    Street,
    exit_config,
    gateway_config,
    plain_log,
)

UDP = 'udp = "shadowsocks"'


@pytest.fixture(scope="module")
def server(street: Street) -> Iterator[UdpEcho]:
    with udp_echo(street.server, SERVER[4], SERVER[6]) as echo:
        yield echo


def pair(street: Street, method: str, **options: str) -> tuple[Plait, Plait]:
    password = PASSWORDS[method]
    exit = exit_config(method, password=password or "unused", rest=options.pop("users", ""))
    return street.pair(
        gateway_config(method, password=options.pop("password", password), gateway_lines=UDP, **options), exit
    )


def ready(street: Street, port: int) -> None:
    """The courier knows its ways, and the table is loaded."""
    with letters(street.client, CLIENT[4]) as sock:
        ask(sock, (SERVER[4], port), b"ready?")


@pytest.mark.parametrize("method", PASSWORDS)
def test_there_and_back(street: Street, server: UdpEcho, method: str) -> None:
    """Both families; what comes back comes from where it was sent to; what is too large goes in pieces."""
    here, there = pair(street, method)
    ready(street, server.port)
    for family in (4, 6):
        with letters(street.client, CLIENT[family]) as sock:
            for size in (0, 10, 1400, 1472, 8000):
                payload = os.urandom(size)
                answer, place = ask(sock, (SERVER[family], server.port), payload)
                assert answer[:1] == b"E"
                assert place == (SERVER[family], server.port)
                assert payload == answer[1:]
                hear(sock)
        assert server.heard[-1][0] == EXIT_OUT[family]
    for end in (here, there):
        told = end.status()["datagrams"]
        assert told["open"] == told["total"] >= 3
        assert told["up_bytes"] > 20_000
        assert told["down_bytes"] > told["up_bytes"] - 20_000
        assert told["outcomes"] == {}
    assert plain_log(here.log() + there.log())


def test_anybody_may_answer_and_each_answers_as_himself(street: Street, server: UdpEcho) -> None:
    pair(street, "2022-blake3-aes-128-gcm")
    with (
        letters(street.client, CLIENT[4]) as client,
        letters(street.server, SERVER[4]) as stranger,
    ):
        ask(client, (SERVER[4], server.port), b"?")
        stranger.sendto(b"hello", server.heard[-1])
        heard = hear(client, seconds=20)
        assert (b"hello", stranger.getsockname()) in heard
        # And the client can answer that one, from the same port as before.
        answer_from = stranger.getsockname()
        client.sendto(b"yes?", answer_from)
        data, who = stranger.recvfrom(100)
        assert (data, who) == (b"yes?", server.heard[-1])


def test_clients_are_kept_apart(street: Street, server: UdpEcho) -> None:
    pair(street, "aes-128-gcm")
    ready(street, server.port)
    socks = [letters(street.client, CLIENT[4]) for _ in range(20)]
    before = len(server.heard)
    for number, sock in enumerate(socks):
        answer, _ = ask(sock, (SERVER[4], server.port), b"%d" % number)
        assert answer == b"E%d" % number
    assert len(set(server.heard[before:])) == 20
    for sock in socks:
        assert not hear(sock)
        sock.close()


def test_it_moves_to_another_path_and_the_exit_knows_it_again(street: Street, server: UdpEcho) -> None:
    pair(street, "2022-blake3-aes-128-gcm")
    with letters(street.client, CLIENT[4]) as client:
        ask(client, (SERVER[4], server.port), b"?")
        port = server.heard[-1]
        for link in ("wan1", "wan2"):
            street.gateway.run("ip", "link", "set", link, "down")
            assert ask(client, (SERVER[4], server.port), b"!")[0] in (b"E!", b"E?")
            hear(client)
            assert server.heard[-1] == port, "the exit should know the session again"
            street.gateway.run("ip", "link", "set", link, "up")
            street.gateway.run("ip", "-6", "addr", "replace", f"fd0{link[-1]}::78/64", "dev", link)
            ask(client, (SERVER[4], server.port), b"!")
            hear(client)


def test_users_of_an_exit(street: Street, server: UdpEcho) -> None:
    own = base64.b64encode(b"u" * 16).decode()
    users = f'[[user]]\nname = "roof"\npassword = "{own}"\n'
    method = "2022-blake3-aes-128-gcm"
    pair(street, method, users=users, password=f"{PASSWORDS[method]}:{own}")
    with letters(street.client, CLIENT[4]) as client:
        answer, _ = ask(client, (SERVER[4], server.port), b"?")
        assert answer == b"E?"


def test_what_the_exit_does_not_allow_goes_nowhere(street: Street, server: UdpEcho) -> None:
    """The exit's own loopback, by a rule that lets a private destination through the gateway."""
    rule = '[[rule]]\ndestination = ["10.9.9.0/24"]\nto = "exit:attic"\n'
    pair(street, "aes-128-gcm", rest=rule)
    ready(street, server.port)
    with letters(street.client, CLIENT[4]) as client:
        client.sendto(b"?", ("10.9.9.9", server.port))
        assert not hear(client, seconds=1.0)
        assert ask(client, (SERVER[4], server.port), b"?")[0] == b"E?"


def test_when_the_exit_is_lost_udp_goes_out_directly(street: Street, server: UdpEcho) -> None:
    street.direct_route()
    here, there = pair(street, "aes-128-gcm")
    ready(street, server.port)
    with letters(street.client, CLIENT[4]) as client:
        ask(client, (SERVER[4], server.port), b"?")
        assert server.heard[-1][0] == EXIT_OUT[4]
        there.stop()
        here.until("the exit to be lost", lambda status: status["exits"][0]["state"] == "down", within=40)
        ask(client, (SERVER[4], server.port), b"?")
        assert server.heard[-1][0] == CLIENT[4]


def courier_of(plait: Plait) -> int:
    """Pid of its courier."""
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if parent == plait.pid and b"plait.courier.process" in command:
            return int(entry.name)
    raise AssertionError("no courier")


@pytest.mark.parametrize("end", ["gateway", "exit"])
def test_a_courier_that_is_killed_is_replaced(street: Street, server: UdpEcho, end: str) -> None:
    """Its associations are lost, and made anew by the next datagram."""
    here, there = pair(street, "2022-blake3-aes-256-gcm")
    with letters(street.client, CLIENT[4]) as client:
        ask(client, (SERVER[4], server.port), b"?")
        of = here if end == "gateway" else there
        os.kill(courier_of(of), signal.SIGKILL)
        of.until_log("courier")
        hear(client)
        assert ask(client, (SERVER[4], server.port), b"!")[0] == b"E!"


def test_nobody_talks_to_the_interceptor_itself(street: Street, server: UdpEcho) -> None:
    here, _ = pair(street, "aes-128-gcm")
    ready(street, server.port)
    total = here.status()["datagrams"]["total"]
    with letters(street.client, CLIENT[4]) as client, letters(street.exit, "10.1.1.70") as outside:
        client.sendto(b"?", ("192.168.78.1", 1080))
        outside.sendto(b"?", ("10.1.1.78", 1080))
        assert not hear(client, seconds=0.5)
        assert not hear(outside)
    assert here.status()["datagrams"]["total"] == total


def test_another_exit_takes_over_when_the_first_is_lost(street: Street, server: UdpEcho) -> None:
    method = "2022-blake3-aes-128-gcm"
    password = PASSWORDS[method]
    second = exit_config(method, password=password, exit_lines="port = 8390")
    spare = street.plait(street.exit, "exit", second, run_dir="/run/plait/spare")
    rest = f"""
[[exit]]
name = "cellar"
address = ["10.1.1.70", "10.2.2.70"]
port = 8390
method = "{method}"
password = "{password}"
"""
    here, there = pair(street, method, rest=rest)
    with letters(street.client, CLIENT[4]) as client:
        ask(client, (SERVER[4], server.port), b"?")
        assert spare.status()["datagrams"]["total"] == 0
        there.stop()
        here.until("the exit to be lost", lambda status: status["exits"][0]["state"] == "down", within=40)
        hear(client)
        assert ask(client, (SERVER[4], server.port), b"!")[0] == b"E!"
        assert server.heard[-1][0] == EXIT_OUT[4]
        assert spare.status()["datagrams"]["total"] == 1
