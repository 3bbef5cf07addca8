from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator

import pytest
from tests.unit.relay.turning import turn

from plait.relay.loop import IN, Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def test_timers_come_in_order_and_can_be_cancelled(loop: Loop) -> None:
    said: list[str] = []
    loop.after(0.03, lambda: said.append("third"))
    loop.after(0.01, lambda: said.append("first"))
    loop.after(0.02, lambda: said.append("cancelled")).cancel()
    loop.after(0.02, lambda: said.append("second"))
    turn(loop, lambda: len(said) == 3)
    assert said == ["first", "second", "third"]


def test_what_is_put_off_comes_after_the_events_at_hand(loop: Loop) -> None:
    said: list[str] = []
    reader, writer = os.pipe()

    def readable(mask: int) -> None:
        os.read(reader, 1)
        loop.soon(lambda: said.append("later"))
        said.append("now")

    loop.register(reader, readable, IN)
    os.write(writer, b"x")
    turn(loop, lambda: len(said) == 2)
    assert said == ["now", "later"]
    os.close(reader)
    os.close(writer)


def test_a_handler_may_close_another_of_the_same_batch(loop: Loop) -> None:
    pipes = [os.pipe(), os.pipe()]
    said: list[int] = []

    def make(number: int) -> None:
        def handler(mask: int) -> None:
            said.append(number)
            other = pipes[1 - number][0]
            loop.forget(other)
            loop.forget(pipes[number][0])
            for reader, _ in pipes:
                os.close(reader)

        loop.register(pipes[number][0], handler, IN)

    for number in (0, 1):
        make(number)
        os.write(pipes[number][1], b"x")
    turn(loop, lambda: said)
    assert len(said) == 1
    for _, writer in pipes:
        os.close(writer)


def test_rebind_changes_the_handler_only(loop: Loop) -> None:
    reader, writer = os.pipe()
    said: list[str] = []
    loop.register(reader, lambda mask: said.append("old"))
    loop.rebind(reader, lambda mask: said.append("new"))
    os.write(writer, b"x")
    turn(loop, lambda: said)
    assert said == ["new"]
    loop.unregister(reader)
    loop.unregister(reader)
    os.close(reader)
    os.close(writer)


def test_a_number_that_is_used_again_hears_nothing_of_its_former_owner() -> None:
    """Both are readable in one batch; whoever comes first closes the other, and a new socket gets its
    number. The event that was meant for the dead one must not reach the newborn."""
    loop = Loop()
    pairs = [socket.socketpair() for _ in range(2)]
    heard: list[int] = []
    newborn: list[socket.socket] = []

    def first_come(mine: int) -> Callable[[int], None]:
        def handler(mask: int) -> None:
            if newborn:
                return
            other = pairs[1 - mine][0]
            number = other.fileno()
            loop.forget(number)
            other.close()
            newborn.extend(socket.socketpair())
            assert newborn[0].fileno() == number
            loop.register(number, heard.append, IN)

        return handler

    for mine, (ours, theirs) in enumerate(pairs):
        loop.register(ours.fileno(), first_come(mine), IN)
        theirs.send(b"x")
    turn(loop, lambda: newborn)
    turn(loop, lambda: True)
    assert heard == []
    newborn[1].send(b"x")
    turn(loop, lambda: heard)
    for sock in (*newborn, *(sock for pair in pairs for sock in pair)):
        sock.close()
    loop.close()


def test_timeouts_of_one_length_are_forgotten_when_cancelled(loop: Loop) -> None:
    said: list[str] = []
    kept = [loop.timeout(0.01, lambda name=name: said.append(name)) for name in "abc"]  # type: ignore[misc]
    kept[1].cancel()
    assert list(loop._timeouts[0.01]) == [kept[0], kept[2]]
    loop.timeout(0.005, lambda: said.append("first"))
    turn(loop, lambda: len(said) == 3)
    assert said == ["first", "a", "c"]
    assert not any(loop._timeouts.values())
    kept[0].cancel()


def test_a_timeout_may_ask_for_another_of_a_new_length(loop: Loop) -> None:
    said: list[int] = []
    loop.timeout(0.001, lambda: loop.timeout(0.002, lambda: said.append(1)))
    turn(loop, lambda: said)
