"""What a watchdog can do by itself to wake a link: ``pppd``, ``ifup``, ``networkctl``, ``link``.

Each is a list of programs to run one after the other, or a signal to a program that runs already.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from plait.config.model import Path as ConfigPath

log = logging.getLogger(__name__)

PPPD, IFUP, NETWORKCTL, LINK = "pppd", "ifup", "networkctl", "link"
BUILT_IN = (PPPD, IFUP, NETWORKCTL, LINK)

_PROC = Path("/proc")
_RUN = Path("/run")
UBUS = ("ubus", "-S", "call", "network.interface", "dump")
"""How OpenWrt is asked which of its interfaces has a device."""

Words = tuple[str, ...]


def steps(kind: str, path: ConfigPath) -> tuple[Words, ...]:
    """The programs of one attempt; ``kind`` is not ``pppd``. Any other word is a shell command."""
    device = path.interface
    if kind == NETWORKCTL:
        return (("networkctl", "reconfigure", device),)
    if kind == LINK:
        return (
            ("ip", "link", "set", "dev", device, "down"),
            ("sleep", "1"),
            ("ip", "link", "set", "dev", device, "up"),
        )
    if kind == IFUP:
        # Of Debian's ifupdown: --force, as it takes the link for configured still.
        return (("ifdown", "--force", device), ("ifup", "--force", device))
    return (("/bin/sh", "-c", kind),)


def openwrt_name(dump: str, device: str) -> str | None:
    """OpenWrt's name for what has ``device``, from what `UBUS` prints: its ``ifup`` wants that."""
    try:
        interfaces = json.loads(dump)["interface"]
        for each in interfaces:
            if device in (each.get("l3_device"), each.get("device")):
                return str(each["interface"])
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


def hang_up(path: ConfigPath, run: Path = _RUN, proc: Path = _PROC) -> bool:
    """SIGHUP to the pppd of a path's interface: it ends the call and, with ``persist``, dials again."""
    pid = find_pppd(path, run, proc)
    if pid is None:
        log.warning(
            "path %s: no pppd of %s runs, its watchdog has nothing to wake", path.name, path.interface
        )
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGHUP)
        log.info("path %s: SIGHUP to pppd, pid %d", path.name, pid)
        return True
    return False


def find_pppd(path: ConfigPath, run: Path = _RUN, proc: Path = _PROC) -> int | None:
    """The pppd of an interface: by its pid file, which it has only while the interface exists; else by
    its options (``unit``, ``ifname``, ``linkname``, ``call``), or because it is the only one."""
    for name in (path.interface, f"ppp-{path.interface}", f"ppp-{path.name}"):
        with contextlib.suppress(OSError, ValueError):
            pid = int((run / f"{name}.pid").read_text().split()[0])
            if _is_pppd(proc / str(pid)):
                return pid
    found = {
        int(entry.name): _words(entry) for entry in proc.iterdir() if entry.name.isdigit() and _is_pppd(entry)
    }
    for pid, words in found.items():
        if _is_for(words, path):
            return pid
    return next(iter(found)) if len(found) == 1 else None


def _is_pppd(entry: Path) -> bool:
    try:
        return (entry / "comm").read_text().strip() == "pppd"
    except OSError:
        return False


def _words(entry: Path) -> list[str]:
    try:
        return (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _is_for(words: Sequence[str], path: ConfigPath) -> bool:
    unit = path.interface.removeprefix("ppp")
    wanted = {
        ("unit", unit),
        ("ifname", path.interface),
        *(("linkname", name) for name in (path.interface, path.name)),
        *(("call", name) for name in (path.interface, path.name)),
    }
    return any(pair in wanted for pair in pairwise(words))
