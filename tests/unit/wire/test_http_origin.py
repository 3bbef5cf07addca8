from __future__ import annotations

import pytest

from plait.wire.http import Refusal
from plait.wire.http_origin import Asked, answer_head, chunk, parse_asked


def asked(text: str) -> Asked:
    return parse_asked(text.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "GET /v1/status HTTP/1.1\nHost: plait",
            Asked(method="GET", path="/v1/status", query={}, length=0, keep=True),
        ),
        (
            "POST /v1/paths/wan%201?a=1&b=&a=%C3%A4 HTTP/1.1\nContent-Length: 12\nConnection: close",
            Asked(method="POST", path="/v1/paths/wan 1", query={"a": "ä", "b": ""}, length=12, keep=False),
        ),
        ("GET / HTTP/1.0", Asked(method="GET", path="/", query={}, length=0, keep=False)),
    ],
)
def test_requests(text: str, expected: Asked) -> None:
    assert asked(text) == expected


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("GET /v1/status", 400),
        ("GET /v1/status HTTP/2.0", 505),
        ("GET http://elsewhere/ HTTP/1.1", 400),
        ("OPTIONS * HTTP/1.1", 400),
        ("GET /ä HTTP/1.1", 400),
        ("POST / HTTP/1.1\nTransfer-Encoding: chunked", 501),
        ("POST / HTTP/1.1\nContent-Length: 1\nContent-Length: 1", 400),
        ("POST / HTTP/1.1\nContent-Length: -1", 400),
        ("GET / HTTP/1.1\n folded: x", 400),
        ("GET /?" + "a=1&" * 70 + " HTTP/1.1", 400),
    ],
)
def test_what_is_refused(text: str, status: int) -> None:
    with pytest.raises(Refusal) as refused:
        asked(text)
    assert refused.value.status == status


def test_answers() -> None:
    assert answer_head(200, 5, keep=True) == (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"
        b"Content-Length: 5\r\n\r\n"
    )
    streamed = answer_head(200, None, keep=False)
    assert b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" in streamed
    assert b"404 Not Found" in answer_head(404, 0, keep=True)
    assert (chunk(b"x" * 17), chunk(b"")) == (b"11\r\n" + b"x" * 17 + b"\r\n", b"0\r\n\r\n")
