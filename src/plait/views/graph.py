"""Rates as a picture made of characters."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

_BLOCKS = " ▁▂▃▄▅▆▇█"
_ASCII = " .:|#"
# Dots of a Braille cell from below: the left column, the right one (Unicode, U+2800).
_LEFT = (0x00, 0x40, 0x44, 0x46, 0x47)
_RIGHT = (0x00, 0x80, 0xA0, 0xB0, 0xB8)


class Style(Enum):
    """What the terminal can show."""

    BRAILLE = "braille"
    """Two values a column, four steps a row."""
    BLOCKS = "blocks"
    """One value a column, eight steps a row."""
    ASCII = "ascii"
    """One value a column, four steps a row."""


def span(columns: int, style: Style) -> int:
    """How many values so many columns show."""
    return columns * (2 if style is Style.BRAILLE else 1)


def graph(values: Sequence[float], columns: int, rows: int, most: float, style: Style) -> list[str]:
    """The last values as ``rows`` lines of ``columns``, the latest on the right; ``most`` fills all rows. A
    value above nothing shows at least one step."""
    steps = 8 if style is Style.BLOCKS else 4
    room = span(columns, style)
    heights = [_height(value, most, rows * steps) for value in values[-room:]]
    heights = [0] * (room - len(heights)) + heights
    lines = []
    for row in reversed(range(rows)):
        levels = [min(steps, max(0, height - row * steps)) for height in heights]
        if style is Style.BRAILLE:
            pairs = zip(levels[::2], levels[1::2], strict=True)
            lines.append("".join(_dots(left, right) for left, right in pairs))
        else:
            glyphs = _BLOCKS if style is Style.BLOCKS else _ASCII
            lines.append("".join(glyphs[level] for level in levels))
    return lines


def _height(value: float, most: float, top: int) -> int:
    if value <= 0 or most <= 0:
        return 0
    return max(1, min(top, round(value / most * top)))


def _dots(left: int, right: int) -> str:
    # A blank is narrower to copy and to read aloud than an empty Braille cell.
    return chr(0x2800 + _LEFT[left] + _RIGHT[right]) if left or right else " "
