"""What a doctor has found, as text: problems first, each a sentence."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from plait.doctor.finding import Finding, Severity

_WORDS = {Severity.PROBLEM: "PROBLEM", Severity.NOTE: "note", Severity.FINE: "fine"}
_WIDTH = 100


def page(findings: Sequence[Finding]) -> str:
    """The page, with its last newline."""
    lines: list[str] = []
    for severity, word in _WORDS.items():
        for finding in findings:
            if finding.severity is severity:
                lines += textwrap.wrap(
                    finding.sentence,
                    _WIDTH,
                    initial_indent=f"{word:8}",
                    subsequent_indent=" " * 8,
                    break_long_words=False,
                )
    problems = sum(finding.severity is Severity.PROBLEM for finding in findings)
    lines.append(f"{problems} problem{'s' if problems != 1 else ''}" if problems else "no problems")
    return "\n".join(lines) + "\n"
