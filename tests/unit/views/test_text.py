from __future__ import annotations

import pytest

from plait.control.snapshot import Datagrams, Event, ExitStatus, PathStatus, Sessions, Status, UserStatus
from plait.views.text import duration, paths_page, rate, render


@pytest.mark.parametrize(
    ("bps", "text"),
    [
        (0, "0 bit/s"),
        (1, "1 bit/s"),
        (999, "999 bit/s"),
        (999.6, "1 kbit/s"),
        (1500, "1.5 kbit/s"),
        (19_600_000, "19.6 Mbit/s"),
        (999_700, "1 Mbit/s"),
        (7_500_000_000, "7.5 Gbit/s"),
        (2e15, "2e+03 Tbit/s"),
    ],
)
def test_rate(bps: float, text: str) -> None:
    assert rate(bps) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (90_000, "1 d 1 h"),
        (86_400, "1 d"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def status(**words: object) -> dict[str, object]:
    facts: dict[str, object] = {
        "role": "gateway", "version": "0.1", "pid": 1, "uptime": 61.0, "sessions": Sessions(open=2, total=9),
        **words,
    }  # fmt: skip
    return Status(**facts).to_json()  # type: ignore[arg-type]


def test_a_gateway() -> None:
    page = render(
        status(
            exits=(ExitStatus(name="attic", state="up", rtt_ms=12.34, open=2, total=9, down_bps=8000),),
            paths=(
                PathStatus(
                    name="wan1", interface="wan1", mode="master", state="up", rtt_ms=3.0, loss=0.0123,
                    rx_bps=19_600_000, tx_bps=400_000, subflows=2,
                ),
                PathStatus(name="wan2", interface="wan2", mode="backup", state="down", why="no carrier"),
            ),
            intercepting=True,
        )
    )  # fmt: skip
    lines = page.splitlines()
    assert lines[0] == "plait 0.1 · gateway · up 1 min 1 s · sessions 2 open, 9 in all, 0 failed"
    assert lines[3] == "attic  up     12.3 ms  8 kbit/s  0 bit/s  2 of 9"
    assert lines[6].split() == [
        "wan1", "master", "up", "3.0", "ms", "1.2", "%", "19.6", "Mbit/s", "400", "kbit/s", "2",
    ]  # fmt: skip
    assert lines[7].endswith("no carrier")
    assert lines[7].split()[:5] == ["wan2", "backup", "down", "-", "-"]
    assert page.endswith("\n")
    assert "not taken" not in page


def test_a_benched_path_is_shown_as_such() -> None:
    why = "benched: it has 4 % of the rate of wan1"
    benched = PathStatus(name="wan2", interface="wan2", mode="on", state="standby", why=why)
    line = render(status(paths=(benched,))).splitlines()[3]
    assert line.split()[:3] == ["wan2", "on", "benched"]
    assert line.endswith("  it has 4 % of the rate of wan1")


def test_the_last_events_are_told_with_their_cause() -> None:
    events = [
        Event(
            id=number,
            at=1763749825.0 + number,
            kind="path",
            name=f"wan{number}",
            what="down",
            why="no carrier",
        )
        for number in range(8)
    ]
    events.append(Event(id=9, at=0.0, kind="plait", name="", what="config reloaded"))
    events.append(Event(id=10, at=0.0, kind="path", name="wan2", what="benched", why="benched: too\x1b slow"))
    lines = render(status(events=tuple(events))).splitlines()
    assert len(lines) == 2 + 5
    assert lines[-3].endswith("  path wan7: down, no carrier")
    assert lines[-2].endswith("  plait: config reloaded")
    assert lines[-1].endswith("  path wan2: benched, too? slow")


def test_users_of_an_exit() -> None:
    users = (
        UserStatus(
            name="anna", state="ok", open=2, total=31, up_bytes=4_100_000, down_bytes=88_000_000, rate=0,
            volume=100_000_000_000, used_bytes=92_100_000,
        ),
        UserStatus(
            name="bob", state="spent", open=0, total=1, up_bytes=0, down_bytes=999, rate=0, volume=0,
            used_bytes=999,
        ),
    )  # fmt: skip
    lines = render(status(role="exit", users=users)).splitlines()
    assert lines[2].split() == ["USER", "STATE", "SESSIONS", "UP", "DOWN", "USED"]
    assert lines[3] == "anna  ok     2 of 31   4.1 MB  88 MB  92.1 MB of 100 GB"
    assert lines[4] == "bob   spent  0 of 1    0 B     999 B  999 B"
    assert "USER" not in render(status(role="exit"))


def test_a_gateway_that_takes_nothing_says_so() -> None:
    assert "not taken" in render(status(exits=(ExitStatus(name="attic", state="down", rtt_ms=None),)))


def test_an_exit_tells_of_strangers() -> None:
    page = render(status(role="exit", sessions=Sessions(strangers={"unsealed": 3, "silent": 1})))
    assert page.splitlines()[-1] == "strangers: 1 silent, 3 unsealed"
    assert "EXIT" not in page


def test_paths_alone_and_a_mode_set_live() -> None:
    paths = [
        PathStatus(name="wan1", interface="wan1", mode="on", configured="master", state="up"),
        PathStatus(name="wan2", interface="wan2", mode="on", configured="on", state="up"),
    ]
    page = paths_page(status(paths=tuple(paths))["paths"])  # type: ignore[arg-type]
    assert [line.split()[:3] for line in page.splitlines()] == [
        ["PATH", "MODE", "STATE"],
        ["wan1", "on*", "up"],
        ["wan2", "on", "up"],
    ]
    assert page.endswith("\n")


def test_datagrams_are_told_of_when_there_are_any() -> None:
    assert "UDP" not in render(status())
    page = render(status(datagrams=Datagrams(open=2, total=5, strangers={"replayed": 1, "forged": 3})))
    assert "UDP: 2 associations open, 5 in all" in page
    assert "datagrams dropped: 3 forged, 1 replayed" in page
