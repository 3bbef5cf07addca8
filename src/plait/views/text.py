"""The snapshot as a page of text that fits 80 columns."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import cast

from plait.views.cells import clean, table

_PREFIXES = ("", "k", "M", "G", "T")
_BENCHED = "benched: "
_LATEST = 5
"""Events that the page shows."""


def render(status: Mapping[str, object]) -> str:
    """The page, with its last newline."""
    sessions = cast("Mapping[str, object]", status["sessions"])
    lines = [
        f"plait {status['version']} · {status['role']} · up {duration(cast('float', status['uptime']))}"
        f" · sessions {sessions['open']} open, {sessions['total']} in all, {sessions['failed']} failed"
    ]
    exits = cast("Sequence[Mapping[str, object]]", status["exits"])
    if exits:
        columns = ("EXIT", "STATE", "RTT", "DOWN", "UP", "SESSIONS", "")
        lines += ["", *table(columns, [_exit(each) for each in exits])]
        if not status["intercepting"]:
            lines.append("the LAN's TCP is not taken")
    paths = cast("Sequence[Mapping[str, object]]", status["paths"])
    if paths:
        lines += ["", *_paths(paths)]
    users = cast("Sequence[Mapping[str, object]]", status["users"])
    if users:
        head = ("USER", "STATE", "SESSIONS", "UP", "DOWN", "USED")
        lines += ["", *table(head, [_user(each) for each in users])]
    datagrams = cast("Mapping[str, object]", status["datagrams"])
    if datagrams["total"]:
        lines += ["", f"UDP: {datagrams['open']} associations open, {datagrams['total']} in all"]
    for tunnel in cast("Sequence[Mapping[str, object]]", status.get("tunnels", ())):
        inside = ", ".join(cast("Sequence[str]", tunnel["addresses"])) or "no address yet"
        lines += [
            "",
            f"tunnel to {tunnel['exit']}: {tunnel['state']}, {inside}, {tunnel['mtu']} bytes a packet",
        ]
    for kind, counts in (("strangers", sessions["strangers"]), ("datagrams dropped", datagrams["strangers"])):
        if counts:
            said = sorted(cast("Mapping[str, int]", counts).items())
            lines += ["", f"{kind}: " + ", ".join(f"{count} {word}" for word, count in said)]
    events = cast("Sequence[Mapping[str, object]]", status["events"])
    if events:
        lines += ["", *(event(each) for each in events[-_LATEST:])]
    return "\n".join(lines) + "\n"


def event(each: Mapping[str, object]) -> str:
    """One line about what has changed."""
    at = time.strftime("%d %b %H:%M:%S", time.localtime(cast("float", each["at"])))
    what, why = str(each["what"]), str(each["why"]).removeprefix(_BENCHED)
    named = " ".join(str(each[word]) for word in ("kind", "name") if each[word])
    return clean(f"{at}  {named}: {what}" + (f", {why}" if why else ""))


def path_state(each: Mapping[str, object]) -> tuple[str, str]:
    """A path's state and why, in the words for people."""
    state, why = str(each["state"]), str(each["why"])
    if why.startswith(_BENCHED):
        # A backup by judgement, not by choice: what anybody looks for who misses its rate.
        return "benched", why.removeprefix(_BENCHED)
    return state, why


def paths_page(paths: Sequence[Mapping[str, object]]) -> str:
    """The table of paths alone, with its last newline."""
    return "\n".join(_paths(paths)) + "\n"


def rate(bps: float) -> str:
    """Bits a second, three digits and a prefix."""
    return f"{scaled(bps)}bit/s"


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
    return (
        str(each["name"]),
        str(each["state"]),
        ms(each["rtt_ms"]),
        rate(cast("float", each["down_bps"])),
        rate(cast("float", each["up_bps"])),
        f"{each['open']} of {each['total']}",
        str(each["why"]),
    )


def _paths(paths: Sequence[Mapping[str, object]]) -> list[str]:
    head = ("PATH", "MODE", "STATE", "RTT", "LOSS", "DOWN", "UP", "SUBFLOWS", "")
    return table(head, [_path(each) for each in paths])


def _path(each: Mapping[str, object]) -> tuple[str, ...]:
    loss = each["loss"]
    state, why = path_state(each)
    return (
        str(each["name"]),
        mode(each),
        state,
        ms(each["rtt_ms"]),
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
        f"{scaled(cast('int', each['up_bytes']))}B",
        f"{scaled(cast('int', each['down_bytes']))}B",
        f"{scaled(used)}B of {scaled(volume)}B" if volume else f"{scaled(used)}B",
    )


def mode(each: Mapping[str, object]) -> str:
    """A path's mode, with a star when it was set live."""
    return f"{each['mode']}" + ("" if each["configured"] in (each["mode"], "") else "*")


def ms(value: object) -> str:
    """Milliseconds, or a dash."""
    return "-" if value is None else f"{cast('float', value):.1f} ms"


def scaled(value: float) -> str:
    """Three digits and a prefix, to be followed by a unit."""
    for prefix in _PREFIXES[:-1]:
        if abs(value) < 999.5:
            return f"{value:.3g} {prefix}"
        value /= 1000
    return f"{value:.3g} {_PREFIXES[-1]}"
