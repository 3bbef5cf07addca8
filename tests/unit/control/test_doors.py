from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

import pytest

from plait.config.model import Config, Exit, Gateway, Intercept, Peer, Proxy, ProxyProtocol, Secret
from plait.control.doors import Door, Doors, held, wanted
from plait.errors import PlaitError
from plait.wire.passes import Pass


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@pytest.fixture
def doors() -> Iterator[Doors]:
    doors = Doors()
    yield doors
    doors.close()


def test_what_a_config_wants() -> None:
    config = Config(
        gateway=Gateway(lan=("lan",), intercept=Intercept.REDIRECT),
        peers=(Peer(name="attic", address=("192.0.2.1",)),),
        exit=Exit(listen=(IPv4Address("192.0.2.9"), IPv6Address("::")), port=99, password=Secret("x")),
    )
    assert wanted(config, {"attic": 1080}) == [
        Door("redirect", "attic", "0.0.0.0", 1080),
        Door("redirect", "attic", "::", 1080, optional=True),
        Door("exit", "", "192.0.2.9", 99),
        Door("exit", "", "::", 99, optional=True),
    ]


PROXIES = (
    Proxy(listen=(IPv4Address("192.0.2.8"), 1081), exit="attic"),
    Proxy(
        listen=(IPv6Address("2001:db8::8"), 1082),
        protocol=ProxyProtocol.HTTP,
        exit="attic",
        username="app",
        password=Secret("geheim"),
    ),
)


def test_proxies_are_opened_and_a_pass_goes_with_those_that_ask(doors: Doors) -> None:
    config = Config(
        gateway=Gateway(lan=("lan",)), peers=(Peer(name="attic", address=("192.0.2.1",)),), proxies=PROXIES
    )
    found = wanted(config, {})
    assert found == [
        Door("socks5", "attic", "192.0.2.8", 1081),
        Door("http", "attic", "2001:db8::8", 1082),
    ]
    # None of these addresses is on this host, or not yet.
    doors.adjust(found, 2, mptcp=False)
    passes = held(config)
    orders = doors.orders(found, 0, 2, passes)
    assert [(order.kind, order.exit) for order in orders] == [("socks5", "attic"), ("http", "attic")]
    assert not orders[0].salt
    assert not orders[0].proof
    shown = Pass(bytes.fromhex(orders[1].salt), bytes.fromhex(orders[1].proof))
    assert shown.admits(b"app", b"geheim")
    assert "geheim" not in repr(orders)


def test_a_password_does_not_travel_to_another_door_of_its_port(doors: Doors) -> None:
    port = free_port()
    door = Door("redirect", "attic", "127.0.0.1", port)
    doors.adjust([door], 1, mptcp=False)
    (order,) = doors.orders([door], 0, 1, {("127.0.0.1", port): Pass(b"s", b"p")})
    assert not order.proof


def test_every_socket_is_served_by_one_worker_however_many_there_are(doors: Doors) -> None:
    door = Door("redirect", "attic", "127.0.0.1", free_port())
    doors.adjust([door], 3, mptcp=False)
    descriptors = [order.fd for index in range(3) for order in doors.orders([door], index, 3, {})]
    assert len(set(descriptors)) == 3
    # Those who wait in a socket stay when there are fewer workers: somebody serves it.
    waiting = [socket.create_connection((door.address, door.port)) for _ in range(20)]
    doors.adjust([door], 2, mptcp=False)
    doors.keep([door])
    served = [[order.fd for order in doors.orders([door], index, 2, {})] for index in range(2)]
    assert served == [[descriptors[0], descriptors[2]], [descriptors[1]]]
    ready, _, _ = select.select(descriptors, [], [], 5)
    found = 0
    for fd in ready:
        with socket.socket(fileno=socket.dup(fd)) as accepted:
            while True:
                try:
                    accepted.accept()[0].close()
                except BlockingIOError:
                    break
                found += 1
    assert found == 20
    for sock in waiting:
        sock.close()


def test_what_is_wanted_no_more_is_closed(doors: Doors) -> None:
    old, new = (Door("redirect", "attic", "127.0.0.1", free_port()) for _ in range(2))
    doors.adjust([old], 1, mptcp=False)
    doors.adjust([new], 1, mptcp=False)
    doors.keep([new])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((old.address, old.port))
    socket.create_connection((new.address, new.port)).close()


def test_a_port_that_is_taken(doors: Doors) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PlaitError, match=f"interceptor: 127.0.0.1:{port} is taken") as caught:
            doors.adjust([Door("redirect", "attic", "127.0.0.1", port)], 1, mptcp=False)
    assert caught.value.hint is not None
    assert "another port in [gateway]" in caught.value.hint


def test_an_address_that_is_not_here(doors: Doors) -> None:
    with pytest.raises(PlaitError, match="can't be listened on") as caught:
        doors.adjust([Door("exit", "", "192.0.2.77", 8388)], 1, mptcp=False)
    assert caught.value.hint is not None
    assert "not on this host" in caught.value.hint
