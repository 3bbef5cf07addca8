"""``plait down``: take everything of plait's out of this host, with or without a memory of ``up``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from plait.cli.service import run_dir
from plait.control.keeper import restore
from plait.control.rundir import RunDir, running
from plait.control.tunnel import ALIAS
from plait.errors import KernelError, MissingCapability, PlaitError
from plait.kernel import nft
from plait.kernel.capabilities import has_net_admin
from plait.kernel.linux import Host
from plait.kernel.tun import ours, remove
from plait.paths.changes import Change, DropTable
from plait.paths.diff import teardown
from plait.paths.marks import NFT_FAR_TABLE, NFT_NEAR_TABLE
from plait.paths.model import Interest

HELP = "stop the plait of this run directory, if one runs, and take everything of plait's out of this host"

_PATIENCE = 15.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    run_dir(parser)


def run(args: argparse.Namespace) -> int:
    """Idempotent; prints each change it makes."""
    directory: Path = args.run_dir
    if not has_net_admin():
        raise MissingCapability("changing this host's network needs root", "run it with sudo")
    pid = running(directory)
    if pid is not None:
        sys.stdout.write(f"# stopping plait, pid {pid}\n")
        _end(directory, pid)
    rundir = RunDir(directory)
    rundir.acquire()
    host = Host()
    try:
        remembered = rundir.remembered_host()
        changes = teardown(host.observe(Interest(sysctls=tuple(remembered))))
        interception = [change for change in changes if isinstance(change, DropTable)]
        failures = _apply(host, interception)
        _end_courier(rundir)
        _drop_tunnels()
        # Workers that a killed control left: nobody else will ever end them. The LAN is led to them no more,
        # and they still have the subflows on which to tell the exit.
        _end_orphans(rundir)
        failures += _apply(host, [change for change in changes if change not in interception])
        restore(host, remembered)
        rundir.forget_host()
    finally:
        host.close()
        rundir.release()
    for failure in failures:
        sys.stderr.write(f"plait: {failure}\n")
    return 1 if failures else 0


def _apply(host: Host, changes: Sequence[Change]) -> list[KernelError]:
    for change in changes:
        sys.stdout.write(change.line() + "\n")
    return host.apply(changes)


def _end_courier(rundir: RunDir) -> None:
    pid = rundir.signal_courier(signal.SIGTERM)
    if pid is not None:
        sys.stdout.write(f"# ending the courier of a plait that was killed: {pid}\n")
    deadline = time.monotonic() + _PATIENCE
    while rundir.orphan_courier() is not None:
        if time.monotonic() > deadline:
            rundir.signal_courier(signal.SIGKILL)
        time.sleep(0.02)


def _drop_tunnels() -> None:
    """Tables and devices that a killed plait has left."""
    for device in ours(ALIAS):
        sys.stdout.write(f"ip link delete {device.name}\n")
        remove(device.index)
    question = nft.NftQuestion()
    try:
        for table in (NFT_NEAR_TABLE, NFT_FAR_TABLE):
            if question.digest(table) is not None:
                sys.stdout.write(f"nft delete table inet {table}\n")
                nft.drop(table)
    finally:
        question.close()


def _end_orphans(rundir: RunDir) -> None:
    count = rundir.signal_orphans(signal.SIGTERM)
    if count:
        sys.stdout.write(f"# ending workers of a plait that was killed: {count}\n")
    deadline = time.monotonic() + _PATIENCE
    while rundir.orphans():
        if time.monotonic() > deadline:
            rundir.signal_orphans(signal.SIGKILL)
            return
        time.sleep(0.02)


def _end(directory: Path, pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError:
        raise PlaitError(f"plait (pid {pid}) belongs to another user", "run it with sudo") from None
    deadline = time.monotonic() + _PATIENCE
    while running(directory) is not None:
        if time.monotonic() > deadline:
            raise PlaitError(
                f"plait (pid {pid}) does not stop", f"end it with: kill -9 {pid}; then try again"
            )
        time.sleep(0.05)
