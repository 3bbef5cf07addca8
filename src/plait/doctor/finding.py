"""One finding: what is wrong with what, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """How bad it is."""

    PROBLEM = "problem"
    """Something that the owner wants does not work, or works badly. The exit status is 1."""
    NOTE = "note"
    """Worth knowing; plait copes with it, or the owner may want it so."""
    FINE = "fine"
    """Was looked at and is as it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One sentence, with what programs need to know it again."""

    id: str
    """The kind, stable from version to version: ``path.mptcp.stripped``."""
    severity: Severity
    subject: str
    """What it is about: ``this host``, or the name of a path, an exit or an interface."""
    text: str
    """The cause, in words, without a full stop."""
    remedy: str = ""
    """What to do, or what plait does; empty when there is nothing to do."""

    @property
    def sentence(self) -> str:
        """All of it, for people."""
        return f"{self.subject}: {self.text}" + (f"; {self.remedy}" if self.remedy else "")


def problem(id: str, subject: str, text: str, remedy: str = "") -> Finding:
    """Something that does not work."""
    return Finding(id=id, severity=Severity.PROBLEM, subject=subject, text=text, remedy=remedy)


def note(id: str, subject: str, text: str, remedy: str = "") -> Finding:
    """Something worth knowing."""
    return Finding(id=id, severity=Severity.NOTE, subject=subject, text=text, remedy=remedy)


def fine(id: str, subject: str, text: str) -> Finding:
    """Something that is as it should be."""
    return Finding(id=id, severity=Severity.FINE, subject=subject, text=text)


def healthy(findings: Iterable[Finding]) -> bool:
    """Whether nothing of it is a problem."""
    return all(each.severity is not Severity.PROBLEM for each in findings)
