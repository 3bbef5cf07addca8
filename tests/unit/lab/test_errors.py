"""What the lab says when something is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from plait.lab import errors, scenarios
from plait.lab.errors import HostLacks, UnknownName, program
from plait.lab.run import out_directory


def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(errors, "SBIN", ("/nonexistent",))
    with pytest.raises(HostLacks, match=r"'dnsmasq'.*apt-get install dnsmasq-base") as caught:
        program("dnsmasq")
    assert caught.value.exit_status == 3
    assert "\n" not in str(caught.value)


def test_sbin_is_searched_for_users_without_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(errors, "SBIN", (str(tmp_path),))
    assert program("tool") == str(tool)


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("wifi-bridge", "did you mean 'wifi-bridges'"),
        ("vsp", "did you mean 'vps'"),
        ("zzz", "there are wifi"),
    ],
)
def test_an_unknown_scenario_gets_the_nearest_name(asked: str, hint: str) -> None:
    with pytest.raises(UnknownName, match=hint) as caught:
        scenarios.find(asked)
    assert caught.value.exit_status == 2


def test_results_go_where_the_sandbox_can_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert out_directory(None, "vps") == tmp_path / "out" / "lab" / "vps"
    assert out_directory(Path("x"), "vps").is_dir()
    with pytest.raises(errors.LabError, match="below /run"):
        out_directory(Path("/run/somewhere"), "vps")
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.LabError, match="can't write"):
        out_directory(tmp_path / "file", "vps")
