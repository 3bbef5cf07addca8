"""Which echoes are out, and how long they are waited for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.courier.echoes import LEAST, MOST, Echoes

SECOND = 1_000_000_000


def replied(echoes: Echoes, rtt: float, count: int = 1) -> None:
    for _ in range(count):
        assert echoes.reply(echoes.send(10.0, 0), 10.0 + rtt, 0, 0) is not None


def test_a_reply_tells_when_its_echo_was_sent_and_what_it_took() -> None:
    echoes = Echoes()
    first, second = echoes.send(1.0, SECOND), echoes.send(2.0, 2 * SECOND)
    assert echoes.reply(second, 2.03, 0, 10_000) == (2.0, pytest.approx(0.02))
    assert echoes.heard == 2.0
    assert echoes.reply(first, 2.04, 0, 0) == (1.0, pytest.approx(1.04))
    assert echoes.heard == 2.0
    assert echoes.reply(first, 2.05, 0, 0) is None, "one reply an echo"
    assert echoes.reply(77, 2.05, 0, 0) is None


@pytest.mark.parametrize(
    ("wall", "expected"),
    [
        (SECOND + 20_000_000, 0.02),  # the kernel had it after 20 ms; we slept
        (0, 0.5),
        (SECOND - 1, 0.5),  # the clock was set back
        (9 * SECOND, 0.5),  # … or forward
    ],
)
def test_what_we_slept_is_not_the_paths_fault(wall: int, expected: float) -> None:
    echoes = Echoes()
    number = echoes.send(1.0, SECOND)
    found = echoes.reply(number, 1.5, wall, 0)
    assert found is not None
    assert found[1] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("rtt", "least", "most"),
    [(0.001, LEAST, LEAST), (0.05, LEAST, 0.2), (0.6, 0.66, 0.9), (3.0, MOST, MOST)],
)
def test_patience_follows_what_replies_take(rtt: float, least: float, most: float) -> None:
    echoes = Echoes()
    assert echoes.patience() == 1.0
    replied(echoes, rtt, 20)
    assert least <= echoes.patience() <= most


def test_replies_that_waited_for_a_silence_to_end_teach_nothing() -> None:
    echoes = Echoes()
    replied(echoes, 0.01, 20)
    out = [echoes.send(20.0 + 0.2 * number, 0) for number in range(4)]
    for number in out[:3]:
        echoes.due(number)
    for number in out:
        assert echoes.reply(number, 20.7, 0, 0) is not None
    assert echoes.patience() == pytest.approx(0.17, abs=0.05), "the last was in time"


def test_a_way_that_has_become_longer_is_learnt_from_the_second_one() -> None:
    echoes = Echoes()
    replied(echoes, 0.01, 20)
    for number in range(12):
        late = echoes.send(20.0 + number, 0)
        echoes.due(late)
        echoes.reply(late, 20.6 + number, 0, 0)
    assert echoes.patience() > 0.6


def test_a_longer_way_is_learnt_while_many_echoes_are_under_way() -> None:
    """Asked every 50 ms: each late reply is to an echo that was sent before the one before it had come."""
    echoes = Echoes()
    replied(echoes, 0.01, 20)
    under_way: list[tuple[float, int]] = []
    for step in range(100):
        now = 20.0 + 0.05 * step
        while under_way and under_way[0][0] + 0.6 <= now:
            sent, number = under_way.pop(0)
            echoes.reply(number, sent + 0.6, 0, 0)
        number = echoes.send(now, 0)
        echoes.due(number)
        under_way.append((now, number))
    assert echoes.patience() > 0.6


def test_an_echo_is_given_up_once_and_its_reply_still_counts() -> None:
    echoes = Echoes()
    number = echoes.send(1.0, 0)
    assert echoes.due(number) == 1.0
    assert echoes.due(number) is None
    assert echoes.reply(number, 3.0, 0, 0) == (1.0, pytest.approx(2.0))
    assert echoes.due(echoes.send(4.0, 0)) == 4.0


def test_what_was_answered_or_withdrawn_is_not_due() -> None:
    echoes = Echoes()
    answered, withdrawn = echoes.send(1.0, 0), echoes.send(1.0, 0)
    echoes.reply(answered, 1.1, 0, 0)
    echoes.withdraw(withdrawn)
    echoes.withdraw(withdrawn)
    assert echoes.due(answered) is None
    assert echoes.due(withdrawn) is None


def test_only_so_many_are_remembered() -> None:
    echoes = Echoes()
    numbers = [echoes.send(1.0, 0) for _ in range(1000)]
    assert echoes.reply(numbers[0], 1.1, 0, 0) is None
    assert echoes.reply(numbers[-1], 1.1, 0, 0) is not None


@given(st.lists(st.floats(0, 10, allow_nan=False), max_size=30), st.integers(0, 2**32 - 1))
def test_nothing_that_comes_makes_patience_absurd(rtts: list[float], held: int) -> None:
    echoes = Echoes()
    for rtt in rtts:
        echoes.reply(echoes.send(1.0, 0), 1.0 + rtt, 0, held)
        assert LEAST <= echoes.patience() <= MOST
