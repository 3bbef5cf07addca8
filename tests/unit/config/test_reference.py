"""docs/reference/config.md, the model and the loader tell the same story."""

from __future__ import annotations

import dataclasses
import re
from enum import Enum
from pathlib import Path

import pytest

from plait.config import model, tables
from plait.config.toml import parse

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "config.md").read_text()
SECTIONS = {
    re.findall(r"^`(\[+\w+\]+)`", section)[0]: dict(
        re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE)
    )
    for section in PAGE.split("\n## ")[1:]
}
MODES = {mode.value for mode in model.Mode}

# Values with nothing but what is required, whose other fields are the defaults.
PLAIN: dict[str, object] = {
    "[gateway]": model.Gateway(lan=("x",)),
    "[[exit]]": model.Peer(name="x", address=("x",)),
    "[[path]]": model.Path(interface="x", name="x"),
    "[[rule]]": model.Rule(to="x"),
    "[[proxy]]": tables._PROXY,
    "[exit]": model.Exit(),
    "[[user]]": model.User(name="x", password=model.Secret("x")),
    "[tunnel]": model.Tunnel(),
    "[relay]": model.Relay(),
    "[web]": model.Web(listen=()),
}


def as_toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(as_toml(item) for item in value) + "]"
    if isinstance(value, Enum):
        return f'"{value.value}"'
    return '""' if value is None else f'"{value}"'


def test_every_table_has_its_section() -> None:
    assert list(SECTIONS) == list(tables.KEYS)


@pytest.mark.parametrize("header", tables.KEYS)
def test_every_key_is_described_and_no_other(header: str) -> None:
    described = [key for key in SECTIONS[header] if not (header == "[[path]]" and key in MODES)]
    expected = [key for key in tables.KEYS[header] if not (header == "[gateway]" and key == "exit")]
    assert sorted(described) == sorted(expected)


@pytest.mark.parametrize(
    ("header", "field"),
    [(header, field) for header, value in PLAIN.items() for field in dataclasses.fields(value)],  # type: ignore[arg-type]
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_defaults_are_those_of_the_model(header: str, field: dataclasses.Field[object]) -> None:
    told = SECTIONS[header][field.name]
    has_default = field.default is not dataclasses.MISSING
    if header == "[[path]]" and field.name in ("name", "gateway"):
        assert told == {"name": "the interface", "gateway": "found in the routing tables"}[field.name]
    elif has_default:
        assert told.split("`")[1] == as_toml(getattr(PLAIN[header], field.name))
    elif field.name in ("private_key", "token"):
        assert told == '`""`'
    else:
        assert told.startswith("**required**")


@pytest.mark.parametrize(
    "kind", [model.Intercept, model.UdpVia, model.Method, model.Mode, model.ProxyProtocol, model.Protocol]
)
def test_every_word_is_named(kind: type[Enum]) -> None:
    assert all(f"`{member.value}`" in PAGE or f'`"{member.value}"`' in PAGE for member in kind)


def test_the_examples_of_the_page_are_good() -> None:
    gateway, exit_ = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert parse("page", gateway).paths[0].mode is model.Mode.MASTER
    assert parse("page", exit_).exit is not None
