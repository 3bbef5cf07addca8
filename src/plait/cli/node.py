"""``plait node``: run gateway and exit on one box."""

from __future__ import annotations

import argparse

from plait.cli import service

HELP = "run gateway and exit on one box"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    service.configure(parser)


def run(args: argparse.Namespace) -> int:
    """Runs in the foreground until SIGTERM."""
    return service.run("node", args)
