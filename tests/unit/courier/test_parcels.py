"""From a job to both ends: datagrams of a client, handed over as nftables does, come back to it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from tests.unit.courier.posts import way
from tests.unit.relay.turning import turn

from plait.courier.faces import read
from plait.courier.home import Home
from plait.courier.orders import AwayOrder, CourierJob, HomeOrder
from plait.courier.parcels import Parcels
from plait.courier.tally import Tally
from plait.kernel.udp import open_door
from plait.relay.loop import IN, Loop
from plait.wire.cipher import SUITES, SUITES_2022, Key
from plait.wire.greeting import preshared

KEYS: dict[str, Key | None] = {
    "none": None,
    **{method: Key.derive(method, "secret") for method in SUITES},
    **{method: Key(suite, b"k" * suite.key_size) for method, suite in SUITES_2022.items()},
}


class World:
    """Both ends in one, a target that echoes, and a control that lends sockets of 127.0.0.3."""

    def __init__(self, method: str) -> None:
        key = KEYS[method]
        told = key.told() if key else ""
        self.loop = Loop()
        self.borrowed: list[tuple[bytes, int]] = []
        self.door = open_door("127.0.0.1", 0)
        self.target, self.client, handed = (datagrams() for _ in range(3))
        self.control, lender = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.loop.register(self.control.fileno(), self._lend, IN)
        self.loop.register(self.target.fileno(), self._echo, IN)
        home_order = HomeOrder(
            doors=[],
            method=method,
            psks={"": preshared("x").hex()} if key else {},
            trust=["127.0.0.0/8"],
            secrets={"": told} if key else {},
            allow=["127.0.0.1/32"],
        )
        self.place = ip_address("127.0.0.1").packed, self.target.getsockname()[1]
        job = CourierJob(
            identity="",
            aways=[AwayOrder(name="attic", method=method, secret=told, doors=[handed.detach()])],
            home=home_order,
            uid=0,
            gid=0,
            verbose=0,
            lender=lender.detach(),
        )
        tally = Tally()
        home = Home(self.loop, [self.door], home_order, tally, secret=bytes(32))
        self.parcels = Parcels(self.loop, job, home, tally)
        self.parcels.ways("attic", [way(self.door.getsockname()[1])])
        self.parcels.ways("nobody", [])

    def hand_over(self, payload: bytes) -> None:
        """As if nftables had handed over what the client sent to the target."""
        self.parcels._gateways["attic"].take(self.client.getsockname(), self.place, payload)

    def close(self) -> None:
        self.parcels.close()
        for sock in (self.door, self.target, self.client, self.control):
            sock.close()
        self.loop.close()

    def _lend(self, mask: int) -> None:
        question = self.control.recv(64)
        self.borrowed.append(read(question))
        with datagrams("127.0.0.3") as sock:
            socket.send_fds(self.control, [question], [sock.fileno()])

    def _echo(self, mask: int) -> None:
        data, peer = self.target.recvfrom(65535)
        self.target.sendto(b"E" + data, peer)


def datagrams(address: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    sock.bind((address, 0))
    return sock


@pytest.fixture(params=KEYS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    world = World(request.param)
    yield world
    world.close()


def test_a_datagram_goes_out_and_its_answer_comes_back(world: World) -> None:
    heard: list[tuple[bytes, str]] = []

    def came() -> bool:
        with contextlib.suppress(BlockingIOError):
            data, peer = world.client.recvfrom(100)
            heard.append((data, peer[0]))
        return bool(heard)

    world.parcels.obey({"lead": {"attic": ["wan1"], "nobody": []}, "own": ["192.0.2.9", "fd00::1"]})
    world.hand_over(b"?")
    turn(world.loop, came)
    assert heard == [(b"E?", "127.0.0.3")]
    assert world.borrowed == [world.place]
    figures = world.parcels.figures()
    assert figures == {
        "open": 2, "total": 2, "up_bytes": 2, "down_bytes": 4, "outcomes": {}, "names": {},
        "users": {"": [1, 2]},
    }  # fmt: skip


def test_what_goes_nowhere_is_told(world: World) -> None:
    world.parcels.obey({"own": ["127.0.0.1"]})
    world.hand_over(b"allowed all the same, as the config names it")
    world.parcels.ways("attic", [])
    world.hand_over(b"?")
    assert world.parcels.figures()["outcomes"] == {"no usable path": 1}


def test_a_courier_without_parcels_has_nothing_to_tell() -> None:
    loop = Loop()
    job = CourierJob(identity="", aways=[], home=None, uid=0, gid=0, verbose=0)
    parcels = Parcels(loop, job, None, Tally())
    parcels.obey({"own": ["192.0.2.1"]})
    figures = parcels.figures()
    assert (figures["open"], figures["total"], figures["outcomes"]) == (0, 0, {})
    loop.close()
