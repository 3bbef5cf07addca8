"""What the rest of plait asks of a host. ``linux`` is one, ``fake`` pretends to be one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from plait.errors import KernelError
from plait.paths.changes import Change
from plait.paths.model import Interest, Snapshot


class HostApi(Protocol):
    """Observe and apply; nothing else changes a host (DESIGN.md, rule 3)."""

    def observe(self, interest: Interest) -> Snapshot:
        """The host as it is now, as far as ``interest`` reaches. Takes a few milliseconds."""
        ...

    def carriers(self, names: Iterable[str]) -> tuple[bool, ...]:
        """Whether each link has its carrier: cheap enough to be asked twenty times a second, which is
        needed, as the kernel holds carrier-lost events back for up to a second."""
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
