"""``plait export``: links that are understood again, and codes that hold them."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import segno

from plait.cli import export
from plait.config import links
from plait.config.model import Secret
from plait.errors import UsageError

KEY = "AAECAwQFBgcICQoLDA0ODw=="
GATEWAY = """
[gateway]
lan = "lan"
[[exit]]
name = "attic"
address = ["192.0.2.1", "2001:db8::1"]
password = "correct horse"
[[path]]
interface = "wan1"
"""


def exported(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, *words: str) -> list[str]:
    path = tmp_path / "f.toml"
    path.write_text(text)
    parser = argparse.ArgumentParser()
    export.configure(parser)
    assert export.run(parser.parse_args(["shadowsocks", "-c", str(path), *words])) == 0
    return capsys.readouterr().out.splitlines()


def test_a_gateways_exits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = [links.parse(line) for line in exported(tmp_path, capsys, GATEWAY)]
    assert [link.host for link in found] == ["192.0.2.1", "2001:db8::1"]
    assert {(link.name, link.port, link.password) for link in found} == {
        ("attic", "8388", Secret("correct horse"))
    }


def test_an_exits_users(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = '[exit]\npassword = "x"\n[[user]]\nname = "roof"\npassword = "y"'
    found = [links.parse(line) for line in exported(tmp_path, capsys, text, "--host", "exit.example")]
    assert [(link.name, link.password) for link in found] == [("plait", Secret("x")), ("roof", Secret("y"))]


def test_users_of_2022_have_two_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = KEY.replace("AAEC", "BBEC")
    text = f'[exit]\nmethod = "2022-blake3-aes-128-gcm"\npassword = "{KEY}"\n'
    text += f'[[user]]\nname = "roof"\npassword = "{other}"'
    (line,) = exported(tmp_path, capsys, text, "--host", "192.0.2.1")
    assert links.parse(line).password == Secret(f"{KEY}:{other}")


def test_an_exit_needs_to_be_told_its_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ((), ("--host", "a b")):
        with pytest.raises(UsageError, match=r"--host|reach"):
            exported(tmp_path, capsys, '[exit]\npassword = "x"', *words)


def test_the_drawing_is_the_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = exported(tmp_path, capsys, '[exit]\npassword = "x"', "--host", "192.0.2.1", "--qr")
    drawn = [line.removeprefix("\x1b[30;107m").removesuffix("\x1b[0m") for line in lines[1:]]
    rows = []
    for line in drawn:
        rows.append([cell in "▀█" for cell in line])
        rows.append([cell in "▄█" for cell in line])
    expected = [
        [bool(cell) for cell in row]
        for row in segno.make(lines[0], error="m", micro=False).matrix_iter(border=4)
    ]
    assert rows[: len(expected)] == expected
