"""What a flow is by what it sends, and what follows."""

from __future__ import annotations

import pytest

from plait.tunnel.classes import BUCKET, CALM, LEAK, Temper, Wish, keeps_order, treatment
from plait.tunnel.frames import Treatment

LOOSE, REDUNDANT, ORDERED = Treatment


def key(protocol: int, source: int = 0, destination: int = 0) -> bytes:
    return bytes((protocol, *range(8))) + source.to_bytes(2, "big") + destination.to_bytes(2, "big")


@pytest.mark.parametrize(
    ("size", "gap", "thin"),
    [
        (228, 0.020, True),  # voice, 64 kbit/s
        (400, 0.0156, True),  # a game's 64 updates a second
        (1500, 0.050, True),  # 240 kbit/s
        (1500, 0.010, False),  # 1.2 Mbit/s
        (1500, 0.0005, False),
    ],
)
def test_steady_flows(size: int, gap: float, thin: bool) -> None:
    temper = Temper(0.0)
    for step in range(20_000):
        temper.sent(size, step * gap)
    assert temper.thin is thin


def test_a_burst_makes_it_thick_and_calm_makes_it_thin() -> None:
    temper = Temper(0.0)
    assert temper.sent(BUCKET, 0.0)
    assert not temper.sent(1, 0.0)
    empty = BUCKET / LEAK
    assert not temper.sent(100, empty)
    assert not temper.sent(100, empty + CALM - 0.5)
    assert temper.sent(100, empty + CALM + 0.1)


@pytest.mark.parametrize(
    ("key_", "wish", "thin", "expected"),
    [
        (key(6, 40000, 443), Wish.AUTO, True, (ORDERED, True)),
        (key(6, 40000, 443), Wish.AUTO, False, (ORDERED, False)),
        (key(17, 40000, 443), Wish.AUTO, True, (REDUNDANT, True)),
        (key(17, 40000, 443), Wish.AUTO, False, (ORDERED, False)),
        (key(17, 443, 40000), Wish.AUTO, False, (ORDERED, False)),
        (key(17, 40000, 5201), Wish.AUTO, False, (LOOSE, False)),
        (key(17, 40000, 53), Wish.AUTO, True, (REDUNDANT, True)),
        (key(1), Wish.AUTO, True, (REDUNDANT, True)),
        (key(50, 443, 443), Wish.AUTO, False, (LOOSE, False)),
        (key(17), Wish.REDUNDANT, False, (REDUNDANT, True)),
        (key(6), Wish.REDUNDANT, False, (ORDERED, True)),
        (key(17), Wish.ORDERED, True, (ORDERED, False)),
        (key(6), Wish.BOND, True, (LOOSE, False)),
        (key(17), Wish.FAILOVER, True, (LOOSE, False)),
    ],
)
def test_treatments(key_: bytes, wish: Wish, thin: bool, expected: tuple[Treatment, bool]) -> None:
    assert treatment(key_, wish, thin) == expected


def test_order_goes_by_protocol_and_port() -> None:
    assert keeps_order(key(6))
    assert keeps_order(key(17, 8443, 1000))
    assert not keeps_order(key(17, 1000, 2000))
    assert not keeps_order(key(132, 443, 443))
