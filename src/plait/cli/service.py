"""What ``plait gateway``, ``exit`` and ``node`` have in common: they run until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
from pathlib import Path

from plait.config.sources import Sources
from plait.control.daemon import Daemon
from plait.control.rundir import DEFAULT
from plait.errors import UsageError
from plait.kernel import logs


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of all three."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        action="append",
        default=[],
        type=Path,
        help="config file; may be given several times, the files are taken together",
    )
    parser.add_argument(
        "--shadowsocks",
        metavar="FILE",
        action="append",
        default=[],
        type=Path,
        help="the same as a Shadowsocks program's JSON",
    )
    for option, metavar, text in (
        ("--lan", "INTERFACE", "beside --shadowsocks: an interface of the LAN"),
        ("--path", "INTERFACE", "beside --shadowsocks: a link as a way to the exit"),
        ("--trust", "NETWORK", "beside --shadowsocks, of an exit: who may come when the method is none"),
        ("--allow", "NETWORK", "beside --shadowsocks, of an exit: a private network that may be reached"),
    ):
        parser.add_argument(option, metavar=metavar, action="append", default=[], help=text)
    run_dir(parser)
    parser.add_argument(
        "--log", choices=logs.FORMS, default=logs.TEXT, help=f"the form of the log ({logs.TEXT})"
    )
    parser.add_argument("-v", "--verbose", action="count", default=0, help="say every session")


def run_dir(parser: argparse.ArgumentParser) -> None:
    """The option that tells several instances on one host apart."""
    parser.add_argument(
        "--run-dir", metavar="DIR", type=Path, default=DEFAULT, help=f"control socket and pid ({DEFAULT})"
    )


def run(role: str, args: argparse.Namespace) -> int:
    """Run the role until SIGTERM or SIGINT."""
    _log(args.log, args.verbose)
    daemon = Daemon(_sources(args), role, args.run_dir, verbose=args.verbose)
    asyncio.run(daemon.run())
    return 0


def _sources(args: argparse.Namespace) -> Sources:
    words = {name: tuple(getattr(args, name)) for name in ("lan", "trust", "allow")}
    if not args.config and not args.shadowsocks:
        raise UsageError("no config is given", "-c FILE, or --shadowsocks FILE")
    if not args.shadowsocks and (args.path or any(words.values())):
        raise UsageError(
            "--lan, --path, --trust and --allow complete a --shadowsocks FILE",
            "in a config file of plait's own they are keys",
        )
    return Sources(
        files=tuple(args.config),
        shadowsocks=tuple(args.shadowsocks),
        paths=tuple(args.path),
        **words,
    )


def _log(form: str, verbose: int) -> None:
    # The journal has its own clock; a terminal has not.
    clock = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    level = logging.DEBUG if verbose > 1 else logging.INFO
    logs.begin(form, level, f"{clock}%(levelname)s %(message)s")
    logging.getLogger("asyncio").setLevel(logging.WARNING)
