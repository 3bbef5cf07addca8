"""Text in columns of a terminal: made harmless, measured, cut and filled up.

What is shown was in part chosen by others (host names that clients ask for, names in leases), so nothing
of it may reach the terminal that could move a cursor.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from unicodedata import category, combining, east_asian_width


def clean(text: object) -> str:
    """Printable characters only; others become question marks."""
    said = str(text)
    if said.isascii() and said.isprintable():
        return said
    return "".join(letter if _harmless(letter) else "?" for letter in said)


def width(text: str) -> int:
    """Columns that a clean text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def fit(text: str, columns: int, *, right: bool = False, sign: str = "…") -> str:
    """Exactly so many columns: cut with ``sign`` where it is too long, filled up where it is too short."""
    if columns <= 0:
        return ""
    if width(text) > columns:
        while text and width(text) > columns - len(sign):
            text = text[:-1]
        text = (text + sign)[:columns]
    room = " " * (columns - width(text))
    return room + text if right else text + room


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Columns as wide as they have to be, the last one unfilled."""
    lines = [head, *([clean(cell) for cell in row] for row in rows)]
    widths = [max(width(line[column]) for line in lines) for column in range(len(head))]
    return [
        "  ".join(fit(cell, room) for cell, room in zip(line, widths, strict=True)).rstrip() for line in lines
    ]


def _harmless(letter: str) -> bool:
    # Cf are invisible marks that turn the direction of writing, or hide letters.
    return letter.isprintable() and category(letter) != "Cf"
