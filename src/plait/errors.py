"""Our failures, by name.

A *peer's* failure (refusal, reset, garbage) is a counted value, never one of
these (DESIGN.md, rule 8). What is here ends a command: one line for the user,
a hint that says what to do, and an exit status.

    PlaitError            1  failed
    ├── UsageError        2  wrong usage
    ├── ConfigError       2  wrong config; carries every fault at once
    ├── MissingCapability 3  this host lacks something, named, with the remedy
    └── KernelError       1  a change of the host was refused
"""

from __future__ import annotations

from dataclasses import dataclass


class PlaitError(Exception):
    """Root of all errors that plait raises on purpose."""

    exit_status = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(PlaitError):
    """The command line asks for something that does not exist."""

    exit_status = 2


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in a config file.

    ``key`` is a dotted path with indices, as in ``exit[0].method``.
    """

    source: str
    key: str
    problem: str
    remedy: str | None = None

    def __str__(self) -> str:
        where = f"{self.source}: {self.key}" if self.key else self.source
        return f"{where}: {self.problem}" + (f"; {self.remedy}" if self.remedy else "")


class ConfigError(PlaitError):
    """The config can't be used. ``faults`` holds all of them, in file order."""

    exit_status = 2

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class MissingCapability(PlaitError):
    """This host lacks a kernel feature, a privilege or a program."""

    exit_status = 3


class KernelError(PlaitError):
    """The kernel (or nft) refused a change; says which, and with what errno."""
