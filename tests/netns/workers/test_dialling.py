"""How a worker gets its connections: raced over paths, dialled in advance."""

from __future__ import annotations

import socket
import time

from tests.netns.hands.namespaces import eventually

from .duo import PATIENCE, Duo, echo, way

FAR = 0.02
"""Seconds of round trip as control tells it; that the links of the test are shorter does not matter."""


def talk(client: socket.socket, words: bytes = b"hello") -> float:
    """Say something and wait for the echo; gives the seconds that it took."""
    begun = time.monotonic()
    client.sendall(words)
    answer = b""
    while len(answer) < len(words):
        piece = client.recv(65536)
        assert piece, "cut off"
        answer += piece
    assert answer == words
    return time.monotonic() - begun


def test_a_dead_first_path_costs_a_moment(duo: Duo) -> None:
    duo.exit()
    duo.gateway([way(1, FAR), way(2, FAR)])
    duo.server(echo)
    duo.mute(1)
    # Nobody has found out yet: the SYN goes over the first, and 50 ms later over the second, too.
    took = []
    for _ in range(5):
        with duo.client() as client:
            took.append(talk(client))
    assert min(took) < 0.3
    assert max(took) < PATIENCE


def test_a_path_that_is_told_dead_is_left_during_the_dial(duo: Duo) -> None:
    duo.exit()
    # With so long a round trip the second would have its turn after a second.
    gateway = duo.gateway([way(1, 5.0), way(2, 5.0)])
    duo.server(echo)
    duo.mute(1)
    with duo.client() as client:
        time.sleep(0.05)
        gateway.tell({"ways": {"attic": [way(2, 5.0)]}})
        assert talk(client) < PATIENCE


def spares(duo: Duo, count: int) -> None:
    """Wait until so many TCP connections stand, subflows included."""
    eventually(lambda: duo.established() == count, PATIENCE)


def test_spares_have_both_paths_before_anybody_wants_them(duo: Duo) -> None:
    exit_worker = duo.exit()
    gateway = duo.gateway([way(1, FAR), way(2, FAR)], warm=2)
    duo.server(echo)
    spares(duo, 4)
    with duo.client() as client:
        talk(client)
        # The one that was taken, and two in stock.
        spares(duo, 6)
        tally = gateway.ask("tally")["tally"]
        assert (tally["open"], tally["total"]) == (1, 1)
        talk(client, b"x" * 300_000)
    for _ in range(20):
        with duo.client() as client:
            talk(client)
    strangers = exit_worker.ask("tally")["tally"]["strangers"]
    assert not set(strangers) - {"left"}, "none that could not prove itself"


def test_spares_are_dialled_again_when_the_ways_change_or_the_exit_hangs_up(duo: Duo) -> None:
    duo.exit(handshake_timeout=1.5)
    gateway = duo.gateway([way(1, FAR), way(2, FAR)], warm=2)
    duo.server(echo)
    spares(duo, 4)
    gateway.tell({"ways": {"attic": [way(2, FAR)]}})
    spares(duo, 4)
    # By now the exit has closed some that said nothing, and will again.
    gateway.listen(4.0)
    for _ in range(10):
        with duo.client() as client:
            talk(client)
    assert gateway.ask("tally")["tally"]["outcomes"].get("reset by the far side", 0) == 0
    gateway.tell({"drain": True})
    eventually(lambda: duo.established() == 0, PATIENCE)


def test_an_exit_that_drains_still_serves_those_that_wait(duo: Duo) -> None:
    exit_worker = duo.exit()
    duo.gateway([way(1, FAR), way(2, FAR)], warm=2)
    duo.server(echo)
    spares(duo, 4)
    exit_worker.tell({"drain": True})
    with duo.client() as client:
        talk(client)


def test_no_spares_for_an_exit_next_door(duo: Duo) -> None:
    duo.exit()
    # The round trip is told, as control does: on a busy machine a handshake takes long even next door.
    gateway = duo.gateway([way(1, 0.0005), way(2, 0.0005)], warm=4)
    duo.server(echo)
    gateway.listen(1.0)
    assert duo.established() == 0
    with duo.client() as client:
        talk(client)
