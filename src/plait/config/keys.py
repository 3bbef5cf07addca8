"""Keys written as base64: SIP022's passwords, and the key pair of the tunnel.

SIP022 (shadowsocks.org, "AEAD-2022 ciphers") takes the key itself as password, base64 with padding
(RFC 4648, section 4), and no pass phrase. With identity headers (SIP023) a client's password is
``iPSK:uPSK``: the exit's key, then the user's. No complaint ever shows a key.
"""

from __future__ import annotations

import base64
import binascii

from plait.config.model import Method, Secret
from plait.config.values import Parser, Wrong, secret, text

CURVE_BYTES = 32
"""Of an X25519 key, either half (RFC 7748, section 5)."""

_PAIR_REMEDY = "`plait keygen --pair` makes both halves"


def shared(method: Method, *, identities: bool) -> Parser[Secret]:
    """A password as ``method`` needs it. With ``identities`` it may be a client's ``iPSK:uPSK``."""
    size = method.key_bytes
    if not size:
        return secret
    remedy = f"`plait keygen --method {method.value}` makes one"

    def parse(value: object) -> Secret:
        found = secret(value)
        parts = found.reveal().split(":")
        if len(parts) > 1 and not identities:
            raise Wrong("holds several keys", "the key before ':' goes into [exit], the last into [[user]]")
        if len(parts) > 1 and not method.tells_users_apart:
            raise Wrong("holds several keys", f"method {method.value} knows no users: give the one key")
        for part in parts:
            have = _size(part)
            if have is None:
                raise Wrong(f"is not base64, as method {method.value} needs it", remedy)
            if have != size:
                raise Wrong(f"is a key of {have} bytes; method {method.value} needs {size}", remedy)
        return found

    return parse


def private_key(value: object) -> Secret:
    """The secret half of the tunnel's pair."""
    found = secret(value)
    _curve(found.reveal())
    return found


def public_key(value: object) -> str:
    """The open half."""
    found = text(value)
    _curve(found)
    return found


def _curve(written: str) -> None:
    have = _size(written)
    if have is None:
        raise Wrong("is not base64", _PAIR_REMEDY)
    if have != CURVE_BYTES:
        raise Wrong(f"is a key of {have} bytes; the tunnel's have {CURVE_BYTES}", _PAIR_REMEDY)


def _size(written: str) -> int | None:
    """Bytes that a base64 text holds, None when it is none."""
    try:
        return len(base64.b64decode(written.encode("ascii"), validate=True))
    except (binascii.Error, UnicodeEncodeError):
        return None
