"""``plait exit``: run the far end: dial what gateways ask for."""

from __future__ import annotations

import argparse

from plait.cli import service

HELP = "run the far end: dial what gateways ask for"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    service.configure(parser)


def run(args: argparse.Namespace) -> int:
    """Runs in the foreground until SIGTERM."""
    return service.run("exit", args)
