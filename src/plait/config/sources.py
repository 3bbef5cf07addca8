"""A config out of TOML files, Shadowsocks JSON files and a few words of the command line together.

A Shadowsocks file says nothing of links and of the LAN: those words, or TOML files beside it, do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from plait.config import shadowsocks
from plait.config.model import Config
from plait.config.shadowsocks import EXIT, GATEWAY, Imported
from plait.config.toml import combine, parse_document, read_text, texts_of
from plait.errors import ConfigError, Fault

_WORDS = {"gateway.lan": "--lan", "exit.trust": "--trust", "exit.allow": "--allow"}


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a config comes from."""

    files: tuple[Path, ...] = ()
    """TOML."""
    shadowsocks: tuple[Path, ...] = ()
    """JSON of Shadowsocks programs."""
    lan: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()


def load(sources: Sources, role: str | None) -> tuple[Config, list[str]]:
    """The config, and what of the JSON files has no meaning here. ``role`` is what those are for (None:
    whatever each looks like). Raises ``ConfigError`` with every fault."""
    texts = texts_of(sources.files)
    said: set[str] = set()
    for source, text in texts:
        document = parse_document(source, text) if isinstance(text, str) else text
        if not isinstance(document, Fault):
            said |= set(document)
    names: dict[tuple[str, str], str] = {}
    notes: list[str] = []
    faults: list[Fault] = []
    for path in sources.shadowsocks:
        source = str(path)
        read = read_text(path)
        if isinstance(read, Fault):
            texts.append((source, read))
            continue
        imported = shadowsocks.read(source, read, role)
        faults += imported.faults
        notes += [f"{source}: {note}" for note in imported.notes]
        document = _completed(imported, sources, said)
        faults += _lacking(source, imported.role, document, said)
        said |= set(document)
        names |= {(source, key): name for key, name in {**_WORDS, **imported.names}.items()}
        texts.append((source, document))
    try:
        config = combine(texts)
    except ConfigError as error:
        found = [_renamed(fault, names) for fault in error.faults]
        # What is lacking has been said in the words of the command line.
        raise ConfigError(faults or found) from None
    if faults:
        raise ConfigError(faults)
    return config, notes


def _completed(imported: Imported, sources: Sources, said: set[str]) -> dict[str, object]:
    """The document of a JSON file with what the command line adds to it. What TOML says wins."""
    document = dict(imported.document)
    if imported.role == GATEWAY and "gateway" in said:
        document.pop("gateway", None)
    elif isinstance(gateway := document.get("gateway"), Mapping):
        document["gateway"] = {**gateway, **({"lan": list(sources.lan)} if sources.lan else {})}
        if sources.paths and "path" not in said:
            document["path"] = [{"interface": name} for name in sources.paths]
    if isinstance(door := document.get("exit"), Mapping):
        more = {"trust": list(sources.trust), "allow": list(sources.allow)}
        document["exit"] = {**door, **{key: value for key, value in more.items() if value}}
    if "relay" in said:
        document.pop("relay", None)
    return document


def _lacking(source: str, role: str, document: Mapping[str, object], said: set[str]) -> list[Fault]:
    if role == EXIT or not document:
        return []
    found = []
    gateway = document.get("gateway")
    if isinstance(gateway, Mapping) and "lan" not in gateway:
        remedy = "--lan INTERFACE, or [gateway] in a file given with -c"
        found.append(Fault(source, "", "it does not say which LAN to serve", remedy))
    if "path" not in document and "path" not in said:
        remedy = "--path INTERFACE for each, or [[path]] tables in a file given with -c"
        found.append(Fault(source, "", "it does not say which links to use", remedy))
    return found


def _renamed(fault: Fault, names: Mapping[tuple[str, str], str]) -> Fault:
    """The fault under the name that its key has in the JSON."""
    key, _, index = fault.key.partition("[") if fault.key.count("[") == 1 else (fault.key, "", "")
    for ours in (fault.key, key):
        if (fault.source, ours) in names:
            rest = f"[{index}" if ours != fault.key else ""
            return replace(fault, key=names[fault.source, ours] + rest)
    head, bracket, rest = fault.key.rpartition("[")
    if bracket and (fault.source, head) in names:
        return replace(fault, key=f"{names[fault.source, head]}[{rest}")
    return fault
