from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.views.graph import Style, graph, span


@pytest.mark.parametrize(
    ("style", "rows", "expected"),
    [
        (Style.BLOCKS, 1, ["  ▂▄█"]),
        (Style.BLOCKS, 2, ["    █", "  ▄██"]),
        (Style.ASCII, 1, ["  .:#"]),
        (Style.ASCII, 2, ["    #", "  :##"]),
    ],
)
def test_the_latest_is_on_the_right(style: Style, rows: int, expected: list[str]) -> None:
    assert graph([99, 25, 50, 100], 5, rows, 100, style)[-1][-1] == expected[-1][-1]
    assert graph([0, 0, 25, 50, 100], 5, rows, 100, style) == expected


def test_braille_shows_two_values_a_column() -> None:
    assert span(10, Style.BRAILLE) == 20
    assert graph([0, 100], 1, 1, 100, Style.BRAILLE) == ["⢸"]
    assert graph([100, 0, 100, 100], 3, 1, 100, Style.BRAILLE) == [" ⡇⣿"]
    assert graph([25, 50, 75, 100], 2, 1, 100, Style.BRAILLE) == ["⣠⣾"]
    assert graph([50, 100], 1, 2, 100, Style.BRAILLE) == ["⢸", "⣿"]


def test_a_little_is_more_than_nothing() -> None:
    assert graph([1, 0], 2, 1, 1e9, Style.BLOCKS) == ["▁ "]
    assert graph([5, 5], 2, 1, 0, Style.BLOCKS) == ["  "], "no measure, no height"


@given(
    st.lists(st.floats(0, 1e12), max_size=50), st.integers(1, 30), st.integers(1, 5), st.sampled_from(Style)
)
def test_it_always_has_its_size(values: list[float], columns: int, rows: int, style: Style) -> None:
    lines = graph(values, columns, rows, max(values, default=0.0), style)
    assert [len(line) for line in lines] == [columns] * rows
    if any(value > 0 for value in values[-span(columns, style) :]):
        assert any(line.strip() for line in lines)
