"""What ``plait gateway``, ``exit`` and ``node`` have in common: they run until told to stop."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from plait.control.daemon import Daemon
from plait.control.rundir import DEFAULT


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of all three."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        action="append",
        required=True,
        type=Path,
        help="config file; may be given several times, the files are taken together",
    )
    run_dir(parser)
    parser.add_argument("-v", "--verbose", action="count", default=0, help="say every session")


def run_dir(parser: argparse.ArgumentParser) -> None:
    """The option that tells several instances on one host apart."""
    parser.add_argument(
        "--run-dir", metavar="DIR", type=Path, default=DEFAULT, help=f"control socket and pid ({DEFAULT})"
    )


def run(role: str, args: argparse.Namespace) -> int:
    """Run the role until SIGTERM or SIGINT."""
    _log_to_stderr(args.verbose)
    daemon = Daemon(args.config, role, args.run_dir, verbose=args.verbose)
    asyncio.run(daemon.run())
    return 0


def _log_to_stderr(verbose: int) -> None:
    # The journal has its own clock; a terminal has not.
    clock = "" if "JOURNAL_STREAM" in os.environ else "%(asctime)s "
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if verbose > 1 else logging.INFO,
        format=f"{clock}%(levelname)s %(message)s",
        datefmt="%H:%M:%S",
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
