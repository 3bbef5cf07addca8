"""A real terminal (a pty), looked at with a terminal emulator."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import termios
import threading
from collections.abc import Iterator
from io import TextIOWrapper
from typing import TextIO

import pyte
import pytest

from plait.views.graph import Style
from plait.views.terminal import Line, Look, Terminal, capable, likely_style


class Tube:
    """Both ends of a terminal of 20 by 5."""

    def __init__(self) -> None:
        self.near, self.far = pty.openpty()
        self.resize(20, 5)
        self.out = os.fdopen(os.dup(self.far), "w", encoding="utf-8")
        self.given = os.fdopen(os.dup(self.far))
        self.screen = pyte.Screen(20, 5)
        self._stream = pyte.ByteStream(self.screen)
        os.set_blocking(self.near, False)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.far, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def read(self) -> bytes:
        said = b""
        try:
            while data := os.read(self.near, 65536):
                said += data
        except BlockingIOError:
            pass
        self._stream.feed(said)
        return said

    def close(self) -> None:
        for file in (self.out, self.given):
            file.close()
        os.close(self.near)
        os.close(self.far)


@pytest.fixture
def tube() -> Iterator[Tube]:
    made = Tube()
    yield made
    made.close()


def plain(*texts: str) -> list[Line]:
    return [[(Look.PLAIN, text)] for text in texts]


def test_lines_are_drawn_and_only_what_changes_is_sent(tube: Tube) -> None:
    with Terminal(tube.out, tube.given) as terminal:
        assert terminal.size == (20, 5)
        terminal.draw([[(Look.BOLD, "head"), (Look.GOOD, " ↓")], *plain("one", "two")])
        tube.read()
        assert [line.rstrip() for line in tube.screen.display] == ["head ↓", "one", "two", "", ""]
        assert tube.screen.buffer[0][0].bold
        assert tube.screen.buffer[0][5].fg == "green"
        terminal.draw([[(Look.BOLD, "head"), (Look.GOOD, " ↓")], *plain("one", "2")])
        sent = tube.read()
        assert b"head" not in sent
        assert [line.rstrip() for line in tube.screen.display] == ["head ↓", "one", "2", "", ""]
        terminal.draw(plain("last"))
        tube.read()
        assert [line.rstrip() for line in tube.screen.display] == ["last", "", "", "", ""]
    assert b"\x1b[?1049l" in tube.read()


def test_it_is_given_back_as_it_was_even_after_a_fault(tube: Tube) -> None:
    before = termios.tcgetattr(tube.far)

    def use() -> None:
        with Terminal(tube.out, tube.given):
            assert termios.tcgetattr(tube.far) != before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()
    assert termios.tcgetattr(tube.far) == before
    assert signal.getsignal(signal.SIGWINCH) == signal.SIG_DFL


def test_keys_and_wakes_end_a_wait(tube: Tube) -> None:
    with Terminal(tube.out, tube.given) as terminal:
        os.write(tube.near, b"s\x1b[A\x03")
        assert terminal.wait(20.0) == ["s", "up", "interrupt"]
        os.write(tube.near, b"\x1b")
        assert terminal.wait(20.0) == []
        assert terminal.wait(20.0) == ["escape"]
        threading.Timer(0.05, terminal.wake).start()
        assert terminal.wait(20.0) == []
        assert terminal.wait(0.01) == []


def test_another_size_draws_all_anew(tube: Tube) -> None:
    with Terminal(tube.out, tube.given) as terminal:
        terminal.draw(plain("one"))
        tube.read()
        tube.resize(10, 3)
        os.kill(os.getpid(), signal.SIGWINCH)
        assert terminal.wait(20.0) == []
        assert terminal.size == (10, 3)
        terminal.draw(plain("one"))
        assert b"one" in tube.read()


def test_a_signal_that_ends_gives_it_back(tube: Tube) -> None:
    before = termios.tcgetattr(tube.far)

    def use() -> None:
        with Terminal(tube.out, tube.given) as terminal:
            os.kill(os.getpid(), signal.SIGTERM)
            terminal.wait(20.0)

    with pytest.raises(SystemExit):
        use()
    assert termios.tcgetattr(tube.far) == before


def test_colours_are_left_out_on_request(tube: Tube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with Terminal(tube.out, tube.given) as terminal:
        terminal.draw([[(Look.BAD, "red"), (Look.BOLD, "bold")]])
        sent = tube.read()
    assert b"\x1b[31m" not in sent
    assert b"\x1b[1mbold" in sent


def test_where_a_cursor_can_be_moved(tube: Tube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert capable(tube.out, tube.given)
    for name in ("dumb", "unknown", ""):
        monkeypatch.setenv("TERM", name)
        assert not capable(tube.out, tube.given)
    monkeypatch.delenv("TERM")
    assert not capable(tube.out, tube.given)
    monkeypatch.setenv("TERM", "xterm")
    with open(os.devnull) as nothing:
        assert not capable(tube.out, nothing)


@pytest.mark.parametrize(
    ("encoding", "locale", "term", "style"),
    [
        ("utf-8", "de_DE.UTF-8", "xterm", Style.BRAILLE),
        ("UTF-8", "C.utf8", "screen", Style.BRAILLE),
        ("utf-8", "C", "xterm", Style.ASCII),
        ("utf-8", "", "xterm", Style.ASCII),
        ("iso8859-1", "de_DE", "xterm", Style.ASCII),
        ("utf-8", "de_DE.UTF-8", "linux", Style.ASCII),
    ],
)
def test_what_can_be_shown(
    monkeypatch: pytest.MonkeyPatch, encoding: str, locale: str, term: str, style: Style
) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", locale)
    monkeypatch.setenv("TERM", term)
    with open(os.devnull, "wb") as nothing:
        out: TextIO = TextIOWrapper(nothing, encoding=encoding)
        assert likely_style(out) is style
