"""``plait import``: what is printed is a config, but for what only the owner knows."""

from __future__ import annotations

import argparse
import io
import stat
from importlib import import_module
from pathlib import Path

import pytest
from tests.unit.config.test_shadowsocks import REDIR, SERVER

from plait.config.toml import parse
from plait.errors import ConfigError, PlaitError

LINK = "ss://YWVzLTEyOC1nY206dGVzdA==@192.168.100.1:8888#attic"


def plait_import(*words: str) -> int:
    verb = import_module("plait.cli.import")
    parser = argparse.ArgumentParser()
    verb.configure(parser)
    status: int = verb.run(parser.parse_args(words))
    return status


def uncommented(text: str) -> str:
    """With what is left to be said: the comments are config."""
    lines = (line.removeprefix("# ") for line in text.splitlines() if "Still to be said" not in line)
    return "\n".join(lines)


def test_a_gateway(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    redir = tmp_path / "redir.json"
    redir.write_text(REDIR)
    assert plait_import("shadowsocks", str(redir), LINK, LINK) == 0
    out, err = capsys.readouterr()
    config = parse("f.toml", uncommented(out))
    assert [peer.name for peer in config.peers] == ["shadowsocks", "attic", "attic-3"]
    assert f"{redir}: timeout: not used" in err
    assert "YWVz" not in err


@pytest.mark.parametrize("text", [f"{LINK}\n\n{LINK}\n", REDIR])
def test_from_standard_input(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert plait_import("shadowsocks", "-") == 0
    out, err = capsys.readouterr()
    names = [peer.name for peer in parse("f.toml", uncommented(out)).peers]
    assert names == (["attic", "attic-2"] if text.startswith("ss://") else ["shadowsocks"])
    assert "YWVz" not in err


def test_nothing_on_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(" \n"))
    with pytest.raises(PlaitError, match="standard input is empty"):
        plait_import("shadowsocks", "-")


def test_an_exit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = tmp_path / "server.json"
    server.write_text(SERVER)
    assert plait_import("shadowsocks", str(server)) == 0
    assert parse("f.toml", uncommented(capsys.readouterr().out)).exit is not None


def test_into_a_file_that_is_private_and_new(tmp_path: Path) -> None:
    target = tmp_path / "gateway.toml"
    assert plait_import("shadowsocks", "-o", str(target), LINK) == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert parse("f.toml", uncommented(target.read_text())).peers[0].password.reveal() == "test"
    with pytest.raises(PlaitError, match="can't be written"):
        plait_import("shadowsocks", "-o", str(target), LINK)


def test_faults_end_it(tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"server": "a", "plugin": "x"}')
    with pytest.raises(ConfigError) as caught:
        plait_import("shadowsocks", str(bad), str(tmp_path / "absent.json"), "ss://hunter2")
    assert len(caught.value.faults) == 3
    assert "hunter2" not in str(caught.value)


def test_both_ends_at_once(tmp_path: Path) -> None:
    server = tmp_path / "server.json"
    server.write_text(SERVER)
    with pytest.raises(PlaitError, match="both ends"):
        plait_import("shadowsocks", str(server), LINK)
