from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from tests.unit.relay.turning import turn

from plait.relay.listener import Listener
from plait.relay.loop import Loop


class Hall:
    """A listener with so many seats."""

    def __init__(self, seats: int) -> None:
        self.loop = Loop()
        self.seats = seats
        self.taken: list[socket.socket] = []
        self.guests: list[socket.socket] = []
        sock = socket.create_server(("127.0.0.1", 0), backlog=500)
        self.address = sock.getsockname()
        self.listener = Listener(
            self.loop, sock, lambda sock, peer: self.taken.append(sock), lambda: len(self.taken) < self.seats
        )

    def come(self, count: int) -> None:
        self.guests += [socket.create_connection(self.address) for _ in range(count)]

    def close(self) -> None:
        for sock in (*self.taken, *self.guests):
            sock.close()
        self.listener.close()
        self.loop.close()


@pytest.fixture
def hall() -> Iterator[Hall]:
    hall = Hall(1000)
    yield hall
    hall.close()


def test_all_who_wait_are_taken(hall: Hall) -> None:
    hall.come(150)
    turn(hall.loop, lambda: len(hall.taken) == 150)
    assert not hall.taken[0].getblocking()


def test_no_more_than_there_is_room_for(hall: Hall) -> None:
    hall.seats = 3
    hall.come(5)
    turn(hall.loop, lambda: len(hall.taken) == 3)
    ticks: list[int] = []
    hall.loop.after(0.3, lambda: ticks.append(1))
    turn(hall.loop, lambda: ticks)
    assert len(hall.taken) == 3
    # Those who wait are served when others leave.
    hall.seats = 5
    turn(hall.loop, lambda: len(hall.taken) == 5)


def test_who_has_come_before_it_closes_is_taken(hall: Hall) -> None:
    hall.come(150)
    hall.listener.close()
    assert len(hall.taken) == 150
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(hall.address)


def test_a_client_that_left_again_is_no_trouble(hall: Hall) -> None:
    for _ in range(20):
        socket.create_connection(hall.address).close()
    hall.come(1)
    turn(hall.loop, lambda: len(hall.taken) >= 1)
