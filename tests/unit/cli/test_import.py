"""``plait import``: what is printed is a config, but for what only the owner knows."""

from __future__ import annotations

import argparse
import io
import stat
from importlib import import_module
from pathlib import Path

import pytest
from tests.unit.config.test_shadowsocks import REDIR, SERVER
from tests.unit.config.test_uci import FILE

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


def test_a_router(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network, firewall = tmp_path / "network", tmp_path / "firewall"
    network.write_text(FILE)
    firewall.write_text("config zone\n option name lan\n option network 'lan wan2'\n")
    assert plait_import("uci", str(network)) == 0
    out, err = capsys.readouterr()
    config = parse("f.toml", uncommented(out))
    assert not err
    assert [path.interface for path in config.paths] == ["eth0.1", "eth0.2", "eth3"]
    assert config.gateway is not None
    assert config.gateway.lan == ("br-lan",)
    assert plait_import("uci", str(network), str(firewall), "-o", str(tmp_path / "new.toml")) == 0
    assert 'lan = ["br-lan", "eth0.2"]' in (tmp_path / "new.toml").read_text()


def test_a_router_of_which_only_some_lines_were_copied(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "sys.stdin", io.StringIO("network.wan1.ifname=eth0.1\nnetwork.wan1.multipath=master\n")
    )
    assert plait_import("uci", "-") == 0
    out, err = capsys.readouterr()
    assert parse("f.toml", uncommented(out)).paths[0].interface == "eth0.1"
    assert "multipath is not enable" in err


def test_what_is_no_router_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "network").write_text("config interface x\n option multipath maybe\n")
    with pytest.raises(ConfigError, match=r"network: network\.x\.multipath: \"maybe\" is not a mode"):
        plait_import("uci", str(tmp_path / "network"))
    with pytest.raises(ConfigError, match="can't be read"):
        plait_import("uci", str(tmp_path / "nothing"))
