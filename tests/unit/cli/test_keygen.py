"""``plait keygen``: strong, fresh each time, and ready to paste into a config."""

from __future__ import annotations

import argparse
import json

import pytest

from plait.cli import keygen
from plait.config.toml import parse
from plait.errors import UsageError


def plait_keygen(*words: str) -> int:
    parser = argparse.ArgumentParser()
    keygen.configure(parser)
    return keygen.run(parser.parse_args(words))


def test_the_line_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    assert plait_keygen("--method", "aes-256-gcm") == 0
    config = parse("f.toml", "[exit]\n" + capsys.readouterr().out)
    assert config.exit is not None
    assert config.exit.method.value == "aes-256-gcm"
    assert len(config.exit.password.reveal()) >= keygen.ENTROPY


def test_every_password_is_another(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(10):
        assert plait_keygen() == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(set(lines)) == 10
    assert all(line.startswith('password = "') for line in lines)


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert plait_keygen("--json", "--method", "aes-128-gcm") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts.keys() == {"password", "method"}
    assert plait_keygen("--json") == 0
    assert json.loads(capsys.readouterr().out).keys() == {"password"}


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("none", "method none has no password (it admits by address: trust in [exit])"),
        ("aes-256-gmc", 'no method is named "aes-256-gmc" (did you mean "aes-256-gcm"?)'),
    ],
)
def test_methods_that_need_none_or_are_not_known(method: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        plait_keygen("--method", method)
    assert str(caught.value) == message
