"""The tables know the same keys as the model, and read defaults from it."""

from __future__ import annotations

import dataclasses

import pytest

from plait.config import model
from plait.config.tables import KEYS, TOP_KEYS
from plait.config.toml import parse
from plait.errors import ConfigError

HEADERS = {
    "[gateway]": model.Gateway,
    "[[exit]]": model.Peer,
    "[[path]]": model.Path,
    "[[rule]]": model.Rule,
    "[[proxy]]": model.Proxy,
    "[exit]": model.Exit,
    "[[user]]": model.User,
    "[tunnel]": model.Tunnel,
    "[relay]": model.Relay,
    "[web]": model.Web,
}


@pytest.mark.parametrize("header", KEYS)
def test_keys_are_the_fields_of_the_model(header: str) -> None:
    fields = {field.name for field in dataclasses.fields(HEADERS[header])}
    assert set(KEYS[header]) - fields == ({"exit"} if header == "[gateway]" else set())
    assert fields <= set(KEYS[header])


def test_every_header_is_a_table_at_the_top() -> None:
    assert {header.strip("[]") for header in KEYS} == set(TOP_KEYS)


def test_two_next_hops_of_one_family() -> None:
    text = '[[path]]\ninterface = "wan1"\ngateway = ["10.0.0.1", "10.0.0.2", "fe80::1"]\n'
    with pytest.raises(ConfigError) as caught:
        parse("f.toml", text)
    assert [fault.problem for fault in caught.value.faults if fault.key == "path[0].gateway"] == [
        "has more than one IPv4 address"
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("workers = -1", "-1 is out of range"),
        ("workers = 257", "257 is out of range"),
        ("sessions = 0", "0 is out of range"),
        ("connect_timeout = 0", "0 is out of range"),
        ("idle_timeout = inf", "inf is out of range"),
        ("half_close_timeout = true", "must be a number of seconds, not true or false"),
        ('handshake_timeout = "60"', "must be a number of seconds, not a string"),
    ],
)
def test_bounds_of_the_relay(line: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse("f.toml", f"[exit]\npassword = 'x'\n[relay]\n{line}")
    assert [fault.problem for fault in caught.value.faults] == [problem]
