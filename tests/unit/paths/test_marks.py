from __future__ import annotations

import pytest

from plait.paths import marks

PRIORITIES = [value for name, value in vars(marks).items() if name.startswith("PRIORITY_")]


def test_all_that_is_set_is_found_again() -> None:
    assert all(priority in marks.PRIORITIES for priority in PRIORITIES)
    assert all(marks.is_our_rule(priority, marks.PROTOCOL) for priority in PRIORITIES)
    assert marks.is_our_route(marks.TABLE_INTERCEPT, marks.PROTOCOL)
    assert all(marks.is_our_route(marks.table_of(i), marks.PROTOCOL) for i in range(marks.MAX_PATHS))


def test_priorities_and_tables_do_not_collide() -> None:
    assert len(set(PRIORITIES)) == len(PRIORITIES) == 8
    assert marks.TABLE_INTERCEPT not in {marks.table_of(i) for i in range(marks.MAX_PATHS)}
    assert marks.TABLE_TUNNEL not in {marks.table_of(i) for i in range(marks.MAX_PATHS)}
    assert marks.is_our_route(marks.TABLE_TUNNEL, marks.PROTOCOL)
    assert len(marks.ENDPOINT_IDS) == 8


@pytest.mark.parametrize(("priority", "protocol"), [(799, 178), (900, 178), (810, 4), (810, 0), (32766, 2)])
def test_other_programs_rules_are_not_ours(priority: int, protocol: int) -> None:
    assert not marks.is_our_rule(priority, protocol)


@pytest.mark.parametrize(("table", "protocol"), [(254, 178), (18801, 4), (18900, 178)])
def test_other_programs_routes_are_not_ours(table: int, protocol: int) -> None:
    assert not marks.is_our_route(table, protocol)


def test_the_mark_lies_within_its_mask() -> None:
    assert marks.FWMARK & ~marks.FWMARK_MASK == 0
    assert marks.FWMARK_ANSWER & ~marks.FWMARK_MASK == 0
    assert marks.FWMARK_TUNNEL & ~marks.FWMARK_MASK == 0
    assert len({0, marks.FWMARK, marks.FWMARK_ANSWER, marks.FWMARK_TUNNEL}) == 4
