"""What is accepted and not done is said, and nothing else is."""

from __future__ import annotations

import pytest

from plait.config.notes import notes
from plait.config.toml import parse

GATEWAY = """
[gateway]
lan = "lan"
udp = "direct"
[[exit]]
name = "attic"
address = "10.1.1.70"
password = "x"
[[path]]
interface = "wan1"
"""
EXIT = "[exit]\npassword = 'x'\n"
PROXY = "[[proxy]]\nlisten = '127.0.0.1:1081'\nexit = 'attic'\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GATEWAY, []),
        (EXIT, []),
        (
            GATEWAY.replace('"direct"', '"tunnel"\nown = "dns"\nrouted = "192.168.5.0/24"'),
            [],
        ),
        (
            GATEWAY.replace('"direct"', '"direct"\nown = "dns"\nrouted = "192.168.5.0/24"'),
            [
                '[gateway]: routed is only looked at with udp or tcp = "tunnel"',
                '[gateway]: own is only looked at with udp or tcp = "tunnel"',
            ],
        ),
        (EXIT + "[tunnel]\nserve = true\nnetworks = '192.168.5.0/24'", []),
        (
            EXIT + "[tunnel]\nnetworks = '192.168.5.0/24'",
            ["[tunnel]: networks is only looked at with serve = true"],
        ),
        (
            GATEWAY.replace('"direct"', '"shadowsocks"'),
            [],
        ),
        (
            GATEWAY + "weight = 2\nwatchdog = 'link'\n[relay]\nwarm = 0",
            [],
        ),
        (GATEWAY + "[[rule]]\nto = 'block'\ndomain = 'a.org'", []),
        (
            EXIT
            + "fallback = 'a:80'\ntrust = '10.0.0.0/8'\n[[user]]\nname = 'a'\npassword = 'y'\nrate = 1000",
            [
                "[exit]: trust is only looked at with method none",
            ],
        ),
        (GATEWAY + PROXY, []),
        (EXIT + "[tunnel]\nmasquerade = false", []),
        (GATEWAY + "mode = 'off'", ["every path is off: no exit can be reached"]),
        (
            GATEWAY.replace("password", "method = 'none'\npassword"),
            ["exit attic: method none uses no password"],
        ),
        (EXIT + "method = 'none'\ntrust = '10.1.1.1'", ["[exit]: method none uses no password"]),
        (
            EXIT + "[web]\nlisten = '127.0.0.1:8390'\ninsecure = true",
            ["[web]: whoever reaches the page may see everything and change modes: insecure = true"],
        ),
        (EXIT + "trust = '10.1.1.1'", ["[exit]: trust is only looked at with method none"]),
    ],
)
def test_notes(text: str, expected: list[str]) -> None:
    assert notes(parse("f.toml", text)) == expected
