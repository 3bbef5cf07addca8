"""The last words arrive, whatever the peer is still sending."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.relay.turning import tcp_pair, turn, until_end

from plait.relay.farewell import Farewell
from plait.relay.loop import Loop
from plait.relay.pump import Pump


@pytest.fixture
def pump() -> Iterator[Pump]:
    loop = Loop()
    yield Pump(loop, lambda session, outcome: None)
    loop.close()


def test_words_arrive_although_unread_bytes_lie_there(pump: Pump) -> None:
    ours, far = tcp_pair()
    far.sendall(b"x" * 100_000)
    pump.loop.register(ours.fileno(), lambda mask: None)
    Farewell(pump, ours, b"no")
    far.sendall(b"x" * 100_000)
    assert far.recv(10) == b"no"
    far.close()
    turn(pump.loop, lambda: ours.fileno() < 0)


def test_nobody_is_waited_for_for_ever(pump: Pump) -> None:
    ours, far = tcp_pair()
    pump.loop.register(ours.fileno(), lambda mask: None)
    Farewell(pump, ours)
    turn(pump.loop, lambda: ours.fileno() < 0)
    assert until_end(far) == (b"", "eof")
    far.close()


def test_who_does_not_stop_is_reset(pump: Pump) -> None:
    ours, far = tcp_pair()
    pump.loop.register(ours.fileno(), lambda mask: None)
    Farewell(pump, ours, b"no")
    far.settimeout(0.01)

    def gone() -> bool:
        try:
            far.send(b"x" * 100_000)
        except TimeoutError:
            pass
        except OSError:
            return True
        return False

    turn(pump.loop, gone)
    assert ours.fileno() < 0
    far.close()


def test_a_peer_that_is_gone_already(pump: Pump) -> None:
    ours, far = tcp_pair()
    pump.loop.register(ours.fileno(), lambda mask: None)
    far.close()
    Farewell(pump, ours, b"no")
    turn(pump.loop, lambda: ours.fileno() < 0)
