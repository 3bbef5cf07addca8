"""``plait check``: faults and status 2, or ok with notes and status 0; the same facts as JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from plait.cli import check

EXIT = "[exit]\npassword = 'hunter2'\n"
GATEWAY = """
[gateway]
lan = "lan"
[[exit]]
name = "attic"
address = "10.1.1.70"
password = "hunter2"
[[path]]
interface = "wan1"
"""


def plait_check(*words: str | Path) -> int:
    parser = argparse.ArgumentParser()
    check.configure(parser)
    return check.run(parser.parse_args([str(word) for word in words]))


def write(folder: Path, name: str, text: str, mode: int = 0o600) -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_good_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "exit.toml", EXIT)
    assert plait_check(path) == 0
    assert capsys.readouterr() == (f"{path}: ok (exit)\n", "")


def test_a_good_node_in_two_files_with_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gateway = write(tmp_path, "gateway.toml", GATEWAY)
    exit_ = write(tmp_path, "exit.toml", EXIT + "trust = '10.1.1.1'\n", 0o644)
    assert plait_check(gateway, exit_) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{gateway} + {exit_}: ok (gateway and exit)",
        "note: [exit]: trust is only looked at with method none",
        f"note: {exit_} holds a password and everybody on this host may read it: chmod o-r {exit_}",
    ]


def test_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "exit.toml", EXIT + "port = 0\nalow = []\n")
    assert plait_check(path) == 2
    assert capsys.readouterr().out.splitlines() == [
        f"{path}: exit.port: 0 is out of range; 1 to 65535 is possible",
        f"{path}: exit.alow: no such key; did you mean `allow`?",
    ]


def test_json_of_a_good_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "exit.toml", EXIT, 0o644)
    assert plait_check("--json", path) == 0
    out = capsys.readouterr().out
    assert json.loads(out) == {
        "ok": True,
        "files": [str(path)],
        "roles": ["exit"],
        "faults": [],
        "notes": [f"{path} holds a password and everybody on this host may read it: chmod o-r {path}"],
    }
    assert "hunter2" not in out


def test_json_of_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, "exit.toml", EXIT + "alow = []\n")
    assert plait_check("--json", path) == 2
    assert json.loads(capsys.readouterr().out) == {
        "ok": False,
        "files": [str(path)],
        "roles": [],
        "faults": [
            {
                "source": str(path),
                "key": "exit.alow",
                "problem": "no such key",
                "remedy": "did you mean `allow`?",
            }
        ],
        "notes": [],
    }
