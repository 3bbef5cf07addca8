"""Who may reach the page, and what they must know."""

from __future__ import annotations

import pytest

from plait.config.toml import parse
from plait.errors import ConfigError

EXIT = "[exit]\npassword = 'x'\n"
GATEWAY = """
[gateway]
lan = "lan"
port = 1080
[[exit]]
name = "attic"
address = "10.1.1.70"
password = "x"
[[path]]
interface = "wan1"
"""
LAN = "[web]\nlisten = '192.168.1.1:8390'\n"
TOKEN = "token = 'abcdefghijklmnop'\n"


def faults_of(text: str) -> list[str]:
    try:
        parse("f", text)
    except ConfigError as error:
        return [str(fault) for fault in error.faults]
    return []


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        (LAN + "password = 'correct horse'", []),
        (LAN + TOKEN, []),
        (LAN + "insecure = true", []),
        ("[web]\nlisten = ['127.0.0.1:80', '[::1]:80', '[fd00::1]:80']\ninsecure = true", []),
        ("[web]\nlisten = '0.0.0.0:8390'\ninsecure = true\nexposed = true", []),
        ("[web]\npassword = 'correct horse'", ["web.listen: is missing; the LAN's address, as in"]),
        (LAN, ["web.password: is missing: anybody who reaches the page could change modes; `plait keygen`"]),
        (LAN + "passwort = 'correct horse'", ["web.passwort: no such key; did you mean `password`?"]),
        (LAN + "password = 'horse'", ["web.password: has less than 8 characters; `plait keygen`"]),
        (LAN + "token = 'short'", ["web.token: has less than 16 characters; `plait keygen`"]),
        (LAN + "token = 'a b c d e f g h i j'", ["web.token: must be printable ASCII without spaces"]),
        (
            LAN + TOKEN + "password = 'abcdefghijklmnop'",
            ["web.token: is the same as the password; a token may only read"],
        ),
        (
            LAN + "insecure = true\npassword = 'correct horse'",
            ["web.insecure: is true, and there is a password or a token"],
        ),
        ("[web]\nlisten = '0.0.0.0:80'\ninsecure = true", ["web.listen: 0.0.0.0 is every address of this"]),
        ("[web]\nlisten = '[::]:80'\ninsecure = true", ["web.listen: :: is every address of this host;"]),
        (
            "[web]\nlisten = '8.8.8.8:80'\ninsecure = true",
            ["web.listen: 8.8.8.8 can be reached from outside; listen on the LAN's address"],
        ),
        (LAN + "insecure = true\nnames = ['a b']", ['web.names[0]: "a b" is not a domain']),
        (LAN + "insecure = true\nhistory = '5 apples'", ['web.history: "5 apples" has the unit "apples"']),
        (
            LAN + "insecure = true\nhistory_directory = 'here'",
            ["web.history_directory: \"here\" does not begin with '/'"],
        ),
        ("[[web]]\nlisten = '192.168.1.1:80'", ["web: must be one table, not a list"]),
    ],
)
def test_what_the_page_must_be_like(text: str, starts: list[str]) -> None:
    found = faults_of(EXIT + text)
    assert len(found) == len(starts), found
    for line, start in zip(found, starts, strict=True):
        assert line.removeprefix("f: ").startswith(start), line


def test_the_interceptor_has_its_port_already() -> None:
    found = faults_of(GATEWAY + "[web]\nlisten = '192.168.1.1:1080'\ninsecure = true")
    assert found == ["f: web.listen: 1080 is taken by the interceptor; gateway.port gives it 1080"]


def test_no_complaint_and_no_config_shows_the_secrets() -> None:
    text = EXIT + LAN + "password = 'hunter2'\ntoken = 'hunter2 hunter2 hunter2'"
    assert not any("hunter2" in line for line in faults_of(text))
    good = parse("f", EXIT + LAN + "password = 'hunter22'\ntoken = 'hunter2hunter2hunter2'")
    assert "hunter" not in repr(good)
