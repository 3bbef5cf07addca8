"""The set-up knows every program that the lab calls, and its scripts are such that a plain sh reads them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from plait.lab import errors

ROOT = Path(__file__).parents[2]
LIST = [
    line.partition("#")
    for line in (ROOT / "scripts" / "apt-packages").read_text().splitlines()
    if line and not line.startswith("#")
]
PACKAGES = {words.split()[1]: words.split()[0] for words, _, _ in LIST}


def test_each_line_names_a_package_a_program_and_a_reason() -> None:
    assert all(len(words.split()) == 2 and reason.strip() for words, _, reason in LIST)
    assert len(PACKAGES) == len(LIST)


@pytest.mark.parametrize(("program", "package"), sorted(errors._PACKAGES.items()))
def test_what_the_lab_asks_for_is_installed(program: str, package: str) -> None:
    assert package in PACKAGES.values(), f"{program} of {package}"


@pytest.mark.parametrize("script", ["scripts/setup", "scripts/test", "packaging/openwrt/plait.init"])
def test_scripts_are_plain_sh(script: str) -> None:
    done = subprocess.run(["sh", "-n", ROOT / script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
