from __future__ import annotations

from plait.control.rates import Rates


def tally(pid: int, **exits: int) -> dict[str, object]:
    return {"pid": pid, "exits": {name: [1, 1, up, 0] for name, up in exits.items()}, "clients": {}}


def test_rates_are_those_between_two_tallies_of_all_workers() -> None:
    rates = Rates()
    rates.take([tally(1, attic=1000), tally(2, attic=500)], 10.0)
    assert rates.of("exits") == {}, "nothing is known yet"
    rates.take([tally(1, attic=2000, cellar=100)], 12.0)
    rates.take([tally(2, attic=1500)], 11.0)
    assert rates.of("exits") == {"attic": (4000 + 8000, 0), "cellar": (400, 0)}
    rates.take([tally(1, attic=9000)], 12.1)
    assert rates.of("exits")["attic"] == (12000, 0), "too soon for another one"
    rates.keep([1])
    assert rates.of("exits")["attic"] == (4000, 0), "who is gone carries nothing"
    rates.take([tally(1, attic=2000)], 13.0)
    assert rates.of("exits") == {}


def test_a_worker_that_begins_anew_gives_no_negative_rate() -> None:
    rates = Rates()
    rates.take([tally(1, attic=1000)], 1.0)
    rates.take([tally(1, attic=10)], 2.0)
    assert rates.of("exits") == {}
    assert rates.of("clients") == {}
