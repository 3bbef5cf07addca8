"""``python -m plait.lab.watch_process SPEC``: read byte counters, faster than a stall is long.

SPEC is JSON: ``{"receiver": [pid, interface], "paths": [[pid, interface, "rx" or "tx"], …]}``; a pid
stands for the node that it is in. Prints ``R time bytes packets`` when the receiver's counters have
changed (looked at every millisecond) and ``P time bytes…`` with all paths ten times a second. A file
of its own process so that no drawing of a picture delays a look.
"""

from __future__ import annotations

import json
import os
import sys
import time

_FINE = 0.001
_COARSE = 0.1
_COLUMNS = {"rx": (0, 1), "tx": (8, 9)}
"""Columns of bytes and packets in /proc/net/dev (net/core/net-procfs.c)."""


class Counter:
    """The counters of one interface of one node."""

    def __init__(self, pid: int, interface: str, direction: str) -> None:
        # The open file keeps to the network of this process, wherever we are.
        self._fd = os.open(f"/proc/{pid}/net/dev", os.O_RDONLY)
        self._key = f" {interface}:".encode()
        self._bytes, self._packets = _COLUMNS[direction]

    def read(self) -> tuple[int, int]:
        """Bytes and packets so far; zeros while the interface does not exist."""
        text = b" " + os.pread(self._fd, 8192, 0)
        start = text.find(self._key)
        if start < 0:
            return 0, 0
        words = text[start + len(self._key) :].split(None, 10)
        return int(words[self._bytes]), int(words[self._packets])


def _main() -> None:
    spec = json.loads(sys.argv[1])
    pid, interface = spec["receiver"]
    receiver = Counter(pid, interface, "rx")
    paths = [Counter(*path) for path in spec["paths"]]
    write = sys.stdout.write
    before = (-1, -1)
    coarse = 0.0
    while True:
        now = time.monotonic()
        seen = receiver.read()
        if seen != before:
            write(f"R {now:.6f} {seen[0]} {seen[1]}\n")
            before = seen
        if now >= coarse:
            write(f"P {now:.6f} {' '.join(str(path.read()[0]) for path in paths)}\n")
            sys.stdout.flush()
            coarse = now + _COARSE
        time.sleep(_FINE)


if __name__ == "__main__":
    _main()
