"""The command itself, on a terminal of its own, beside a control that comes and goes."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte
import pytest

from plait.control.server import ControlServer, Request
from plait.control.snapshot import PathStatus, Sessions, Status
from plait.errors import PlaitError

_PATIENCE = 30.0


class Control:
    """A control socket and what it answers, in a thread."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: ControlServer | None = None
        self.opened = 3
        self.modes: list[tuple[str, object]] = []
        self.queries: list[dict[str, str]] = []

    def start(self) -> None:
        routes = {
            ("GET", "/v1/status"): self._status,
            ("GET", "/v1/history"): self._history,
            ("GET", "/v1/connections"): self._connections,
            ("POST", "/v1/paths/*"): self._mode,
        }
        self._server = ControlServer(self._run_dir / "control.sock", routes)
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(_PATIENCE)

    def stop(self) -> None:
        if self._server is not None:
            asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(_PATIENCE)
            self._server = None

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()

    async def _status(self, request: Request) -> object:
        self.queries.append(dict(request.query))
        path = PathStatus(name="dsl", interface="wan1", mode="on", state="up")
        sessions = Sessions(open=self.opened)
        return Status(
            role="gateway", version="1", pid=1, uptime=5.0, sessions=sessions, paths=(path,)
        ).to_json()

    async def _history(self, _: Request) -> object:
        return {"every": 1.0, "paths": {"dsl": [[1e6, 0.0]] * 10}}

    async def _connections(self, _: Request) -> object:
        return {"connections": [], "clients": [], "matched": 0, "at": 0.0}

    async def _mode(self, request: Request) -> object:
        if request.body["mode"] == "off":
            raise PlaitError("not now")
        self.modes.append((request.name, request.body["mode"]))
        return {}


class Top:
    """``plait top`` on a terminal of 80 by 24."""

    def __init__(self, run_dir: Path, **environment: str) -> None:
        self._near, far = pty.openpty()
        fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
        words = [sys.executable, "-m", "plait", "top", "--run-dir", str(run_dir)]
        env = {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **environment}
        # A session of its own, so that the terminal is its own: then a new size reaches it.
        self.process = subprocess.Popen(
            words, stdin=far, stdout=far, stderr=far, env=env, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(far)
        os.set_blocking(self._near, False)
        self.screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self.screen)
        self.said = b""

    def type(self, text: str) -> None:
        os.write(self._near, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(rows, columns)
        fcntl.ioctl(self._near, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def until(self, condition: Callable[[list[str]], object]) -> None:
        """Wait until the screen is so."""
        end = time.monotonic() + _PATIENCE
        while not condition([line.rstrip() for line in self.screen.display]):
            assert time.monotonic() < end, "\n".join(self.screen.display)
            self._read()
            time.sleep(0.02)

    def ends(self) -> int:
        """Its status."""
        status = self.process.wait(_PATIENCE)
        self._read()
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(_PATIENCE)
        os.close(self._near)

    def _read(self) -> None:
        try:
            while data := os.read(self._near, 65536):
                self.said += data
                self._stream.feed(data)
        except (BlockingIOError, OSError):
            # Nothing more for now, or for ever: it has left the terminal.
            pass


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    made = Control(tmp_path)
    made.start()
    yield made
    made.close()


@pytest.fixture
def top(control: Control, tmp_path: Path) -> Iterator[Top]:
    made = Top(tmp_path)
    made.until(lambda lines: "3 sessions" in lines[0])
    yield made
    made.close()


def test_it_shows_what_is_and_what_was_and_leaves_as_it_came(top: Top) -> None:
    top.until(lambda lines: lines[1].startswith("dsl       up") and "⣿" in lines[1])
    top.type("q")
    assert top.ends() == 0
    assert top.said.endswith(b"\x1b[?1049l")


def test_a_control_that_restarts_is_waited_for(top: Top, control: Control) -> None:
    control.stop()
    top.until(lambda lines: lines[23].startswith("plait is not there; waiting for it"))
    top.until(lambda lines: lines[1].startswith("dsl"))
    control.opened = 7
    control.start()
    top.until(lambda lines: "7 sessions" in lines[0] and lines[23].startswith("[sessions]"))
    top.type("\x03")
    assert top.ends() == 0


def test_keys_reach_plait(top: Top, control: Control) -> None:
    top.type("sm")
    top.until(lambda lines: lines[23].startswith("dsl:"))
    top.type("b")
    top.until(lambda _: control.modes == [("dsl", "backup")])
    top.until(lambda _: control.queries[-1]["sort"] == "up")
    top.type("mf")
    top.until(lambda lines: lines[23].startswith("not now"))
    top.type("/443\r")
    top.until(lambda _: control.queries[-1].get("text") == "443")


def test_another_size(top: Top) -> None:
    top.resize(60, 10)
    top.until(lambda lines: len(lines) == 10 and lines[9].startswith("[sessions]"))


def test_a_signal_ends_it_in_order(top: Top) -> None:
    top.process.send_signal(signal.SIGTERM)
    assert top.ends() == 128 + signal.SIGTERM
    assert top.said.endswith(b"\x1b[?1049l")


@pytest.mark.parametrize("term", ["dumb", ""])
def test_where_no_cursor_moves_it_prints_once(control: Control, tmp_path: Path, term: str) -> None:
    made = Top(tmp_path, TERM=term)
    assert made.ends() == 0
    assert b"\x1b" not in made.said
    assert b"dsl   on" in made.said
    assert b"no sessions" in made.said
    made.close()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_pipe_gets_text_in_whatever_it_can_read(control: Control, tmp_path: Path, encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "plait", "top", "--once", "--run-dir", str(tmp_path)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        timeout=_PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"no sessions" in done.stdout


def test_nobody_there(tmp_path: Path) -> None:
    made = Top(tmp_path / "none")
    assert made.ends() == 1
    assert made.said.startswith(b"plait: no plait runs with")
    assert b"\x1b" not in made.said
    made.close()
