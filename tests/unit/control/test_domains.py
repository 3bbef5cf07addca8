"""What the courier has read in DNS answers: only what may be in our sets gets there."""

from __future__ import annotations

import errno
import logging

import pytest

from plait.control import domains
from plait.control.domains import Domains, elements_of
from plait.kernel.netlink import NetlinkError
from plait.kernel.nftset import Element
from plait.wire.dns import LONGEST_LIFE, MOST

V4, V6 = bytes((192, 0, 2, 1)), bytes.fromhex("20010db8000000000000000000000001")
SETS = ["seen_a", "seen_b"]


@pytest.mark.parametrize(
    ("found", "elements"),
    [
        ([], []),
        ([["seen_av4", "192.0.2.1", 60]], [("seen_av4", V4, 60)]),
        (
            [["seen_bv6", "2001:db8::1", LONGEST_LIFE], ["seen_av4", "192.0.2.1", 1]],
            [("seen_bv6", V6, LONGEST_LIFE), ("seen_av4", V4, 1)],
        ),
        ([["names_av4", "192.0.2.1", 60]], []),
        ([["exits4", "192.0.2.1", 60]], []),
        ([["seen_av6", "192.0.2.1", 60]], []),
        ([["seen_av4", "192.0.2.0/24", 60]], []),
        ([["seen_av4", "192.0.2.1 }", 60]], []),
        ([["seen_av4", "192.0.2.1", 0]], []),
        ([["seen_av4", "192.0.2.1", LONGEST_LIFE + 1]], []),
        ([["seen_av4", "192.0.2.1"], ["seen_av4", 7, 60], "nonsense", None], []),
    ],
)
def test_what_may_go_in(found: list[object], elements: list[Element]) -> None:
    assert elements_of(SETS, found) == elements


def test_the_number_is_bounded() -> None:
    found = [["seen_av4", "192.0.2.1", 60]] * 1000
    assert len(elements_of(SETS, found)) == 2 * MOST


class Filler:
    """Stands in for the kernel."""

    def __init__(self) -> None:
        self.added: list[Element] = []
        self.refuses = False
        self.closed = False

    def add(self, elements: list[Element]) -> None:
        if self.refuses:
            raise NetlinkError(errno.ENFILE)
        self.added += elements

    def close(self) -> None:
        self.closed = True


def test_a_full_set_is_told_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    filler = Filler()
    monkeypatch.setattr(domains, "SetFiller", lambda: filler)
    learner = Domains()
    learner.close()
    found: list[object] = [["seen_av4", "192.0.2.1", 60]]
    assert learner.learn(SETS, found)
    assert not learner.learn([], found)
    assert filler.added == [("seen_av4", V4, 60)]
    filler.refuses = True
    with caplog.at_level(logging.WARNING):
        assert not learner.learn(SETS, found)
        assert not learner.learn(SETS, found)
    assert len(caplog.records) == 1
    filler.refuses = False
    assert learner.learn(SETS, found)
    learner.close()
    assert filler.closed
