from __future__ import annotations

import pytest

from plait.views.keys import Keys


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"q", ["q"]),
        (b"sS/", ["s", "S", "/"]),
        (b"\x1b[A\x1b[B\x1bOC\x1b[D", ["up", "down", "right", "left"]),
        (
            b"\x1b[5~\x1b[6~\x1b[1~\x1b[4~\x1b[H\x1b[F\x1b[3~",
            ["pageup", "pagedown", "home", "end", "home", "end", "delete"],
        ),
        (
            b"\r\n\t\x7f\x08\x03\x0c",
            ["enter", "enter", "tab", "backspace", "backspace", "interrupt", "redraw"],
        ),
        ("äß日".encode(), ["ä", "ß", "日"]),
        (b"\x1b[1;5A\x1b[200~x", ["x"]),
        (b"\x00\x01\xff\x80\xc3(", ["("]),
        ("\u200b\u202ey".encode(), ["y"]),
    ],
)
def test_keys(data: bytes, keys: list[str]) -> None:
    assert Keys().feed(data) == keys
    pieces = Keys()
    assert [key for at in range(len(data)) for key in pieces.feed(data[at : at + 1])] == keys, "byte by byte"


def test_escape_alone_is_a_key_when_nothing_follows() -> None:
    keys = Keys()
    assert keys.feed(b"\x1b") == []
    assert keys.waits
    assert keys.feed(b"") == ["escape"]
    assert not keys.waits
    assert keys.feed(b"\x1bq") == ["escape", "q"]
    assert keys.feed(b"\x1b[") == []
    assert keys.feed(b"") == ["escape", "["]
    assert keys.feed(b"\xe6") == []
    assert keys.feed(b"") == []
    assert keys.feed(b"q") == ["q"]
