"""A gateway's associations against a Desk, on loopback, in a loop that is turned by hand."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import pytest
from tests.unit.courier.posts import way
from tests.unit.relay.turning import turn

from plait.courier.faces import Face
from plait.courier.gateway_udp import DNS_IDLE, IDLE, PATIENCE, GatewayUdp, origin
from plait.courier.tally import Tally
from plait.kernel.udp import Letter, answer, open_door, receive
from plait.relay.loop import IN, Loop
from plait.wire import shadowsocks2022_udp, shadowsocks_udp
from plait.wire.cipher import SUITES_2022, Key

NEW = Key(SUITES_2022["2022-blake3-aes-128-gcm"], b"k" * 16)
OLD = Key.derive("aes-128-gcm", "secret")
CLIENT = ("192.168.1.9", 4711)
TARGET: Face = (bytes((192, 0, 2, 1)), 443)
DNS: Face = (bytes((192, 0, 2, 1)), 53)


class Bench:
    """A gateway, and an exit that answers for the target with what it heard."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.tally = Tally()
        self.sent: list[tuple[Face, bytes, tuple[str, int]]] = []
        self.prepared: list[Face] = []
        self.door = open_door("127.0.0.1", 0)
        self.port = self.door.getsockname()[1]
        self.letters: list[Letter] = []
        self.gateway: GatewayUdp

    def open(self, key: Key | None, *, most: int = 100, answers: bool = True) -> GatewayUdp:
        desk: shadowsocks_udp.Desk | shadowsocks2022_udp.Desk
        if key is NEW:
            desk = shadowsocks2022_udp.Desk([("", key)], os.urandom, time.time)
        else:
            desk = shadowsocks_udp.Desk([("", key)] if key else [], os.urandom)

        def ready(mask: int) -> None:
            while (letter := receive(self.door)) is not None:
                self.letters.append(letter)
                if answers:
                    parcel = desk.open(letter.data)
                    header = bytes((1, 192, 0, 2, 1)) + parcel.place.port.to_bytes(2, "big")
                    sealed = desk.answer(parcel).seal(header, b"E" + parcel.payload)
                    answer(self.door, sealed, letter.peer, letter.local)

        self.loop.register(self.door.fileno(), ready, IN)
        self.gateway = GatewayUdp(
            self.loop,
            key,
            self.tally,
            self.prepared.append,
            lambda face, data, client: self.sent.append((face, data, client)),
            most=most,
        )
        return self.gateway

    def close(self) -> None:
        self.gateway.close()
        self.door.close()
        self.loop.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


@pytest.mark.parametrize("key", [None, OLD, NEW], ids=["none", "2017", "2022"])
def test_there_and_back(bench: Bench, key: Key | None) -> None:
    gateway = bench.open(key)
    gateway.ways([way(bench.port)])
    for payload in (b"one", b"", os.urandom(9000)):
        gateway.take(CLIENT, TARGET, payload)
        turn(bench.loop, lambda: bench.sent)
        assert bench.sent == [(TARGET, b"E" + payload, CLIENT)]
        bench.sent.clear()
    assert set(bench.prepared) == {TARGET}
    assert (gateway.open, gateway.total, gateway.up, gateway.down) == (1, 1, 9003, 9006)
    assert len({letter.peer for letter in bench.letters}) == 1


def test_each_client_port_is_one_association(bench: Bench) -> None:
    gateway = bench.open(NEW)
    gateway.ways([way(bench.port)])
    for port in (1, 2, 3):
        for _ in range(2):
            gateway.take((CLIENT[0], port), TARGET, b"?")
    turn(bench.loop, lambda: len(bench.sent) == 6)
    assert gateway.open == 3
    assert len({letter.peer for letter in bench.letters}) == 3
    assert {client[1] for _, _, client in bench.sent} == {1, 2, 3}


def test_the_best_path_is_taken_and_left_when_it_goes(bench: Bench) -> None:
    gateway = bench.open(NEW)
    one, two = (way(bench.port, path, local=f"127.0.0.{n}") for n, path in ((1, "wan1"), (2, "wan2")))
    gateway.ways([one, two])
    gateway.lead(["wan2", "wan1"])
    gateway.take(CLIENT, TARGET, b"?")
    gateway.lead(["wan1", "wan2"])
    gateway.take(CLIENT, TARGET, b"?")
    turn(bench.loop, lambda: len(bench.sent) == 2)
    assert [letter.peer[0] for letter in bench.letters] == ["127.0.0.2"] * 2
    gateway.lead(["wan1"])
    gateway.take(CLIENT, TARGET, b"?")
    turn(bench.loop, lambda: len(bench.sent) == 3)
    assert bench.letters[-1].peer[0] == "127.0.0.1"
    gateway.ways([two])
    gateway.take(CLIENT, TARGET, b"?")
    turn(bench.loop, lambda: len(bench.sent) == 4)
    assert bench.letters[-1].peer[0] == "127.0.0.2"
    assert gateway.total == 1


def test_without_a_way_datagrams_are_dropped_and_the_next_try_works(bench: Bench) -> None:
    gateway = bench.open(NEW)
    gateway.take(CLIENT, TARGET, b"?")
    gateway.ways([way(bench.port, local="192.0.2.77")])
    gateway.take(CLIENT, TARGET, b"?")
    assert gateway.dropped == 2
    gateway.ways([way(bench.port)])
    gateway.take(CLIENT, TARGET, b"!")
    turn(bench.loop, lambda: bench.sent)
    assert bench.sent[0][1] == b"E!"


def test_wrong_answers_and_replays_reach_nobody(bench: Bench) -> None:
    gateway = bench.open(NEW, answers=False)
    gateway.ways([way(bench.port)])
    gateway.take(CLIENT, TARGET, b"?")
    turn(bench.loop, lambda: bench.letters)
    letter = bench.letters[0]
    desk = shadowsocks2022_udp.Desk([("", NEW)], os.urandom, time.time)
    talk = desk.answer(desk.open(letter.data))
    good = talk.seal(bytes((1, 192, 0, 2, 1, 1, 187)), b"!")
    named = talk.seal(b"\x03\x04name\x01\xbb", b"!")
    for datagram in (b"", b"x" * 100, letter.data, named, good, good):
        answer(bench.door, datagram, letter.peer, letter.local)
    turn(bench.loop, lambda: bench.tally.strangers["replayed"] == 1)
    assert bench.tally.strangers["wrong answer"] == 4
    assert bench.sent == [(TARGET, b"!", CLIENT)]


def test_idle_associations_end(bench: Bench) -> None:
    gateway = bench.open(NEW)
    gateway.ways([way(bench.port)])
    gateway.take(CLIENT, TARGET, b"?")
    gateway.take(("192.168.1.9", 5), DNS, b"?")
    for beyond, left in ((DNS_IDLE - 1, 2), (DNS_IDLE + 1, 1), (IDLE - 1, 1), (IDLE + 1, 0)):
        begun = time.monotonic()
        bench.loop.now = begun + beyond
        gateway._sweep()
        assert gateway.open == left


def test_a_full_table_pushes_the_oldest_out(bench: Bench) -> None:
    gateway = bench.open(NEW, most=2)
    gateway.ways([way(bench.port)])
    for port in (1, 2, 1, 3):
        gateway.take((CLIENT[0], port), TARGET, b"?")
    assert [client[1] for client in gateway._known] == [1, 3]


def test_whom_a_datagram_was_for() -> None:
    four = (2).to_bytes(2, "little") + (53).to_bytes(2, "big") + bytes((192, 0, 2, 1)) + bytes(8)
    six = (10).to_bytes(2, "little") + (53).to_bytes(2, "big") + bytes(4) + bytes(range(16)) + bytes(4)
    assert origin([(socket.SOL_IP, 20, four)]) == DNS
    assert origin([(1, 2, b""), (socket.IPPROTO_IPV6, 74, six)]) == (bytes(range(16)), 53)
    assert origin([]) is None


def test_what_was_sent_to_our_own_address_is_no_loop(bench: Bench) -> None:
    gateway = bench.open(NEW)
    gateway.ways([way(bench.port)])
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    listener.setsockopt(socket.SOL_IP, 20, 1)
    listener.bind(("127.0.0.1", 0))
    gateway.own = frozenset({bytes((127, 0, 0, 1))})
    gateway.serve(listener)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", listener.getsockname())
        turn(bench.loop, lambda: gateway.dropped == 1)
        gateway.own = frozenset()
        client.sendto(b"x", listener.getsockname())
        turn(bench.loop, lambda: bench.sent)
    assert gateway.total == 1


def test_another_exit_stands_in_for_new_clients_and_for_those_who_get_no_answer(bench: Bench) -> None:
    home = bench.open(NEW)
    home.ways([way(bench.port)])
    other = GatewayUdp(bench.loop, NEW, bench.tally, lambda face: None, lambda *_: None)
    other.ways([way(bench.port)])
    home.take(CLIENT, TARGET, b"?")
    turn(bench.loop, lambda: bench.sent)
    home.stand_in = other
    # It has just been answered: it stays. A new one does not, nor one whose answers have ceased.
    home.take(CLIENT, TARGET, b"?")
    home.take(("192.168.1.9", 1), TARGET, b"?")
    assert (home.open, other.open) == (1, 1)
    bench.loop.now += PATIENCE + 1
    home.take(CLIENT, TARGET, b"?")
    assert (home.open, other.open) == (0, 2)
    # What is private is our own exit's alone.
    home.take(("192.168.1.9", 2), (bytes((10, 1, 2, 3)), 53), b"?")
    assert (home.open, other.open) == (1, 2)
    # When our exit is well again, whoever went stays until it is done there.
    home.stand_in = None
    home.take(CLIENT, TARGET, b"?")
    home.take(("192.168.1.9", 3), TARGET, b"?")
    assert (home.open, other.open) == (2, 2)
    other.close()
    home.take(CLIENT, TARGET, b"?")
    assert home.open == 3


def test_two_exits_that_stand_in_for_each_other_do_not_go_round(bench: Bench) -> None:
    one = bench.open(NEW)
    two = GatewayUdp(bench.loop, NEW, bench.tally, lambda face: None, lambda *_: None)
    one.stand_in = two
    one.take(CLIENT, TARGET, b"?")
    one.stand_in, two.stand_in = None, one
    bench.loop.now += PATIENCE + 1
    one.take(CLIENT, TARGET, b"?")
    assert (one.open, two.open) == (1, 0)
    two.close()
