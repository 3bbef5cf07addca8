"""``plait doctor``: which config it takes, and what its status says. The looking itself is in tests/netns."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from plait.cli import doctor
from plait.control.checkup import Report
from plait.doctor.facts import PathFacts
from plait.doctor.finding import Finding, note, problem
from plait.errors import ConfigError, UsageError

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


def plait_doctor(*words: str | Path) -> int:
    parser = argparse.ArgumentParser()
    doctor.configure(parser)
    return doctor.run(parser.parse_args([str(word) for word in words]))


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What every examination finds."""
    findings: list[Finding] = []
    path = PathFacts(name="wan1", interface="wan1")
    monkeypatch.setattr(
        doctor, "examine", lambda config, run_dir, status, idle: Report(tuple(findings), (path,))
    )
    return findings


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text(GATEWAY)
    return path


def test_a_problem_is_status_1(
    found: list[Finding], config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("-c", config, "--run-dir", tmp_path)
    found.append(note("path.x", "wan1", "odd"))
    assert plait_doctor(*words) == 0
    assert capsys.readouterr().out == "note    wan1: odd\nno problems\n"
    found.append(problem("path.y", "wan1", "cut", "mend it"))
    assert plait_doctor(*words) == 1
    assert "PROBLEM wan1: cut; mend it" in capsys.readouterr().out


def test_json(found: list[Finding], config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found.append(problem("path.y", "wan1", "cut", "mend it"))
    assert plait_doctor("--json", "-c", config, "--run-dir", tmp_path) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["healthy"] is False
    assert report["findings"] == [
        {
            "id": "path.y",
            "severity": "problem",
            "subject": "wan1",
            "text": "cut",
            "remedy": "mend it",
            "sentence": "wan1: cut; mend it",
        }
    ]
    assert report["paths"][0]["hijacked"] is None


def test_without_a_config_that_of_the_running_one_is_taken(
    monkeypatch: pytest.MonkeyPatch, found: list[Finding], config: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no config is given, and no plait runs"):
        plait_doctor("--run-dir", tmp_path)
    fake = tmp_path / "proc"
    fake.mkdir()
    (fake / "cmdline").write_bytes(b"python\0plait\0gateway\0--config=gateway.toml\0-v\0")
    (fake / "cwd").symlink_to(tmp_path)
    monkeypatch.setattr(doctor, "running", lambda directory: 77)
    monkeypatch.setattr(doctor, "_PROC", tmp_path)
    fake.rename(tmp_path / "77")
    assert plait_doctor("--run-dir", tmp_path) == 0
    (tmp_path / "77" / "cmdline").write_bytes(b"python\0plait\0gateway\0--shadowsocks\0a.json\0")
    with pytest.raises(UsageError, match="no config is given"):
        plait_doctor("--run-dir", tmp_path)


def test_faults_of_the_config_come_first(found: list[Finding], config: Path, tmp_path: Path) -> None:
    config.write_text("[gateway]\nlam = 1\n")
    with pytest.raises(ConfigError):
        plait_doctor("-c", config, "--run-dir", tmp_path)


@pytest.mark.parametrize("idle", ["-1", "soon", "3601", "nan"])
def test_a_silence_is_a_number_of_seconds(idle: str, config: Path) -> None:
    with pytest.raises(SystemExit):
        plait_doctor("-c", config, "--idle", idle)
