"""Which paths hurt the bond."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.paths.bench import CONFIRM, LONGEST_WAIT, SOON, TRIAL, WAIT, Bench, Measured, best_of, compare

MBIT = 1_000_000


def path(
    rate: float | None,
    rtt_ms: float | None,
    loss: float = 0.0,
    carrying: float = 0.0,
    shown: float | None = None,
) -> Measured:
    """Rates in Mbit/s, the same both ways; loss there and back. All of it was shown unless said otherwise."""
    rtt = None if rtt_ms is None else rtt_ms / 1000
    bits = None if rate is None else rate * MBIT
    return Measured(
        rtt=rtt,
        base=rtt,
        loss=loss,
        up=bits,
        down=bits,
        carrying=carrying * MBIT,
        shown=MBIT * ((rate or 0.0) * 2 if shown is None else shown),
    )


GOOD = path(40, 20)
FAR = path(40, 50)
FAST = path(200, 20)

# What was measured with kernel 6.18: the bond's rate as a share of the better path's alone.
# (better path, second path: share of the rate, RTT in ms, loss one way, what the bond gave)
MEASURED = [
    (GOOD, 1.0, 20, 0.0, 1.96),
    (GOOD, 1.0, 160, 0.0, 1.96),
    (GOOD, 1.0, 300, 0.0, 1.53),
    (GOOD, 0.5, 300, 0.0, 1.39),
    (GOOD, 0.25, 300, 0.0, 1.22),
    (GOOD, 1.0, 600, 0.0, 0.66),
    (GOOD, 0.5, 600, 0.0, 0.47),
    (GOOD, 0.25, 600, 0.0, 0.41),
    (GOOD, 0.1, 600, 0.0, 0.75),
    (GOOD, 0.1, 20, 0.0, 1.10),
    (GOOD, 0.1, 160, 0.0, 1.07),
    (GOOD, 0.04, 20, 0.0, 0.74),
    (GOOD, 0.04, 160, 0.0, 0.81),
    (GOOD, 0.04, 600, 0.0, 0.54),
    (GOOD, 0.5, 300, 0.02, 1.24),
    (GOOD, 1.0, 600, 0.02, 0.17),
    (GOOD, 0.04, 20, 0.02, 0.70),
    (GOOD, 1.0, 20, 0.05, 1.90),
    (GOOD, 1.0, 160, 0.05, 1.71),
    (GOOD, 0.25, 160, 0.05, 1.28),
    (GOOD, 0.1, 160, 0.05, 0.89),
    (GOOD, 1.0, 300, 0.05, 0.74),
    (GOOD, 0.25, 300, 0.05, 0.65),
    (GOOD, 0.1, 300, 0.05, 0.68),
    (GOOD, 0.1, 600, 0.05, 0.29),
    (FAR, 0.5, 200, 0.0, 1.60),
    (FAR, 0.5, 400, 0.0, 1.41),
    (FAR, 0.5, 750, 0.0, 0.93),
    (FAR, 0.1, 750, 0.0, 0.75),
    (FAR, 0.5, 200, 0.02, 1.51),
    (FAR, 0.5, 400, 0.02, 0.54),
    (FAR, 0.1, 400, 0.02, 0.82),
    (FAR, 0.5, 750, 0.02, 0.55),
    (FAST, 0.5, 100, 0.0, 1.59),
    (FAST, 0.5, 300, 0.0, 1.27),
    (FAST, 0.1, 200, 0.0, 1.12),
    (FAST, 0.1, 400, 0.0, 0.91),
]  # fmt: skip


@pytest.mark.parametrize(("best", "share", "rtt_ms", "loss", "bond"), MEASURED)
def test_what_was_measured_to_hurt_does_and_nothing_else(
    best: Measured, share: float, rtt_ms: float, loss: float, bond: float
) -> None:
    second = path(best.rate / 2 / MBIT * share, rtt_ms, 1 - (1 - loss) ** 2)
    assert compare(second, best).hurts is (bond < 0.95)


def run(
    bench: Bench, players: Mapping[str, Measured], begin: float, seconds: float
) -> dict[float, Mapping[str, str]]:
    """Look once a second; what was said when."""
    return {begin + step: bench.look(players, begin + step) for step in range(round(seconds))}


def benched(bench: Bench, players: Mapping[str, Measured], begin: float, seconds: float) -> str:
    return " ".join(list(run(bench, players, begin, seconds).values())[-1])


BAD = path(2, 300, 0.1)


@pytest.mark.parametrize(
    ("players", "expected"),
    [
        ({}, ""),
        ({"a": GOOD}, ""),
        ({"a": GOOD, "b": GOOD}, ""),
        ({"a": GOOD, "b": BAD}, "b"),
        ({"a": BAD, "b": GOOD}, "a"),
        ({"a": GOOD, "b": BAD, "c": path(30, 40)}, "b"),
        ({"a": GOOD, "b": path(30, 20, 0.5)}, "b"),
        # the better one stays, though it is the slower to answer
        ({"sat": path(100, 600), "dsl": path(5, 20)}, "dsl"),
        ({"sat": path(100, 600), "dsl": path(50, 20)}, "dsl"),
        ({"sat": path(40, 600), "dsl": path(50, 20)}, "sat"),
        # one that loses half of everything is not the better one, whatever its rate
        ({"a": path(60, 20, 0.6), "b": path(40, 20)}, "a"),
        # nothing was shown yet: what trains say is not enough to take the quicker one out, …
        ({"sat": path(100, 600, shown=1), "dsl": path(5, 20, shown=0)}, ""),
        ({"shaped": path(900, 300, shown=2), "good": path(50, 20, shown=2)}, ""),
        # … but it is where the quicker one has the higher rate, too
        ({"a": path(50, 20, shown=0), "b": path(2, 300, shown=0)}, "b"),
        # what was shown says more than a train that met a shaper's burst
        ({"shaped": path(900, 600, shown=2), "good": path(50, 20, shown=45)}, "shaped"),
        ({"shaped": path(900, 600, shown=30), "good": path(50, 20, shown=45)}, ""),
        # rates unknown: the quicker one is the better one if it has shown much more
        ({"a": path(None, 20), "b": path(None, 600)}, ""),
        ({"a": path(None, 20, shown=30), "b": path(None, 600, shown=4)}, "b"),
        ({"a": path(None, 20, shown=30), "b": path(100, 600, shown=20)}, ""),
        ({"a": path(None, 20), "b": path(None, 100)}, ""),
        ({"a": path(40, None), "b": path(1, None)}, ""),
        ({"a": path(40, 20), "b": path(1, None)}, ""),
    ],
)
def test_who_is_benched(players: dict[str, Measured], expected: str) -> None:
    assert benched(Bench(), players, 0.0, 10) == expected


def test_somebody_always_plays() -> None:
    assert best_of({}) is None
    assert best_of({"a": BAD}) == "a"


@given(
    st.dictionaries(
        st.sampled_from("abcd"),
        st.builds(
            path,
            st.sampled_from([None, 0.1, 5.0, 40.0, 900.0]),
            st.sampled_from([None, 1.0, 20.0, 300.0, 2000.0]),
            st.sampled_from([0.0, 0.1, 0.5, 1.0]),
        ),
    )
)
def test_never_all(players: dict[str, Measured]) -> None:
    bench = Bench()
    for second in range(30):
        assert not players or set(bench.look(players, float(second))) < set(players)


def test_the_first_seconds_go_by_round_trips_and_are_taken_back() -> None:
    bench = Bench()
    dsl, sat = path(None, 20), path(None, 600)
    fresh = {"dsl": replace(dsl, fresh=True), "sat": replace(sat, fresh=True)}
    assert benched(bench, fresh, 0.0, 3) == "sat"
    told = {"dsl": path(5, 20, shown=0), "sat": path(100, 600, shown=0)}
    assert benched(bench, told, 3.0, 1) == ""
    assert benched(bench, fresh, 4.0, 3) == "sat"
    assert benched(bench, {"dsl": dsl, "sat": sat}, 7.0, 1) == ""


def test_the_bench_is_quick_and_says_why() -> None:
    said = run(Bench(), {"wan1": GOOD, "wan2": BAD}, 0.0, 4)
    assert [bool(each) for each in said.values()] == [False, True, True, True]
    assert said[2.0] == {"wan2": "it has 5 % of the rate of wan1"}


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (path(20, 600), "its RTT of 600 ms is too far from that of wan1"),
        (path(20, 300, 0.1), "its RTT of 300 ms and 10 % loss is too far from that of wan1"),
        (path(30, 20, 0.4), "it loses 40 % of what it carries"),
    ],
)
def test_words(second: Measured, why: str) -> None:
    bench = Bench()
    run(bench, {"wan1": GOOD, "wan2": second}, 0.0, 4)
    assert bench.look({"wan1": GOOD, "wan2": second}, 4.0) == {"wan2": why}


def test_a_hiccup_benches_nobody() -> None:
    bench = Bench()
    assert benched(bench, {"a": GOOD, "b": BAD}, 0.0, 1) == ""
    assert benched(bench, {"a": GOOD, "b": GOOD}, 1.0, 1) == ""
    assert benched(bench, {"a": GOOD, "b": BAD}, 2.0, 1) == ""


def test_a_queue_in_the_better_path_makes_the_other_no_better() -> None:
    loaded = replace(GOOD, rtt=0.3)
    assert compare(path(20, 600), loaded).hurts


def until_free(bench: Bench, players: Mapping[str, Measured], begin: float) -> float:
    for step in range(2000):
        if not bench.look(players, begin + step):
            return float(step)
    raise AssertionError("never")


def test_its_end_is_slow_and_slower_each_time_it_was_premature() -> None:
    bench = Bench()
    waits = []
    now = 0.0
    for _ in range(7):
        run(bench, {"a": GOOD, "b": BAD}, now, 4)
        took = until_free(bench, {"a": GOOD, "b": GOOD}, now + 4)
        waits.append(took)
        now += 4 + took + 1
    assert waits == [20, 40, 80, 160, 320, 600, LONGEST_WAIT]
    # after trials that went well it is forgotten
    run(bench, {"a": GOOD, "b": GOOD}, now, 2 * TRIAL)
    run(bench, {"a": GOOD, "b": BAD}, now + 100, 4)
    assert until_free(bench, {"a": GOOD, "b": GOOD}, now + 104) == LONGEST_WAIT / 2


def test_almost_harmless_is_not_enough() -> None:
    bench = Bench()
    run(bench, {"a": GOOD, "b": BAD}, 0.0, 4)
    assert benched(bench, {"a": GOOD, "b": path(20, 320)}, 4.0, 200) == "b"


def test_a_trial_in_which_all_carry_less_is_over() -> None:
    bench = Bench()
    alone = {"a": replace(GOOD, carrying=38 * MBIT), "b": BAD}
    run(bench, alone, 0.0, 4)
    took = until_free(bench, {"a": replace(GOOD, carrying=38 * MBIT), "b": GOOD}, 4.0)
    now = 4.0 + took
    together = {"a": replace(GOOD, carrying=20 * MBIT), "b": replace(GOOD, carrying=5 * MBIT)}
    said = run(bench, together, now, 12)
    assert list(said.values())[-1] == {"b": "all paths together carry less with it than a without"}
    assert WAIT + 10 <= until_free(bench, together, now + 12) <= 2 * WAIT


def test_a_trial_in_which_the_download_ends_says_nothing() -> None:
    bench = Bench()
    run(bench, {"a": replace(GOOD, carrying=38 * MBIT), "b": BAD}, 0.0, 4)
    until_free(bench, {"a": replace(GOOD, carrying=38 * MBIT), "b": GOOD}, 4.0)
    assert benched(bench, {"a": GOOD, "b": GOOD}, 40.0, 30) == ""


def test_a_path_is_off_the_bench_when_the_better_one_has_gone() -> None:
    bench = Bench()
    assert benched(bench, {"a": GOOD, "b": BAD, "c": path(2, 250, 0.1)}, 0.0, 5) == "b c"
    assert benched(bench, {"b": BAD, "c": path(2, 250, 0.1)}, 5.0, 1) == ""


def test_a_quiet_bench_needs_no_clock() -> None:
    bench = Bench()
    bench.look({"a": GOOD, "b": GOOD}, 0.0)
    assert bench.deadline(0.0) is None
    bench.look({"a": GOOD, "b": BAD}, 1.0)
    assert bench.deadline(1.0) == 1.0 + CONFIRM
    bench.look({"a": GOOD, "b": BAD}, 1.0 + CONFIRM)
    assert bench.deadline(3.0) is None
    bench.look({"a": GOOD, "b": GOOD}, 4.0)
    assert bench.deadline(4.0) == 4.0 + WAIT
    bench.look({"a": GOOD, "b": GOOD}, 4.0 + WAIT)
    assert bench.deadline(30.0) == 31.0  # a trial is watched


REST = 10
"""Seconds on the bench in which a path's own queues are gone."""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (path(1.6, 20), path(20, 20)),
        (path(1.6, 300, 0.1), path(20, 80, 0.04)),
        (path(20, 600), path(20, 250)),
        (path(20, 20, 0.4), path(20, 20, 0.05)),
        (path(None, 900), path(None, 100)),
    ],
)
def test_one_that_has_become_another_path_is_tried_soon(before: Measured, after: Measured) -> None:
    bench = Bench()
    assert benched(bench, {"a": GOOD, "b": before}, 0.0, REST) == "b"
    assert until_free(bench, {"a": GOOD, "b": after}, REST) == SOON


def test_one_that_is_only_a_little_better_waits() -> None:
    bench = Bench()
    assert benched(bench, {"a": GOOD, "b": path(20, 450)}, 0.0, REST) == "b"
    assert until_free(bench, {"a": GOOD, "b": path(20, 250)}, REST) == WAIT


def test_one_that_had_but_its_own_queue_waits() -> None:
    """A path at rest measures beautifully: better than under load, but no better than at rest."""
    bench = Bench()
    assert benched(bench, {"a": GOOD, "b": path(20, 600)}, 0.0, 3) == "b"
    assert until_free(bench, {"a": GOOD, "b": path(20, 40)}, 3.0) == WAIT


def test_one_that_only_flickers_waits() -> None:
    bench = Bench()
    assert benched(bench, {"a": GOOD, "b": BAD}, 0.0, REST) == "b"
    for second in range(REST, REST + 120, 3):
        assert benched(bench, {"a": GOOD, "b": GOOD}, float(second), 2) == "b"
        assert benched(bench, {"a": GOOD, "b": BAD}, second + 2.0, 1) == "b"


def test_one_that_disappoints_after_a_short_wait_waits_long() -> None:
    """Good for ten seconds, bad for ten, for an hour: it is let in less and less often."""
    bench, free = Bench(), []
    for second in range(3600):
        second_path = BAD if second % 20 < 10 else GOOD
        if not bench.look({"a": GOOD, "b": second_path}, float(second)):
            free.append(second)
    begun = [second for second in free if second - 1 not in free]
    assert len(begun) <= 10
    assert all(later - former >= 2 * WAIT for former, later in pairwise(begun[1:]))


def test_the_clock_of_one_that_is_soon_tried() -> None:
    bench = Bench()
    assert benched(bench, {"a": GOOD, "b": BAD}, 0.0, REST) == "b"
    bench.look({"a": GOOD, "b": GOOD}, 10.0)
    assert bench.deadline(10.0) == 10.0 + SOON
