"""Plait's own config files: TOML, one or several, and every fault at once.

    files ── text ── tomllib ── tables.read ──┐
                                              ├─ Draft ── consistency.check ── Config
    files ── text ── tomllib ── tables.read ──┘

``tomllib`` stops at the first syntax error, so such a file has that one fault;
the others are still read to the end. Its messages may quote the line, which
may hold a password, so they are told in words of our own.
"""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from plait.config import consistency, tables
from plait.config.model import Config, Relay, Tunnel
from plait.config.table import FaultList, Table
from plait.errors import ConfigError, Fault

MAX_SIZE = 1 << 20
"""Largest config file in bytes. Nobody writes more; a device or a disk image given by mistake is more."""

_SECRETS = frozenset(("password", "private_key", "token"))
"""Keys whose value is nobody else's business."""

_EXIT_ROLE = re.compile(r"^[ \t]*\[[ \t]*(\"?'?)exit\1[ \t]*\]", re.MULTILINE)
_EXIT_PEERS = re.compile(r"^[ \t]*\[\[[ \t]*(\"?'?)exit\1[ \t]*\]\]", re.MULTILINE)

_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)\s*$")

# The beginnings of tomllib's messages (Lib/tomllib/_parser.py) and what they mean to an author.
_SYNTAX: tuple[tuple[str, str], ...] = (
    ("Invalid value", "this is not a value; text goes in quotes"),
    ("Expected newline", "something follows the value; a line holds one key and one value"),
    ("Expected '='", "a key is followed by '=' and a value"),
    ("Expected ']'", "the header of a table ends with ']'"),
    ("Invalid initial character", "a key or a header begins with a letter, a digit or a quote"),
    ("Unclosed array", "the list is not closed with ']'"),
    ("Unclosed inline table", "the inline table is not closed with '}'"),
    ("Unterminated string", "the text is not closed with a quote"),
    ("Illegal character", "a control character, or text whose closing quote is missing on its line"),
    ("Found invalid character", "a character that can't stand here"),
    ("Unescaped", "a backslash must be doubled, or the text put in single quotes"),
    ("Escaped character", "this escape is no character"),
    ("Invalid hex", "this escape is no character"),
    ("Invalid date", "this is no date"),
    ("Duplicate inline", "the key is there twice"),
    ("Cannot overwrite", "the key is there twice"),
    ("Cannot declare", "the table is there twice; write [[…]] in double brackets for several"),
    ("Cannot mutate", "the table is there twice, in different forms"),
    ("Cannot redefine", "the table is there twice, in different forms"),
)


def load(paths: Sequence[Path]) -> Config:
    """The config that the files give together. Raises ``ConfigError`` with every fault."""
    return combine(texts_of(paths))


def texts_of(paths: Sequence[Path]) -> list[tuple[str, str | Fault | Mapping[str, object]]]:
    """What stands in the files, by name."""
    texts: list[tuple[str, str | Fault | Mapping[str, object]]] = []
    seen: set[Path] = set()
    for path in paths:
        again = Fault(str(path), "", "is given twice", "give each file once")
        texts.append((str(path), again if _resolved(path) in seen else read_text(path)))
        seen.add(_resolved(path))
    return texts


def parse(source_name: str, text: str) -> Config:
    """The config that one text gives; ``source_name`` stands in the faults."""
    return combine([(source_name, text)])


def combine(texts: Sequence[tuple[str, str | Fault | Mapping[str, object]]]) -> Config:
    """The config that several named texts give together; a text may be the fault of not having it, or
    the document that came of it elsewhere."""
    draft = tables.Draft()
    unread = False
    lists: list[FaultList | Fault] = []
    for source, text in texts:
        document = parse_document(source, text) if isinstance(text, str) else text
        if isinstance(document, Fault):
            unread = True
            lists.append(document)
            continue
        faults = FaultList(source, document)
        lists.append(faults)
        tables.read(Table(faults, "", document), draft)
    # What an unreadable file would have given is not known, so nothing can be said to be missing.
    missing = [] if unread else consistency.check(draft, [source for source, _ in texts])
    found: list[Fault] = []
    for each in lists:
        found += [each] if isinstance(each, Fault) else each.in_order()
    found += missing
    if found:
        raise ConfigError(found)
    return Config(
        gateway=draft.gateways[0].value if draft.gateways else None,
        exit=draft.exits[0].value if draft.exits else None,
        peers=tuple(peer.value for peer in draft.peers),
        paths=tuple(path.value for path in draft.paths),
        rules=tuple(rule.value for rule in draft.rules),
        proxies=tuple(proxy.value for proxy in draft.proxies),
        users=tuple(user.value for user in draft.users),
        tunnel=draft.tunnels[0].value if draft.tunnels else Tunnel(),
        relay=draft.relays[0].value if draft.relays else Relay(),
        web=draft.webs[0].value if draft.webs else None,
    )


def exposed(paths: Sequence[Path]) -> list[str]:
    """Of the files, those that hold a password and that everybody on this host may read."""
    found = []
    for path in paths:
        text = read_text(path)
        document = parse_document(str(path), text) if isinstance(text, str) else text
        if (
            not isinstance(document, Fault)
            and _holds_password(document)
            and path.stat().st_mode & stat.S_IROTH
        ):
            found.append(str(path))
    return found


def _holds_password(value: object) -> bool:
    if isinstance(value, dict):
        return not _SECRETS.isdisjoint(value) or any(_holds_password(child) for child in value.values())
    return isinstance(value, list) and any(_holds_password(child) for child in value)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links; a NUL in the name
        return path


def read_text(path: Path) -> str | Fault:
    """A file's text, or why it can't be had."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SIZE + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        return Fault(str(path), "", f"can't be read: {reason or 'not a file name'}")
    if len(data) > MAX_SIZE:
        return Fault(str(path), "", f"is larger than {MAX_SIZE >> 20} MiB", "this is hardly a config file")
    try:
        # Editors of another system begin a file with a byte-order mark.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Fault(f"{path}:{line}", "", "is not UTF-8 text")


def parse_document(source: str, text: str) -> dict[str, object] | Fault:
    """The tables of a text as TOML gives them, or why it is none."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return _syntax_fault(source, text, str(error))
    except RecursionError:
        return Fault(source, "", "is nested too deeply")
    except ValueError:  # int() refuses more digits than sys.set_int_max_str_digits allows
        return Fault(source, "", "holds a number that is too long")


def _syntax_fault(source: str, text: str, message: str) -> Fault:
    role, peers = _EXIT_ROLE.search(text), _EXIT_PEERS.search(text)
    if role and peers and message.startswith("Cannot"):
        line = text.count("\n", 0, max(role.start(), peers.start())) + 1
        problem = "[exit] and [[exit]] can't stand in one file (TOML takes them for the same key)"
        remedy = "write the far ends as [[gateway.exit]], or give two files: -c gateway.toml -c exit.toml"
        return Fault(f"{source}:{line}", "", problem, remedy)
    place = _PLACE.search(message)
    if place:
        where = f"{source}:{place[1]}:{place[2]}"
    else:
        lines = text.split("\n")
        where = f"{source}:{len(lines)}:{len(lines[-1]) + 1}"
    meaning = next((meaning for start, meaning in _SYNTAX if message.startswith(start)), None)
    return Fault(where, "", "this is not TOML" + (f": {meaning}" if meaning else ""))
