"""``python -m tests.bench``: measure, print a table, keep the figures.

Exit status: 0 measured (whether goals are met or missed), 1 failed, 3 something is not installed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from plait.lab import sandbox
from plait.lab.errors import LabError
from tests.bench import throughput
from tests.bench.series import Results

MEASURES = ("bulk",)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="plait beside its peers")
    parser.add_argument("--rounds", type=int, default=5, help="figures of each kind (5)")
    parser.add_argument("--seconds", type=int, default=3, help="of each bulk transfer (3)")
    parser.add_argument("--only", choices=MEASURES, action="append", help="this measure (repeatable)")
    parser.add_argument("--quick", action="store_true", help="two short rounds, to see that it works")
    parser.add_argument("--peer", action="append", help="bulk: only peers whose name contains this word")
    options = parser.parse_args()
    if not sandbox.inside():
        return sandbox.run_self()
    try:
        measure(options)
    except LabError as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return problem.exit_status
    return 0


def say(text: str) -> None:
    """What is going on, for whoever waits."""
    print(text, file=sys.stderr, flush=True)


def measure(options: argparse.Namespace) -> Results:
    """Everything that was asked for."""
    results = Results()
    rounds = 2 if options.quick else options.rounds
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/run") as directory:
        chosen = [p for p in throughput.PEERS if not options.peer or any(w in p.name for w in options.peer)]
        throughput.run(
            results, say, Path(directory) / "bulk", rounds=rounds,
            seconds=1 if options.quick else options.seconds, chosen=chosen,
        )
    for series in results.all:
        print(f"{series.measure:16} {series.peer:34} {series.median:8.2f} {series.unit} {series.spread}")
    return results


if __name__ == "__main__":
    sys.exit(main())
