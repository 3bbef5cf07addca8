from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from tests.unit.relay.turning import turn

from plait.relay import resolver as module
from plait.relay.loop import Loop
from plait.relay.resolver import Resolver

V4, V6 = int(socket.AF_INET), int(socket.AF_INET6)


class Names:
    """A resolver's other side: answers what it knows, and hangs on names with ``slow`` in them."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.release = threading.Event()

    def __call__(self, name: str, family: int) -> list[str]:
        self.asked.append((name, family))
        if "slow" in name:
            self.release.wait(20)
            return []
        return {("both", V4): ["192.0.2.1"], ("both", V6): ["2001:db8::1"]}.get((name, family), [])


@pytest.fixture
def names() -> Iterator[Names]:
    names = Names()
    yield names
    names.release.set()


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def test_each_family_has_its_answer(loop: Loop, names: Names) -> None:
    resolver = Resolver(loop, names)
    answers: dict[int, list[str]] = {}
    resolver.resolve("both", V6, lambda found: answers.update({V6: found}))
    resolver.resolve("both", V4, lambda found: answers.update({V4: found}))
    turn(loop, lambda: len(answers) == 2)
    assert answers == {V4: ["192.0.2.1"], V6: ["2001:db8::1"]}


def test_a_name_that_does_not_exist_has_no_address(loop: Loop, names: Names) -> None:
    resolver = Resolver(loop, names)
    answers: list[list[str]] = []
    resolver.resolve("nowhere", V4, answers.append)
    turn(loop, lambda: answers)
    assert answers == [[]]
    # Not remembered: it may be there the next moment.
    resolver.resolve("nowhere", V4, answers.append)
    turn(loop, lambda: len(answers) == 2)
    assert names.asked == [("nowhere", V4)] * 2


def test_an_answer_serves_again_for_a_while(loop: Loop, names: Names) -> None:
    resolver = Resolver(loop, names)
    answers: list[list[str]] = []
    for count in (1, 2):
        resolver.resolve("both", V4, answers.append)
        assert len(answers) == count - 1, "never before the caller has returned"
        turn(loop, lambda count=count: len(answers) == count)  # type: ignore[misc]
    assert len(names.asked) == 1
    resolver._known = {question: (0.0, found) for question, (_, found) in resolver._known.items()}
    resolver.resolve("both", V4, answers.append)
    turn(loop, lambda: len(answers) == 3)


def test_one_question_at_the_same_time_is_asked_once(loop: Loop, names: Names) -> None:
    resolver = Resolver(loop, names)
    answers: list[list[str]] = []
    for _ in range(5):
        resolver.resolve("slow", V4, answers.append)
    turn(loop, lambda: names.asked)
    names.release.set()
    turn(loop, lambda: len(answers) == 5)
    assert names.asked == [("slow", V4)]


def test_names_that_hang_hold_up_nobody(loop: Loop, names: Names) -> None:
    resolver = Resolver(loop, names)
    ignored: list[list[str]] = []
    for number in range(200):
        resolver.resolve(f"slow{number}", V4, ignored.append)
    answers: list[list[str]] = []
    resolver.resolve("both", V4, answers.append)
    turn(loop, lambda: answers)
    assert answers == [["192.0.2.1"]]
    assert not ignored


@pytest.mark.parametrize("name", ["x" * 64 + ".test", "ü.test", "", "a" * 300])
def test_an_impossible_name_is_no_failure_of_ours(name: str) -> None:
    # Such names never get past the wire room; the resolver would not fall over them either.
    assert module._ask(name, V4) == [] or name == ""


def test_the_real_one_knows_the_hosts_file() -> None:
    assert "127.0.0.1" in module._ask("localhost", V4)
