"""``plait top``: the board on the terminal, fed by a thread that asks once a second.

The thread waits for plait and the terminal for keys, so that a plait that is busy, restarts or is gone never
holds up a key.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO, cast
from urllib.parse import quote

from plait.errors import PlaitError
from plait.views.ask import NobodyThere, ask
from plait.views.board import Board, SetMode
from plait.views.graph import Style
from plait.views.terminal import Terminal

_EVERY = 1.0
_SOON = 0.05
"""Seconds after a key in which further keys change what is asked for, before it is."""


def watch(run_dir: Path, out: TextIO, given: TextIO, style: Style) -> None:
    """Show what goes on until the user has seen enough. Raises PlaitError when no plait is there to begin
    with; one that goes away later is waited for."""
    board = Board(style)
    history = cast("Mapping[str, list[tuple[float, float]]]", ask(run_dir, "/v1/history")["paths"])
    for path, rates in history.items():
        for down, up in rates:
            board.note(path, down, up)
    with Terminal(out, given) as terminal:
        _Watcher(run_dir, board, terminal).run()


class _Watcher:
    """The board, the terminal and the thread that asks."""

    def __init__(self, run_dir: Path, board: Board, terminal: Terminal) -> None:
        self._run_dir = run_dir
        self._board = board
        self._terminal = terminal
        self._lock = threading.Lock()
        """Held by whoever uses the board."""
        self._asked = threading.Event()
        self._over = False

    def run(self) -> None:
        """Until the user leaves."""
        asker = threading.Thread(target=self._ask, name="asker", daemon=True)
        asker.start()
        try:
            while not self._board.done:
                with self._lock:
                    self._terminal.draw(self._board.lines(*self._terminal.size))
                for key in self._terminal.wait(None):
                    self._press(key)
        finally:
            self._over = True
            self._asked.set()

    def _press(self, key: str) -> None:
        if key == "redraw":
            self._terminal.resized = True
            return
        with self._lock:
            before = self._wanted()
            wish = self._board.press(key)
            changed = self._wanted() != before
        if wish is not None:
            self._set(wish)
        if changed or wish is not None:
            self._asked.set()

    def _set(self, wish: SetMode) -> None:
        try:
            ask(self._run_dir, f"/v1/paths/{quote(wish.path, safe='')}", body={"mode": wish.mode})
        except PlaitError as error:
            with self._lock:
                self._board.message = str(error)

    def _wanted(self) -> dict[str, object]:
        return {name: value for name, value in self._board.query.items() if name != "since"}

    def _ask(self) -> None:
        while not self._over:
            begun = time.monotonic()
            with self._lock:
                query = self._board.query
            try:
                status = ask(self._run_dir, "/v1/status", query)
            except NobodyThere:
                said: str | None = "plait is not there; waiting for it"
            except PlaitError as error:
                said = str(error)
            else:
                said = None
            with self._lock:
                if said is not None:
                    self._board.message = said
                else:
                    self._board.take(status)
            self._terminal.wake()
            if self._asked.wait(max(_SOON, _EVERY - (time.monotonic() - begun))):
                # More keys may be on their way.
                time.sleep(_SOON)
                self._asked.clear()
