"""HTTP/1.1 as a small server of JSON speaks it: heads and lengths. No I/O.

Sources: RFC 9112 (3.2.1: origin form; 6: where a body ends; 7.1: chunks), RFC 3986 (3.4: queries). The
rules about what is refused are those of `plait.wire.http`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from plait.wire.http import REQUEST_LINE, Refusal, length_of, options_of, split_head, values_of

_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
_MAX_QUERY = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to a server."""

    method: str
    path: str
    """Without the query; percent-encoded bytes are decoded."""
    query: Mapping[str, str]
    """The last value of each name."""
    length: int
    """Bytes of the body that follows."""
    keep: bool
    """The client may send another request on this connection."""


def parse_asked(head: bytes) -> Asked:
    """A request in origin form. Raises ``Refusal``."""
    first, fields = split_head(head, 400)
    match = REQUEST_LINE.fullmatch(first)
    if match is None:
        raise Refusal(400, "not a request")
    method, wanted, major, minor = match.groups()
    if major != b"1":
        raise Refusal(505, "another version of HTTP")
    if not wanted.startswith(b"/"):
        raise Refusal(400, "not a path")
    if values_of(fields, b"transfer-encoding"):
        raise Refusal(501, "a body needs a length here")
    path, _, query = wanted.decode("ascii").partition("?")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_QUERY)
    except ValueError:
        raise Refusal(400, "too long a query") from None
    return Asked(
        method=method.decode("ascii"),
        path=unquote(path),
        query=dict(pairs),
        length=length_of(fields, 400) or 0,
        keep=minor != b"0" and b"close" not in options_of(fields, b"connection"),
    )


def answer_head(status: int, length: int | None, *, keep: bool) -> bytes:
    """The head of an answer in JSON; without a length it comes in chunks."""
    lines = (
        f"HTTP/1.1 {status} {_REASONS[status]}",
        "Content-Type: application/json",
        "Cache-Control: no-store",
        "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}",
        *(() if keep else ("Connection: close",)),
    )
    return "\r\n".join((*lines, "", "")).encode()


def chunk(data: bytes) -> bytes:
    """A piece of a body that comes in chunks; nothing is its end."""
    return b"%x\r\n%b\r\n" % (len(data), data)
