"""Progress while a trial runs: a moving picture on a terminal, a line a second elsewhere."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from plait.lab.samples import Samples
from plait.lab.scenario import Scenario

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

_BLOCKS = " ▁▂▃▄▅▆▇█"
_HISTORY = 240
_STEP = 0.5
"""Seconds that one column of the history stands for."""
_BAR = 24
_BESIDE = 8 + _BAR + len("  1234.5 Mbit/s ") + len("|  |") + 3
"""Columns of a line that are not history: name, bar, speed, frame, gaps."""
_COLOURS = ("cyan", "yellow", "green", "magenta")


class Lines:
    """Plain text: phases and events as they come, speeds once a second."""

    def __init__(self, scenario: Scenario, out: TextIO) -> None:
        self._out = out
        self._began = time.monotonic()
        self._last = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def _print(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", file=self._out, flush=True)

    def phase(self, text: str) -> None:
        """A new part of the trial begins."""
        self._print(text)

    def event(self, text: str) -> None:
        """A cable was touched."""
        self._print(f"** {text}")

    def tick(self, samples: Samples) -> None:
        """New samples are there."""
        now = time.monotonic()
        if now - self._last < 1.0:
            return
        self._last = now
        client, paths = samples.recent()
        parts = [f"{name} {speed / 1e6:6.1f}" for name, speed in zip(samples.paths, paths, strict=True)]
        self._print(f"   {'   '.join(parts)}   client {client / 1e6:6.1f} Mbit/s")


class Picture:
    """A bar and a history for each path and for the client, as bmon would show them."""

    def __init__(self, scenario: Scenario, out: TextIO) -> None:
        self._title = f"{scenario.name}: {scenario.summary}"
        self._began = time.monotonic()
        self._phase = "building the network"
        self._events: deque[str] = deque(maxlen=4)
        self._speeds: dict[str, float] = {link.interface: 0.0 for link in scenario.links}
        self._speeds["client"] = 0.0
        self._history: dict[str, deque[float]] = {name: deque(maxlen=_HISTORY) for name in self._speeds}
        self._top = 1e6
        self._last = 0.0
        self._live: Live | None = None
        self._out = out

    def __enter__(self) -> Self:
        from rich.console import Console
        from rich.live import Live

        console = Console(file=self._out)
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=8, transient=True)
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def _note(self, text: str) -> None:
        self._events.append(f"{time.monotonic() - self._began:6.1f} s  {text}")

    def phase(self, text: str) -> None:
        """A new part of the trial begins."""
        self._phase = text
        self._note(text)

    def event(self, text: str) -> None:
        """A cable was touched."""
        self._phase = text
        self._note(f"[bold red]{text}[/]")

    def tick(self, samples: Samples) -> None:
        """New samples are there."""
        client, paths = samples.recent(_STEP)
        self._speeds.update(zip(samples.paths, paths, strict=True))
        self._speeds["client"] = client
        self._top = max(self._top, *self._speeds.values())
        now = time.monotonic()
        if now - self._last >= _STEP:
            self._last = now
            for name, speed in self._speeds.items():
                self._history[name].append(speed)

    def _render(self) -> Group:
        from rich.console import Group
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        width = self._live.console.width if self._live is not None else 80
        room = max(width - _BESIDE, 4)
        table = Table.grid(padding=(0, 1))
        for index, (name, speed) in enumerate(self._speeds.items()):
            colour = "bold white" if name == "client" else _COLOURS[index % len(_COLOURS)]
            filled = round(_BAR * speed / self._top)
            history = "".join(
                _BLOCKS[min(round((len(_BLOCKS) - 1) * past / self._top), len(_BLOCKS) - 1)]
                for past in list(self._history[name])[-room:]
            )
            table.add_row(
                Text(f"{name:>8}", style=colour),
                Text("━" * filled, style=colour) + Text("─" * (_BAR - filled), style="grey30"),
                Text(f"{speed / 1e6:6.1f} Mbit/s", style=colour),
                Text(history, style=colour, no_wrap=True, overflow="crop"),
            )
        head = Text.assemble((f"{time.monotonic() - self._began:5.0f} s  ", "grey62"), (self._phase, "bold"))
        notes = Text.from_markup("\n".join(self._events), style="grey62")
        return Group(Panel(Group(head, Text(), table, Text(), notes), title=self._title, title_align="left"))


def display(scenario: Scenario, out: TextIO = sys.stderr) -> Lines | Picture:
    """The best display for where ``out`` leads to. Use as a context manager."""
    if out.isatty() and importlib.util.find_spec("rich") is not None:
        return Picture(scenario, out)
    return Lines(scenario, out)
