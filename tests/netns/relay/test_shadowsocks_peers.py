"""plait at one end, somebody else's Shadowsocks at the other: TCP and UDP, every method."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from tests.netns.relay import foreign
from tests.netns.relay.letters import PASSWORDS, UdpEcho, ask, hear, letters, udp_echo
from tests.netns.relay.places import Echo, connect, echo, exactly
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

from plait.lab.node import Node
from plait.wire.address import Target, decode, encode

OLD = [method for method in PASSWORDS if "-" in method and not method.startswith("2022")]
NEW = [method for method in PASSWORDS if method.startswith("2022")]
EXIT = "10.1.1.70"
PORT = 5300
NEAR = "192.168.78.1"


@pytest.fixture(scope="module")
def tcp(street: Street) -> Iterator[Echo]:
    with echo(street.server, SERVER[4]) as server:
        yield server


@pytest.fixture(scope="module")
def udp(street: Street) -> Iterator[UdpEcho]:
    with udp_echo(street.server, SERVER[4]) as server:
        yield server


def speaks_tcp(node: Node, place: tuple[str, int]) -> None:
    """There and back: a little first, then much, both directions at once."""
    with connect(node, *place) as sock:
        sock.sendall(b"first")
        assert exactly(sock, 5) == b"first"
        data = os.urandom(1 << 20)
        sock.setblocking(True)
        for at in range(0, len(data), 1 << 16):
            sock.sendall(data[at : at + (1 << 16)])
            assert exactly(sock, 1 << 16) == data[at : at + (1 << 16)]
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""


def speaks_udp(node: Node, source: str, place: tuple[str, int]) -> None:
    with letters(node, source) as sock:
        for size in (1, 100, 1300):  # sing-box sends nothing that would have to be fragmented
            payload = os.urandom(size)
            answer, who = ask(sock, place, payload)
            assert answer == b"E" + payload
            assert who == place
            hear(sock)


def gateway(street: Street, method: str, password: str = "") -> Plait:
    config = gateway_config(
        method,
        password=password or PASSWORDS[method],
        address=f'["{EXIT}"]',
        gateway_lines='udp = "shadowsocks"',
    )
    here = street.plait(street.gateway, "gateway", config)
    here.until("the exit to be up", lambda status: status["exits"][0]["state"] == "up", within=30)
    return here


def through_the_gateway(street: Street, here: Plait, tcp: Echo, udp: UdpEcho) -> None:
    speaks_tcp(street.client, (SERVER[4], tcp.port))
    speaks_udp(street.client, CLIENT[4], (SERVER[4], udp.port))
    assert udp.heard[-1][0] == EXIT_OUT[4]
    assert EXIT_OUT[4] in tcp.peers
    assert CLIENT[4] not in tcp.peers
    assert plain_log(here.log()), here.log()


@pytest.mark.parametrize("method", OLD)
def test_our_gateway_and_ss_server(street: Street, tcp: Echo, udp: UdpEcho, method: str) -> None:
    foreign.ss_server(street.exit, method, PASSWORDS[method])
    through_the_gateway(street, gateway(street, method), tcp, udp)


@pytest.mark.parametrize("method", OLD)
def test_ss_tunnel_and_our_exit(street: Street, tcp: Echo, udp: UdpEcho, method: str) -> None:
    there = street.plait(street.exit, "exit", exit_config(method))
    for server, speak in ((tcp, speaks_tcp), (udp, None)):
        to = f"{SERVER[4]}:{server.port}"
        tunnel = foreign.ss_client(
            street.gateway, "ss-tunnel", method, PASSWORDS[method], EXIT, PORT, "-L", to
        )
        if speak is None:
            speaks_udp(street.client, CLIENT[4], (NEAR, PORT))
        else:
            speak(street.client, (NEAR, PORT))
        tunnel.stop()
    assert plain_log(there.log()), there.log()


REDIR = f"""
table inet redir {{
    chain take_tcp {{
        type nat hook prerouting priority dstnat;
        iifname "lan" ip daddr {SERVER[4]} meta l4proto tcp redirect to :{PORT}
    }}
    chain take_udp {{
        type filter hook prerouting priority mangle;
        iifname "lan" ip daddr {SERVER[4]} meta l4proto udp tproxy ip to :{PORT} meta mark set 7
    }}
}}
"""


@pytest.fixture
def redir(street: Street) -> Iterator[None]:
    """The rules that people write for ss-redir."""
    node = street.gateway
    rules = node.directory / "redir.nft"
    rules.write_text(REDIR)
    node.run("nft", "-f", rules)
    node.run("ip", "rule", "add", "fwmark", "7", "lookup", "77")
    node.run("ip", "route", "add", "local", "default", "dev", "lo", "table", "77")
    yield
    node.run("nft", "delete", "table", "inet", "redir")
    node.run("ip", "rule", "del", "fwmark", "7", "lookup", "77")
    node.run("ip", "route", "flush", "table", "77")


@pytest.mark.usefixtures("redir")
def test_ss_redir_and_our_exit(street: Street, tcp: Echo, udp: UdpEcho) -> None:
    method = "chacha20-ietf-poly1305"
    there = street.plait(street.exit, "exit", exit_config(method))
    foreign.ss_client(street.gateway, "ss-redir", method, PASSWORDS[method], EXIT, PORT)
    speaks_tcp(street.client, (SERVER[4], tcp.port))
    speaks_udp(street.client, CLIENT[4], (SERVER[4], udp.port))
    assert udp.heard[-1][0] == EXIT_OUT[4]
    assert plain_log(there.log()), there.log()


def test_ss_local_and_our_exit(street: Street, tcp: Echo, udp: UdpEcho) -> None:
    """SOCKS5 as applications speak it: curl's way in by name and address, and UDP ASSOCIATE by hand."""
    method = "aes-256-gcm"
    street.plait(street.exit, "exit", exit_config(method))
    foreign.ss_client(street.gateway, "ss-local", method, PASSWORDS[method], EXIT, PORT)
    with connect(street.client, NEAR, PORT) as sock:
        sock.sendall(b"\x05\x01\x00")
        assert exactly(sock, 2) == b"\x05\x00"
        sock.sendall(b"\x05\x01\x00" + encode(Target(ip_address(SERVER[4]), tcp.port)))
        assert exactly(sock, 10)[:2] == b"\x05\x00"
        sock.sendall(b"hello")
        assert exactly(sock, 5) == b"hello"
    with connect(street.client, NEAR, PORT) as control, letters(street.client, CLIENT[4]) as sock:
        control.sendall(b"\x05\x01\x00")
        assert exactly(control, 2) == b"\x05\x00"
        control.sendall(b"\x05\x03\x00\x01" + bytes(6))
        assert exactly(control, 10)[:2] == b"\x05\x00"
        header = encode(Target(ip_address(SERVER[4]), udp.port))
        answer, _ = ask(sock, (NEAR, PORT), bytes(3) + header + b"?")
        found = decode(answer[3:])
        assert found is not None
        assert found[0] == Target(ip_address(SERVER[4]), udp.port)
        assert answer[3 + found[1] :] == b"E?"


def test_ss_server_with_another_password_is_told_apart(street: Street) -> None:
    foreign.ss_server(street.exit, "aes-128-gcm", "another password")
    config = gateway_config("aes-128-gcm", address=f'["{EXIT}"]')
    here = street.plait(street.gateway, "gateway", config)
    here.until("the exit to be down", lambda status: status["exits"][0]["state"] == "down", within=30)


@pytest.mark.parametrize("method", NEW)
def test_our_gateway_and_sing_box(street: Street, tcp: Echo, udp: UdpEcho, method: str) -> None:
    foreign.sing_box_server(street.exit, method, PASSWORDS[method])
    through_the_gateway(street, gateway(street, method), tcp, udp)


@pytest.mark.parametrize("method", NEW[:2])
def test_our_gateway_is_a_user_of_sing_box(street: Street, tcp: Echo, udp: UdpEcho, method: str) -> None:
    size = 16 if "128" in method else 32
    users = {name: base64.b64encode(name[:1].encode() * size).decode() for name in ("attic", "roof")}
    foreign.sing_box_server(street.exit, method, PASSWORDS[method], users)
    here = gateway(street, method, f"{PASSWORDS[method]}:{users['roof']}")
    through_the_gateway(street, here, tcp, udp)


@pytest.mark.parametrize(
    ("method", "user"),
    # SIP023 has identity headers for AES only.
    [(method, user) for method in NEW for user in (False, True) if not user or "aes" in method],
)
def test_sing_box_and_our_exit(street: Street, tcp: Echo, udp: UdpEcho, method: str, user: bool) -> None:
    own = base64.b64encode(b"u" * (16 if "128" in method else 32)).decode()
    password = f"{PASSWORDS[method]}:{own}" if user else PASSWORDS[method]
    rest = f'[[user]]\nname = "roof"\npassword = "{own}"\n' if user else ""
    there = street.plait(street.exit, "exit", exit_config(method, password=PASSWORDS[method], rest=rest))
    for server, speak in ((tcp, speaks_tcp), (udp, None)):
        target = SERVER[4], server.port
        client = foreign.sing_box_client(street.gateway, method, password, EXIT, target, PORT)
        if speak is None:
            speaks_udp(street.client, CLIENT[4], (NEAR, PORT))
        else:
            speak(street.client, (NEAR, PORT))
        client.stop()
    assert plain_log(there.log()), there.log()
