from __future__ import annotations

from pathlib import Path

import pytest

from plait.kernel import sysctl


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net" / "mptcp").mkdir(parents=True)
    (tmp_path / "net" / "mptcp" / "enabled").write_text("0\n")
    monkeypatch.setattr(sysctl, "_ROOT", tmp_path)
    return tmp_path


def test_those_that_exist_are_read(root: Path) -> None:
    assert sysctl.read(["net/mptcp/enabled", "net/mptcp/not_here"]) == {"net/mptcp/enabled": "0"}


def test_one_is_written(root: Path) -> None:
    sysctl.write("net/mptcp/enabled", "1")
    assert sysctl.read(["net/mptcp/enabled"]) == {"net/mptcp/enabled": "1"}


def test_a_name_with_a_dot_is_one_name(root: Path) -> None:
    (root / "net" / "eth0.2").write_text("2\n")
    assert sysctl.read(["net/eth0.2"]) == {"net/eth0.2": "2"}
