from __future__ import annotations

import pytest

from plait.views.cells import clean, fit, table, width


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wan1", "wan1"),
        ("\x1b[2Jred\x07", "?[2Jred?"),
        ("a\nb\x00\x9b1m", "a?b??1m"),
        ("Büro 日本", "Büro 日本"),
        ("evil\u202egnp", "evil?gnp"),
        ("zero\u200bwidth", "zero?width"),
        (7, "7"),
    ],
)
def test_nothing_that_moves_a_cursor_gets_through(text: object, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("", 0), ("Bü", 2)])
def test_width(text: str, columns: int) -> None:
    assert width(text) == columns


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("abc", 5, "abc  "),
        ("abcdef", 4, "abc…"),
        ("日本語", 4, "日… "),
        ("abc", 1, "…"),
        ("abc", 0, ""),
        ("", 2, "  "),
    ],
)
def test_fit(text: str, columns: int, expected: str) -> None:
    assert fit(text, columns) == expected
    assert width(fit(text, columns)) == columns


def test_fit_to_the_right_and_without_unicode() -> None:
    assert fit("ab", 4, right=True) == "  ab"
    assert fit("abcdef", 4, sign="~") == "abc~"


def test_a_table() -> None:
    assert table(("A", "LAST"), [("1", "x"), ("日本", "\x1b[0m")]) == ["A     LAST", "1     x", "日本  ?[0m"]
