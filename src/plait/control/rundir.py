"""The run directory: one running plait each, and the little it has to remember on disk.

lock          held (flock) as long as control lives, whatever kills it
pid           of control
workers.json  pids and start times of the workers, to find those that outlived their control
courier.json  the same of the courier
host.json     sysctls and MPTCP limits as they were before us, to be put back
modes.json    modes of paths that were set while running
control.sock  where plait is asked what goes on, and told modes (HTTP)
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path

from plait.errors import PlaitError

DEFAULT = Path("/run/plait")


class RunDir:
    """A run directory that this process holds. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = -1

    @property
    def socket(self) -> Path:
        """Where the control socket is."""
        return self.path / "control.sock"

    def acquire(self) -> None:
        """Take the lock, or say who has it."""
        try:
            self.path.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise PlaitError(
                f"{self.path}: {error.strerror}", "run as root, or choose another with --run-dir"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            self._lock = -1
            pid = running(self.path)
            raise PlaitError(
                f"another plait runs with {self.path}" + (f" (pid {pid})" if pid else ""),
                "stop it, or give this one its own with --run-dir",
            ) from None
        _write(self.path / "pid", f"{os.getpid()}\n")

    def release(self) -> None:
        """Leave nothing but the directory."""
        for name in ("pid", "workers.json", "courier.json", "modes.json", "control.sock"):
            with contextlib.suppress(OSError):
                (self.path / name).unlink()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def remember_workers(self, pids: Iterable[int]) -> None:
        """Note who our workers are, those of former controls included as long as they live."""
        known = {pid: born for pid, born in self._workers().items() if _born(pid) == born}
        known |= {pid: born for pid in pids if (born := _born(pid)) is not None}
        _write(self.path / "workers.json", json.dumps(known))

    def orphans(self, ours: Iterable[int] = ()) -> list[int]:
        """Workers that outlived their control: still alive, and the same processes as then."""
        mine = set(ours)
        return [pid for pid, born in self._workers().items() if pid not in mine and _born(pid) == born]

    def signal_orphans(self, number: signal.Signals, ours: Iterable[int] = ()) -> int:
        """Tell the orphans something; returns how many there were."""
        found = self.orphans(ours)
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return len(found)

    def remember_courier(self, pid: int) -> None:
        """Note who our courier is."""
        born = _born(pid)
        _write(self.path / "courier.json", json.dumps({} if born is None else {pid: born}))

    def orphan_courier(self) -> int | None:
        """The courier that outlived its control, if it still lives."""
        for pid, born in _read(self.path / "courier.json").items():
            if _born(int(pid)) == born:
                return int(pid)
        return None

    def signal_courier(self, number: signal.Signals) -> int | None:
        """Tell that one something; returns its pid, None when there is none."""
        pid = self.orphan_courier()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return pid

    def remember_host(self, before: Mapping[str, str]) -> None:
        """Keep values as they were before our first change. Known ones are not overwritten: after a
        crash they are older, and so truer, than what is observed now."""
        kept = self.remembered_host()
        merged = {**before, **kept}
        if merged != kept:
            _write(self.path / "host.json", json.dumps(merged, indent=1))

    def remembered_host(self) -> dict[str, str]:
        """What `remember_host` kept."""
        return {str(key): str(value) for key, value in _read(self.path / "host.json").items()}

    def forget_host(self) -> None:
        """All has been put back."""
        with contextlib.suppress(OSError):
            (self.path / "host.json").unlink()

    def remember_modes(self, modes: Mapping[str, str]) -> None:
        """Keep the modes set live, by path."""
        _write(self.path / "modes.json", json.dumps(modes))

    def remembered_modes(self) -> dict[str, str]:
        """What `remember_modes` kept."""
        return {str(path): str(mode) for path, mode in _read(self.path / "modes.json").items()}

    def _workers(self) -> dict[int, int]:
        return {int(pid): int(str(born)) for pid, born in _read(self.path / "workers.json").items()}


def running(path: Path) -> int | None:
    """Pid of the control that holds the run directory ``path`` right now, if one does."""
    try:
        lock = os.open(path / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            return int((path / "pid").read_text())
    finally:
        os.close(lock)
    return None


def _born(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot (field 22 of /proc/PID/stat), so that a pid
    that was given to another process meanwhile is never taken for ours."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
            # A zombie has nothing left to be told; in some containers nobody ever collects it.
            return None if fields[0] == b"Z" else int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


def _read(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, text: str) -> None:
    """Whole or not at all: a crash half-way must not leave a file that can't be read."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    os.replace(fresh, path)
