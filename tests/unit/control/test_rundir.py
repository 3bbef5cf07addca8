from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from plait.control.rundir import RunDir, running
from plait.errors import PlaitError


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits to be ended."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def test_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run"
    first = RunDir(path)
    assert running(path) is None
    first.acquire()
    assert running(path) == os.getpid()
    with pytest.raises(PlaitError, match=f"another plait runs with .*pid {os.getpid()}"):
        RunDir(path).acquire()
    assert running(path) == os.getpid(), "the one that was refused has taken nothing away"
    first.release()
    assert running(path) is None
    again = RunDir(path)
    again.acquire()
    again.release()
    again.release()


def test_a_lock_that_a_crash_left_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    (tmp_path / "pid").write_text("1\n")
    assert running(tmp_path) is None
    rundir = RunDir(tmp_path)
    rundir.acquire()
    assert running(tmp_path) == os.getpid()
    rundir.release()


def test_a_place_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PlaitError, match="--run-dir"):
        RunDir(tmp_path / "file" / "run").acquire()


def test_orphans_are_found_and_told(tmp_path: Path, child: subprocess.Popen[bytes]) -> None:
    rundir = RunDir(tmp_path)
    rundir.remember_workers([child.pid])
    assert RunDir(tmp_path).orphans() == [child.pid]
    assert RunDir(tmp_path).orphans(ours=[child.pid]) == []
    assert rundir.signal_orphans(signal.SIGTERM) == 1
    child.wait(10)
    assert rundir.orphans() == []
    assert rundir.signal_orphans(signal.SIGTERM) == 0


def test_orphans_stay_known_beside_new_workers(tmp_path: Path, child: subprocess.Popen[bytes]) -> None:
    rundir = RunDir(tmp_path)
    rundir.remember_workers([child.pid])
    rundir.remember_workers([os.getpid()])
    assert sorted(rundir.orphans()) == sorted([child.pid, os.getpid()])


def test_a_pid_that_is_somebody_elses_now_is_left_alone(
    tmp_path: Path, child: subprocess.Popen[bytes]
) -> None:
    rundir = RunDir(tmp_path)
    rundir.remember_workers([child.pid])
    path = tmp_path / "workers.json"
    known = json.loads(path.read_text())
    path.write_text(json.dumps({pid: born - 1 for pid, born in known.items()}))
    assert rundir.orphans() == []
    assert rundir.signal_orphans(signal.SIGKILL) == 0
    assert child.poll() is None


def test_a_zombie_is_no_orphan(tmp_path: Path, child: subprocess.Popen[bytes]) -> None:
    rundir = RunDir(tmp_path)
    rundir.remember_workers([child.pid])
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert rundir.orphans() == []


def test_the_oldest_memory_of_the_host_counts(tmp_path: Path) -> None:
    rundir = RunDir(tmp_path)
    assert rundir.remembered_host() == {}
    rundir.remember_host({})
    assert not (tmp_path / "host.json").exists()
    rundir.remember_host({"a": "1"})
    rundir.remember_host({"a": "2", "b": "3"})
    assert RunDir(tmp_path).remembered_host() == {"a": "1", "b": "3"}
    rundir.forget_host()
    rundir.forget_host()
    assert rundir.remembered_host() == {}


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "\x00\xff"])
def test_files_that_are_damaged_are_as_good_as_none(tmp_path: Path, text: str) -> None:
    for name in ("host.json", "workers.json"):
        (tmp_path / name).write_text(text)
    rundir = RunDir(tmp_path)
    assert rundir.remembered_host() == {}
    assert rundir.orphans() == []


def test_modes_outlive_a_crash_and_end_with_a_clean_stop(tmp_path: Path) -> None:
    rundir = RunDir(tmp_path)
    rundir.acquire()
    assert rundir.remembered_modes() == {}
    rundir.remember_modes({"wan2": "backup"})
    assert RunDir(tmp_path).remembered_modes() == {"wan2": "backup"}
    rundir.release()
    assert RunDir(tmp_path).remembered_modes() == {}


def test_a_courier_that_outlived_its_control_is_found_and_told(
    tmp_path: Path, child: subprocess.Popen[bytes]
) -> None:
    rundir = RunDir(tmp_path)
    assert rundir.orphan_courier() is None
    assert rundir.signal_courier(signal.SIGTERM) is None
    rundir.remember_courier(child.pid)
    assert RunDir(tmp_path).orphan_courier() == child.pid
    assert rundir.signal_courier(signal.SIGTERM) == child.pid
    child.wait(20)
    assert rundir.orphan_courier() is None
