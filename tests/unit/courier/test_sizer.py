"""Finding out sizes, against an exit on loopback that runs in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from tests.unit.courier.posts import IDENTITY, PSK, Posts

from plait.courier.orders import AwayOrder, WayOrder
from plait.courier.sizer import Order, find
from plait.courier.visit import Visit


def away(method: str = "aes-128-gcm") -> AwayOrder:
    return AwayOrder(name="attic", method=method, psk="" if method == "none" else PSK)


def way(port: int) -> WayOrder:
    return WayOrder(path="lo", remote="127.0.0.1", port=port, local="127.0.0.1", interface="lo")


@pytest.fixture(params=["aes-128-gcm", "none"])
def exit_at(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """The method and the port of an exit that serves by itself."""
    posts = Posts()
    port = posts.open_home(request.param)
    thread = threading.Thread(target=posts.loop.run)
    thread.start()
    yield request.param, port
    posts.loop.stop()
    # Wake it: it looks whether to stop when something comes.
    waker = Visit(way(port), away(request.param), IDENTITY)
    waker.greet(0.2)
    waker.close()
    thread.join(20)
    posts.close_home()
    posts.loop.close()


def order(method: str, port: int) -> Order:
    return Order(
        identity=IDENTITY.hex(), away=away(method), ways=[way(port)], mtus=[1500], uid=65534, gid=65534
    )


def test_an_order_travels() -> None:
    asked = order("aes-128-gcm", 8388)
    assert Order.from_json(asked.to_json()) == asked


def test_what_gets_through_is_found(exit_at: tuple[str, int]) -> None:
    asked = order(*exit_at)
    assert find(asked, asked.ways[0], 1500) == 1500
    assert find(asked, asked.ways[0], 9000) == 9000


def test_a_visit_learns_all_that_it_asks(exit_at: tuple[str, int]) -> None:
    method, port = exit_at
    visit = Visit(way(port), away(method), IDENTITY)
    try:
        assert visit.greet(20.0)
        assert not visit.serves
        rtt, loss = visit.echoes(5, 0.001, 5.0)
        assert rtt is not None
        assert 0 < rtt < 5
        assert loss == 0
        seen = visit.look(5.0)
        assert seen is not None
        assert str(seen.address) == "127.0.0.1"
        assert abs(seen.skew) < 5
        assert visit.largest(576, 2000, 5.0, back=False) == 2000
        up, down = visit.rates(5.0)
        assert up is not None
        assert down is not None
        assert up > 1e6
        assert not visit.told_too_large()
    finally:
        visit.close()


def test_where_nobody_answers_nothing_is_found() -> None:
    posts = Posts()
    port = posts.open_home()
    asked = order("aes-128-gcm", port)
    visit = Visit(way(port), away(), IDENTITY)
    try:
        assert not visit.greet(0.1)
    finally:
        visit.close()
        posts.close_home()
        posts.loop.close()
    gone = WayOrder(path="x", remote="127.0.0.1", port=port, local="127.0.0.1", interface="no-such")
    assert find(asked, gone, 1500) is None
