"""Progress, on a terminal and elsewhere."""

from __future__ import annotations

import io

import pytest

from plait.lab import scenarios
from plait.lab.live import Lines, Picture, display
from plait.lab.samples import Samples

SCENARIO = scenarios.find("wifi-bridges")


class Terminal(io.StringIO):
    """Text that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def running() -> Samples:
    samples = Samples(paths=("wan1", "wan2"))
    for step in range(21):
        samples.receiver(step / 10, step * 400_000, 0)
        samples.path(step / 10, (step * 250_000, step * 125_000))
    return samples


def test_lines_where_there_is_no_terminal() -> None:
    out = io.StringIO()
    with display(SCENARIO, out) as show:
        assert isinstance(show, Lines)
        show.phase("both links")
        show.tick(running())
        show.tick(running())
        show.event("bridge1 unplugged")
    lines = out.getvalue().splitlines()
    assert [line.split("s", 1)[1].strip() for line in lines] == [
        "both links",
        "wan1   20.0   wan2   10.0   client   32.0 Mbit/s",
        "** bridge1 unplugged",
    ], "two looks within a second make one line"


@pytest.mark.parametrize("columns", ["60", "80", "132"])
def test_a_picture_on_a_terminal(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    with display(SCENARIO, out) as show:
        assert isinstance(show, Picture)
        show.phase("both links")
        for _ in range(300):
            show.tick(running())
            show._last = 0.0
        show.event("bridge1 unplugged")
    from rich.console import Console

    paper = Console(file=io.StringIO(), width=int(columns))
    with paper.capture() as caught:
        paper.print(show._render())
    lines = caught.get().splitlines()
    assert len(lines) == 10, "no line is so long that it wraps"
    assert any("wan1" in line and "20.0 Mbit/s" in line for line in lines)
    assert "bridge1 unplugged" in caught.get()
