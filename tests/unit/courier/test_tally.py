"""Counting strangers, and not letting a flood of them become a flood of lines."""

from __future__ import annotations

import pytest

from plait.courier.tally import Tally


def test_a_flood_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally()
    for number in range(1000):
        tally.stranger("unsealed", f"192.0.2.{number % 256}")
    tally.stranger("forged", "192.0.2.1")
    assert tally.strangers == {"unsealed": 1000, "forged": 1}
    assert [record.message for record in caplog.records] == [
        "datagram from 192.0.2.0 not authenticated: a scanner, or a gateway with another password or method"
    ]
