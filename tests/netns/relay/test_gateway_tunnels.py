"""Tunnels to several exits, TCP in them, and what becomes of the LAN while they are down.

client ── gateway ══ wan1 ══ attic  ── server
                  ══ wan2 ══ cellar ──
"""

from __future__ import annotations

import errno
import signal
import socket
from collections.abc import Callable, Iterator

import pytest
from tests.netns.relay.places import connect
from tests.netns.relay.seen import Echo, Talk, pinged
from tests.netns.relay.street import (
    PASSWORD,
    Plait,
    Street,
    exit_config,
    left_in_kernel,
    plain_log,
    plait_words,
)

from plait.lab.node import Node, wait_for
from plait.lab.topology import Lab

WITHIN = 20.0
DRAWING = """
client:eth0 192.168.78.2/24 fd78::2/64 via 192.168.78.1 via fd78::1 -- gateway:lan 192.168.78.1/24 fd78::1/64
gateway:wan1 10.1.1.78/24 fd01::78/64 -- exit:w1 10.1.1.70/24 fd01::70/64
gateway:wan2 10.2.2.78/24 fd02::78/64 -- cellar:w2 10.2.2.70/24 fd02::70/64
exit:out 203.0.113.1/24 2001:db8:113::1/64 -- server:eth0 203.0.113.2/24 2001:db8:113::2/64
cellar:out 198.51.100.1/24 2001:db8:100::1/64 -- server:eth1 198.51.100.2/24 2001:db8:100::2/64
"""
SERVER = {4: "192.0.2.2", 6: "2001:db8:2::2"}
ATTIC = {4: "203.0.113.1", 6: "2001:db8:113::1"}
CELLAR = {4: "198.51.100.1", 6: "2001:db8:100::1"}
CLIENT = {4: "192.168.78.2", 6: "fd78::2"}
INNER = {4: "10.188.0.1", 6: "fd70:6c61:6974::1"}
SERVE = "[tunnel]\nserve = true\n"
BOTH = [4, 6]


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with Lab(DRAWING, directory=tmp_path_factory.mktemp("tunnels")) as lab:
        lab.forward("gateway", "exit", "cellar")
        street = Street(lab)
        server, gateway, exit = lab["server"], lab["gateway"], lab["exit"]
        for family in BOTH:
            flag = f"-{family}"
            length = 32 if family == 4 else 128
            server.run(
                "ip", flag, "address", "add", f"{SERVER[family]}/{length}", "dev", "lo", *nodad(family)
            )
            exit.run("ip", flag, "route", "add", SERVER[family], "via", ATTIC[family][:-1] + "2")
            cellar = lab["cellar"]
            cellar.run("ip", flag, "route", "add", SERVER[family], "via", CELLAR[family][:-1] + "2")
            # As an ISP would: what goes out without plait gets there, too.
            server.run("ip", flag, "route", "add", "default", "via", ATTIC[family])
            lan, via, out = (
                ("192.168.78.0/24", "10.1.1.78", "10.1.1.70")
                if family == 4
                else ("fd78::/64", "fd01::78", "fd01::70")
            )
            exit.run("ip", flag, "route", "add", lan, "via", via)
            gateway.run("ip", flag, "route", "add", "default", "via", out, "dev", "wan1")
        yield street


def nodad(family: int) -> list[str]:
    return ["nodad"] if family == 6 else []


def config(*, lines: str = "", rest: str = "", outside: int = 4) -> str:
    """A gateway with both exits, which are reached by IPv4 or IPv6."""
    attic, cellar = ("10.1.1.70", "10.2.2.70") if outside == 4 else ("fd01::70", "fd02::70")
    return f"""
[gateway]
lan = ["lan"]
{lines}
[[exit]]
name = "attic"
address = ["{attic}"]
password = "{PASSWORD}"
[[exit]]
name = "cellar"
address = ["{cellar}"]
password = "{PASSWORD}"
[[path]]
interface = "wan1"
[[path]]
interface = "wan2"
[relay]
workers = 1
warm = 0
{rest}
"""


Start = Callable[[str], Plait]


@pytest.fixture
def exits(street: Street) -> list[Plait]:
    """The attic and the cellar."""
    return [
        street.plait(node, "exit", exit_config(rest=SERVE)) for node in (street.exit, street.lab["cellar"])
    ]


@pytest.fixture
def start(street: Street, exits: list[Plait]) -> Iterator[Start]:
    """Gives what starts a gateway whose tunnels are open."""
    gateways = []

    def begin(text: str) -> Plait:
        gateway = street.plait(street.gateway, "gateway", text)
        gateways.append(gateway)
        for name in ("attic", "cellar"):
            gateway.until_log(f"of {name}", within=WITHIN)
        wait_for("both tunnels", lambda: opened(street.gateway), within=WITHIN)
        return gateway

    yield begin
    for each in [*gateways, *exits]:
        if each.process.status is None:
            assert each.stop() == 0
        assert plain_log(each.log()), each.log()
    for node in (street.gateway, street.exit, street.lab["cellar"]):
        assert left_in_kernel(node) == {}
        assert "plait" not in node.run("ip", "-br", "link").stdout


def table(node: Node) -> str:
    return node.run("nft", "list", "table", "inet", "plait_near", check=False).stdout


def opened(node: Node) -> bool:
    found = table(node)
    return "into_0" in found and "into_1" in found


def seen(street: Street, family: int = 4, port: int = 0) -> str:
    """Under which address a new conversation arrives; empty when it does not."""
    echo = Echo(street.client, street.server, SERVER[family], port)
    try:
        return echo.answered(2.0)
    finally:
        echo.close()


@pytest.mark.parametrize("outside", BOTH)
def test_each_rule_has_its_exit(street: Street, start: Start, outside: int) -> None:
    rules = '[[rule]]\nport = 7777\nto = "exit:cellar"\n[[rule]]\nport = 7778\nto = "direct"\n'
    start(config(rest=rules, outside=outside))
    for family in BOTH:
        assert seen(street, family) == ATTIC[family]
        assert seen(street, family, 7777) == CELLAR[family]
        assert seen(street, family, 7778) == CLIENT[family]
        assert pinged(street.client, SERVER[family]) == SERVER[family]
        # The second hop is the exit, seen from inside.
        assert pinged(street.client, SERVER[family], hops=2) == INNER[family]


def test_the_gateways_own_questions(street: Street, start: Start) -> None:
    start(config(lines='own = "dns"'))
    for family in BOTH:
        for port, who in ((53, ATTIC[family]), (5300, {4: "10.1.1.78", 6: "fd01::78"}[family])):
            echo = Echo(street.gateway, street.server, SERVER[family], port)
            try:
                assert echo.ask() == who
            finally:
                echo.close()


@pytest.mark.parametrize("family", BOTH)
def test_tcp_goes_that_way_too(street: Street, start: Start, family: int) -> None:
    before = Talk(street.client, street.server, SERVER[family])
    assert before.seen == CLIENT[family]
    gateway = start(config(lines='tcp = "tunnel"'))
    talk = Talk(street.client, street.server, SERVER[family])
    try:
        assert talk.seen == ATTIC[family]
        assert talk.carries()
        assert before.carries(), "what began outside stays there"
        assert "chain take" not in street.gateway.run("nft", "list", "ruleset").stdout
        gateway.process.send(signal.SIGHUP)
        gateway.until_log("config reloaded")
        assert talk.carries()
    finally:
        talk.close()
        before.close()


def test_the_next_exit_takes_over_and_gives_back(street: Street, start: Start) -> None:
    gateway = start(config(lines='when_exit_lost = "block"'))
    kept, moved = Echo(street.client, street.server, SERVER[4]), Echo(street.client, street.server, SERVER[4])
    assert kept.ask() == ATTIC[4]
    street.exit.run("ip", "link", "set", "w1", "down")
    try:
        gateway.until_log("attic: new connections go to cellar", within=30.0)
        wait_for("the other exit", lambda: seen(street) == CELLAR[4], within=WITHIN)
        assert kept.answered() == "", "it stays where it was"
        assert moved.ask() == CELLAR[4]
    finally:
        street.exit.run("ip", "link", "set", "w1", "up")
        again(street)
    gateway.until_log("attic: new connections go to it again", within=60.0)
    wait_for("the first exit", lambda: seen(street) == ATTIC[4], within=WITHIN)
    assert moved.ask() == CELLAR[4], "taking back cuts nothing"
    wait_for("what waited", lambda: kept.answered() == ATTIC[4], within=WITHIN)
    kept.close()
    moved.close()


def again(street: Street) -> None:
    """What the kernel forgot with the link."""
    street.exit.run("ip", "address", "replace", "fd01::70/64", "dev", "w1", "nodad")
    street.exit.run("ip", "route", "replace", "192.168.78.0/24", "via", "10.1.1.78")
    street.exit.run("ip", "-6", "route", "replace", "fd78::/64", "via", "fd01::78")


@pytest.mark.parametrize("lost", ["block", "direct"])
def test_nothing_leaks_while_it_is_down(street: Street, start: Start, lost: str) -> None:
    lines = f'tcp = "tunnel"\nwhen_exit_lost = "{lost}"'
    gateway = start(config(lines=lines))
    inner = {family: Echo(street.client, street.server, SERVER[family]) for family in BOTH}
    outside = Echo(street.client, street.server, SERVER[4])
    for family, echo in inner.items():
        assert echo.ask() == ATTIC[family]
    guard(street, "add")
    try:
        gateway.until_log("no exit answers: the LAN", within=60.0)
        wait_for(
            "the table",
            lambda: ("goto refuse" in table(street.gateway)) == (lost == "block"),
            within=WITHIN,
        )
        for family, echo in inner.items():
            assert echo.answered() == "", "what is in the tunnel waits there"
            if lost == "block":
                assert seen(street, family) == ""
                assert not pinged(street.client, SERVER[family])
                with pytest.raises(ConnectionRefusedError):
                    connect(street.client, SERVER[family], 9)
            else:
                wait_for(
                    "it outside", lambda family=family: seen(street, family) == CLIENT[family], within=WITHIN
                )
                assert pinged(street.client, SERVER[family])
        if lost == "direct":
            assert outside.ask() == CLIENT[4]
    finally:
        guard(street, "delete")
    gateway.until_log("an exit answers again", within=60.0)
    for family, echo in inner.items():
        wait_for("what waited", lambda echo=echo: echo.answered(), within=WITHIN)
        wait_for("new ones", lambda family=family: seen(street, family) == ATTIC[family], within=WITHIN)
        echo.close()
    if lost == "direct":
        assert outside.ask() == CLIENT[4], "what began outside stays there"
    outside.close()


def guard(street: Street, how: str) -> None:
    """Let nothing to the exits' own port through, or again: the links work, and the exits are lost."""
    for node in (street.exit, street.lab["cellar"]):
        if how == "add":
            node.run("nft", "add", "table", "inet", "lost")
            node.run("nft", "add", "chain", "inet", "lost", "in", "{ type filter hook input priority -5; }")
            for word in ("tcp", "udp"):
                node.run("nft", "add", "rule", "inet", "lost", "in", word, "dport", "8388", "drop")
        else:
            node.run("nft", "delete", "table", "inet", "lost")


def test_nothing_leaks_before_it_is_open(street: Street) -> None:
    """The exits are there, and have not been heard of yet."""
    guard(street, "add")
    try:
        gateway = street.plait(
            street.gateway, "gateway", config(lines='tcp = "tunnel"\nwhen_exit_lost = "block"')
        )
        for family in BOTH:
            assert seen(street, family) == ""
            assert not pinged(street.client, SERVER[family])
    finally:
        guard(street, "delete")
    assert gateway.stop() == 0
    assert seen(street) == CLIENT[4]


@pytest.mark.parametrize("where", ["gateway", "exit"])
def test_control_is_killed_under_a_flow(street: Street, start: Start, exits: list[Plait], where: str) -> None:
    gateway = start(config(lines='tcp = "tunnel"\nwhen_exit_lost = "block"'))
    victim = gateway if where == "gateway" else exits[0]
    inner = street.gateway.addresses("plait0")
    talk, echo = (
        Talk(street.client, street.server, SERVER[4]),
        Echo(street.client, street.server, SERVER[6]),
    )
    try:
        assert (talk.seen, echo.ask()) == (ATTIC[4], ATTIC[6])
        victim.process.kill()
        assert talk.carries(), "the courier goes on alone"
        assert echo.ask() == ATTIC[6]
        assert seen(street) == ATTIC[4], "for new ones, too"
        again = street.plait(victim.node, where, victim.config.read_text())
        if where == "exit":
            exits[0] = again
        assert talk.carries()
        assert echo.answered(WITHIN) == ATTIC[6]
        assert street.gateway.addresses("plait0") == inner
        wait_for("new ones", lambda: seen(street) == ATTIC[4], within=WITHIN)
    finally:
        talk.close()
        echo.close()
    if where == "gateway":
        assert again.stop() == 0
        assert plain_log(again.log()), again.log()


def test_down_takes_away_what_a_killed_control_left(street: Street, start: Start, exits: list[Plait]) -> None:
    gateway = start(config(lines='tcp = "tunnel"\nwhen_exit_lost = "block"'))
    gateway.process.kill()
    assert seen(street) == ATTIC[4]
    said = street.gateway.run(*plait_words("down")).stdout
    assert "ending the courier" in said
    assert "ip link delete plait0" in said
    assert seen(street) == CLIENT[4]
    assert street.gateway.run(*plait_words("down")).stdout == ""


def test_an_exit_moves(street: Street, start: Start) -> None:
    """Its name means another address from now on."""
    street.gateway.overlay("/etc/hosts", "10.1.1.70 attic.example\n")
    hosts = street.gateway.directory / "etc-hosts"
    text = config(lines='when_exit_lost = "block"').replace('"10.1.1.70"', '"attic.example"')
    start(text)
    echo = Echo(street.client, street.server, SERVER[4])
    try:
        assert echo.ask() == ATTIC[4]
        street.exit.run("ip", "address", "delete", "10.1.1.70/24", "dev", "w1")
        street.exit.run("ip", "address", "add", "10.1.1.71/24", "dev", "w1")
        hosts.write_text("10.1.1.71 attic.example\n")
        wait_for("the conversation to go on", lambda: echo.answered() == ATTIC[4], within=60.0)
    finally:
        echo.close()
        street.exit.run("ip", "address", "delete", "10.1.1.71/24", "dev", "w1", check=False)
        street.exit.run("ip", "address", "replace", "10.1.1.70/24", "dev", "w1")
        street.exit.run("ip", "route", "replace", "192.168.78.0/24", "via", "10.1.1.78")


@pytest.mark.parametrize("outside", BOTH)
def test_a_path_on_which_large_datagrams_vanish(street: Street, start: Start, outside: int) -> None:
    """The far end of the link takes less, and nobody says so."""
    for node in (street.client, street.server):
        for flag in ("-4", "-6"):
            node.run("ip", flag, "route", "flush", "cache")
    street.exit.run("ip", "link", "set", "w1", "mtu", "1400")
    try:
        start(config(lines='tcp = "tunnel"', outside=outside))
        # 1400 less the headers of IP and UDP, the seal and the frame's own head.
        fits = 1400 - (28 if outside == 4 else 48) - 32 - 8
        wait_for("its size", lambda: fits - 8 <= mtu(street.gateway) <= fits, within=60.0)
        for family in BOTH:
            talk = Talk(street.client, street.server, SERVER[family])
            echo = Echo(street.client, street.server, SERVER[family])
            try:
                assert talk.seen == ATTIC[family]
                assert talk.carries(300_000)
                assert echo.ask(bytes(1200)) == ATTIC[family]
                wait_for("the refusal here", lambda echo=echo: too_long(echo.near), within=WITHIN)
                echo.far.connect(echo.peer)
                wait_for("the refusal there", lambda echo=echo: too_long(echo.far), within=WITHIN)
            finally:
                talk.close()
                echo.close()
    finally:
        street.exit.run("ip", "link", "set", "w1", "mtu", "1500")


def mtu(node: Node) -> int:
    return int(node.run("cat", "/sys/class/net/plait0/mtu").stdout)


def too_long(sock: socket.socket) -> bool:
    """Whether the kernel has been told that 1372 bytes do not fit."""
    try:
        sock.send(bytes(1372))
    except OSError as error:
        return error.errno == errno.EMSGSIZE
    return False


@pytest.mark.parametrize("outside", BOTH)
def test_a_lan_that_keeps_its_addresses(street: Street, outside: int) -> None:
    """A network behind the gateway that the exit lets it have, in both directions."""
    nets = '["192.168.78.0/24", "fd78::/64"]'
    serve = f"[tunnel]\nserve = true\nmasquerade = false\nnetworks = {nets}\n"
    exit = street.plait(street.exit, "exit", exit_config(rest=serve))
    direct = {4: ("192.168.78.0/24", "10.1.1.78"), 6: ("fd78::/64", "fd01::78")}
    for family, (net, via) in direct.items():
        street.exit.run("ip", f"-{family}", "route", "delete", net, "via", via)
    try:
        gateway = street.plait(street.gateway, "gateway", config(lines=f"routed = {nets}", outside=outside))
        gateway.until_log("of attic", within=WITHIN)
        for family in BOTH:
            wait_for(
                "its address", lambda family=family: seen(street, family) == CLIENT[family], within=WITHIN
            )
            back = Echo(street.server, street.client, CLIENT[family])
            try:
                assert back.ask() in (ATTIC[family][:-1] + "2", SERVER[family])
            finally:
                back.close()
        assert gateway.stop() == exit.stop() == 0
        assert plain_log(gateway.log() + exit.log())
    finally:
        for family, (net, via) in direct.items():
            street.exit.run("ip", f"-{family}", "route", "replace", net, "via", via)
