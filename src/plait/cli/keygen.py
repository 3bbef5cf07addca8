"""``plait keygen``: a password or a pair of keys that nobody guesses, ready to paste."""

from __future__ import annotations

import argparse
import base64
import json
import secrets
import sys

from plait.config.model import Method
from plait.config.values import show, suggest
from plait.errors import MissingCapability, UsageError

HELP = "make a strong password for [exit], [[exit]] or [[user]]; or the tunnel's pair of keys"

ENTROPY = 32
"""Bytes of randomness: as many as the longest key (aes-256-gcm) has, whatever the method."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    sealed = ", ".join(method.value for method in Method if method is not Method.NONE)
    parser.add_argument("--method", metavar="M", help=f"print the line for the method too: {sealed}")
    parser.add_argument(
        "--pair", action="store_true", help="make private_key for [exit] and public_key for [[exit]] instead"
    )
    parser.add_argument("--json", action="store_true", help="print facts as JSON")


def run(args: argparse.Namespace) -> int:
    """Print what was made once; it is kept nowhere."""
    if args.pair:
        if args.method is not None:
            raise UsageError("a pair of keys serves every method", "leave out --method, or --pair")
        return _print_pair(args.json)
    method = _method(args.method) if args.method is not None else None
    if method is not None and method.key_bytes:
        password = base64.b64encode(secrets.token_bytes(method.key_bytes)).decode()
    else:
        password = secrets.token_urlsafe(ENTROPY)
    if args.json:
        facts = {"password": password} | ({"method": method.value} if method else {})
        sys.stdout.write(json.dumps(facts) + "\n")
        return 0
    if method:
        sys.stdout.write(f'method = "{method.value}"\n')
    sys.stdout.write(f'password = "{password}"\n')
    return 0


def _print_pair(as_json: bool) -> int:
    try:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    except ImportError as error:
        raise MissingCapability(
            f"keys need the Python package cryptography, which can't be loaded: {error}",
            "pip install cryptography; Debian python3-cryptography; OpenWrt python3-cryptography",
        ) from None
    private = X25519PrivateKey.generate()
    pair = {
        "private_key": base64.b64encode(private.private_bytes_raw()).decode(),
        "public_key": base64.b64encode(private.public_key().public_bytes_raw()).decode(),
    }
    if as_json:
        sys.stdout.write(json.dumps(pair) + "\n")
    else:
        sys.stdout.write(f'# in [exit]\nprivate_key = "{pair["private_key"]}"\n')
        sys.stdout.write(f'# in [[exit]] of its gateways\npublic_key = "{pair["public_key"]}"\n')
    return 0


def _method(written: str) -> Method:
    sealed = [method.value for method in Method if method is not Method.NONE]
    if written == Method.NONE.value:
        raise UsageError("method none has no password", "it admits by address: trust in [exit]")
    if written not in sealed:
        raise UsageError(f"no method is named {show(written)}", suggest(written, sealed))
    return Method(written)
