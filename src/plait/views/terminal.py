"""A terminal, taken over for a while and given back as it was. ECMA-48 sequences that every terminal of
today knows, and Linux' own console: no library, no terminfo, which small routers do without."""

from __future__ import annotations

import os
import select
import shutil
import signal
import termios
import tty
from collections.abc import Sequence
from enum import Enum
from types import FrameType, TracebackType
from typing import TextIO

from plait.views.graph import Style
from plait.views.keys import Keys

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J"
"""To the other screen, no cursor, erase."""
_LEAVE = "\x1b[0m\x1b[?25h\x1b[?1049l"
_ESCAPE_WAIT = 0.05
"""Seconds in which the rest of a key's sequence comes."""


_LOCALE = ("LC_ALL", "LC_CTYPE", "LANG")


class Look(Enum):
    """How a piece of text looks."""

    PLAIN = ""
    BOLD = "1"
    DIM = "2"
    GOOD = "32"
    DOUBTFUL = "33"
    BAD = "31"
    BAR = "7"


Piece = tuple[Look, str]
Line = Sequence[Piece]


def capable(out: TextIO, given: TextIO) -> bool:
    """Whether both are a terminal on which a cursor can be moved."""
    return out.isatty() and given.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")


def likely_style(out: TextIO) -> Style:
    """What pictures can be made of there. Linux' console has no Braille in its font; and Python writes UTF-8
    in a locale that knows none, where the terminal may not read it."""
    encoding = (out.encoding or "").lower().replace("-", "").replace("_", "")
    locale = next((found for name in _LOCALE if (found := os.environ.get(name))), "")
    knows = encoding == "utf8" and "utf8" in locale.lower().replace("-", "")
    return Style.BRAILLE if knows and os.environ.get("TERM") != "linux" else Style.ASCII


class Terminal:
    """Use as a context manager. Signals that would end us give the terminal back first."""

    def __init__(self, out: TextIO, given: TextIO) -> None:
        self._out = out
        self._input = given.fileno()
        self._keys = Keys()
        self._shown: list[str] = []
        self._colours = "NO_COLOR" not in os.environ
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._former: list[object] = []
        self._handlers: dict[int, object] = {}
        self.resized = False

    def __enter__(self) -> Terminal:
        self._former = termios.tcgetattr(self._input)
        self._take()
        for number in (signal.SIGWINCH, signal.SIGCONT, signal.SIGTERM, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, self._signalled)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._give_back()
        os.close(self._woken)
        os.close(self._wake)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        found = shutil.get_terminal_size()
        try:
            found = os.get_terminal_size(self._out.fileno())
        except OSError:
            pass
        return max(1, found.columns), max(1, found.lines)

    def wake(self) -> None:
        """End a `wait`; may be called from another thread."""
        try:
            os.write(self._wake, b"\0")
        except (BlockingIOError, OSError):
            # It is full of wakes, or we are closed.
            pass

    def wait(self, seconds: float | None) -> list[str]:
        """Keys, as soon as there are some; none when woken or after so many seconds."""
        patience = _ESCAPE_WAIT if self._keys.waits else seconds
        ready, _, _ = select.select([self._input, self._woken], [], [], patience)
        if self._woken in ready:
            os.read(self._woken, 4096)
        if self._input not in ready:
            return self._keys.feed(b"") if self._keys.waits and not ready else []
        data = os.read(self._input, 4096)
        # The other end of the terminal is gone.
        return self._keys.feed(data) if data else ["interrupt"]

    def draw(self, lines: Sequence[Line]) -> None:
        """Show these lines, each as wide as the terminal at most. Only what has changed is sent: over a slow
        line that is what counts."""
        fresh = [self._painted(line) for line in lines]
        if self.resized:
            self.resized = False
            self._shown = []
            self._out.write("\x1b[0m\x1b[2J")
        parts = []
        for row, text in enumerate(fresh):
            if row >= len(self._shown) or self._shown[row] != text:
                parts.append(f"\x1b[{row + 1};1H{text}\x1b[K")
        for row in range(len(fresh), len(self._shown)):
            parts.append(f"\x1b[{row + 1};1H\x1b[K")
        self._shown = fresh
        if parts:
            self._out.write("".join(parts))
        self._out.flush()

    def _painted(self, line: Line) -> str:
        parts = []
        for look, text in line:
            coloured = look in (Look.GOOD, Look.DOUBTFUL, Look.BAD)
            if look is Look.PLAIN or (coloured and not self._colours):
                parts.append(text)
            else:
                parts.append(f"\x1b[{look.value}m{text}\x1b[0m")
        return "".join(parts)

    def _take(self) -> None:
        tty.setcbreak(self._input)
        mode = termios.tcgetattr(self._input)
        # Ctrl-C is a key like others, so that it never comes between two halves of a line.
        mode[6][termios.VINTR] = b"\0"
        termios.tcsetattr(self._input, termios.TCSANOW, mode)
        self._out.write(_ENTER)
        self._out.flush()
        self.resized = True

    def _give_back(self) -> None:
        try:
            termios.tcsetattr(self._input, termios.TCSADRAIN, self._former)  # type: ignore[arg-type]
            self._out.write(_LEAVE)
            self._out.flush()
        except (OSError, termios.error):
            # It is gone.
            pass

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        if number in (signal.SIGTERM, signal.SIGHUP):
            raise SystemExit(128 + number)
        if number == signal.SIGCONT:
            # After Ctrl-Z the shell has had its own settings.
            self._take()
        self.resized = True
        self.wake()
