"""``ss://`` links: one far end each, as programs and QR codes hand them around.

    ss://BASE64URL(method:password)@host:port/?plugin=…#name      SIP002
    ss://method:password@host:port#name                           SIP022: percent-encoded, as keys are base64
    ss://BASE64(method:password@host:port)#name                   what was there before SIP002

Sources: shadowsocks.org, "SIP002 URI scheme" and "SIP022"; RFC 3986 for the rest. No complaint shows a
password.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote

from plait.config.model import Method, Secret
from plait.config.values import Wrong, show

SCHEME = "ss://"

ALIASES = {
    "plain": "none",
    "dummy": "none",
    "chacha20-poly1305": "chacha20-ietf-poly1305",
    "aead_aes_128_gcm": "aes-128-gcm",
    "aead_aes_256_gcm": "aes-256-gcm",
    "aead_chacha20_poly1305": "chacha20-ietf-poly1305",
}
"""What other programs call the methods that we have."""

_REMEDY = "a link is ss://…@HOST:PORT#NAME (SIP002)"


@dataclass(frozen=True, slots=True)
class Link:
    """One far end. Nothing is checked here that the config checks anyway."""

    method: str
    password: Secret
    host: str
    port: str
    name: str


def parse(text: str) -> Link:
    """Read a link. Raises ``Wrong``."""
    if not text.startswith(SCHEME):
        raise Wrong("is not an ss:// link", _REMEDY)
    body, _, name = text[len(SCHEME) :].strip().partition("#")
    body, _, query = body.partition("?")
    body = body.rstrip("/")
    if "plugin" in parse_qs(query):
        raise Wrong("asks for a plugin", "plait has none; see whether the server can be reached without")
    if "@" not in body:
        whole = _decoded(body)
        if whole is None:
            raise Wrong("is neither a link of SIP002 nor an older one", _REMEDY)
        body, plain = whole, True
    else:
        plain = False
    user, _, place = body.rpartition("@")
    if not plain:
        user = unquote(user)
        # A key of 2022 holds no character that would make both readings possible.
        user = user if ":" in user else _decoded(user) or ""
    method, colon, password = user.partition(":")
    if not colon:
        raise Wrong("has no method and password before '@'", _REMEDY)
    host, colon, port = place.rpartition(":")
    if not colon or not host:
        raise Wrong(f"{show(place)} is not a host and a port", _REMEDY)
    return Link(
        ALIASES.get(method.lower(), method.lower()),
        Secret(password),
        host.removeprefix("[").removesuffix("]"),
        port,
        unquote(name),
    )


def make(method: Method, password: Secret, host: str, port: int, name: str) -> str:
    """The link to a far end."""
    if method.key_bytes:
        user = f"{method.value}:{quote(password.reveal(), safe='')}"
    else:
        said = f"{method.value}:{password.reveal()}".encode()
        user = base64.urlsafe_b64encode(said).decode().rstrip("=")
    where = f"[{host}]" if ":" in host else host
    return f"{SCHEME}{user}@{where}:{port}#{quote(name)}"


def _decoded(text: str) -> str | None:
    """Base64 of either alphabet, with or without padding."""
    bare = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
