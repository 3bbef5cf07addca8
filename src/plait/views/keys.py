"""What was typed on a terminal: bytes in, names of keys out.

A letter is itself; others are ``up``, ``down``, ``left``, ``right``, ``pageup``, ``pagedown``, ``home``,
``end``, ``delete``, ``enter``, ``tab``, ``backspace``, ``escape``, ``interrupt`` (Ctrl-C), ``redraw``
(Ctrl-L).
Sources: ECMA-48 (5.4, control sequences), xterm's ctlseqs (cursor and editing keys).
"""

from __future__ import annotations

import re

_SEQUENCES = {
    b"A": "up", b"B": "down", b"C": "right", b"D": "left", b"H": "home", b"F": "end",
    b"1~": "home", b"7~": "home", b"4~": "end", b"8~": "end",
    b"5~": "pageup", b"6~": "pagedown", b"3~": "delete",
}  # fmt: skip
_SINGLE = {
    0x03: "interrupt", 0x08: "backspace", 0x09: "tab", 0x0A: "enter", 0x0C: "redraw", 0x0D: "enter",
    0x7F: "backspace",
}  # fmt: skip
_ESCAPE = 0x1B
_WHOLE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[@-~])")
_BEGUN = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|O)?")


class Keys:
    """Puts keys together that come in pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The keys that ``data`` completes. Nothing at all means that no more is coming for now: what had
        begun like a sequence was the key Escape."""
        pending = self._rest + data
        self._rest = b""
        keys = []
        while pending:
            if pending[0] == _ESCAPE:
                whole = _WHOLE.match(pending)
                if whole is None and data and _BEGUN.fullmatch(pending):
                    self._rest = pending
                    break
                if whole is None:
                    keys.append("escape")
                    pending = pending[1:]
                    continue
                name = _SEQUENCES.get(whole[0][2:])
                keys += [name] if name else []
                pending = pending[whole.end() :]
                continue
            letter, used = _letter(pending)
            if not used and data:
                self._rest = pending
                break
            keys += [letter] if letter else []
            pending = pending[max(1, used) :]
        return keys

    @property
    def waits(self) -> bool:
        """Whether something has begun that is not whole."""
        return bool(self._rest)


def _letter(pending: bytes) -> tuple[str, int]:
    """The first key and its bytes; no bytes when it is not all there. Nonsense is no key."""
    first = pending[0]
    if first in _SINGLE:
        return _SINGLE[first], 1
    if first < 0x20:
        return "", 1
    if first < 0x80:
        return chr(first), 1
    size = 2 if 0xC2 <= first < 0xE0 else 3 if 0xE0 <= first < 0xF0 else 4 if 0xF0 <= first < 0xF5 else 0
    if not size:
        return "", 1
    if len(pending) < size:
        return "", 0
    try:
        letter = pending[:size].decode()
    except UnicodeDecodeError:
        return "", 1
    return letter if letter.isprintable() else "", size
