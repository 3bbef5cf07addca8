"""Kernel parameters, as files below /proc/sys, of the network namespace one is in.

Keys have slashes, not dots: an interface's name may have a dot in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

_ROOT = Path("/proc/sys")


def read(keys: Iterable[str]) -> dict[str, str]:
    """Those of ``keys`` that exist here, with their values."""
    found = {}
    for key in keys:
        try:
            found[key] = (_ROOT / key).read_text().strip()
        except OSError:
            continue
    return found


def write(key: str, value: str) -> None:
    """Set one; raises OSError."""
    (_ROOT / key).write_text(value)
