"""Amounts: numbers with and without a unit, and what is said of those that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.config import amounts
from plait.config.values import Wrong


@pytest.mark.parametrize(
    ("written", "bits"),
    [
        (0, 0),
        (9600, 9600),
        ("9600 bit/s", 9600),
        ("20 Mbit/s", 20_000_000),
        ("20Mbit/s", 20_000_000),
        (" 1.5 Gbit/s ", 1_500_000_000),
        ("0.008 kbit/s", 8),
    ],
)
def test_rates(written: object, bits: int) -> None:
    assert amounts.rate(written) == bits


@pytest.mark.parametrize(
    ("written", "octets"),
    [(5, 5), ("100 GB", 100 * 10**9), ("1 GiB", 2**30), ("0.5 KiB", 512), ("2 TB", 2 * 10**12), ("7 B", 7)],
)
def test_volumes(written: object, octets: int) -> None:
    assert amounts.volume(written) == octets


@pytest.mark.parametrize(
    ("written", "problem", "remedy"),
    [
        (True, "must be a whole number of bit/s or text, not true or false", 'write it as in "20 Mbit/s"'),
        (1.5, "must be a whole number of bit/s or text, not a number", 'write it as in "20 Mbit/s"'),
        (-1, "-1 is out of range", f"0 to {amounts.MAX} bit/s is possible"),
        ("20", '"20" has no unit', 'write it as in "20 Mbit/s"'),
        ("20 mbit/s", '"20 mbit/s" has the unit "mbit/s", which is not known', 'did you mean "Mbit/s"?'),
        ("20 Mbit", '"20 Mbit" has the unit "Mbit", which is not known', 'did you mean "Mbit/s"?'),
        ("fast", '"fast" is not a number and a unit', 'write it as in "20 Mbit/s"'),
        ("", '"" is not a number and a unit', 'write it as in "20 Mbit/s"'),
        ("1e9 bit/s", '"1e9 bit/s" is not a number and a unit', 'write it as in "20 Mbit/s"'),
        ("0.3 bit/s", '"0.3 bit/s" is no whole number of bit/s', None),
        (
            "9999999999 Gbit/s",
            '"9999999999 Gbit/s" is out of range',
            f"0 to {amounts.MAX} bit/s is possible",
        ),
    ],
)
def test_refused(written: object, problem: str, remedy: str | None) -> None:
    with pytest.raises(Wrong) as caught:
        amounts.rate(written)
    assert caught.value.complaints == [("", problem, remedy)]


@given(st.text(max_size=30))
def test_nothing_but_wrong(written: str) -> None:
    try:
        assert amounts.volume(written) >= 0
    except Wrong:
        pass
