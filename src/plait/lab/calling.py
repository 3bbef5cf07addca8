"""The study of a call: small datagrams, steady, beside bulk that fills all links, and while links are cut."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypedDict

from plait.lab.bridge import BACK, FORTH, LEFT, Bridge
from plait.lab.errors import program
from plait.lab.node import Process, wait_for
from plait.lab.result import Cell, Dots, Panel, Result, Row, Table, spread
from plait.lab.stage import Stage
from plait.lab.traffic import iperf_server

ADDED, GAP = 0.020, 0.300
"""Seconds that bulk may add to the delay of 99 % of a call, and that bulk UDP may pause at a cut."""
_PORT = 7009
_BULK = 5202
VOICE, VOICE_SIZE = 64_000, 160
"""bit/s and bytes: G.711, 20 ms each."""
STREAM, STREAM_SIZE = 12_000_000, 1200
"""Bulk UDP that one link of this study can carry alone."""
_QUIET = 3.0
_FILLING = 2.5
"""Seconds until bulk fills the links."""
_HOLD, _SETTLE = 1.2, 1.5
"""Seconds that a cut lasts, and after it."""
_DONE = 15.0

CUTS: dict[str, tuple[Callable[[Bridge], float], Callable[[Bridge], float]]] = {
    "gateway's cable": (lambda bridge: bridge.unplug(LEFT), lambda bridge: bridge.plug(LEFT)),
    "silence": (lambda bridge: bridge.silence(), lambda bridge: bridge.unsilence()),
    "silence up": (lambda bridge: bridge.silence(FORTH), lambda bridge: bridge.unsilence(FORTH)),
    "silence down": (lambda bridge: bridge.silence(BACK), lambda bridge: bridge.unsilence(BACK)),
}


@dataclass(frozen=True, slots=True)
class Heard:
    """One direction of a steady flow: when each datagram left, and of those that came how long it took."""

    left: tuple[float, ...]
    took: dict[int, float]
    twice: int = 0

    def between(self, since: float, until: float) -> list[int]:
        """The numbers of what left then."""
        return [number for number, at in enumerate(self.left) if since <= at < until]

    def delay(self, since: float, until: float, share: float = 0.99) -> float:
        """Seconds within which ``share`` of what left then and came had come."""
        took = sorted(self.took[number] for number in self.between(since, until) if number in self.took)
        return took[min(len(took) - 1, int(share * len(took)))] if took else float("inf")

    def lost(self, since: float, until: float) -> int:
        """How many of those that left then never came."""
        return sum(1 for number in self.between(since, until) if number not in self.took)

    def pause(self, since: float, until: float) -> float:
        """The longest time in which nothing came."""
        came = sorted(self.left[number] + took for number, took in self.took.items())
        times = [since, *(at for at in came if since < at < until), until]
        return max(later - earlier for earlier, later in pairwise(times))


def heard(left: Iterable[float], came: Iterable[tuple[int, float, float]]) -> Heard:
    """From what the two ends have noted (see ``steady_process.py``)."""
    took: dict[int, float] = {}
    twice = 0
    for number, _, seconds in came:
        twice += number in took
        took.setdefault(number, seconds)
    return Heard(tuple(left), took, twice)


@dataclass(slots=True)
class Seen:
    """Monotonic seconds of what was done, and what was heard, by direction."""

    quiet: tuple[float, float] = (0.0, 0.0)
    full: tuple[float, float] = (0.0, 0.0)
    cuts: list[tuple[str, float, float]] = field(default_factory=list)
    """What, from when, until when its effects count."""
    voice: dict[str, Heard] = field(default_factory=dict)
    stream: dict[str, Heard] = field(default_factory=dict)


def study() -> Callable[[Stage], Result]:
    """A call alone, beside TCP that fills both links both ways, and beside UDP while links are cut."""

    def perform(stage: Stage) -> Result:
        stage.show.phase("starting plait")
        stage.scenario.weave(stage.lab)
        stage.pause(_QUIET)
        return judge(_perform(stage))

    return perform


def _perform(stage: Stage) -> Seen:
    course, lab, seen = stage.scenario.courses[0], stage.lab, Seen()
    client, server = lab[course.client], lab[course.server]
    steady = (sys.executable, "-m", "plait.lab.steady_process")
    answering = server.popen(*steady, "answer", str(_PORT), name="answer")
    wait_for("the callee", lambda: server.listening(_PORT, udp=True), within=10.0)

    def call(name: str, rate: int, size: int) -> Process:
        process = client.popen(
            *(*steady, "call", course.address, str(_PORT), name, str(rate), str(size)), name=name
        )
        process.wait_line("ready", within=30.0)
        return process

    voice = call("voice", VOICE, VOICE_SIZE)
    stage.show.phase("a call alone")
    seen.quiet = _span(stage, stage.seconds / 2)
    stage.show.phase("a call beside TCP, both ways")
    bulk = []
    for number, way in enumerate(([], ["--reverse"])):
        iperf_server(server, _BULK + number)
        bulk.append(
            client.popen(
                *(program("iperf3"), "--client", course.address, "--port", str(_BULK + number), *way),
                *("--time", "600", "--congestion", "cubic"),
                name="bulk",
            )
        )
    stage.pause(_FILLING)
    seen.full = _span(stage, stage.seconds)
    for process in bulk:
        process.kill()
    stage.pause(_SETTLE)
    stream = call("stream", STREAM, STREAM_SIZE)
    stage.pause(_SETTLE)
    chosen = list(CUTS.items())[: 2 if stage.quick else None]
    for title, (begin, end) in chosen:
        stage.show.phase(f"a call beside UDP: {title}")
        for link in stage.scenario.links:
            bridge = lab.bridge(link.bridge)
            stage.show.event(f"{bridge.name}: {title}")
            began = begin(bridge)
            stage.pause(_HOLD)
            end(bridge)
            stage.pause(_SETTLE)
            seen.cuts.append((title, began, time.monotonic() - 0.3))
    told = {process: _told(process) for process in (voice, stream, answering)}
    for name, caller, found in (("voice", voice, seen.voice), ("stream", stream, seen.stream)):
        here, there = told[caller][name], told[answering][name]
        found["up"] = heard(here["left"], there["came"])
        found["down"] = heard(there["left"], here["came"])
    return seen


def _span(stage: Stage, seconds: float) -> tuple[float, float]:
    began = time.monotonic()
    stage.pause(seconds)
    return began, time.monotonic()


class _Noted(TypedDict):
    """What an end has noted of a flow."""

    left: list[float]
    came: list[tuple[int, float, float]]


def _told(process: Process) -> dict[str, _Noted]:
    process.send(signal.SIGTERM)
    process.wait(_DONE)
    facts: dict[str, _Noted] = json.loads(process.text().splitlines()[-1])
    return facts


def judge(seen: Seen) -> Result:
    """Table, checks, facts and dots. What is said of cuts is said of the worst."""
    result = Result()
    ways = ("down", "up")
    rows: list[Row] = []
    dots: list[Dots] = []

    def row(title: str, asked: str, cells: Iterable[Cell]) -> None:
        rows.append(Row(title=title, asked=asked, cells=tuple(cells)))

    alone = {way: seen.voice[way].delay(*seen.quiet) for way in ways}
    full = {way: seen.voice[way].delay(*seen.full) for way in ways}
    row("a call alone: 99 % within", "", (Cell(text=f"{alone[way] * 1e3:.1f} ms") for way in ways))
    row("beside TCP: 99 % within", "", (Cell(text=f"{full[way] * 1e3:.1f} ms") for way in ways))
    asked = f"≤ {ADDED * 1e3:.0f} ms"
    row("  so bulk adds", asked, (_added(result, way, full[way] - alone[way], asked) for way in ways))
    lost = {way: seen.voice[way].lost(*seen.full) for way in ways}
    row("  lost of the call", "0", (_none(result, way, "call beside TCP", lost[way]) for way in ways))
    for title in dict.fromkeys(cut[0] for cut in seen.cuts):
        spans = [(since, until) for name, since, until in seen.cuts if name == title]
        worst = {way: [seen.stream[way].pause(*span) for span in spans] for way in ways}
        asked = f"≤ {GAP * 1e3:.0f} ms"
        row(
            f"{title}: UDP pauses",
            asked,
            (
                result.judged(
                    way, f"{title}: pause", spread(worst[way], 1e3, "ms"), asked, max(worst[way]) <= GAP
                )
                for way in ways
            ),
        )
        dots += [
            Dots(title=f"{title}, {way}", values=tuple(gap * 1e3 for gap in worst[way]), asked=GAP * 1e3)
            for way in ways
        ]
        gone = {way: sum(seen.voice[way].lost(*span) for span in spans) for way in ways}
        row("  lost of the call", "0", (_none(result, way, f"{title}: call", gone[way]) for way in ways))
    twice = {way: seen.voice[way].twice for way in ways}
    row("of the call came twice", "0", (_none(result, way, "call twice", twice[way]) for way in ways))
    result.tables.append(Table(columns=ways, rows=tuple(rows)))
    result.panels.append(Panel(title="pause of bulk UDP at a cut", unit="ms", dots=tuple(dots)))
    result.facts["call"] = {
        way: {
            "alone_p99_s": alone[way],
            "beside_tcp_p99_s": full[way],
            "beside_tcp_lost": lost[way],
            "sent": len(seen.voice[way].left),
            "lost": sum(seen.voice[way].lost(since, until) for _, since, until in seen.cuts),
        }
        for way in ways
    }
    return result


def _added(result: Result, way: str, added: float, asked: str) -> Cell:
    return result.judged(way, "added delay", f"{added * 1e3:.1f} ms", asked, added <= ADDED)


def _none(result: Result, way: str, promise: str, count: int) -> Cell:
    return result.judged(way, promise, str(count), "0", count == 0)
