"""The verdict on a path, as a value."""

from __future__ import annotations

import pytest

from plait.paths.standing import HEALTHY, Condition, Standing


@pytest.mark.parametrize("condition", list(Condition))
def test_only_a_silent_path_beside_others_is_not_used(condition: Condition) -> None:
    unused = {Condition.DOWN, Condition.RETURNING}
    assert Standing(condition=condition).usable is (condition not in unused)


def test_a_lost_packet_costs_a_second() -> None:
    assert HEALTHY.cost is None
    assert Standing(rtt=0.05).cost == 0.05
    assert Standing(rtt=0.05, loss=0.25).cost == 0.3
