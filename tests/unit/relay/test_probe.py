"""The handshake alone, on loopback. Probes of whole exits are made in tests/netns/relay."""

from __future__ import annotations

import socket

import pytest
from tests.unit.relay.turning import turn

from plait.relay.gateway import Way
from plait.relay.loop import Loop
from plait.relay.probe import Result, handshake


def ask(way: Way) -> Result:
    loop = Loop()
    results: list[Result] = []
    handshake(loop, way, results.append)
    turn(loop, lambda: results)
    loop.close()
    return results[0]


def test_a_server_that_listens_is_there_and_gets_no_byte() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        result = ask(Way("127.0.0.1", listener.getsockname()[1], "127.0.0.1"))
        visitor, _ = listener.accept()
        visitor.settimeout(10)
        assert visitor.recv(1) == b"", "an end, no reset"
        visitor.close()
    assert result["ok"] is True
    rtt = result["rtt_ms"]
    assert isinstance(rtt, float)
    assert 0.0 < rtt < 10_000


@pytest.mark.parametrize("local", ["127.0.0.1", "192.0.2.9"])
def test_nobody_there_or_no_such_address_is_told_in_words(local: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = ask(Way("127.0.0.1", port, local))
    assert (result["ok"], result["rtt_ms"]) == (False, None)
    assert result["why"] == ("refused" if local == "127.0.0.1" else "no usable path")
