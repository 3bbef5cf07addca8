"""The screen of ``plait top``: what is shown, and what keys do to it. No terminal here: a size comes in,
lines go out."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from plait.control.modes import WORDS
from plait.relay.rows import SORTS
from plait.views.cells import clean, fit, width
from plait.views.graph import Style, graph, span
from plait.views.listing import client, device_names
from plait.views.terminal import Line, Look, Piece
from plait.views.text import duration, event, mode, ms, path_state, scaled

Facts = Mapping[str, object]

VIEWS = ("sessions", "devices", "events")
_SHOWN = {"sessions": "connections", "devices": "clients"}
_LOOKS = {"up": Look.GOOD, "down": Look.BAD, "standby": Look.DOUBTFUL, "benched": Look.DOUBTFUL}
_LEFT = 54
"""Columns that the figures of a path take beside its graph."""
_KEPT = 600
"""Seconds of rates that are kept for graphs."""
_HELP = (
    "tab     sessions, devices, events",
    "s S     another order of sessions, the one before",
    "/       only sessions with a text in them; empty for all",
    "c       only those of the device that is marked",
    "up down mark another line;  enter  its subflows",
    "m       set the mode of a path",
    "space   stand still",
    "q       quit",
)


@dataclass(frozen=True, slots=True)
class SetMode:
    """What the board wants done: a mode for a path."""

    path: str
    mode: str


@dataclass(slots=True)
class Board:
    """The state of the screen."""

    style: Style
    status: Facts | None = None
    message: str = ""
    """Of what was done last, or why nothing comes."""
    view: str = VIEWS[0]
    sort: str = SORTS[0]
    text: str = ""
    client: str = ""
    paused: bool = False
    done: bool = False
    events: deque[Facts] = field(default_factory=lambda: deque(maxlen=500))
    _rates: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)
    _marked: int = 0
    _first: int = 0
    _open: str = ""
    """The session whose subflows are shown."""
    _typing: str | None = None
    _asked: str = ""
    """``path``, ``mode`` or ``help``: what the lowest lines are about."""
    _path: str = ""

    @property
    def query(self) -> dict[str, object]:
        """What to ask for."""
        limit = 100 if self.view == "sessions" else 0
        known = cast("int", self.events[-1]["id"]) if self.events else 0
        return {
            "every": 1, "connections": limit, "sort": self.sort, "text": self.text, "client": self.client,
            "clients": 200, "events": 200, "since": known,
        }  # fmt: skip

    def take(self, status: Facts) -> None:
        """A fresh snapshot."""
        if self.status is not None and status["pid"] != self.status["pid"]:
            # Another control: its events count from 1 again.
            self.events.clear()
        self.events.extend(
            each
            for each in cast("Sequence[Facts]", status["events"])
            if not self.events or cast("int", each["id"]) > cast("int", self.events[-1]["id"])
        )
        for each in cast("Sequence[Facts]", status["paths"]):
            self.note(str(each["name"]), cast("float", each["rx_bps"]), cast("float", each["tx_bps"]))
        if not self.paused:
            self.status = status
        self.message = ""

    def note(self, path: str, down: float, up: float) -> None:
        """What a path carried in a second."""
        self._rates.setdefault(path, deque(maxlen=_KEPT)).append((down, up))

    # Keys.

    def press(self, key: str) -> SetMode | None:
        """A key; what it wants done."""
        if key in ("interrupt",):
            self.done = True
        elif self._typing is not None:
            self._type(key)
        elif self._asked:
            return self._answer(key)
        else:
            self._command(key)
        return None

    def _type(self, key: str) -> None:
        assert self._typing is not None
        if key == "enter":
            self.text, self._typing = self._typing, None
            self._first = self._marked = 0
        elif key == "escape":
            self._typing = None
        elif key == "backspace":
            self._typing = self._typing[:-1]
        elif len(key) == 1:
            self._typing += key

    def _answer(self, key: str) -> SetMode | None:
        asked, self._asked = self._asked, ""
        names = self._names()
        if asked == "path":
            chosen = names[int(key) - 1] if key.isdecimal() and 0 < int(key) <= len(names) else ""
            if chosen:
                self._path, self._asked = chosen, "mode"
        elif asked == "mode":
            word = next((word for letter, word in _letters() if letter == key), None)
            if word is not None:
                return SetMode(self._path, word)
        return None

    def _command(self, key: str) -> None:
        if key == "q":
            self.done = True
        elif key == "tab":
            self.view = VIEWS[(VIEWS.index(self.view) + 1) % len(VIEWS)]
            self._first = self._marked = 0
        elif key in ("s", "S"):
            self.sort = SORTS[(SORTS.index(self.sort) + (1 if key == "s" else -1)) % len(SORTS)]
        elif key == "/":
            self._typing = self.text
        elif key == "c":
            self._choose_client()
        elif key == "escape":
            self.text = self.client = self._open = ""
        elif key == " ":
            self.paused = not self.paused
        elif key in ("?", "h"):
            self._asked = "help"
        elif key == "m" and self._names():
            self._asked = "path"
            if len(self._names()) == 1:
                self._path, self._asked = self._names()[0], "mode"
        elif key == "enter":
            self._open_marked()
        else:
            step = {"up": -1, "down": 1, "pageup": -10, "pagedown": 10, "home": -10_000, "end": 10_000}
            self._marked = max(0, self._marked + step.get(key, 0))

    def _choose_client(self) -> None:
        if self.client:
            self.client = ""
        elif self.view == "devices" and self._marked < len(self._list("clients")):
            addresses = cast("Sequence[str]", self._list("clients")[self._marked]["addresses"])
            self.client, self.view, self._marked, self._first = addresses[0], "sessions", 0, 0
        elif self.view == "sessions" and self._marked < len(self._list("connections")):
            spelled = str(self._list("connections")[self._marked]["client"])
            self.client = spelled.rpartition(":")[0].strip("[]")

    def _open_marked(self) -> None:
        if self.view == "devices":
            self._choose_client()
        elif self.view == "sessions" and self._marked < len(self._list("connections")):
            chosen = str(self._list("connections")[self._marked]["id"])
            self._open = "" if chosen == self._open else chosen

    def _names(self) -> list[str]:
        return [str(each["name"]) for each in self._list("paths")][:9]

    def _list(self, what: str) -> Sequence[Facts]:
        return cast("Sequence[Facts]", self.status[what]) if self.status is not None else ()

    # The picture.

    def lines(self, columns: int, rows: int) -> Sequence[Line]:
        """The whole screen."""
        if self.status is None:
            words = self.message or "waiting for the first answer"
            return [[(Look.PLAIN, fit(clean(words), columns, sign=self._sign))]]
        if self._asked == "help":
            return [[(Look.PLAIN, fit(text, columns, sign=self._sign))] for text in _HELP[:rows]]
        top = [self._head(columns), *self._paths(columns, rows)][: max(1, rows - 2)]
        foot: list[Line] = [self._foot(columns)] if rows > 1 else []
        body = self._body(columns, rows - len(top) - len(foot))
        return [_cut(line, columns, self._sign) for line in (*top, *body, *foot)][:rows]

    @property
    def _sign(self) -> str:
        return "~" if self.style is Style.ASCII else "…"

    def _head(self, columns: int) -> Line:
        assert self.status is not None
        status = self.status
        sessions = cast("Facts", status["sessions"])
        exits = [f"{each['name']} {each['state']} {ms(each['rtt_ms'])}" for each in self._list("exits")]
        parts = [
            f"plait {status['role']}",
            f"up {duration(cast('float', status['uptime']))}",
            f"{sessions['open']} sessions",
            *exits,
        ]
        if exits and not status["intercepting"]:
            parts.append("the LAN is not taken")
        return [(Look.BAR, fit(clean("  ".join(parts)), columns, sign=self._sign))]

    def _paths(self, columns: int, rows: int) -> list[Line]:
        paths = self._list("paths")
        if not paths:
            return []
        # Half of the screen for paths, and each gets as many rows as there is room for.
        high = max(1, min(4, (rows // 2) // len(paths)))
        if columns < _LEFT + 6:
            high = 1
        lines: list[Line] = []
        for each in paths:
            wide = columns - _LEFT - 1
            picture, most = self._picture(str(each["name"]), wide, high) if wide >= 5 else ([""] * high, 0.0)
            figures = self._figures(each, high, most)
            for row in range(high):
                left = figures[row] if row < len(figures) else []
                room = _LEFT if wide >= 5 else columns
                lines.append(
                    [
                        *_fitted(left, room, self._sign),
                        (Look.DIM if row else Look.PLAIN, " "),
                        (Look.GOOD, picture[row]),
                    ]
                )
        return lines

    def _figures(self, each: Facts, high: int, most: float) -> list[Line]:
        state, why = path_state(each)
        loss = each["loss"]
        lost = "-" if loss is None else f"{100 * cast('float', loss):.1f} %"
        down, up = (f"{scaled(cast('float', each[key]))}bit" for key in ("rx_bps", "tx_bps"))
        arrows = ("v", "^") if self.style is Style.ASCII else ("↓", "↑")
        rates = f"{arrows[0]} {down:>9} {arrows[1]} {up:>9}"
        name = fit(clean(each["name"]), 9, sign=self._sign)
        lead: list[Piece] = [
            (Look.BOLD, name),
            (Look.PLAIN, " "),
            (_LOOKS.get(state, Look.DIM), fit(state, 7)),
            (Look.PLAIN, f" {ms(each['rtt_ms']):>8} "),
        ]
        if high == 1:
            return [[*lead, (Look.PLAIN, rates)]]
        second = f"  {fit(mode(each), 9)} {each['subflows']} subflows  " + (
            why or f"graph to {scaled(most)}bit"
        )
        totals = (
            f"  in all {arrows[0]} {scaled(cast('float', each['rx_bytes']))}B "
            f"{arrows[1]} {scaled(cast('float', each['tx_bytes']))}B"
        )
        return [
            [*lead, (Look.PLAIN, rates)],
            [(Look.PLAIN, clean(second))],
            [(Look.DIM, f"{totals}  {lost} lost")],
        ]

    def _picture(self, name: str, columns: int, high: int) -> tuple[list[str], float]:
        """Rates of both directions added up, and the highest of those that are shown."""
        values = [down + up for down, up in self._rates.get(name, ())]
        shown = values[-span(columns, self.style) :]
        most = max(shown, default=0.0)
        return graph(values, columns, high, most, self.style), most

    def _body(self, columns: int, rows: int) -> list[Line]:
        if rows <= 0:
            return []
        head, lines, (begin, end) = self._listed(columns)
        room = rows - 1
        # What is marked is seen, with its subflows if there is room for them.
        self._first = min(begin, max(self._first, end - room))
        self._first = max(0, min(self._first, len(lines) - room))
        shown = lines[self._first : self._first + room]
        blank: list[Line] = [[(Look.PLAIN, "")]] * (room - len(shown))
        return [[(Look.BAR, fit(head, columns, sign=self._sign))], *shown, *blank]

    def _listed(self, columns: int) -> tuple[str, list[Line], tuple[int, int]]:
        """The head of the list, its lines, and which of them are marked: the first, and the one behind."""
        count = len(self.events) if self.view == "events" else len(self._list(_SHOWN[self.view]))
        self._marked = min(self._marked, max(0, count - 1))
        here = (self._marked, self._marked + 1)
        if self.view == "events":
            texts = [event(each) for each in reversed(self.events)]
            return "EVENTS", [self._row(text, columns, at) for at, text in enumerate(texts)], here
        if self.view == "devices":
            texts = [_device(each, columns, self._sign) for each in self._list("clients")]
            head = _columns("DEVICE", "SESSIONS", columns, self._sign)
            return head, [self._row(text, columns, at) for at, text in enumerate(texts)], here
        names = device_names(self._list("clients"))
        lines: list[Line] = []
        for at, each in enumerate(self._list("connections")):
            begin = len(lines)
            lines.append(self._row(_session(each, names, columns, self._sign), columns, at))
            if each["id"] == self._open:
                flows = cast("Sequence[Facts]", each["subflows"])
                lines += [[(Look.DIM, fit(clean(_flow(flow)), columns, sign=self._sign))] for flow in flows]
            if at == self._marked:
                here = (begin, len(lines))
        return _columns("CLIENT > TARGET", "AGE", columns, self._sign), lines, here

    def _row(self, text: str, columns: int, at: int) -> Line:
        mark = ">" if at == self._marked else " "
        look = Look.BOLD if at == self._marked else Look.PLAIN
        return [(look, mark + fit(clean(text), columns - 1, sign=self._sign))]

    def _foot(self, columns: int) -> Line:
        if self._typing is not None:
            return [
                (
                    Look.BOLD,
                    fit(f"only with: {clean(self._typing)}_   enter, escape", columns, sign=self._sign),
                )
            ]
        if self._asked == "path":
            names = " ".join(f"{number} {clean(name)}" for number, name in enumerate(self._names(), 1))
            return [(Look.BOLD, fit(f"mode of which path?  {names}", columns, sign=self._sign))]
        if self._asked == "mode":
            words = " ".join(f"{letter} {word}" for letter, word in _letters())
            return [(Look.BOLD, fit(f"{clean(self._path)}:  {words}", columns, sign=self._sign))]
        if self.message:
            return [(Look.BAD, fit(clean(self.message), columns, sign=self._sign))]
        parts = [f"[{self.view}]", f"by {self.sort}" if self.view == "sessions" else ""]
        parts.append(f"with {clean(self.text)}" if self.text else "")
        parts.append(f"of {clean(self.client)}" if self.client else "")
        parts.append("standing still" if self.paused else "")
        left = "  ".join(part for part in parts if part)
        keys = "tab view  s order  / filter  m mode  ? help  q quit"
        if len(left) + len(keys) + 2 > columns:
            keys = "? help  q quit"
        return [(Look.BAR, fit(left, columns - len(keys) - 1, sign=self._sign) + " " + keys)]


def _letters() -> list[tuple[str, str]]:
    """A letter for each mode: the first one of the word that is free."""
    found: list[tuple[str, str]] = []
    for word in WORDS:
        taken = {letter for letter, _ in found}
        found.append((next(letter for letter in word if letter not in taken), word))
    return found


def _cut(line: Line, columns: int, sign: str) -> list[Piece]:
    """Pieces that take so many columns together at most."""
    found: list[Piece] = []
    left = columns
    for look, text in line:
        found.append((look, fit(text, left, sign=sign) if width(text) > left else text))
        left -= width(found[-1][1])
    return found


def _fitted(line: Line, columns: int, sign: str) -> list[Piece]:
    """Pieces that take exactly so many columns together."""
    found = _cut(line, columns, sign)
    return [*found, (Look.PLAIN, " " * (columns - sum(width(text) for _, text in found)))]


_FIGURES = 29
"""Columns of two rates and a third figure."""


def _columns(name: str, last: str, columns: int, sign: str) -> str:
    return " " + fit(name, columns - _FIGURES - 1, sign=sign) + f"{'DOWN':>9} {'UP':>9} {last:>9}"


def _line(name: str, each: Facts, last: str, columns: int, sign: str) -> str:
    down, up = (f"{scaled(cast('float', each[key]))}bit" for key in ("down_bps", "up_bps"))
    return fit(clean(name), columns - _FIGURES - 1, sign=sign) + f"{down:>9} {up:>9} {last:>9}"


def _session(each: Facts, names: Mapping[str, str], columns: int, sign: str) -> str:
    paths = {str(flow["path"]) for flow in cast("Sequence[Facts]", each["subflows"]) if flow["path"]}
    over = "+".join(sorted(paths)) or ("tcp" if each["transport"] == "tcp" else "")
    who = f"{client(each, names)} > {each['target']}" + (f"  {over}" if over else "")
    return _line(who, each, _age(each), columns, sign)


def _age(each: Facts) -> str:
    """In its largest unit."""
    return " ".join(duration(cast("float", each["age"])).split()[:2])


def _device(each: Facts, columns: int, sign: str) -> str:
    addresses = " ".join(text for text in cast("Sequence[str]", each["addresses"]) if text != each["name"])
    return _line(f"{each['name']}  {addresses}", each, f"{each['open']} of {each['total']}", columns, sign)


def _flow(flow: Facts) -> str:
    rates = f"down {scaled(cast('float', flow['rx_bps']))}bit up {scaled(cast('float', flow['tx_bps']))}bit"
    backup = " backup" if flow["backup"] else ""
    return (
        f"    {flow['path'] or flow['local']}  {flow['state']}{backup}  {ms(flow['rtt_ms'])}"
        f"  cwnd {flow['cwnd']}  {rates}  sent {scaled(cast('float', flow['tx_bytes']))}B"
    )
