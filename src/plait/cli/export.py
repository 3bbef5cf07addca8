"""``plait export``: the far ends of a config as links and QR codes for other programs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from plait.config import links
from plait.config.model import Config, Exit, Method, Secret
from plait.config.toml import load
from plait.config.values import Wrong, host
from plait.errors import MissingCapability, UsageError

HELP = "print the far ends of a config as ss:// links or QR codes; they hold the passwords"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    kind = kinds.add_parser("shadowsocks", help="ss:// links (SIP002)")
    kind.add_argument(
        "-c", "--config", metavar="FILE", action="append", type=Path, required=True, help="config file"
    )
    kind.add_argument("--host", metavar="HOST", help="of an exit: the address that clients shall connect to")
    kind.add_argument("--qr", action="store_true", help="draw each as a QR code, too")


def run(args: argparse.Namespace) -> int:
    """A line for each link; with ``--qr`` the drawing under it."""
    config = load(args.config)
    found = [*_of_gateway(config), *(_of_exit(config, config.exit, args.host) if config.exit else ())]
    if not found:
        raise UsageError("there is nothing to export", "links are for sealed methods, or for none")
    for link in found:
        sys.stdout.write(link + "\n")
        if args.qr:
            sys.stdout.write(_drawn(link) + "\n")
    return 0


def _of_gateway(config: Config) -> Iterator[str]:
    for peer in config.peers:
        for address in peer.address:
            yield links.make(peer.method, peer.password, address, peer.port, peer.name)


def _of_exit(config: Config, role: Exit, where: str | None) -> Iterator[str]:
    if where is None:
        raise UsageError("an exit does not know how clients reach it", "--host ADDRESS says so")
    try:
        address = host(where)
    except Wrong as wrong:
        raise UsageError(f"--host: {wrong}") from None
    if role.method is Method.NONE or (role.password and not (role.method.key_bytes and config.users)):
        yield links.make(role.method, role.password, address, role.port, "plait")
    for user in config.users:
        password = user.password
        if role.method.key_bytes:
            password = Secret(f"{role.password.reveal()}:{password.reveal()}")
        yield links.make(role.method, password, address, role.port, user.name)


def _drawn(link: str) -> str:
    try:
        import segno
    except ImportError as error:
        raise MissingCapability(
            f"QR codes need the Python package segno, which can't be loaded: {error}",
            "pip install segno, or plait[qr]",
        ) from None
    code = segno.make(link, error="m", micro=False)
    # Four light modules around it, as ISO/IEC 18004 asks for.
    rows = [list(row) for row in code.matrix_iter(border=4)]
    if len(rows) % 2:
        rows.append([0] * len(rows[0]))
    lines = []
    for above, below in zip(rows[::2], rows[1::2], strict=True):
        pairs = zip(above, below, strict=True)
        lines.append(_DARK_ON_LIGHT + "".join(_BLOCKS[bool(up), bool(low)] for up, low in pairs) + _PLAIN)
    return "\n".join(lines)


_DARK_ON_LIGHT, _PLAIN = "\x1b[30;107m", "\x1b[0m"
"""ECMA-48, SGR: readers want dark on light, whatever the terminal's colours are."""
_BLOCKS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
