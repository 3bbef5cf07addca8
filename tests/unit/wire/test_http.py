"""HTTP heads: what goes on, what stays, what is added, and all that is refused."""

from __future__ import annotations

import base64
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.wire import http
from plait.wire.address import Target
from plait.wire.faults import PeerFault
from plait.wire.http import Refusal, parse_request, parse_response


def request(line: str, *fields: str) -> http.Request:
    return parse_request("\r\n".join((line, *fields, "", "")).encode("latin-1"))


def response(asked: http.Request, line: str, *fields: str) -> http.Response:
    return parse_response("\r\n".join((line, *fields, "", "")).encode("latin-1"), asked)


GET = request("GET http://a.example/ HTTP/1.1")


def lines(head: bytes) -> list[str]:
    assert head.endswith(b"\r\n\r\n")
    return head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")


@pytest.mark.parametrize(
    ("line", "target", "first", "host"),
    [
        ("GET http://a.example/ HTTP/1.1", Target("a.example", 80), "GET / HTTP/1.1", "a.example"),
        ("GET HTTP://a.example HTTP/1.1", Target("a.example", 80), "GET / HTTP/1.1", "a.example"),
        ("GET http://a.example?q=1 HTTP/1.1", Target("a.example", 80), "GET /?q=1 HTTP/1.1", "a.example"),
        (
            "POST http://a.example:8080/x;y?z=%20 HTTP/1.1",
            Target("a.example", 8080),
            "POST /x;y?z=%20 HTTP/1.1",
            "a.example:8080",
        ),
        (
            "GET http://192.0.2.1:80/ HTTP/1.1",
            Target(IPv4Address("192.0.2.1"), 80),
            "GET / HTTP/1.1",
            "192.0.2.1",
        ),
        (
            "GET http://[2001:db8::1]/ HTTP/1.1",
            Target(IPv6Address("2001:db8::1"), 80),
            "GET / HTTP/1.1",
            "[2001:db8::1]",
        ),
        ("OPTIONS http://a.example HTTP/1.1", Target("a.example", 80), "OPTIONS * HTTP/1.1", "a.example"),
        ("GET http://a.example:/ HTTP/1.0", Target("a.example", 80), "GET / HTTP/1.0", "a.example"),
    ],
)
def test_where_a_request_goes(line: str, target: Target, first: str, host: str) -> None:
    found = request(line, "Host: elsewhere.example")
    assert found.target == target
    assert not found.tunnel
    assert lines(found.head)[:2] == [first, f"Host: {host}"]
    assert "elsewhere" not in found.head.decode()


@pytest.mark.parametrize(
    ("wanted", "target"),
    [
        ("a.example:443", Target("a.example", 443)),
        ("[2001:db8::1]:22", Target(IPv6Address("2001:db8::1"), 22)),
        ("192.0.2.1:1", Target(IPv4Address("192.0.2.1"), 1)),
    ],
)
def test_connect(wanted: str, target: Target) -> None:
    found = request(f"CONNECT {wanted} HTTP/1.1", f"Host: {wanted}", "Content-Length: 5")
    assert found.tunnel
    assert found.target == target
    assert found.head == b""
    assert found.body.done


def test_what_is_between_the_client_and_us_does_not_go_on() -> None:
    found = request(
        "GET http://a.example/ HTTP/1.1",
        "Host: a.example",
        "Connection: X-Private, keep-alive",
        "X-Private: 1",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic eDp5",
        "TE: trailers",
        "Upgrade: h2c",
        "Cookie: a=b",
        "cookie:c=d",
        "Via: 1.0 other",
    )
    assert lines(found.head) == [
        "GET / HTTP/1.1",
        "Host: a.example",
        "Cookie: a=b",
        "Cookie: c=d",
        "Via: 1.0 other",
        "Via: 1.1 plait",
    ]


@pytest.mark.parametrize(
    ("line", "fields", "keep"),
    [
        ("GET http://a/ HTTP/1.1", (), True),
        ("GET http://a/ HTTP/1.1", ("Connection: Close",), False),
        ("GET http://a/ HTTP/1.1", ("Proxy-Connection: close",), False),
        ("GET http://a/ HTTP/1.0", (), False),
        ("GET http://a/ HTTP/1.0", ("Connection: keep-alive",), False),
    ],
)
def test_whether_another_request_may_follow(line: str, fields: tuple[str, ...], keep: bool) -> None:
    found = request(line, *fields)
    assert found.keep is keep
    assert found.old is ("1.0" in line)
    assert (b"Connection: close" in found.head) is found.old


def test_bodies_of_requests() -> None:
    fixed = request("POST http://a/ HTTP/1.1", "Content-Length: 3")
    assert fixed.body.take(b"abcd") == 3
    assert "Content-Length: 3" in lines(fixed.head)
    chunked = request("POST http://a/ HTTP/1.1", "Transfer-Encoding: Chunked")
    assert chunked.body.take(b"0\r\n\r\nx") == 5
    assert "Transfer-Encoding: chunked" in lines(chunked.head)
    assert request("POST http://a/ HTTP/1.1").body.done


def test_max_forwards_is_counted_down_where_it_means_something() -> None:
    assert "Max-Forwards: 4" in lines(request("OPTIONS http://a/ HTTP/1.1", "Max-Forwards: 5").head)
    assert "Max-Forwards: 0" in lines(request("GET http://a/ HTTP/1.1", "Max-Forwards: 0").head)


def basic(text: bytes) -> str:
    return f"Proxy-Authorization: Basic {base64.b64encode(text).decode()}"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ((basic(b"app:se:cret"),), (b"app", b"se:cret")),
        (("Proxy-Authorization: basic YTpi",), (b"a", b"b")),
        ((), None),
        ((basic(b"nocolon"),), None),
        (("Proxy-Authorization: Basic !!!",), None),
        (("Proxy-Authorization: Bearer YTpi",), None),
        ((basic(b"a:b"), basic(b"c:d")), None),
    ],
)
def test_credentials(fields: tuple[str, ...], expected: tuple[bytes, bytes] | None) -> None:
    assert request("CONNECT a:1 HTTP/1.1", *fields).credentials == expected


@pytest.mark.parametrize(
    ("status", "line", "fields"),
    [
        (400, "GET / HTTP/1.1", ("Host: a",)),
        (400, "OPTIONS * HTTP/1.1", ("Host: a",)),
        (400, "GET a.example HTTP/1.1", ()),
        (400, "GET http:///x HTTP/1.1", ()),
        (400, "GET http://u:p@a/ HTTP/1.1", ()),
        (400, "GET http://a:0/ HTTP/1.1", ()),
        (400, "GET http://a:99999/ HTTP/1.1", ()),
        (400, "GET http://a_%20b/ HTTP/1.1", ()),
        (400, "GET http://[::g]/ HTTP/1.1", ()),
        (400, "GET http://127.1/ HTTP/1.1", ()),
        (501, "GET http://a/#top HTTP/1.1", ()),
        (400, "GET  http://a/ HTTP/1.1", ()),
        (400, "GET http://a/ b HTTP/1.1", ()),
        (400, "GET http://a/", ()),
        (400, "GET http://a/ HTTP/1.1 ", ()),
        (501, "GET https://a/ HTTP/1.1", ()),
        (501, "GET ftp://a/ HTTP/1.1", ()),
        (505, "PRI http://a/ HTTP/2.0", ()),
        (400, "CONNECT a HTTP/1.1", ()),
        (400, "CONNECT a: HTTP/1.1", ()),
        (400, "CONNECT http://a/ HTTP/1.1", ()),
        (400, "CONNECT :443 HTTP/1.1", ()),
        (400, "GET http://a/ HTTP/1.1", ("Host : a",)),
        (400, "GET http://a/ HTTP/1.1", (" folded: a",)),
        (400, "GET http://a/ HTTP/1.1", ("X: a\n\tb",)),
        (400, "GET http://a/ HTTP/1.1", ("X: a\rb",)),
        (400, "GET http://a/ HTTP/1.1", ("X: a\0",)),
        (400, "GET http://a/ HTTP/1.1", ("no colon",)),
        (400, "GET http://a/ HTTP/1.1", (": no name",)),
        (400, "POST http://a/ HTTP/1.1", ("Content-Length: 1", "Content-Length: 1")),
        (400, "POST http://a/ HTTP/1.1", ("Content-Length: 1, 1",)),
        (400, "POST http://a/ HTTP/1.1", ("Content-Length: +1",)),
        (400, "POST http://a/ HTTP/1.1", ("Content-Length: -1",)),
        (400, "POST http://a/ HTTP/1.1", ("Content-Length: 9999999999999999999",)),
        (400, "POST http://a/ HTTP/1.1", ("Content-Length: 1", "Transfer-Encoding: chunked")),
        (400, "POST http://a/ HTTP/1.0", ("Transfer-Encoding: chunked",)),
        (501, "POST http://a/ HTTP/1.1", ("Transfer-Encoding: gzip, chunked",)),
        (501, "POST http://a/ HTTP/1.1", ("Transfer-Encoding: chunked, chunked",)),
        (501, "POST http://a/ HTTP/1.1", ("Transfer-Encoding: chunked", "Transfer-Encoding: identity")),
        (501, "POST http://a/ HTTP/1.1", ("Transfer-Encoding:",)),
        (501, "TRACE http://a/ HTTP/1.1", ("Max-Forwards: 0",)),
        (400, "TRACE http://a/ HTTP/1.1", ("Max-Forwards: x",)),
        (431, "GET http://a/ HTTP/1.1", ("X: y",) * (http.MAX_FIELDS + 1)),
    ],
)
def test_refused(status: int, line: str, fields: tuple[str, ...]) -> None:
    with pytest.raises(Refusal) as caught:
        request(line, *fields)
    assert caught.value.status == status


def test_where_a_head_ends() -> None:
    assert http.head_end(b"GET") is None
    assert http.head_end(b"a\r\n\r\nb") == 5
    assert http.head_end(b"a" * (http.MAX_HEAD - 1)) is None
    for endless in (b"a" * http.MAX_HEAD, b"a" * http.MAX_HEAD + b"\r\n\r\n"):
        with pytest.raises(Refusal) as caught:
            http.head_end(endless)
        assert caught.value.status == 431


def test_what_a_server_says_to_us_does_not_go_on() -> None:
    found = response(
        GET,
        "HTTP/1.1 200 Fine",
        "Connection: close, X-Hop",
        "X-Hop: 1",
        "Content-Length: 3",
        "Proxy-Authenticate: Basic",
        "Set-Cookie: a=b",
        "Set-Cookie: c=d",
    )
    assert lines(found.head) == [
        "HTTP/1.1 200 Fine",
        "Set-Cookie: a=b",
        "Set-Cookie: c=d",
        "Content-Length: 3",
        "Via: 1.1 plait",
    ]
    assert found.keep, "it is the server who closes; the client's connection goes on"
    assert not found.reuse


@pytest.mark.parametrize(
    ("asked", "line", "fields", "data", "used", "keep", "reuse"),
    [
        (GET, "HTTP/1.1 200 OK", ("Content-Length: 2",), b"abc", 2, True, True),
        (GET, "HTTP/1.1 200 OK", ("Transfer-Encoding: chunked",), b"0\r\n\r\nx", 5, True, True),
        (
            GET,
            "HTTP/1.1 200 OK",
            ("Transfer-Encoding: chunked", "Content-Length: 2"),
            b"0\r\n\r\nx",
            5,
            True,
            True,
        ),
        (GET, "HTTP/1.1 200 OK", (), b"abc", 3, False, False),
        (GET, "HTTP/1.0 200 OK", ("Content-Length: 2",), b"abc", 2, True, False),
        (GET, "HTTP/1.1 204 Empty", ("Content-Length: 2",), b"abc", 0, True, True),
        (GET, "HTTP/1.1 304 Same", ("Content-Length: 2",), b"abc", 0, True, True),
        (GET, "HTTP/1.1 304", (), b"abc", 0, True, True),
        (request("HEAD http://a/ HTTP/1.1"), "HTTP/1.1 200 OK", ("Content-Length: 2",), b"a", 0, True, True),
        (request("GET http://a/ HTTP/1.0"), "HTTP/1.1 200 OK", ("Content-Length: 2",), b"a", 1, False, True),
    ],
)
def test_bodies_of_answers(
    asked: http.Request, line: str, fields: tuple[str, ...], data: bytes, used: int, keep: bool, reuse: bool
) -> None:
    found = response(asked, line, *fields)
    assert found.body.take(data) == used
    assert found.keep is keep
    assert found.reuse is reuse
    assert (b"Connection: close" in found.head) is not keep
    assert not (b"chunked" in found.head and b"Content-Length" in found.head)


def test_an_interim_answer_is_not_the_last() -> None:
    found = response(GET, "HTTP/1.1 100 Continue")
    assert found.interim
    assert found.body.done
    assert lines(found.head) == ["HTTP/1.1 100 Continue", "Via: 1.1 plait"]


@pytest.mark.parametrize(
    ("asked", "line", "fields"),
    [
        (GET, "SSH-2.0-x", ()),
        (GET, "HTTP/2 200 OK", ()),
        (GET, "HTTP/1.1 20 OK", ()),
        (GET, "HTTP/1.1 101 Switching", ("Upgrade: websocket",)),
        (GET, "HTTP/1.1 200 OK", ("Content-Length: 1", "Content-Length: 2")),
        (GET, "HTTP/1.1 200 OK", ("Content-Length: one",)),
        (GET, "HTTP/1.1 200 OK", ("Transfer-Encoding: gzip",)),
        (GET, "HTTP/1.1 200 OK", (" folded",)),
        (GET, "HTTP/1.1 200 OK", ("X: y",) * 201),
        (request("GET http://a/ HTTP/1.0"), "HTTP/1.1 200 OK", ("Transfer-Encoding: chunked",)),
    ],
)
def test_answers_that_are_not_passed_on(asked: http.Request, line: str, fields: tuple[str, ...]) -> None:
    with pytest.raises(Refusal) as caught:
        response(asked, line, *fields)
    assert caught.value.status == 502


def test_own_answers() -> None:
    told = http.own_answer(407, "who are you?")
    head, _, content = told.partition(b"\r\n\r\n")
    assert b'Proxy-Authenticate: Basic realm="plait"' in head
    assert f"Content-Length: {len(content)}".encode() in head
    assert b"Proxy-Authenticate" not in http.own_answer(502, "no")


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_peers_fault(line: bytes, field: bytes) -> None:
    for head in (line + b"\r\n\r\n", b"GET http://a/ HTTP/1.1\r\n" + field + b"\r\n\r\n"):
        end = http.head_end(head)
        assert end is not None
        try:
            parse_request(head[:end])
        except PeerFault:
            pass
        try:
            parse_response(head[:end].replace(b"GET http://a/ HTTP/1.1", b"HTTP/1.1 200 OK"), GET)
        except PeerFault:
            pass
