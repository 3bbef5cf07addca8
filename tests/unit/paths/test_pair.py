"""Evidence of one path to one exit."""

from __future__ import annotations

import pytest

from plait.paths.pair import SOON, Carried, Pair
from plait.paths.standing import Condition


def known(rtt: float = 0.02, probes: int = 60) -> Pair:
    """A pair that has answered an echo each second, the last at ``probes - 1``."""
    pair = Pair("attic", "wan1", 0.0)
    for at in range(probes):
        pair.answered(float(at), rtt, at + rtt)
    return pair


def test_a_missing_answer_counts_once_its_patience_is_over() -> None:
    pair = known()
    assert pair.unanswered(60.0)
    assert (pair.missing(60.1), pair.matures(60.1)) == ([], pytest.approx(60.15))
    assert (pair.missing(60.2), pair.matures(60.2)) == ([60.0], None)


def test_an_answer_to_something_later_acquits_and_counts_as_loss() -> None:
    pair = known()
    pair.unanswered(60.0)
    pair.unanswered(61.0)
    pair.answered(60.5, 0.9, 61.4)
    assert pair.missing(63.0) == [61.0]
    assert pair.estimate.loss == pytest.approx(0.02)


def test_a_late_answer_is_no_loss() -> None:
    pair = known()
    pair.unanswered(60.0)
    pair.unanswered(60.2)
    assert pair.missing(60.39) == [60.0, 60.2]
    pair.answered(60.0, 0.4, 60.4)
    assert pair.missing(60.4) == []  # what takes so long once may take so long again
    assert pair.missing(61.0) == [60.2]
    assert pair.estimate.loss == 0.0


def test_what_an_outage_took_is_no_loss_of_the_path() -> None:
    pair = known()
    pair.condemn(61.0)
    for at in (62.0, 63.0):
        pair.unanswered(at)
    pair.answered(64.0, 0.02, 64.1)
    pair.enter(Condition.RETURNING, 64.1)
    pair.unanswered(63.5)
    pair.enter(Condition.UP, 65.0)
    pair.answered(65.5, 0.02, 65.6)
    # News of those that were sent while it was silent comes late.
    for at in (63.8, 63.9, 64.5):
        pair.unanswered(at)
    assert (pair.estimate.loss, pair.estimate.sure_loss) == (0.0, 0.0)
    pair.unanswered(65.2)
    assert pair.estimate.loss > 0


def test_answers_that_waited_for_the_silence_to_end_say_nothing_of_the_round_trip() -> None:
    pair = known()
    pair.condemn(61.0)
    for sent in (61.2, 61.4, 61.6):
        pair.answered(sent, 62.0 - sent, 62.0)
        if pair.state is Condition.DOWN:
            pair.enter(Condition.RETURNING, 62.0)
    assert (pair.estimate.rtt, pair.estimate.patience(62.0)) == (pytest.approx(0.02), pytest.approx(0.15))
    for at in range(63, 90):
        pair.answered(float(at), 0.3, at + 0.3)
    assert pair.estimate.rtt == pytest.approx(0.3, rel=0.1), "but what is sent from then on does"


def test_old_news_says_nothing_against_a_path() -> None:
    pair = known()
    assert not pair.unanswered(58.5)
    assert pair.missing(70.0) == []
    assert pair.estimate.loss > 0.0


@pytest.mark.parametrize(
    ("report", "acquitted"),
    [
        (Carried(at=61.0, acked=1000, heard=0.01, rtt=0.02), True),
        (Carried(at=61.0, received=1000, heard=0.01, rtt=0.02), True),
        (Carried(at=61.0, acked=1000, heard=0.95, rtt=0.2), False),  # about what was sent before
        (Carried(at=61.0, sent=3, lost=3, heard=0.01, rtt=0.02), False),  # the peer repeats itself, unheard
    ],
)
def test_progress_of_live_connections_acquits(report: Carried, acquitted: bool) -> None:
    pair = known()
    pair.unanswered(60.0)
    pair.carried(report)
    assert (pair.missing(61.0) == []) is acquitted


@pytest.mark.parametrize(
    ("waiting", "suspicious", "asked_after", "expected"),
    [
        (0.2, False, 0.0, 0),
        (0.12, True, 0.0, 1),
        (0.2, True, 0.0, 1),
        (0.4, True, 0.0, 2),
        (0.9, True, 0.0, 4),
        (0.9, True, 0.6, 0),  # nobody has told since
    ],
)
def test_connections_that_wait_weigh_more_the_longer(
    waiting: float, suspicious: bool, asked_after: float, expected: int
) -> None:
    pair = known()
    pair.carried(Carried(at=60.0, sent=1, waiting=waiting, heard=waiting, suspicious=suspicious))
    assert pair.stuck(60.0 + asked_after) == expected


@pytest.mark.parametrize(
    ("outrun", "suspicious", "expected"), [(0.05, False, 0), (0.09, True, 0), (0.12, True, 1), (0.9, True, 1)]
)
def test_data_that_comes_by_other_paths_alone_weighs_as_one_missing_answer(
    outrun: float, suspicious: bool, expected: int
) -> None:
    """Never as more: its sender may have no use for this path any more."""
    pair = known()
    pair.carried(Carried(at=60.0, quiet=outrun, outrun=outrun, heard=outrun, suspicious=suspicious))
    assert pair.stuck(60.0) == expected
    pair.answered(59.99, 0.02, 60.01)
    assert pair.stuck(60.01) == 0


def test_what_repeats_in_vain_is_no_loss_of_the_path() -> None:
    pair = known()
    pair.carried(Carried(at=60.0, sent=10, lost=10, waiting=0.3, suspicious=True))
    assert pair.estimate.loss == 0.0
    pair.carried(Carried(at=61.0, acked=1, sent=100, lost=10, heard=0.0))
    assert pair.estimate.loss > 0.0


def test_a_steady_stream_is_missed_at_once_whatever_its_rtt() -> None:
    pair = known()
    assert pair.usual_gap(0.4) == 0.5
    for number in range(8):
        pair.carried(Carried(at=60.0 + 0.05 * number, acked=1, heard=0.01, rtt=0.4))
    assert pair.usual_gap(0.4) == SOON
    pair.carried(Carried(at=61.0, sent=1))
    assert pair.usual_gap(0.4) == 0.5
    assert pair.usual_gap(0.01) == SOON


def test_what_condemned_it_is_remembered() -> None:
    pair = known()
    for sent in (60.0, 60.1, 60.14):
        pair.unanswered(sent)
    pair.condemn(60.4)
    assert (pair.state, pair.since, pair.condemned) == (Condition.DOWN, 60.4, 60.0)


def test_a_handshake_proves_the_path_but_promises_no_echo() -> None:
    pair = Pair("attic", "wan1", 0.0)
    pair.answered(1.0, 0.02, 1.02, echo=False)
    assert (pair.echoing, pair.heard) == (False, 1.02)
    pair.answered(2.0, 0.02, 2.02)
    assert pair.echoing


def test_what_is_missing_is_remembered_within_bounds() -> None:
    pair = known()
    for number in range(1000):
        pair.unanswered(60.0 + number)
    assert len(pair.missing(5000.0)) == 32


def test_a_new_beginning_forgets_what_was_missing() -> None:
    pair = known()
    pair.unanswered(60.0)
    pair.enter(Condition.UP, 61.0)
    assert pair.missing(62.0) == []
