"""Strangers that are handed on, and how many."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from tests.unit.relay.turning import PATIENCE, tcp_pair, turn

from plait.relay import exit as module
from plait.relay.admission import Admission
from plait.relay.exit import Doorkeeper
from plait.relay.loop import Loop
from plait.relay.pump import Pump
from plait.relay.resolver import Resolver
from plait.relay.tally import Tally
from plait.wire.streams import Keyring


@pytest.fixture
def loop() -> Iterator[Loop]:
    found = Loop()
    yield found
    found.close()


def test_there_are_no_more_than_there_may_be(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STRANGERS", 2)
    tally = Tally()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        door = Doorkeeper(
            Pump(loop, lambda session, outcome: None),
            tally,
            Resolver(loop),
            Admission([]),
            keys=Keyring((), bytes, lambda: 0.0),
            salts=None,
            trust=(),
            handshake=60.0,
            limit=5.0,
            fallback=("127.0.0.1", server.getsockname()[1]),
        )
        fars = []
        for _ in range(3):
            ours, far = tcp_pair()
            fars.append(far)
            door.accepted(ours, "192.0.2.1")
        assert (tally.strangers["handed on"], tally.strangers["crowded out"]) == (2, 1)
        assert fars[2].recv(1) == b""
        turn(loop, lambda: not tally.opening)
        inner = [server.accept()[0] for _ in range(2)]
        fars[0].sendall(b"hello")
        turn(loop, lambda: select_readable(inner))
        for sock in (*fars[:2], *inner):
            sock.close()
        turn(loop, lambda: not door._handed)
        ours, far = tcp_pair()
        door.accepted(ours, "192.0.2.1")
        assert tally.strangers["handed on"] == 3
        turn(loop, lambda: not tally.opening)
        for sock in (fars[2], far):
            sock.close()
    turn(loop, lambda: not door._handed)


def select_readable(socks: list[socket.socket]) -> bool:
    """Whether one of them has something to read."""
    for sock in socks:
        sock.setblocking(False)
        try:
            if sock.recv(5, socket.MSG_PEEK):
                return True
        except BlockingIOError:
            pass
    return False
