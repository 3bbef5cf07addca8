"""``plait gateway``: run the edge of a LAN: take its TCP, carry it over all paths to an exit."""

from __future__ import annotations

import argparse

from plait.cli import service

HELP = "run the edge of a LAN: take its TCP, carry it over all paths to an exit"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    service.configure(parser)


def run(args: argparse.Namespace) -> int:
    """Runs in the foreground until SIGTERM."""
    return service.run("gateway", args)
