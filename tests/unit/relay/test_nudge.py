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
        self.said: list[tuple[float, bool]] = []

    def look(self, now: float, *flows: Subflow) -> None:
        self.nudge.look(flows, now, lambda often: self.said.append((now, often)))


@pytest.mark.parametrize(
    "flows",
    [
        [flow(1, 2000)],
        [flow(1, 10), flow(2, 20)],
        [flow(1, 10), flow(2, 1400)],
        [flow(1, 2000), flow(2, 2000)],  # nothing moves at all
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
    assert asked.said == [(1.0, True), (2.2, False)]
    asked.look(9.0, flow(1, 10), flow(2, 5000))
    assert len(asked.said) == 2
    asked.look(10.0, flow(1, 10), flow(2, 5, carried=200_000))
    asked.look(12.0, flow(1, 10), flow(2, 1600, carried=200_000))
    assert asked.said[2:] == [(12.0, True)]


def test_one_that_is_gone_ends_the_questions_and_so_does_time() -> None:
    asked = Asked()
    asked.look(1.0, flow(1, 10), flow(2, 1600))
    asked.look(4.0, flow(1, 10))
    assert asked.said == [(1.0, True), (4.0, False)]
    asked = Asked()
    for now in range(1, 40):
        asked.look(float(now), flow(1, 10), flow(2, 1600 + 1000 * now))
    assert asked.said == [(1.0, True), (9.0, False)], "the kernel could not tell: it is let be"


def test_a_connection_that_comes_to_rest_is_asked_no_more() -> None:
    asked = Asked()
    asked.nudge.rest(lambda often: asked.said.append((0.0, often)))
    asked.look(1.0, flow(1, 10), flow(2, 1600))
    asked.nudge.rest(lambda often: asked.said.append((2.0, often)))
    assert asked.said == [(1.0, True), (2.0, False)]
