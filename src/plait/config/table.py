"""Tables: which keys there are, what each holds, and where a fault is.

A ``Table`` is one TOML table with its place in the file. Reading from it never
raises: a wrong value is noted as a fault and the default is handed back, so
that one pass finds every fault. What was built is thrown away if there is any.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from plait.config.values import MAX_SHOWN, Parser, T, Wrong, nearest, show, type_name
from plait.errors import Fault

_BARE = re.compile(r"[A-Za-z0-9_-]+")

# What people coming from elsewhere write: shadowsocks JSON, UCI, wg-quick, iproute2.
_ELSEWHERE = {
    "server": "address",
    "host": "address",
    "endpoint": "address",
    "server_port": "port",
    "cipher": "method",
    "encryption": "method",
    "encrypt_method": "method",
    "key": "password",
    "psk": "password",
    "secret": "password",
    "ifname": "interface",
    "iface": "interface",
    "device": "interface",
    "dev": "interface",
    "multipath": "mode",
    "src": "source",
    "from": "source",
    "dst": "destination",
    "dest": "destination",
    "action": "to",
    "link": "path",
    "wan": "path",
    "peer": "exit",
    "timeout": "idle_timeout",
}


def write_key(name: str) -> str:
    """A key as TOML writes it: bare if it can be, else quoted (and short, and printable)."""
    return name if _BARE.fullmatch(name) and len(name) <= MAX_SHOWN else show(name)


class FaultList:
    """The faults of one file, in the order of the file."""

    def __init__(self, source: str, root: Mapping[str, object]) -> None:
        self.source = source
        self._found: list[tuple[float, Fault]] = []
        self._span: dict[str, tuple[int, int]] = {}
        self._walk("", root, 0)

    def _walk(self, key: str, value: object, at: int) -> int:
        """Number everything in the document, depth first; return the next free number."""
        after = at + 1
        if isinstance(value, Mapping):
            for name, child in value.items():
                after = self._walk(join(key, name), child, after)
        elif isinstance(value, list):
            for index, child in enumerate(value):
                after = self._walk(f"{key}[{index}]", child, after)
        self._span[key] = (at, after)
        return after

    def add(self, key: str, problem: str, remedy: str | None = None) -> None:
        """Note a fault of ``key``. What is missing belongs at the end of where it is missing."""
        if key in self._span:
            position: float = self._span[key][0]
        else:
            around = key
            while around not in self._span:
                around = around[: max(around.rfind("."), around.rfind("["), 0)]
            position = self._span[around][1] - 0.5
        self._found.append((position, Fault(self.source, key, problem, remedy)))

    def in_order(self) -> list[Fault]:
        """All that were noted."""
        return [fault for _, fault in sorted(self._found, key=lambda pair: pair[0])]


def join(parent: str, name: str) -> str:
    """The dotted path of ``name`` inside ``parent``."""
    return f"{parent}.{write_key(name)}" if parent else write_key(name)


class Table:
    """One table of a file, read key by key."""

    def __init__(self, faults: FaultList, key: str, raw: Mapping[str, object]) -> None:
        self.key = key
        self.raw = raw
        self._faults = faults
        self._meant: set[str] = set()

    @property
    def source(self) -> str:
        """The file it stands in."""
        return self._faults.source

    def __contains__(self, name: str) -> bool:
        return name in self.raw

    def means(self, name: str) -> bool:
        """Whether a key is there, or a misspelling of it that is a fault already."""
        return name in self.raw or name in self._meant

    def fault(self, name: str, problem: str, remedy: str | None = None) -> None:
        """Note a fault of the key ``name``, or of the whole table when it is empty."""
        self._faults.add(join(self.key, name) if name else self.key, problem, remedy)

    def take(self, name: str, parse: Parser[T], default: T) -> T:
        """The value of an optional key."""
        if name not in self.raw:
            return default
        try:
            return parse(self.raw[name])
        except Wrong as wrong:
            for suffix, problem, remedy in wrong.complaints:
                self._faults.add(join(self.key, name) + suffix, problem, remedy)
            return default

    def need(self, name: str, parse: Parser[T], placeholder: T, remedy: str) -> T:
        """The value of a required key; the placeholder only serves to go on looking for faults."""
        if not self.means(name):
            self.fault(name, "is missing", remedy)
        return self.take(name, parse, placeholder)

    def child(self, name: str) -> Table | None:
        """The table ``[name]``, if there is one."""
        if name not in self.raw:
            return None
        value = self.raw[name]
        if isinstance(value, dict):
            return Table(self._faults, join(self.key, name), value)
        header = join(self.key, name)
        problem = f"must be one table, not {type_name(value)}"
        self.fault(name, problem, f"write [{header}], in single brackets")
        return None

    def children(self, name: str) -> list[Table]:
        """The tables ``[[name]]``, in order."""
        value = self.raw.get(name, [])
        header = join(self.key, name)
        if not isinstance(value, list):
            self.fault(
                name,
                f"must be a list of tables, not {type_name(value)}",
                f"write [[{header}]], in double brackets",
            )
            return []
        found = []
        for index, item in enumerate(value):
            if isinstance(item, dict):
                found.append(Table(self._faults, f"{header}[{index}]", item))
            else:
                self._faults.add(
                    f"{header}[{index}]", f"must be a table, not {type_name(item)}", f"write [[{header}]]"
                )
        return found

    def refuse_unknown(self, known: Collection[str], elsewhere: Mapping[str, Collection[str]]) -> None:
        """Note every key that is not ``known``. ``elsewhere`` maps other tables' headers to their keys."""
        for name in self.raw:
            if name in known:
                continue
            kind = "table" if self._is_table(self.raw[name]) else "key"
            owners = [header for header, keys in elsewhere.items() if name in keys]
            alias = _ELSEWHERE.get(name)
            match = alias if alias in known else nearest(name, known)
            if owners and kind == "key":
                remedy = f"it belongs under {' or '.join(owners)}"
            elif match is not None:
                self._meant.add(match)  # so that a misspelt key is not reported as missing, too
                remedy = f"did you mean `{match}`?"
            else:
                remedy = "known here: " + ", ".join(f"`{key}`" for key in known)
            self.fault(name, f"no such {kind}", remedy)

    @staticmethod
    def _is_table(value: object) -> bool:
        return isinstance(value, dict) or (
            isinstance(value, list) and bool(value) and isinstance(value[0], dict)
        )
