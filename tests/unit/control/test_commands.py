from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

import pytest

from plait.control import commands


def run(script: str, limit: float = 20.0, **extra: str) -> bool:
    return asyncio.run(commands.run("on_up of lte", ("/bin/sh", "-c", script), extra, limit))


@pytest.fixture(autouse=True)
def _listen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_what_it_prints_is_logged_and_its_environment_is_ours_and_more(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    assert run('echo "$PLAIT_PATH is up${NOTIFY_SOCKET}"; printf "%s" last >&2', PLAIT_PATH="lte")
    assert caplog.messages == ["on_up of lte: lte is up", "on_up of lte: last"]


def test_failures_are_said(caplog: pytest.LogCaptureFixture) -> None:
    assert not run("exit 3")
    assert "ended with status 3" in caplog.text
    assert not asyncio.run(commands.run("x", ("/does/not/exist",), {}))
    assert "can't run /does/not/exist: No such file" in caplog.text


def test_one_that_talks_much_is_read_to_its_end_and_told_in_part(caplog: pytest.LogCaptureFixture) -> None:
    assert run("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done")
    assert len(caplog.messages) == 11
    assert "more than 10 lines" in caplog.messages[-1]


def lives(pid: str) -> bool:
    """Whether it is there, and not only waits to be collected by whoever adopted it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_one_that_hangs_is_ended_with_all_that_it_started(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    begun = time.monotonic()
    pids = tmp_path / "pids"
    assert not run(f"trap '' TERM; sleep 100 & echo $! $$ > {pids}; wait; wait", limit=0.5)
    assert time.monotonic() - begun < 50
    assert "took more than 0.5 s" in caplog.text
    assert not any(lives(pid) for pid in pids.read_text().split())


def test_what_it_left_behind_is_ended_with_it(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    begun = time.monotonic()
    assert run(f"sleep 100 & echo $! > {pids}")
    assert time.monotonic() - begun < 50, "it is not waited for"
    deadline = time.monotonic() + 20
    while lives(pids.read_text().strip()):
        assert time.monotonic() < deadline, "it lives on"
        time.sleep(0.02)
