"""``plait keygen``: strong, fresh each time, and ready to paste into a config."""

from __future__ import annotations

import argparse
import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from plait.cli import keygen
from plait.config.model import Method
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


@pytest.mark.parametrize("method", [method for method in Method if method.key_bytes])
def test_a_key_of_2022_has_its_size(method: Method, capsys: pytest.CaptureFixture[str]) -> None:
    assert plait_keygen("--method", method.value) == 0
    config = parse("f.toml", "[exit]\n" + capsys.readouterr().out)
    assert config.exit is not None
    assert len(base64.b64decode(config.exit.password.reveal())) == method.key_bytes


def test_the_pair_fits_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert plait_keygen("--pair", "--json") == 0
    pair = json.loads(capsys.readouterr().out)
    private = X25519PrivateKey.from_private_bytes(base64.b64decode(pair["private_key"]))
    assert base64.b64encode(private.public_key().public_bytes_raw()).decode() == pair["public_key"]
    assert plait_keygen("--pair") == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert parse("f.toml", f"[exit]\npassword = 'x'\n{line}").exit is not None


def test_a_pair_has_no_method() -> None:
    with pytest.raises(UsageError):
        plait_keygen("--pair", "--method", "aes-128-gcm")
