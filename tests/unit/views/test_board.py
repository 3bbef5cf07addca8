from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from plait.control.modes import WORDS
from plait.control.snapshot import (
    ClientStatus,
    Connection,
    Event,
    ExitStatus,
    PathStatus,
    Sessions,
    Status,
    SubflowStatus,
)
from plait.views.board import Board, SetMode
from plait.views.cells import width
from plait.views.graph import Style

FLOW = SubflowStatus(
    path="wan1", local="10.1.1.78:4001", remote="10.1.1.70:8388", state="established", backup=True,
    rtt_ms=12.34, cwnd=10, tx_bytes=1500, rx_bytes=2_000_000, retrans_bytes=0, tx_bps=8000, rx_bps=19_600_000,
)  # fmt: skip
SESSION = Connection(
    id="7-1", client="192.168.5.7:4711", target="9.9.9.9:443", exit="attic", user="", age=61.0, up_bytes=1000,
    down_bytes=2_000_000, up_bps=8000, down_bps=19_600_000, transport="mptcp", token="abc", subflows=(FLOW,),
)  # fmt: skip
PHONE = ClientStatus(
    name="phone", mac="02:00:00:00:00:07", addresses=("192.168.5.7", "fd78::7"), open=1, total=4,
    up_bytes=1000, down_bytes=3_000_000, up_bps=8000, down_bps=19_600_000,
)  # fmt: skip
WAN1 = PathStatus(
    name="wan1", interface="eth1", mode="on", configured="on", state="up", rtt_ms=12.0, loss=0.01,
    rx_bps=19_600_000, tx_bps=400_000, subflows=3,
)  # fmt: skip
WAN2 = replace(WAN1, name="wan2", mode="backup", state="down", why="no carrier", rtt_ms=None, loss=None)
STATUS = Status(
    role="gateway", version="1", pid=1, uptime=3700.0, sessions=Sessions(open=3), intercepting=True,
    exits=(ExitStatus(name="attic", state="up", rtt_ms=3.0),), paths=(WAN1, WAN2), clients=(PHONE,),
    connections=tuple(replace(SESSION, id=f"7-{last}", target=f"9.9.9.{last}:443") for last in range(30)),
    events=(Event(id=1, at=0.0, kind="path", name="wan2", what="down", why="no carrier"),),
)  # fmt: skip


def board(status: Status | None = STATUS, style: Style = Style.BRAILLE) -> Board:
    made = Board(style)
    if status is not None:
        made.take(status.to_json())
    return made


def screen(shown: Board, columns: int = 80, rows: int = 24) -> list[str]:
    return ["".join(text for _, text in line) for line in shown.lines(columns, rows)]


def press(shown: Board, *keys: str) -> list[SetMode]:
    return [wish for key in keys if (wish := shown.press(key)) is not None]


def test_a_screen() -> None:
    lines = screen(board())
    assert len(lines) == 24
    assert lines[0].rstrip() == "plait gateway  up 1 h 1 min  3 sessions  attic up 3.0 ms"
    assert lines[1].startswith("wan1      up       12.0 ms ↓ 19.6 Mbit ↑  400 kbit ")
    assert lines[2].startswith("  on        3 subflows  graph to 20 Mbit")
    assert lines[3].startswith("  in all ↓ 0 B ↑ 0 B  1.0 % lost")
    assert lines[5].startswith("wan2      down           - ↓")
    assert lines[6].startswith("  backup*   3 subflows  no carrier")
    assert lines[9].split() == ["CLIENT", ">", "TARGET", "DOWN", "UP", "AGE"]
    assert lines[10] == (">192.168.5.7:4711 (phone) > 9.9.9.0:443  wan1      19.6 Mbit    8 kbit     1 min")
    assert lines[-1].startswith("[sessions]  by rate ")
    assert lines[-1].endswith("q quit")


@pytest.mark.parametrize("style", Style)
@pytest.mark.parametrize(
    ("columns", "rows"), [(80, 24), (132, 50), (40, 10), (20, 5), (10, 2), (3, 1), (80, 3)]
)
def test_it_never_leaves_the_screen(columns: int, rows: int, style: Style) -> None:
    shown = board(style=style)
    for keys in ((), ("enter",), ("tab",), ("tab",), ("?",), ("x", "m"), ("1",), ("escape", "/"), ("x",)):
        press(shown, *keys)
        lines = screen(shown, columns, rows)
        assert len(lines) <= rows
        assert all(width(line) <= columns for line in lines), lines
        assert style is not Style.ASCII or all(line.isascii() for line in lines)


def test_many_paths_leave_room_for_sessions() -> None:
    paths = tuple(replace(WAN1, name=f"link{number}") for number in range(8))
    lines = screen(board(replace(STATUS, paths=paths)))
    assert [line.split()[0] for line in lines[1:9]] == [path.name for path in paths]
    assert lines[10].startswith(">192.168.5.7")


def test_an_exit_has_no_paths() -> None:
    status = replace(STATUS, role="exit", paths=(), exits=(), intercepting=False)
    lines = screen(board(status))
    assert lines[1].startswith(" CLIENT > TARGET")
    assert "not taken" not in lines[0]
    assert press(shown := board(status), "m") == []
    assert screen(shown)[-1].startswith("[sessions]")


def test_nothing_of_others_moves_the_cursor() -> None:
    evil = replace(SESSION, target="a\x1b[2J\n:443")
    status = replace(
        STATUS,
        connections=(evil,),
        clients=(replace(PHONE, name="\x9b0m"),),
        exits=(ExitStatus(name="e\x07", state="up", rtt_ms=None),),
        paths=(replace(WAN1, why="x\x1b"),),
        events=(Event(id=1, at=0.0, kind="path", name="wan\x1b", what="down", why="\r"),),
    )
    shown = board(status)
    for _ in range(3):
        assert all(letter.isprintable() for line in screen(shown) for letter in line)
        press(shown, "tab")


def test_a_mode_is_set_in_three_keys() -> None:
    shown = board()
    assert press(shown, "m") == []
    assert screen(shown)[-1].strip() == "mode of which path?  1 wan1 2 wan2"
    press(shown, "2")
    foot = screen(shown)[-1]
    assert foot.startswith("wan2: ")
    letters = {word: letter for letter, word in zip(foot.split()[1::2], foot.split()[2::2], strict=True)}
    assert set(letters) == set(WORDS)
    assert press(shown, letters["backup"]) == [SetMode("wan2", "backup")]
    for keys in (("m", "9"), ("m", "x"), ("m", "1", "z"), ("m", "escape"), ("m", "1", "escape")):
        assert press(shown, *keys) == []
        assert screen(shown)[-1].startswith("[sessions]")
    alone = board(replace(STATUS, paths=(WAN1,)))
    assert press(alone, "m", letters["off"]) == [SetMode("wan1", "off")]


def asked(shown: Board, name: str) -> object:
    return shown.query[name]


def test_order_and_filter_are_asked_for() -> None:
    shown = board()
    assert asked(shown, "sort") == "rate"
    press(shown, "s")
    assert asked(shown, "sort") == "up"
    press(shown, "S", "S")
    assert asked(shown, "sort") == "exit"
    press(shown, "/", "4", "4", "3", "backspace")
    assert screen(shown)[-1].startswith("only with: 44_")
    assert asked(shown, "text") == ""
    press(shown, "enter")
    assert asked(shown, "text") == "44"
    press(shown, "/", "x", "escape")
    assert asked(shown, "text") == "44"
    press(shown, "escape")
    assert asked(shown, "text") == ""
    press(shown, "c")
    assert asked(shown, "client") == "192.168.5.7"
    press(shown, "c")
    assert asked(shown, "client") == ""
    press(shown, "tab")
    assert (shown.view, asked(shown, "connections")) == ("devices", 0)
    press(shown, "enter")
    assert (shown.view, asked(shown, "client")) == ("sessions", "192.168.5.7")


def test_one_may_walk_through_a_long_list() -> None:
    shown = board()
    press(shown, *["down"] * 25)
    lines = screen(shown)
    assert next(line for line in lines if line.startswith(">")).startswith(
        ">192.168.5.7:4711 (phone) > 9.9.9.25"
    )
    press(shown, "enter")
    assert any("wan1  established backup  12.3 ms  cwnd 10" in line for line in screen(shown))
    press(shown, "enter", "end")
    assert any(line.startswith(">") and "9.9.9.29" in line for line in screen(shown))
    press(shown, "home", "up")
    assert any(line.startswith(">") and "9.9.9.0" in line for line in screen(shown))


def test_lists_that_have_become_shorter() -> None:
    shown = board()
    press(shown, "end")
    screen(shown)
    shown.take(replace(STATUS, connections=(SESSION,)).to_json())
    assert sum(line.startswith(">") for line in screen(shown)) == 1
    shown.take(replace(STATUS, connections=(), clients=()).to_json())
    for _ in range(3):
        screen(shown)
        press(shown, "enter", "c", "tab")


def test_events_are_kept_once_and_those_of_another_control_anew() -> None:
    shown = board()
    shown.take(STATUS.to_json())
    more = replace(STATUS, events=(Event(id=2, at=1.0, kind="exit", name="attic", what="down"),))
    shown.take(more.to_json())
    assert shown.query["since"] == 2
    press(shown, "tab", "tab")
    lines = screen(shown)
    assert "exit attic: down" in lines[10]
    assert "path wan2: down, no carrier" in lines[11]
    shown.take(replace(STATUS, pid=2).to_json())
    assert [each["id"] for each in shown.events] == [1]


def test_standing_still_and_leaving() -> None:
    shown = board()
    press(shown, " ")
    shown.take(replace(STATUS, sessions=Sessions(open=99)).to_json())
    assert "3 sessions" in screen(shown)[0]
    assert "standing still" in screen(shown)[-1]
    press(shown, " ")
    shown.take(replace(STATUS, sessions=Sessions(open=99)).to_json())
    assert "99 sessions" in screen(shown)[0]
    press(shown, "q")
    assert shown.done
    typing = board()
    press(typing, "/", "q")
    assert not typing.done
    press(typing, "interrupt")
    assert typing.done


def test_while_plait_is_away() -> None:
    shown = board(None)
    assert screen(shown)[0].strip() == "waiting for the first answer"
    shown.message = "plait is not there; waiting for it"
    assert screen(shown)[0].strip() == "plait is not there; waiting for it"
    shown.take(STATUS.to_json())
    assert "waiting" not in "".join(screen(shown))
    shown.message = "plait is not there; waiting for it"
    assert screen(shown)[-1].startswith("plait is not there")
    assert screen(shown)[1].startswith("wan1"), "what was seen last stays"


def test_graphs_grow_from_the_right() -> None:
    shown = Board(Style.ASCII)
    for _ in range(10):
        shown.note("wan1", 0.0, 1e6)
    shown.take(replace(STATUS, paths=(replace(WAN1, rx_bps=500_000, tx_bps=500_000),)).to_json())
    assert screen(shown)[4].endswith(" " * 14 + "#" * 11)


def test_what_is_taken_is_json_alone() -> None:
    facts: dict[str, Any] = STATUS.to_json()
    assert facts["connections"][0] == {**asdict(STATUS.connections[0]), "subflows": [asdict(FLOW)]}
