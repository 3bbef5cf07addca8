"""From a document to the text of a config file. Only what our own documents hold can be written."""

from __future__ import annotations

import json
from collections.abc import Mapping


def write(document: Mapping[str, object]) -> str:
    """TOML 1.0: the tables in their order, ``[[…]]`` where there are several."""
    parts = []
    for name, value in document.items():
        if isinstance(value, list):
            parts += [_table(f"[[{name}]]", each) for each in value]
        elif isinstance(value, Mapping) and value:
            parts.append(_table(f"[{name}]", value))
    return "\n".join(parts)


def _table(header: str, table: Mapping[str, object]) -> str:
    return "".join(f"{line}\n" for line in (header, *(f"{key} = {_value(table[key])}" for key in table)))


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    if isinstance(value, str):
        # A JSON string is a TOML string, but for DEL (TOML 1.0, "String").
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value)
