"""HTTP/1.1 as a proxy speaks it: heads in, rewritten heads out. No I/O.

Sources: RFC 9110 (7.6: what an intermediary removes and adds; 9.3.6: CONNECT), RFC 9112 (2.2 and 3:
request lines; 6: where a body ends), RFC 7617 (Basic).

Everything that two readers could take for two different things is refused and not mended: a bare
line feed, a folded line, a space before a colon, two lengths, a length beside a coding. Bodies are
passed on as they come; `plait.wire.http_body` says where they end.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from plait.wire import address
from plait.wire.address import Target
from plait.wire.faults import Malformed, PeerFault
from plait.wire.http_body import Body

MAX_HEAD = 65536
"""Bytes of the longest head: what large cookies need, and eight times what servers take by default."""
MAX_FIELDS = 200

_VIA = b"Via: 1.1 plait\r\n"
_REALM = b'Proxy-Authenticate: Basic realm="plait", charset="UTF-8"\r\n'

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/(\d)\.(\d)")
_STATUS_LINE = re.compile(rb"HTTP/(\d)\.(\d) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?")
_ABSOLUTE = re.compile(rb"(?i:http)://([^/?#]*)([/?][^#]*)?")
_AUTHORITY = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@]+)(?::(\d{1,5})?)?")
_LENGTH = re.compile(rb"\d{1,18}")

# Of one connection only (RFC 9110, 7.6.1), by custom too; and what is between the client and us.
_HOP = frozenset(
    (
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection",
        b"te", b"transfer-encoding", b"upgrade",
    )
)  # fmt: skip

_REASONS = {
    200: b"OK",
    400: b"Bad Request",
    407: b"Proxy Authentication Required",
    431: b"Request Header Fields Too Large",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
}

Fields = list[tuple[bytes, bytes]]
"""Names in lower case, values without the white space around them; in order."""


class Refusal(PeerFault):
    """A message that is not passed on. ``status`` is what its sender, or who waits for it, is told."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """What a client wants."""

    method: bytes
    target: Target
    tunnel: bool
    """CONNECT: what follows is not HTTP's business."""
    head: bytes
    """To be sent to the target, whole."""
    body: Body
    keep: bool
    """The client would send another request on this connection."""
    old: bool
    """The client speaks HTTP/1.0."""
    credentials: tuple[bytes, bytes] | None
    """User and password, when it gave them."""


@dataclass(frozen=True, slots=True)
class Response:
    """What a server answered."""

    status: int
    head: bytes
    """To be sent to the client, whole."""
    body: Body
    interim: bool
    """Of the kind 1xx: the answer proper follows."""
    keep: bool
    """The client's connection may go on after it."""
    reuse: bool
    """The server's connection may."""


def head_end(data: bytes | bytearray) -> int | None:
    """Where a message's head ends: the index behind the empty line; None when it is not there yet.

    Raises ``Refusal`` once it can't come any more.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0 and len(data) >= MAX_HEAD:
        raise Refusal(431, "a head without end")
    if end >= MAX_HEAD:
        raise Refusal(431, "a head too long")
    return end + 4 if end >= 0 else None


def parse_request(head: bytes) -> Request:
    """A request to a proxy. Raises ``Refusal``."""
    first, fields = split_head(head, 400)
    match = REQUEST_LINE.fullmatch(first)
    if match is None:
        raise Refusal(400, "not a request")
    method, wanted, major, minor = match.groups()
    if major != b"1":
        raise Refusal(505, "another version of HTTP")
    old = minor == b"0"
    tunnel = method == b"CONNECT"
    target, path = _connect_target(wanted) if tunnel else _absolute_target(wanted, method)
    options = options_of(fields, b"connection") | options_of(fields, b"proxy-connection")
    if tunnel:
        body, extra = Body.none(), b""
    else:
        body, extra = _request_body(fields, old)
    kept = _pass_on(fields, options, but=(b"host", b"content-length", b"max-forwards"))
    version = b"1.0" if old else b"1.1"
    rewritten = b"".join(
        (
            b"%b %b HTTP/%b\r\nHost: %b\r\n" % (method, path, version, _host(target)),
            kept,
            _max_forwards(method, fields),
            extra,
            _VIA,
            b"Connection: close\r\n" if old else b"",
            b"\r\n",
        )
    )
    return Request(
        method=method,
        target=target,
        tunnel=tunnel,
        head=b"" if tunnel else rewritten,
        body=body,
        # An old client would have to be promised what it may not understand.
        keep=not old and b"close" not in options,
        old=old,
        credentials=_credentials(fields),
    )


def parse_response(head: bytes, request: Request) -> Response:
    """The answer to ``request``. Raises ``Refusal``."""
    first, fields = split_head(head, 502)
    match = _STATUS_LINE.fullmatch(first)
    if match is None or match[1] != b"1":
        raise Refusal(502, "not an answer of HTTP/1")
    status, reason = int(match[3]), match[4] or b""
    options = options_of(fields, b"connection")
    interim = status < 200
    if status == 101:
        raise Refusal(502, "another protocol, which nobody had asked for")
    body, extra = _response_body(fields, request, status)
    keep = request.keep and not body.to_end
    kept = _pass_on(fields, options, but=(b"content-length",))
    rewritten = b"".join(
        (
            b"HTTP/1.1 %d %b\r\n" % (status, reason),
            kept,
            extra,
            _VIA,
            b"" if keep or interim else b"Connection: close\r\n",
            b"\r\n",
        )
    )
    reuse = match[2] != b"0" and b"close" not in options and not body.to_end
    return Response(status, rewritten, body, interim, keep, reuse)


def own_answer(status: int, text: str) -> bytes:
    """What we say ourselves, before we close."""
    content = text.encode() + b"\n"
    return b"".join(
        (
            b"HTTP/1.1 %d %b\r\n" % (status, _REASONS[status]),
            _REALM if status == 407 else b"",
            b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n" % len(content),
            b"Connection: close\r\n\r\n",
            content,
        )
    )


CONNECTED = b"HTTP/1.1 200 Connection established\r\n\r\n"
"""The answer to CONNECT. It has no body, and so no length (RFC 9110, 9.3.6)."""


def split_head(head: bytes, status: int) -> tuple[bytes, Fields]:
    """The first line and the fields. Raises ``Refusal`` with ``status``."""
    lines = head[:-4].split(b"\r\n")
    first, rest = lines[0], lines[1:]
    if len(rest) > MAX_FIELDS:
        raise Refusal(431 if status == 400 else status, "too many fields")
    fields = []
    for line in rest:
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        # A folded line begins with white space, which is no token either.
        if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise Refusal(status, "not a field")
        fields.append((name.lower(), value))
    return first, fields


def values_of(fields: Fields, name: bytes) -> list[bytes]:
    """All values of a field."""
    return [value for each, value in fields if each == name]


def options_of(fields: Fields, name: bytes) -> frozenset[bytes]:
    """The words of a field that is a list, in lower case."""
    words = b",".join(values_of(fields, name)).split(b",")
    return frozenset(word.strip(b" \t").lower() for word in words) - {b""}


def _pass_on(fields: Fields, options: frozenset[bytes], *, but: Sequence[bytes]) -> bytes:
    """The fields that go on to the next, as they are."""
    dropped = _HOP | options | frozenset(but)
    return b"".join(b"%b: %b\r\n" % (name.title(), value) for name, value in fields if name not in dropped)


def _connect_target(wanted: bytes) -> tuple[Target, bytes]:
    match = _AUTHORITY.fullmatch(wanted)
    if match is None or match[2] is None:
        raise Refusal(400, "CONNECT needs a host and a port")
    return _target(match[1], int(match[2])), wanted


def _absolute_target(wanted: bytes, method: bytes) -> tuple[Target, bytes]:
    if wanted.startswith(b"/") or wanted == b"*":
        raise Refusal(400, "this is a proxy: it needs a whole http:// address")
    match = _ABSOLUTE.fullmatch(wanted)
    if match is None:
        other = b"://" in wanted
        raise Refusal(501 if other else 400, "only http:// is forwarded; all else goes by CONNECT")
    authority = _AUTHORITY.fullmatch(match[1])
    if authority is None:
        raise Refusal(400, "no such host")
    path = match[2] or (b"*" if method == b"OPTIONS" else b"/")
    if path.startswith(b"?"):
        path = b"/" + path
    return _target(authority[1], int(authority[2] or 80)), path


def _target(host: bytes, port: int) -> Target:
    """A place in its one form (see `plait.wire.address`)."""
    try:
        found = address.decode(address.encode(Target(host.strip(b"[]").decode("ascii"), port)))
    except (Malformed, UnicodeDecodeError):
        raise Refusal(400, "no such host or port") from None
    assert found is not None
    return found[0]


def _host(target: Target) -> bytes:
    """The field ``Host``, which an absolute address outranks (RFC 9112, 3.2.2)."""
    text = str(target)
    return (text.removesuffix(":80") if target.port == 80 else text).encode()


def _max_forwards(method: bytes, fields: Fields) -> bytes:
    values = values_of(fields, b"max-forwards")
    if not values:
        return b""
    if len(values) > 1 or not _LENGTH.fullmatch(values[0]):
        raise Refusal(400, "not a Max-Forwards")
    left = int(values[0])
    if method not in (b"TRACE", b"OPTIONS"):
        return b"Max-Forwards: %d\r\n" % left
    if not left:
        raise Refusal(501, "it ends here")
    return b"Max-Forwards: %d\r\n" % (left - 1)


def length_of(fields: Fields, status: int) -> int | None:
    """How long the body is, if that is said. Raises ``Refusal`` with ``status``."""
    values = values_of(fields, b"content-length")
    if not values:
        return None
    if len(values) > 1 or not _LENGTH.fullmatch(values[0]):
        raise Refusal(status, "not one length")
    return int(values[0])


def _codings(fields: Fields) -> list[bytes]:
    words = b",".join(values_of(fields, b"transfer-encoding")).split(b",")
    return [word for word in (word.strip(b" \t").lower() for word in words) if word]


_CHUNKED = b"Transfer-Encoding: chunked\r\n"


def _request_body(fields: Fields, old: bool) -> tuple[Body, bytes]:
    """RFC 9112, 6.3, and 6.1 where a length beside a coding is an attack."""
    length, codings = length_of(fields, 400), _codings(fields)
    if values_of(fields, b"transfer-encoding"):
        if length is not None or old:
            raise Refusal(400, "a coding beside a length, or in HTTP/1.0")
        if codings != [b"chunked"]:
            raise Refusal(501, "a coding other than chunked")
        return Body.chunked(), _CHUNKED
    if length is None:
        return Body.none(), b""
    return Body.fixed(length), b"Content-Length: %d\r\n" % length


def _response_body(fields: Fields, request: Request, status: int) -> tuple[Body, bytes]:
    length, codings = length_of(fields, 502), _codings(fields)
    said = b"" if length is None else b"Content-Length: %d\r\n" % length
    if values_of(fields, b"transfer-encoding"):
        if request.old:
            raise Refusal(502, "a coding that was not asked for")
        if codings != [b"chunked"]:
            raise Refusal(502, "a coding other than chunked")
        # A coding outranks a length, which must not be passed on beside it.
        said = _CHUNKED
    if request.method == b"HEAD" or status < 200 or status in (204, 304):
        return Body.none(), b"" if status < 200 or status == 204 else said
    if said is _CHUNKED:
        return Body.chunked(), said
    return (Body.until_end() if length is None else Body.fixed(length)), said


def _credentials(fields: Fields) -> tuple[bytes, bytes] | None:
    values = values_of(fields, b"proxy-authorization")
    if len(values) != 1:
        return None
    scheme, _, token = values[0].partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user, colon, password = base64.b64decode(token.strip(b" "), validate=True).partition(b":")
    except binascii.Error:
        return None
    return (user, password) if colon else None
