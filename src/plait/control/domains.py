"""Puts addresses into the sets of rules by domain, as the courier has read them in DNS answers.

The courier reads what strangers wrote, so it is not believed more than it must be: only the sets of our
rules, only addresses, only for a time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from plait.kernel.netlink import NetlinkError
from plait.kernel.nftset import Element, SetFiller
from plait.wire.dns import LONGEST_LIFE, MOST

log = logging.getLogger(__name__)


class Domains:
    """Our end of what the courier tells."""

    def __init__(self) -> None:
        self._filler: SetFiller | None = None
        self._failing = False

    def close(self) -> None:
        """No more of it."""
        if self._filler is not None:
            self._filler.close()
            self._filler = None

    def learn(self, sets: Iterable[str], found: Sequence[object]) -> bool:
        """Put what was found into those of these sets that it names; whether all of it is there now."""
        elements = elements_of(sets, found)
        if not elements:
            return False
        try:
            if self._filler is None:
                self._filler = SetFiller()
            self._filler.add(elements)
        except NetlinkError as error:
            # The table is being replaced, or a set is full. The next answer tries again.
            if not self._failing:
                log.warning("rules by domain: an address could not be kept: %s", error.strerror)
            self._failing = True
            return False
        self._failing = False
        return True


def elements_of(sets: Iterable[str], found: Sequence[object]) -> list[Element]:
    """What of it may go into these sets (names without their versions)."""
    names = list(sets)
    known = {f"{name}v{version}": version for name in names for version in (4, 6)}
    elements: list[Element] = []
    for each in found[: MOST * max(1, len(names))]:
        match each:
            case [str(name), str(text), int(seconds)] if name in known and 0 < seconds <= LONGEST_LIFE:
                try:
                    address = ip_address(text)
                except ValueError:
                    continue
                if address.version == known[name]:
                    elements.append((name, address.packed, seconds))
    return elements
