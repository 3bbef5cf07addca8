"""Tables: faults are noted with their place, told in file order, and never stop the reading."""

from __future__ import annotations

import tomllib

import pytest

from plait.config import values
from plait.config.table import FaultList, Table, join, write_key

KEYS = ("interface", "mode", "name")


def root(text: str) -> tuple[Table, FaultList]:
    document = tomllib.loads(text)
    faults = FaultList("f.toml", document)
    return Table(faults, "", document), faults


def lines(faults: FaultList) -> list[str]:
    return [str(fault) for fault in faults.in_order()]


def test_take_gives_the_value_or_notes_the_fault_and_gives_the_default() -> None:
    table, faults = root("port = 80\nother = 'x'")
    assert table.take("port", values.port, 1) == 80
    assert table.take("absent", values.port, 2) == 2
    assert table.take("other", values.port, 3) == 3
    assert lines(faults) == ["f.toml: other: must be a whole number, not a string"]


def test_faults_are_told_in_file_order_and_what_is_missing_at_the_end_of_its_table() -> None:
    table, faults = root("[b]\nx = 1\n[[c]]\ny = 2\n[[c]]\n[a]\nz = 3")
    (first, second), a, b = table.children("c"), table.child("a"), table.child("b")
    assert a is not None
    assert b is not None
    table.fault("nowhere", "is missing")
    a.fault("z", "is wrong")
    second.fault("y", "is missing")
    first.fault("gone", "is missing")
    first.fault("y", "is wrong")
    b.fault("gone", "is missing")
    b.fault("", "is odd")
    assert [fault.key for fault in faults.in_order()] == [
        "b",
        "b.gone",
        "c[0].y",
        "c[0].gone",
        "c[1].y",
        "a.z",
        "nowhere",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "path = 1",
            "f.toml: path: must be a list of tables, not a whole number; write [[path]], in double brackets",
        ),
        ("[path]", "f.toml: path: must be a list of tables, not a table; write [[path]], in double brackets"),
        ("path = [1]", "f.toml: path[0]: must be a table, not a whole number; write [[path]]"),
    ],
)
def test_children_of_the_wrong_shape(text: str, expected: str) -> None:
    table, faults = root(text)
    assert table.children("path") == []
    assert lines(faults) == [expected]


def test_child_of_the_wrong_shape() -> None:
    table, faults = root("[[relay]]")
    assert table.child("relay") is None
    assert table.child("absent") is None
    assert lines(faults) == [
        "f.toml: relay: must be one table, not a list; write [relay], in single brackets"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mod = 1", "f.toml: mod: no such key; did you mean `mode`?"),
        ("ifname = 1", "f.toml: ifname: no such key; did you mean `interface`?"),
        ("server = 1", "f.toml: server: no such key; known here: `interface`, `mode`, `name`"),
        ("trust = 1", "f.toml: trust: no such key; it belongs under [exit]"),
        ("[nme]", "f.toml: nme: no such table; did you mean `name`?"),
        ('"a\\u001b.b" = 1', 'f.toml: "a\\u001b.b": no such key; known here: `interface`, `mode`, `name`'),
    ],
)
def test_unknown_keys(text: str, expected: str) -> None:
    table, faults = root(text)
    table.refuse_unknown(KEYS, {"[exit]": ("trust",)})
    assert lines(faults) == [expected]


def test_a_misspelt_key_is_not_missing_as_well() -> None:
    table, faults = root("mdoe = 1")
    table.refuse_unknown(KEYS, {})
    assert table.means("mode")
    assert not table.means("name")
    assert table.need("mode", values.text, "", "say it") == ""
    assert table.need("name", values.text, "", "say it") == ""
    assert lines(faults) == [
        "f.toml: mdoe: no such key; did you mean `mode`?",
        "f.toml: name: is missing; say it",
    ]


def test_keys_are_written_as_toml_would() -> None:
    assert join("path[1]", "mode") == "path[1].mode"
    assert write_key("two words") == '"two words"'
    assert len(write_key("k" * 500)) <= values.MAX_SHOWN
