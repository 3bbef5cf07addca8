"""Amounts with a unit: ``"20 Mbit/s"`` and ``"100 GB"``, or a bare number of bits a second or bytes.

Powers of ten, as sellers of lines and of volume count; ``KiB`` and its like are powers of two
(IEC 80000-13). The case of a unit's letters matters only between bits and bytes, so it is kept to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from plait.config.values import Parser, Wrong, show, suggest, type_name

MAX = 10**18
"""Largest amount: beyond any line and any store, and still exact in JSON's readers that use 64 bits."""

RATES: Mapping[str, int] = {
    "bit/s": 1,
    "kbit/s": 10**3,
    "Mbit/s": 10**6,
    "Gbit/s": 10**9,
}
"""Units of a rate, in bits a second."""

VOLUMES: Mapping[str, int] = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
"""Units of a volume, in bytes."""

_WRITTEN = re.compile(r"([0-9]{1,19}(?:\.[0-9]{1,9})?)\s*([A-Za-z/]*)")


def amount(units: Mapping[str, int], example: str) -> Parser[int]:
    """A whole number of the smallest unit, or text with one of ``units``."""
    smallest = next(iter(units))

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise Wrong(f"must be a whole number of {smallest} or text, not {type_name(value)}", example)
        if isinstance(value, int):
            found = Fraction(value)
        else:
            match = _WRITTEN.fullmatch(value.strip())
            if match is None:
                raise Wrong(f"{show(value)} is not a number and a unit", example)
            number, unit = match.groups()
            if unit not in units:
                missing = "has no unit" if not unit else f"has the unit {show(unit)}, which is not known"
                raise Wrong(f"{show(value)} {missing}", suggest(unit, units) if unit else example)
            found = Fraction(number) * units[unit]
        if not 0 <= found <= MAX:
            raise Wrong(f"{show(value)} is out of range", f"0 to {MAX} {smallest} is possible")
        if found.denominator != 1:
            raise Wrong(f"{show(value)} is no whole number of {smallest}")
        return int(found)

    return parse


rate: Parser[int] = amount(RATES, 'write it as in "20 Mbit/s"')
"""Bits a second."""

volume: Parser[int] = amount(VOLUMES, 'write it as in "100 GB"')
"""Bytes."""
