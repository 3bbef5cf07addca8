"""An exit's associations, on loopback, in a loop that is turned by hand."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest
from tests.unit.relay.turning import turn

from plait.courier.exit_udp import IDLE, LEAST, ExitUdp
from plait.courier.pace import Paces
from plait.courier.tally import Tally
from plait.kernel.udp import open_door, receive
from plait.relay.admission import Admission
from plait.relay.allowance import CELL, CELLS
from plait.relay.loop import IN, Loop
from plait.relay.resolver import Resolver
from plait.wire import shadowsocks2022_udp, shadowsocks_udp
from plait.wire.address import Target, encode
from plait.wire.cipher import SUITES_2022, Key
from plait.wire.shadowsocks_udp import Parcel

NEW = Key(SUITES_2022["2022-blake3-aes-128-gcm"], b"k" * 16)
OLD = Key.derive("aes-128-gcm", "secret")
NAMES = {
    "four.test": {socket.AF_INET: ["127.0.0.1"]},
    "six.test": {socket.AF_INET6: ["::1"]},
    "out.test": {socket.AF_INET: ["10.9.9.9"]},
}


class Bench:
    """An exit, a target that answers with what it heard, and clients."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.tally = Tally()
        self.door = open_door("127.0.0.1", 0)
        self.taken: list[bool] = []
        self.targets = []
        for address in ("127.0.0.1", "::1"):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            target = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            target.bind((address, self.targets[0].getsockname()[1] if self.targets else 0))
            self.loop.register(target.fileno(), self._echo(target), IN)
            self.targets.append(target)
        self.port = self.targets[0].getsockname()[1]
        self.seen: list[tuple[str, int]] = []
        self.socks: list[socket.socket] = []
        self.exit: ExitUdp

    def open(self, key: Key | None, *, most: int = 100, trust: str | None = None) -> ExitUdp:
        desk: shadowsocks_udp.Desk | shadowsocks2022_udp.Desk
        if key is NEW:
            desk = shadowsocks2022_udp.Desk([("", key)], os.urandom, time.time)
        else:
            desk = shadowsocks_udp.Desk([("", key)] if key else [], os.urandom)
        self.exit = ExitUdp(
            self.loop,
            desk,
            Admission([ip_network("127.0.0.1/32"), ip_network("::1/128")], [ip_address("127.0.0.9")]),
            Resolver(self.loop, lambda name, family: NAMES.get(name, {}).get(family, [])),
            self.tally,
            trust=None if trust is None else [ip_network(trust)],
            most=most,
        )

        def ready(mask: int) -> None:
            while (letter := receive(self.door)) is not None:
                self.taken.append(self.exit.take(self.door, letter))

        self.loop.register(self.door.fileno(), ready, IN)
        return self.exit

    def client(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        sock.connect(self.door.getsockname())
        self.socks.append(sock)
        return sock

    def hear(self, sock: socket.socket) -> bytes:
        heard: list[bytes] = []

        def got() -> bool:
            if not heard:
                with contextlib.suppress(BlockingIOError):
                    heard.append(sock.recv(65535))
            return bool(heard)

        turn(self.loop, got)
        return heard[0]

    def took(self, count: int) -> None:
        turn(self.loop, lambda: len(self.taken) >= count)

    def header(self, host: str = "127.0.0.1") -> bytes:
        try:
            return encode(Target(ip_address(host), self.port))
        except ValueError:
            return encode(Target(host, self.port))

    def close(self) -> None:
        self.exit.close()
        for sock in (self.door, *self.targets, *self.socks):
            sock.close()
        self.loop.close()

    def _echo(self, target: socket.socket):  # type: ignore[no-untyped-def]
        def ready(mask: int) -> None:
            data, peer = target.recvfrom(65535)
            self.seen.append(peer[:2])
            target.sendto(b"E" + data, peer)

        return ready


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def talk(key: Key | None) -> shadowsocks_udp.Talk | shadowsocks2022_udp.Talk:
    return talk_of(key)


def talk_of(key: Key | None) -> shadowsocks_udp.Talk | shadowsocks2022_udp.Talk:
    if key is not None and key.suite.edition == 2022:
        return shadowsocks2022_udp.Talk(key, os.urandom, time.time)
    return shadowsocks_udp.Talk(key, os.urandom)


@pytest.mark.parametrize("key", [None, OLD, NEW], ids=["none", "2017", "2022"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "four.test", "six.test"])
def test_there_and_back(bench: Bench, key: Key | None, host: str) -> None:
    bench.open(key, trust="127.0.0.0/8" if key is None else None)
    client, end = bench.client(), talk(key)
    source = "::1" if host in ("::1", "six.test") else "127.0.0.1"
    for payload in (b"one", b"", os.urandom(9000)):
        client.send(end.seal(bench.header(host), payload))
        answer = end.open(bench.hear(client))
        assert answer == Parcel(Target(ip_address(source), bench.port), b"E" + payload)
    assert len(set(bench.seen)) == 1
    assert bench.exit.open == bench.exit.total == 1
    assert bench.exit.up[""] == 9003
    assert bench.exit.down[""] == 9006


def test_anybody_may_answer_through_the_same_port(bench: Bench) -> None:
    """Endpoint-independent filtering: what calls and games need."""
    bench.open(NEW)
    client, end = bench.client(), talk(NEW)
    client.send(end.seal(bench.header(), b"?"))
    end.open(bench.hear(client))
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bench.socks.append(stranger)
    stranger.bind(("127.0.0.1", 0))
    stranger.sendto(b"hello", ("127.0.0.1", bench.seen[0][1]))
    answer = end.open(bench.hear(client))
    assert (answer.payload, answer.place.port) == (b"hello", stranger.getsockname()[1])


def test_a_session_of_2022_may_change_its_address(bench: Bench) -> None:
    bench.open(NEW)
    end = talk(NEW)
    for _ in range(3):
        client = bench.client()
        client.send(end.seal(bench.header(), b"?"))
        assert end.open(bench.hear(client)).payload == b"E?"
    assert bench.exit.total == 1
    assert len(set(bench.seen)) == 1


def test_a_client_of_2017_is_its_address(bench: Bench) -> None:
    bench.open(OLD)
    for _ in range(3):
        client = bench.client()
        client.send(talk(OLD).seal(bench.header(), b"?"))
        bench.hear(client)
    assert bench.exit.open == 3
    assert len(set(bench.seen)) == 3


@pytest.mark.parametrize(
    ("host", "outcome"),
    [
        ("127.0.0.9", "not allowed"),
        ("10.1.2.3", "not allowed"),
        ("224.0.0.1", "not allowed"),
        ("255.255.255.255", "not allowed"),
        ("fe80::1", "not allowed"),
        ("out.test", "not allowed"),
        ("nowhere.test", "no address"),
    ],
)
def test_what_may_not_be_reached(bench: Bench, host: str, outcome: str) -> None:
    bench.open(NEW)
    client = bench.client()
    client.send(talk(NEW).seal(bench.header(host), b"?"))
    turn(bench.loop, lambda: bench.exit.outcomes[outcome] == 1)
    assert not bench.seen


def test_strangers_are_not_ours(bench: Bench) -> None:
    bench.open(NEW)
    client = bench.client()
    for datagram in (b"", b"x", os.urandom(100), talk(OLD).seal(bench.header(), b"?")):
        client.send(datagram)
    bench.took(4)
    assert not any(bench.taken)
    assert not bench.exit.total


def test_a_replay_is_counted_and_goes_nowhere(bench: Bench) -> None:
    bench.open(NEW)
    client, end = bench.client(), talk(NEW)
    sent = end.seal(bench.header(), b"?")
    client.send(sent)
    bench.hear(client)
    bench.client().send(sent)
    bench.took(2)
    assert bench.tally.strangers == {"replayed": 1}
    assert len(bench.seen) == 1
    client.send(end.seal(bench.header(), b"!"))
    assert end.open(bench.hear(client)).payload == b"E!"


def test_a_wrong_clock_is_counted_apart(bench: Bench) -> None:
    bench.open(NEW)
    late = shadowsocks2022_udp.Talk(NEW, os.urandom, lambda: time.time() - 60)
    bench.client().send(late.seal(bench.header(), b"?"))
    bench.took(1)
    assert bench.tally.strangers == {"out of time": 1}


def test_without_a_seal_only_trusted_networks_come_in(bench: Bench) -> None:
    bench.open(None, trust="192.0.2.0/24")
    bench.client().send(talk(None).seal(bench.header(), b"?"))
    bench.took(1)
    assert bench.tally.strangers == {"untrusted": 1}
    assert not bench.exit.total


def test_idle_associations_end(bench: Bench) -> None:
    bench.open(NEW)
    client, end = bench.client(), talk(NEW)
    client.send(end.seal(bench.header(), b"?"))
    bench.hear(client)
    bench.loop.now += IDLE - 1
    bench.exit._sweep()
    assert bench.exit.open == 1
    bench.loop.now += 2
    bench.exit._sweep()
    assert bench.exit.open == 0


def test_one_that_asked_dns_only_ends_sooner(bench: Bench) -> None:
    bench.open(NEW)
    client, end = bench.client(), talk(NEW)
    client.send(end.seal(encode(Target(ip_address("127.0.0.1"), 53)), b"?"))
    bench.took(1)
    bench.loop.now += LEAST - 1
    bench.exit._sweep()
    assert bench.exit.open == 1
    bench.loop.now += 2
    bench.exit._sweep()
    assert bench.exit.open == 0


def test_a_full_table_turns_new_sessions_of_2022_away_for_a_minute(bench: Bench) -> None:
    bench.open(NEW, most=2)
    for count in (1, 2, 3):
        bench.client().send(talk(NEW).seal(bench.header(), b"?"))
        bench.took(count)
    assert (bench.exit.open, bench.exit.outcomes["crowded out"]) == (2, 1)
    bench.loop.now += LEAST + 1
    letter_from = bench.client()
    letter_from.send(talk(NEW).seal(bench.header(), b"?"))
    now = bench.loop.now
    letter = receive(bench.door)
    assert letter is not None
    bench.loop.now = now
    bench.exit.take(bench.door, letter)
    assert bench.exit.open == 2
    assert bench.exit.total == 3


def test_a_full_table_of_2017_pushes_the_oldest_out(bench: Bench) -> None:
    bench.open(OLD, most=2)
    for count in (1, 2, 3):
        bench.client().send(talk(OLD).seal(bench.header(), b"?"))
        bench.took(count)
    assert (bench.exit.open, bench.exit.total) == (2, 3)


def test_a_barred_user_is_not_carried_any_more(bench: Bench) -> None:
    exit = bench.open(OLD)
    sock, other = bench.client(), bench.client()
    talk = shadowsocks_udp.Talk(OLD, os.urandom)
    sock.send(talk.seal(bench.header(), b"one"))
    bench.hear(sock)
    exit.bar(frozenset([""]))
    assert exit.open == 0
    other.send(talk.seal(bench.header(), b"two"))
    bench.took(2)
    assert bench.taken == [True, True]
    assert (exit.open, exit.outcomes["barred"]) == (0, 1)
    exit.bar(frozenset())
    sock.send(talk.seal(bench.header(), b"three"))
    bench.hear(sock)
    assert exit.open == 1


@pytest.mark.parametrize("key", [OLD, NEW], ids=["2017", "2022"])
def test_other_keys_end_what_had_the_former_ones_and_nothing_else(bench: Bench, key: Key) -> None:
    exit = bench.open(key)
    client, end = bench.client(), talk(key)
    client.send(end.seal(bench.header(), b"one"))
    end.open(bench.hear(client))
    exit.renew([("", key)], None)
    assert exit.open == 1
    client.send(end.seal(bench.header(), b"two"))
    assert end.open(bench.hear(client)).payload == b"Etwo"
    assert exit.total == 1
    other = Key(key.suite, bytes(len(key.secret)))
    exit.renew([("", other)], None)
    assert exit.open == 0
    client.send(end.seal(bench.header(), b"three"))
    bench.took(3)
    assert bench.taken[2] is False
    anew = talk_of(other)
    client.send(anew.seal(bench.header(), b"four"))
    assert anew.open(bench.hear(client)).payload == b"Efour"


def test_a_rate_holds_both_ways(bench: Bench) -> None:
    exit = bench.open(NEW)
    with open(os.memfd_create("cells"), "r+b") as cells:
        cells.truncate(CELLS * CELL)
        exit._paces = Paces(bench.loop, cells.fileno())
        exit._paces.renew({"": 800_000}, {"": 0})
        client, end = bench.client(), talk(NEW)
        for _ in range(30):
            client.send(end.seal(bench.header(), bytes(8000)))
        bench.took(30)
        # A burst of 10 kB goes at once, 64 kB wait, the others are dropped.
        assert 15 <= exit._paces.dropped[""] <= 22
        assert exit.up[""] <= 24_000
        turn(bench.loop, lambda: exit.up[""] == (30 - exit._paces.dropped[""]) * 8000)
        assert end.open(bench.hear(client)).payload == b"E" + bytes(8000)
