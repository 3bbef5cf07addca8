"""``python -m plait.lab.bridge_command DIRECTORY NAME VERB|KEY=VALUE…``: a bridge, from a shell."""

from __future__ import annotations

import sys
from pathlib import Path

from plait.lab import middlebox
from plait.lab.bridge import ask, control_path
from plait.lab.drawing import quantity
from plait.lab.errors import LabError

_VERBS = ("unplug", "plug", "silence", "unsilence", "look")
_USAGE = (
    f"bridge NAME {' | '.join(_VERBS)} | rate=20mbit delay=3ms jitter=1ms loss=1% reorder=1% queue=80ms"
    " | strip=syn|synack|data|all|no drop=mptcp|no blackhole=1400|no forget=5s|no"
    " block=udp/8388|no hijack=dns|no"
)


def command(directory: Path, words: list[str]) -> str:
    """Carry out one command line; gives what to print."""
    if len(words) < 2:
        raise LabError(_USAGE)
    path = control_path(directory, words[0])
    if not path.exists():
        names = sorted(found.stem for found in directory.glob("*.ctl"))
        raise LabError(f"no bridge {words[0]!r}", f"there are {', '.join(names)}")
    if words[1] in _VERBS:
        reply = ask(path, do=words[1])
    else:
        there: dict[str, float] = {}
        back: dict[str, float] = {}
        box: dict[str, object] = {}
        for word in words[1:]:
            key, equals, value = word.partition("=")
            if not equals:
                raise LabError(_USAGE)
            if key in middlebox.WORDS:
                box |= middlebox.setting(key, value)
            else:
                _, there[key], back[key] = quantity(value)
        ask(path, do="shape", directions=[0], shape=there)
        ask(path, do="meddle", box=box)
        reply = ask(path, do="shape", directions=[1], shape=back)
    return _told(reply)


def _told(reply: dict[str, object]) -> str:
    """One line an end or direction, as ``ip -s link`` would."""
    plugged, silent, counters = reply["plugged"], reply["silent"], reply["counters"]
    assert isinstance(plugged, list)
    assert isinstance(silent, list)
    assert isinstance(counters, list)
    ends = ", ".join(
        f"{side} {'plugged' if there else 'UNPLUGGED'}"
        for side, there in zip(("left", "right"), plugged, strict=True)
    )
    lines = [ends]
    box, meddled = reply["box"], reply["meddled"]
    assert isinstance(box, dict)
    at_work = [f"{name} {value}" for name, value in box.items() if value not in (False, -1, "no", [], ())]
    if at_work:
        lines.append(f"meddles: {', '.join(at_work)}; {meddled} frames so far")
    for way, mute, count in zip(("forth", "back"), silent, counters, strict=True):
        figures = "  ".join(f"{name} {value}" for name, value in count.items())
        lines.append(f"{way:5} {'SILENT  ' if mute else ''}{figures}")
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        print(command(Path(sys.argv[1]), sys.argv[2:]))
    except LabError as problem:
        raise SystemExit(f"bridge: {problem}") from None
