"""``plait keygen``: a password that nobody guesses, ready to paste."""

from __future__ import annotations

import argparse
import json
import secrets
import sys

from plait.config.model import Method
from plait.config.values import show, suggest
from plait.errors import UsageError

HELP = "make a strong password for [exit], [[exit]] or [[user]]"

ENTROPY = 32
"""Bytes of randomness: as many as the longest key (aes-256-gcm) has, whatever the method."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    sealed = ", ".join(method.value for method in Method if method is not Method.NONE)
    parser.add_argument("--method", metavar="M", help=f"print the line for the method too: {sealed}")
    parser.add_argument("--json", action="store_true", help="print facts as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the password once; it is kept nowhere."""
    method = _method(args.method) if args.method is not None else None
    password = secrets.token_urlsafe(ENTROPY)
    if args.json:
        facts = {"password": password} | ({"method": method.value} if method else {})
        sys.stdout.write(json.dumps(facts) + "\n")
        return 0
    if method:
        sys.stdout.write(f'method = "{method.value}"\n')
    sys.stdout.write(f'password = "{password}"\n')
    return 0


def _method(written: str) -> Method:
    sealed = [method.value for method in Method if method is not Method.NONE]
    if written == Method.NONE.value:
        raise UsageError("method none has no password", "it admits by address: trust in [exit]")
    if written not in sealed:
        raise UsageError(f"no method is named {show(written)}", suggest(written, sealed))
    return Method(written)
