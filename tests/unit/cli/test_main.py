from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from plait import __version__
from plait.cli import main as module
from plait.cli.main import VERBS, main
from plait.errors import ConfigError, Fault, KernelError, MissingCapability, PlaitError, UsageError

TRACE_HINT = "plait: hint: PLAIT_TRACE=1 in the environment shows where; please report it"


def run(*words: str) -> int:
    """The exit status, whether it is returned or raised by argparse."""
    try:
        return main(words)
    except SystemExit as end:
        return int(end.code or 0)


def verb_that(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let every verb fail in this way."""

    def fail(_: object) -> int:
        raise error

    fake = SimpleNamespace(HELP="fails", configure=lambda parser: None, run=fail)
    monkeypatch.setattr(module, "import_module", lambda name: fake)


@pytest.mark.parametrize(
    ("error", "status", "lines"),
    [
        (PlaitError("it failed", "do this"), 1, ["plait: it failed", "plait: hint: do this"]),
        (KernelError("refused"), 1, ["plait: refused"]),
        (UsageError("what?"), 2, ["plait: what?"]),
        (MissingCapability("no nft", "install it"), 3, ["plait: no nft", "plait: hint: install it"]),
        (
            ConfigError([Fault("a.toml", "exit.port", "is 0"), Fault("a.toml", "", "is empty")]),
            2,
            ["plait: a.toml: exit.port: is 0", "plait: a.toml: is empty"],
        ),
        (PermissionError(13, "denied", "/run/x"), 1, ["plait: [Errno 13] denied: '/run/x'", TRACE_HINT]),
    ],
)
def test_errors_become_lines_and_statuses(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    status: int,
    lines: list[str],
) -> None:
    verb_that(monkeypatch, error)
    assert run("status") == status
    assert capsys.readouterr().err.splitlines() == lines


def test_a_fault_of_ours_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PLAIT_TRACE", raising=False)
    verb_that(monkeypatch, KeyError("oops"))
    assert run("status") == 1
    said = capsys.readouterr().err
    assert "internal fault: KeyError: 'oops'" in said
    assert "Traceback" not in said
    monkeypatch.setenv("PLAIT_TRACE", "1")
    with pytest.raises(KeyError):
        run("status")


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    verb_that(monkeypatch, KeyboardInterrupt())
    assert run("status") == 130
    assert capsys.readouterr().err == "\n"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ([], 2, "VERB"),
        (["--version"], 0, f"plait {__version__}"),
        (["--help"], 0, "gateway"),
        (["gatewya"], 2, "unknown verb gatewya; did you mean gateway?"),
        (["statsu", "--json"], 2, "did you mean status?"),
        (["xyzzy"], 2, "unknown verb xyzzy"),
        (["--verbose", "status"], 2, "unknown option --verbose"),
        (["gateway"], 2, "-c"),
        (["check"], 2, "FILE"),
        (["status", "--jsn"], 2, "--jsn"),
        (["keygen", "--method", "rot13"], 2, "rot13"),
    ],
)
def test_usage(capsys: pytest.CaptureFixture[str], words: list[str], status: int, said: str) -> None:
    assert run(*words) == status
    output = capsys.readouterr()
    assert said in output.out + output.err
    assert "Traceback" not in output.err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    assert run(verb, "--help") == 0
    assert f"plait {verb}" in capsys.readouterr().out


def test_a_reader_that_leaves_is_not_worth_a_word(tmp_path: Path) -> None:
    """`plait keygen | true`"""
    code = "import sys, time; from plait.cli.main import main; sys.stdin.read(); sys.exit(main(['keygen']))"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stdin.close()
    said = process.stderr.read().decode()
    process.stderr.close()
    process.wait(20)
    assert not re.search("Traceback|BrokenPipe", said), said
