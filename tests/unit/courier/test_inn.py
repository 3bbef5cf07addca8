"""Who lodges at an exit, and for how long."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from plait.courier import inn as module
from plait.courier.inn import Inn, Lodger
from plait.courier.tally import Tally
from plait.courier.tun import Tun
from plait.relay.loop import Loop
from plait.wire.datagram import Session


@pytest.fixture
def inn() -> Iterator[Inn]:
    """One with room for five."""
    loop = Loop()
    near, far = socket.socketpair()
    yield Inn(loop, Tun(loop, near.fileno(), Tally()), Tally(), [ip_network("10.9.0.0/29"), ip_network("fd09::/64")], 1400)
    near.close()
    far.close()
    loop.close()


def arrive(inn: Inn, number: int, user: str = "") -> Lodger | None:
    return inn.arrived(
        (user, bytes([number]) * 16),
        5,
        Session.plain(1, 2),
        lambda path, buffers, size: None,
        lambda path: None,
    )


def test_everybody_has_an_address_of_his_own(inn: Inn) -> None:
    found = [arrive(inn, number) for number in range(5)]
    assert len({address for lodger in found if lodger for address in lodger.addresses}) == 10
    for lodger in found:
        assert lodger is not None
        assert [address.network for address in lodger.addresses] == [
            ip_network("10.9.0.0/29"),
            ip_network("fd09::/64"),
        ]
    assert arrive(inn, 0) is found[0]
    assert arrive(inn, 0, user="mallory") is None


def test_who_is_gone_for_long_makes_room(inn: Inn) -> None:
    found = [arrive(inn, number) for number in range(5)]
    assert arrive(inn, 5) is None
    for lodger in found[1:]:
        assert lodger is not None
        lodger.seen += module._FORGET + 1
    inn._loop.now += module._FORGET + 1
    newcomer = arrive(inn, 5)
    assert newcomer is not None
    assert found[0] is not None
    assert newcomer.addresses[0] == found[0].addresses[0]
    assert arrive(inn, 1) is found[1]
