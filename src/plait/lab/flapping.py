"""The study of flaps: links that come and go by chance, and connections that must outlive it."""

from __future__ import annotations

import json
import random
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass

from plait.lab.bridge import BACK, FORTH, LEFT, RIGHT, Bridge
from plait.lab.errors import LabError
from plait.lab.lasting import Lasting
from plait.lab.node import Process, wait_for
from plait.lab.result import Cell, Result, Row, Table
from plait.lab.stage import Stage

_PORT = 7007
_TALKERS = 20
_RECOVER = 6.0
"""Seconds after the last flap until the speed is measured again."""
_RECOVERED = 0.9
_DONE = 25.0
"""Seconds that the talkers get to say how it was."""

KINDS: dict[str, tuple[Callable[[Bridge], float], Callable[[Bridge], float]]] = {
    "gateway's cable": (lambda bridge: bridge.unplug(LEFT), lambda bridge: bridge.plug(LEFT)),
    "exit's cable": (lambda bridge: bridge.unplug(RIGHT), lambda bridge: bridge.plug(RIGHT)),
    "both cables": (lambda bridge: bridge.unplug(), lambda bridge: bridge.plug()),
    "silence": (lambda bridge: bridge.silence(), lambda bridge: bridge.unsilence()),
    "silence up": (lambda bridge: bridge.silence(FORTH), lambda bridge: bridge.unsilence(FORTH)),
    "silence down": (lambda bridge: bridge.silence(BACK), lambda bridge: bridge.unsilence(BACK)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flap:
    """One link fails for a while. Seconds."""

    link: int
    kind: str
    lasts: float
    pause: float
    """After it, until the next one begins."""


def plan(seed: int, count: int, links: int) -> list[Flap]:
    """The same flaps for the same seed. One at a time, so that a path is always alive."""
    rng = random.Random(seed)
    return [
        Flap(
            link=rng.randrange(links),
            kind=rng.choice(tuple(KINDS)),
            lasts=rng.uniform(0.1, 1.5),
            pause=rng.uniform(0.1, 1.0),
        )
        for _ in range(count)
    ]


def study(seed: int = 1, count: int = 100) -> Callable[[Stage], Result]:
    """``count`` flaps while one connection carries all it can and others talk quietly."""

    def perform(stage: Stage) -> Result:
        flaps = plan(seed, 10 if stage.quick else count, len(stage.scenario.links))
        course = stage.scenario.courses[0]
        client, server = stage.lab[course.client], stage.lab[course.server]
        stage.show.phase("starting plait")
        stage.scenario.weave(stage.lab)
        server.popen(sys.executable, "-m", "plait.lab.talk_process", "serve", str(_PORT), name="talk-server")
        wait_for("the talking server to listen", lambda: server.listening(_PORT), within=10.0)
        talk = client.popen(
            *(sys.executable, "-m", "plait.lab.talk_process", "talk"),
            *(course.address, str(_PORT), str(_TALKERS)),
            name="talk",
        )
        talk.wait_line("ready", within=20.0)
        with Lasting(stage, (course,)) as lasting:
            lasting.measure(stage.seconds / 2)
            for number, flap in enumerate(flaps, 1):
                bridge = stage.lab.bridge(stage.scenario.links[flap.link].bridge)
                begin, end = KINDS[flap.kind]
                stage.show.event(f"{number} of {len(flaps)}: {bridge.name}: {flap.kind}, {flap.lasts:.1f} s")
                began = begin(bridge)
                lasting.until(began + flap.lasts)
                ended = end(bridge)
                lasting.until(ended + flap.pause)
            lasting.await_back(ended, _RECOVERED, _RECOVER)
            (hurt,) = lasting.hurt(ended, ended, share=_RECOVERED, within=_RECOVER).values()
            lost = sum(lasting.lost.values())
        return judge(flaps, lost, hurt.back, _told(talk))

    return perform


def _told(talk: Process) -> dict[str, object]:
    talk.send(signal.SIGTERM)
    talk.wait(_DONE)
    line = talk.text().strip().splitlines()[-1]
    try:
        said: dict[str, object] = json.loads(line)
    except ValueError:
        raise LabError(f"the talkers failed\n{talk.tail()}") from None
    return said


def judge(flaps: list[Flap], bulk_lost: int, back: float | None, talkers: dict[str, object]) -> Result:
    """Table, checks and facts."""
    result = Result()
    lost, wrong, longest = talkers["lost"], talkers["wrong"], talkers["longest_s"]
    assert isinstance(lost, list)
    assert isinstance(wrong, int)
    assert isinstance(longest, float)
    count = f"{len(flaps)} flaps"

    def row(title: str, measured: str, asked: str, kept: bool) -> Row:
        return Row(title=title, asked=asked, cells=(result.judged(count, title, measured, asked, kept),))

    quiet = f"{len(lost)} of {talkers['connections']}"
    rows = (
        row("quiet connections lost", quiet, "0", not lost and bool(talkers["heard"])),
        row("answers wrong or missing", str(wrong), "0", wrong == 0),
        row("bulk connections lost", f"{bulk_lost} of 1", "0", bulk_lost == 0),
        row(
            "90 % of full speed again",
            f"after {back:.1f} s" if back is not None else "never",
            f"≤ {_RECOVER:g} s",
            back is not None,
        ),
        Row(title="longest silence of a quiet one", asked="", cells=(Cell(text=f"{longest:.2f} s"),)),
    )
    result.tables.append(Table(columns=(count,), rows=rows))
    result.facts.update(flaps=len(flaps), bulk_lost=bulk_lost, talkers=talkers, back_s=back)
    return result
