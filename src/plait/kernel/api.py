"""What the rest of plait asks of a host. ``linux`` is one, ``fake`` pretends to be one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from plait.errors import KernelError
from plait.paths.changes import Change
from plait.paths.model import Interest, Snapshot


class HostApi(Protocol):
    """Observe and apply; nothing else changes a host (DESIGN.md, rule 3)."""

    def observe(self, interest: Interest) -> Snapshot:
        """The host as it is now, as far as ``interest`` reaches. Takes a few milliseconds."""
        ...

    def apply(self, changes: Sequence[Change]) -> list[KernelError]:
        """Carry out changes in order. What is refused is collected; the rest is done all the same.

        A refusal that only says that the world moved on (the link or the address has gone, what was
        to be removed is not there) is no failure: the next look will see it.
        """
        ...

    def close(self) -> None:
        """Give descriptors back. What was applied stays."""
        ...
