"""``plait lab``: what needs no network."""

from __future__ import annotations

import json

import pytest

from plait.cli import lab, main
from plait.lab import errors


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["lab", "list"]) == 0
    said = capsys.readouterr().out
    for name in ("wifi-bridges", "ipv6", "lan-to-lan", "vps"):
        assert name in said
    assert max(len(line) for line in said.splitlines()) <= 100


def test_list_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["lab", "list", "--json"]) == 0
    (first, *_) = json.loads(capsys.readouterr().out)
    assert first["name"] == "wifi-bridges"
    assert "bridge1" in first["drawing"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "wifi-bridge"], "did you mean 'wifi-bridges'"),
        (["shell", "vps2"], "did you mean 'vps'"),
        (["run", "vps", "--seconds", "1"], "at least 4 seconds"),
    ],
)
def test_wrong_usage(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["lab", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


def test_a_missing_program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(errors, "SBIN", ("/nonexistent",))
    monkeypatch.setattr(lab.sandbox, "inside", lambda: False)
    assert main.main(["lab", "run", "wifi-bridges"]) == 3
    error = capsys.readouterr().err
    assert "apt-get install" in error
    assert len(error.splitlines()) == 1
