"""Rules by domain, with a real dnsmasq that knows the names: another fills the sets, or we do."""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
from ipaddress import ip_address

import pytest
from tests.netns.relay.places import PATIENCE, connect, exactly, family_of, inside, listen
from tests.netns.relay.street import (
    CLIENT,
    EXIT_OUT,
    SERVER,
    Street,
    exit_config,
    gateway_config,
    plain_log,
    plait_words,
)

from plait.lab.node import wait_for
from plait.wire import dns

RULES = """
[[rule]]
domain = "direct.test"
to = "direct"
"""
NO_FILES = ("--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--pid-file=")


def question(name: str, kind: int) -> bytes:
    """RFC 1035, section 4.1."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def resolve(street: Street, name: str, kind: int = 1) -> None:
    """Ask the gateway's dnsmasq, as a client does."""
    with inside(street.client), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1.0)
        sock.sendto(question(name, kind), ("192.168.78.1", 53))
        answer = sock.recv(512)
    assert struct.unpack_from("!H", answer, 6)[0] >= 1, f"no answer for {name}"


def seen_from(street: Street, address: str) -> str:
    """Whom the server sees."""
    with (
        listen(street.server, address) as listener,
        connect(street.client, address, listener.getsockname()[1]) as sock,
    ):
        sock.sendall(b"x")
        far, peer = listener.accept()
        with far:
            far.settimeout(PATIENCE)
            assert exactly(far, 1) == b"x"
        return str(peer[0])


def test_what_dnsmasq_answers_is_ruled_by_its_name(street: Street) -> None:
    street.direct_route()
    street.server.run("ip", "addr", "add", "198.51.100.2/32", "dev", "lo")
    street.exit.run("ip", "route", "add", "198.51.100.2", "via", SERVER[4])
    street.server.popen(
        "dnsmasq", *NO_FILES, "--listen-address=203.0.113.2", "--bind-interfaces",
        "--address=/www.direct.test/203.0.113.2", "--address=/www.direct.test/2001:db8:113::2",
        "--address=/other.test/198.51.100.2",
    )  # fmt: skip
    exit = street.plait(street.exit, "exit", exit_config())
    gateway = street.plait(street.gateway, "gateway", gateway_config(rest=RULES))
    gateway.until("the exit to be up", lambda status: status["exits"][0]["state"] == "up")
    planned = street.gateway.run(*plait_words(f"plan -c {gateway.config}")).stdout
    (line,) = re.findall(r"# for dnsmasq.conf: (nftset=.*)", planned)
    street.gateway.popen(
        "dnsmasq", *NO_FILES, "--listen-address=192.168.78.1", "--bind-interfaces",
        "--server=203.0.113.2", f"--{line}",
    )  # fmt: skip

    def answers() -> bool:
        try:
            resolve(street, "other.test")
        except (OSError, AssertionError):
            return False
        return True

    wait_for("dnsmasq", answers, within=20.0)
    assert seen_from(street, SERVER[4]) == EXIT_OUT[4], "nobody has asked for it by that name"
    for kind in (1, 28):
        resolve(street, "www.direct.test", kind)
    assert seen_from(street, SERVER[4]) == CLIENT[4]
    assert seen_from(street, SERVER[6]) == CLIENT[6]
    assert seen_from(street, "198.51.100.2") == EXIT_OUT[4]

    # Another table: what was learnt is still known.
    gateway.rewrite(gateway.config.read_text() + '[[rule]]\nport = 9\nto = "block"\n')
    os.kill(gateway.pid, signal.SIGHUP)
    gateway.until_log("config reloaded")
    assert "dport { 9 }" in street.gateway.run("nft", "list", "table", "inet", "plait").stdout.replace(
        "dport 9 ", "dport { 9 } "
    )
    assert seen_from(street, SERVER[4]) == CLIENT[4]
    assert seen_from(street, "198.51.100.2") == EXIT_OUT[4]
    for plait in (gateway, exit):
        assert plait.stop() == 0
        assert plain_log(plait.log()), plait.log()


NAMES = 20
"""Names that are asked for in a row."""


def ask_outside(street: Street, name: str, family: int, kind: int) -> list[str]:
    """Ask the server's dnsmasq past the gateway's; gives the addresses."""
    with inside(street.client), socket.socket(family_of(SERVER[family]), socket.SOCK_DGRAM) as sock:
        sock.settimeout(5.0)
        for attempt in range(4):
            sock.sendto(question(name, kind), (SERVER[family], 53))
            try:
                answer, place = sock.recvfrom(512)
                break
            except TimeoutError:
                # A datagram may be lost on any way; resolvers ask again.
                if attempt == 3:
                    raise
    assert place[:2] == (SERVER[family], 53)
    return [str(ip_address(address)) for address, _ in dns.read(answer).addresses]


@pytest.mark.parametrize("udp", ["direct", "shadowsocks", "tunnel"])
def test_whoever_asks_another_resolver_is_ruled_at_once(street: Street, udp: str) -> None:
    """Each name is new, has an address of its own, and is connected to as soon as the answer is there."""
    street.direct_route()
    where = [f"198.51.100.{100 + number}" for number in range(NAMES)]
    where6 = [f"2001:db8:51::{100 + number}" for number in range(NAMES)]
    for address in (*where, *where6):
        street.server.run(
            "ip", "addr", "replace", address, "dev", "lo", *(["nodad"] if ":" in address else [])
        )
    street.exit.run("ip", "route", "replace", "198.51.100.0/24", "via", SERVER[4])
    street.exit.run("ip", "route", "replace", "2001:db8:51::/64", "via", SERVER[6])
    known = [f"--host-record=n{n}.direct.test,{where[n]},{where6[n]}" for n in range(NAMES)]
    street.server.popen(
        "dnsmasq", *NO_FILES, "--listen-address=203.0.113.2", "--listen-address=2001:db8:113::2",
        "--bind-interfaces", *known, "--cname=alias.test,n0.direct.test",
        f"--host-record=other.test,{where[1]}",
    )  # fmt: skip
    exit = street.plait(street.exit, "exit", exit_config(rest="[tunnel]\nserve = true\n"))
    gateway = street.plait(
        street.gateway, "gateway", gateway_config(gateway_lines=f'udp = "{udp}"', rest=RULES)
    )
    gateway.until("the exit to be up", lambda status: status["exits"][0]["state"] == "up")
    if udp == "tunnel":
        gateway.until_log("tunnel: open")

    def answers() -> bool:
        try:
            return ask_outside(street, "other.test", 4, 1) == [where[1]]
        except OSError:
            return False

    wait_for("dnsmasq", answers, within=20.0)
    assert seen_from(street, where[1]) == EXIT_OUT[4], "not by that name"
    for number in range(NAMES):
        name = f"N{number}.direct.test" if number else "alias.test"
        assert ask_outside(street, name, 4 if number % 2 else 6, 1) == [where[number]]
        assert seen_from(street, where[number]) == CLIENT[4], f"name {number}"
        assert ask_outside(street, f"n{number}.direct.test", 4, 28) == [where6[number]]
        assert seen_from(street, where6[number]) == CLIENT[6], f"name {number}"
    told = gateway.status()["datagrams"]["names"]
    assert told["learnt"] + told.get("too late", 0) == 2 * NAMES
    left = street.gateway.run("nft", "list", "table", "inet", "plait").stdout
    assert left.count("198.51.100.1") == NAMES
    # Another table: what was learnt is still known, and ends when it would have.
    gateway.rewrite(gateway.config.read_text() + '[[rule]]\nport = 9\nto = "block"\n')
    os.kill(gateway.pid, signal.SIGHUP)
    gateway.until_log("config reloaded")
    assert seen_from(street, where[3]) == CLIENT[4]
    for plait in (gateway, exit):
        assert plait.stop() == 0
        assert plain_log(plait.log()), plait.log()
