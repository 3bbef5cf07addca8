"""Facts: what is not known is not concluded from."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from plait.doctor.facts import Answer, HostFacts, PathFacts, WayFacts
from plait.doctor.paths import keeps_options


@pytest.mark.parametrize(
    ("answer", "came"),
    [
        (Answer.UNTRIED, False),
        (Answer.SILENT, False),
        (Answer.REFUSED, False),
        (Answer.PLAIN, True),
        (Answer.MPTCP, True),
    ],
)
def test_answers(answer: Answer, came: bool) -> None:
    assert answer.came is came


def test_nothing_is_known_at_first() -> None:
    way = WayFacts(exit="attic", local=ip_address("10.0.0.1"), remote=ip_address("10.0.0.2"), port=8388)
    assert keeps_options(way) is None
    assert (way.udp, way.tunnel, way.seen, way.mtu_up) == (None,) * 4
    assert PathFacts(name="wan1", interface="wan1").ways == ()
    assert HostFacts().conntrack is None
