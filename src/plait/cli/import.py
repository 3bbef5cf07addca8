"""``plait import``: from another program's config to one of plait's, printed or written."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from plait.config import links, shadowsocks, uci
from plait.config.shadowsocks import EXIT, GATEWAY, Imported
from plait.config.toml import read_text
from plait.config.writing import write
from plait.errors import ConfigError, Fault, PlaitError

HELP = "turn another program's config into one of plait's"

_STDIN = "-"

_MISSING = {
    "lan": '# Still to be said: the interfaces of the LAN, in [gateway].\n# lan = ["lan"]\n',
    "path": "# Still to be said: each link as a way to the exit.\n"
    '# [[path]]\n# interface = "wan1"\n# mode = "master"\n',
    "exit": "# Still to be said: the other end.\n"
    '# [[exit]]\n# name = "attic"\n# address = "exit.example.org"\n# password = "…"\n',
    "trust": "# Still to be said in [exit], as the method is none: who may come.\n"
    '# trust = ["10.1.1.0/24"]\n',
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    kind = kinds.add_parser("shadowsocks", help="a JSON config of a Shadowsocks program, or ss:// links")
    kind.add_argument(
        "sources",
        metavar="FILE|ss://…|-",
        nargs="+",
        help="what to read; - reads standard input, so that no password is seen in ps",
    )
    kind.add_argument("--role", choices=(GATEWAY, EXIT), help="what it is for, when it is not plain")
    kind.set_defaults(importer=_shadowsocks)
    router = kinds.add_parser("uci", help="OpenWrt's /etc/config/network: links by their option multipath")
    router.add_argument(
        "sources",
        metavar="FILE|-",
        nargs="+",
        help="network, and firewall for the LAN; or what `uci show` says; - is standard input",
    )
    router.set_defaults(importer=_uci)
    for each in (kind, router):
        each.add_argument(
            "-o", "--output", metavar="FILE", type=Path, help="a new file instead of the screen"
        )


def run(args: argparse.Namespace) -> int:
    """Print one TOML config; what has no meaning in it is told on standard error."""
    text: str = args.importer(args)
    if args.output is None:
        sys.stdout.write(text)
        return 0
    try:
        # It holds a password: nobody else's business, and nothing is overwritten.
        with open(
            os.open(args.output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
        ) as file:
            file.write(text)
    except OSError as error:
        raise PlaitError(f"{args.output} can't be written: {error.strerror}") from None
    return 0


def _uci(args: argparse.Namespace) -> str:
    router, faults = uci.Router(), []
    for source in args.sources:
        text = _standard_input() if source == _STDIN else read_text(Path(source))
        if isinstance(text, Fault):
            faults.append(text)
            continue
        package = uci.FIREWALL if Path(source).name == uci.FIREWALL else uci.NETWORK
        uci.read(router, _shown(source), text, package)
    if not faults and not router.faults:
        document = uci.document(router, ", ".join(map(_shown, args.sources)))
    faults += router.faults
    if faults:
        raise ConfigError(faults)
    for note in router.notes:
        sys.stderr.write(f"plait: {note}\n")
    gateway, paths = document["gateway"], document["path"]
    assert isinstance(gateway, Mapping)
    head = write({"gateway": gateway}) if gateway["lan"] else f"[gateway]\n{_MISSING['lan']}"
    return f"{head}\n{_MISSING['exit']}\n{write({'path': paths})}"


def _shadowsocks(args: argparse.Namespace) -> str:
    sources = [each for source in args.sources for each in _expanded(source)]
    imported = [_read(source, args.role) for source in sources]
    faults = [fault for each in imported for fault in each.faults]
    if faults:
        raise ConfigError(faults)
    roles = {each.role for each in imported}
    if len(roles) > 1:
        raise PlaitError("these are configs of both ends", "import them one by one, or say --role")
    for source, each in zip(sources, imported, strict=True):
        for note in each.notes:
            sys.stderr.write(f"plait: {_shown(source)}: {note}\n")
    return _text(imported, roles.pop())


def _expanded(source: str) -> list[str]:
    """``-`` is standard input: a link a line, or one JSON config (given on with a mark)."""
    if source != _STDIN:
        return [source]
    text = _standard_input()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise PlaitError("standard input is empty", "give it ss:// links, a line each, or a JSON config")
    return lines if lines[0].startswith(links.SCHEME) else [_STDIN + text]


def _standard_input() -> str:
    try:
        return sys.stdin.read()
    except (OSError, UnicodeDecodeError):
        raise PlaitError("standard input can't be read as text") from None


def _shown(source: str) -> str:
    """How a source is called: a link holds a password."""
    if source.startswith(_STDIN):
        return "standard input"
    return "the link" if source.startswith(links.SCHEME) else source


def _read(source: str, role: str | None) -> Imported:
    if source.startswith(links.SCHEME):
        return shadowsocks.read_link("the link", source)
    if source.startswith(_STDIN):
        return shadowsocks.read("standard input", source.removeprefix(_STDIN), role)
    text = read_text(Path(source))
    if isinstance(text, Fault):
        return Imported(role or GATEWAY, {}, faults=(text,))
    return shadowsocks.read(source, text, role)


def _text(imported: list[Imported], role: str) -> str:
    document: dict[str, object] = {}
    peers: list[dict[str, object]] = []
    for each in imported:
        found = each.document.get("exit")
        if isinstance(found, list):
            peers += found
        document = {**each.document, **document}
    if role == EXIT:
        door = document["exit"]
        open_to_all = isinstance(door, Mapping) and door.get("method") == "none"
        return write(document) + (f"\n{_MISSING['trust']}" if open_to_all else "")
    taken: set[object] = set()
    for number, peer in enumerate(peers, 1):
        if peer["name"] in taken:
            peer["name"] = f"{peer['name']}-{number}"
        taken.add(peer["name"])
    gateway = document.pop("gateway", None) or {}
    ordered = {"gateway": gateway, **document, "exit": peers}
    head = write({"gateway": gateway}) if gateway else "[gateway]\n"
    rest = write({key: value for key, value in ordered.items() if key != "gateway"})
    return f"{head}{_MISSING['lan']}\n{rest}\n{_MISSING['path']}"
