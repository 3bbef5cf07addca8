"""What processes use: CPU seconds, memory, descriptors; and what the rest of the machine does."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from plait.lab.node import Process

_TICK = os.sysconf("SC_CLK_TCK")
_QUIET_LOOK = 0.25
_QUIET = 0.15
"""Share of all cores that others may use while we measure."""


def family(processes: Iterable[Process]) -> list[int]:
    """Process ids of these and of all that they have started."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
            except (OSError, IndexError):
                continue  # it has just ended
    found: list[int] = []
    todo = [process.pid for process in processes if process.status is None]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of living processes, to 10 ms each."""
    return sum(int(_stat(pid)[11]) + int(_stat(pid)[12]) for pid in pids) / _TICK


def rss(pid: int) -> int:
    """Resident bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def private(pid: int) -> int:
    """Resident bytes that no other process shares, what one more such process costs."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024


def descriptors(pid: int) -> int:
    """How many it has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def command(pid: int) -> str:
    """Its command line."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def wait_until_quiet(within: float = 8.0) -> float:
    """Wait until the machine's other work is small; gives the share that it took in the end."""
    deadline = time.monotonic() + within
    while True:
        before = _busy()
        time.sleep(_QUIET_LOOK)
        busy, total = (now - then for now, then in zip(_busy(), before, strict=True))
        share = busy / total if total else 0.0
        if share <= _QUIET or time.monotonic() >= deadline:
            return share


def _busy() -> tuple[int, int]:
    """Ticks of all cores: busy ones, all."""
    numbers = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(numbers) - numbers[3] - numbers[4], sum(numbers)


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third on (proc(5)): 0 state, 1 parent, 11 utime, 12 stime."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
