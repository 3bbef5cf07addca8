"""Tests on a real kernel, each in networks of its own, all inside the lab's sandbox.

``pytest tests/netns`` starts itself again inside a sandbox, as root or not. When these tests are
only a part of what pytest was asked for, each file becomes one item that runs it in a sandbox.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from plait.lab import sandbox
from plait.lab.errors import HostLacks
from plait.lab.topology import Lab

_FILE_TIMEOUT = 900
"""Seconds that all tests of one file may take together; each has its own limit inside."""


def _as_real_user() -> None:
    """Inside we are root for whoever asks, but the temporary directory is to be the real user's."""
    os.environ["LOGNAME"] = f"uid{os.getuid()}"


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Called only when this directory was named on the command line: go inside at once."""
    if sandbox.inside() or config.option.help or config.option.version:
        return None
    sys.stdout.flush()
    _as_real_user()
    try:
        return sandbox.run_self()
    except HostLacks as problem:
        raise pytest.UsageError(str(problem)) from None


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Outside a sandbox, a test file is one item."""
    if sandbox.inside():
        return None
    return SandboxedFile.from_parent(parent, path=module_path)


class SandboxedFile(pytest.File):
    """A test file that is run by a pytest of its own, inside a sandbox."""

    def collect(self) -> Iterator[pytest.Item]:
        run = SandboxedRun.from_parent(self, name="in-sandbox")
        run.add_marker(pytest.mark.timeout(_FILE_TIMEOUT))
        yield run


class SandboxedRun(pytest.Item):
    """The run; what it prints is shown when it fails."""

    def runtest(self) -> None:
        options = ["-p", "no:cacheprovider", "-q"]
        if self.config.option.keyword:
            options += ["-k", self.config.option.keyword]
        if self.config.option.markexpr:
            options += ["-m", self.config.option.markexpr]
        _as_real_user()
        status = sandbox.run([sys.executable, "-m", "pytest", *options, str(self.path)])
        if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            pytest.fail(f"pytest {self.path.name} ended with status {status}", pytrace=False)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"{self.path.name} in a sandbox"


LabMaker = Callable[..., Lab]


@pytest.fixture
def make_lab(tmp_path: Path) -> Iterator[LabMaker]:
    """Builds a lab from a drawing: ``make_lab(text, routers=("gateway",))``; gone after the test."""
    with ExitStack() as open_labs:

        def make(text: str, *, routers: tuple[str, ...] = (), backend: str | None = None) -> Lab:
            directory = tmp_path / f"lab{len(os.listdir(tmp_path))}"
            lab = open_labs.enter_context(Lab(text, directory=directory, backend=backend))
            lab.forward(*routers)
            return lab

        yield make
