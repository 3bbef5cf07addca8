"""The snapshot as a page of text that fits 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

_PREFIXES = ("", "k", "M", "G", "T")
_BENCHED = "benched: "


def render(status: Mapping[str, object]) -> str:
    """The page, with its last newline."""
    sessions = cast("Mapping[str, object]", status["sessions"])
    lines = [
        f"plait {status['version']} · {status['role']} · up {duration(cast('float', status['uptime']))}"
        f" · sessions {sessions['open']} open, {sessions['total']} in all, {sessions['failed']} failed"
    ]
    exits = cast("Sequence[Mapping[str, object]]", status["exits"])
    if exits:
        lines += ["", *_table(("EXIT", "STATE", "RTT", ""), [_exit(each) for each in exits])]
        if not status["intercepting"]:
            lines.append("the LAN's TCP is not taken")
    paths = cast("Sequence[Mapping[str, object]]", status["paths"])
    if paths:
        lines += ["", *_paths(paths)]
    users = cast("Sequence[Mapping[str, object]]", status["users"])
    if users:
        head = ("USER", "STATE", "SESSIONS", "UP", "DOWN", "USED")
        lines += ["", *_table(head, [_user(each) for each in users])]
    datagrams = cast("Mapping[str, object]", status["datagrams"])
    if datagrams["total"]:
        lines += ["", f"UDP: {datagrams['open']} associations open, {datagrams['total']} in all"]
    for kind, counts in (("strangers", sessions["strangers"]), ("datagrams dropped", datagrams["strangers"])):
        if counts:
            said = sorted(cast("Mapping[str, int]", counts).items())
            lines += ["", f"{kind}: " + ", ".join(f"{count} {word}" for word, count in said)]
    return "\n".join(lines) + "\n"


def paths_page(paths: Sequence[Mapping[str, object]]) -> str:
    """The table of paths alone, with its last newline."""
    return "\n".join(_paths(paths)) + "\n"


def rate(bps: float) -> str:
    """Bits a second, three digits and a prefix."""
    return f"{_scaled(bps)}bit/s"


def duration(seconds: float) -> str:
    """A length of time in its two largest units."""
    left = int(seconds)
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    parts: list[str] = []
    for name, size in units:
        count, left = divmod(left, size)
        if count or (name == "s" and not parts):
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])


def _exit(each: Mapping[str, object]) -> tuple[str, ...]:
    return (str(each["name"]), str(each["state"]), _ms(each["rtt_ms"]), str(each["why"]))


def _paths(paths: Sequence[Mapping[str, object]]) -> list[str]:
    head = ("PATH", "MODE", "STATE", "RTT", "LOSS", "DOWN", "UP", "SUBFLOWS", "")
    return _table(head, [_path(each) for each in paths])


def _path(each: Mapping[str, object]) -> tuple[str, ...]:
    loss = each["loss"]
    state, why = str(each["state"]), str(each["why"])
    if why.startswith(_BENCHED):
        # A backup by judgement, not by choice: what anybody looks for who misses its rate.
        state, why = "benched", why.removeprefix(_BENCHED)
    return (
        str(each["name"]),
        _mode(each),
        state,
        _ms(each["rtt_ms"]),
        "-" if loss is None else f"{100 * cast('float', loss):.1f} %",
        rate(cast("float", each["rx_bps"])),
        rate(cast("float", each["tx_bps"])),
        str(each["subflows"]),
        why,
    )


def _user(each: Mapping[str, object]) -> tuple[str, ...]:
    used, volume = cast("int", each["used_bytes"]), cast("int", each["volume"])
    return (
        str(each["name"]),
        str(each["state"]),
        f"{each['open']} of {each['total']}",
        f"{_scaled(cast('int', each['up_bytes']))}B",
        f"{_scaled(cast('int', each['down_bytes']))}B",
        f"{_scaled(used)}B of {_scaled(volume)}B" if volume else f"{_scaled(used)}B",
    )


def _mode(each: Mapping[str, object]) -> str:
    """With a star when it was set live."""
    return f"{each['mode']}" + ("" if each["configured"] in (each["mode"], "") else "*")


def _ms(value: object) -> str:
    return "-" if value is None else f"{cast('float', value):.1f} ms"


def _scaled(value: float) -> str:
    for prefix in _PREFIXES[:-1]:
        if abs(value) < 999.5:
            return f"{value:.3g} {prefix}"
        value /= 1000
    return f"{value:.3g} {_PREFIXES[-1]}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    table = [head, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
