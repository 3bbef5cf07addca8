"""What is written is TOML that says the same."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from plait.config.writing import write

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.one_of(TEXT, st.integers(-(2**53), 2**53), st.booleans(), st.lists(TEXT, max_size=3))
TABLES = st.dictionaries(st.sampled_from(["name", "port", "lan", "password"]), VALUES, min_size=1)


@given(
    st.dictionaries(
        st.sampled_from(["gateway", "relay", "exit", "path"]),
        st.one_of(TABLES, st.lists(TABLES, min_size=1, max_size=3)),
    )
)
def test_what_is_written_can_be_read(document: dict[str, object]) -> None:
    assert tomllib.loads(write(document)) == document


def test_an_empty_table_is_left_out() -> None:
    assert write({"gateway": {}, "exit": []}) == ""
