from __future__ import annotations

from ipaddress import ip_address

import pytest

from plait.kernel.mptcp_info import Subflow
from plait.relay.nudge import Nudge


def flow(port: int, heard: int, carried: int = 100_000) -> Subflow:
    numbers = dict.fromkeys(
        (name for name in Subflow.__slots__ if name not in ("local", "remote", "local_port")), 0
    )
    numbers |= {"last_heard_ms": heard, "bytes_received": carried}
    return Subflow(local=ip_address("10.1.1.1"), remote=ip_address("10.1.1.2"), local_port=port, **numbers)  # type: ignore[arg-type]


class Asked:
    def __init__(self) -> None:
        self.nudge = Nudge()
        self.said: list[tuple[float, int]] = []

    def look(self, now: float, *flows: Subflow) -> None:
        self.nudge.look(flows, now, lambda unanswered: self.said.append((now, unanswered)))


@pytest.mark.parametrize(
    "flows",
    [
        [flow(1, 10)],
        [flow(1, 10), flow(2, 20)],
        [flow(1, 10), flow(2, 600)],
        [flow(1, 500), flow(2, 2000)],  # neither lively nor at a standstill
        [flow(1, 2000, carried=1), flow(2, 2000, carried=1)],
        [flow(1, 10), flow(2, 9000, carried=1)],  # a backup that stands ready
        [],
    ],
)
def test_who_is_left_alone(flows: list[Subflow]) -> None:
    asked = Asked()
    for round_ in range(100):
        asked.look(round_ / 10, *flows)
    assert asked.said == []


def test_one_that_answers_is_not_asked_again_until_it_has_carried() -> None:
    asked = Asked()
    asked.look(1.0, flow(1, 10), flow(2, 1600))
    asked.look(1.1, flow(1, 10), flow(2, 1700))
    asked.look(2.2, flow(1, 10), flow(2, 50))
    assert asked.said == [(1.0, 3), (2.2, 0)]
    asked.look(9.0, flow(1, 10), flow(2, 5000))
    assert len(asked.said) == 2
    asked.look(10.0, flow(1, 10), flow(2, 5, carried=200_000))
    asked.look(12.0, flow(1, 10), flow(2, 1600, carried=200_000))
    assert asked.said[2:] == [(12.0, 3)]


def test_one_that_is_gone_ends_the_questions_and_so_does_time() -> None:
    asked = Asked()
    asked.look(1.0, flow(1, 10), flow(2, 1600))
    asked.look(4.0, flow(1, 10))
    assert asked.said == [(1.0, 3), (4.0, 0)]
    asked = Asked()
    for now in range(1, 40):
        asked.look(float(now), flow(1, 10), flow(2, 1600 + 1000 * now))
    assert asked.said == [(1.0, 3), (9.0, 0)], "the kernel could not tell: it is let be"


def test_all_that_stand_still_are_asked_and_outlive_silence() -> None:
    asked = Asked()
    asked.look(1.0, flow(1, 650), flow(2, 800))
    asked.look(1.1, flow(1, 750), flow(2, 900))
    ((at, unanswered),) = asked.said
    assert at == 1.1
    assert unanswered > 8, "the whole house may be offline for a moment"
    assert asked.nudge.asking
    asked.look(1.2, flow(1, 30), flow(2, 20))
    assert asked.said[1:] == [(1.2, 0)]
    assert not asked.nudge.asking
    for tenth in range(7, 100):
        asked.look(2.0 + tenth / 10, flow(1, 100 * tenth), flow(2, 100 * tenth))
    assert len(asked.said) == 2, "they have carried nothing since"
