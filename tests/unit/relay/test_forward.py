"""HTTP through the proxy on real sockets: one connection, many requests, and all ways to break off."""

from __future__ import annotations

import base64
import socket
import threading

import pytest
from tests.unit.relay.proxying import Place, exactly, place, read_until, to_the_end

from plait.relay import forward as module
from plait.relay.forward import Browser
from plait.relay.pump import Outcome
from plait.wire.address import Target

LARGE = bytes(range(256)) * 8192
"""2 MiB: more than all buffers on the way."""


class Server:
    """Answers by path; notes what it was asked, connection by connection."""

    def __init__(self) -> None:
        self.heads: list[list[bytes]] = []
        self.bodies: list[bytes] = []
        self.go_on = threading.Event()

    def __call__(self, sock: socket.socket, data: bytes) -> None:
        mine: list[bytes] = []
        self.heads.append(mine)
        while True:
            data = read_until(sock, b"\r\n\r\n", data)
            if not data:
                return
            head, _, data = data.partition(b"\r\n\r\n")
            mine.append(head)
            length = 0
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b": ")
                if name == b"Content-Length":
                    length = int(value)
            if b"Transfer-Encoding: chunked" in head:
                data = read_until(sock, b"0\r\n\r\n", data)
                body, _, data = data.partition(b"0\r\n\r\n")
            elif b"/early" in head:
                body = b""
            else:
                data += exactly(sock, length - len(data)) if length > len(data) else b""
                body, data = data[:length], data[length:]
            self.bodies.append(body)
            if not self.answer(sock, head.split(b" ")[0], head.split(b" ")[1]):
                return

    def answer(self, sock: socket.socket, method: bytes, path: bytes) -> bool:
        """Answer; whether the connection goes on."""
        if path == b"/large":
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE) + LARGE)
        elif path == b"/huge":
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (32 * len(LARGE)) + LARGE * 32)
        elif path == b"/chunked":
            sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        elif path == b"/end":
            sock.sendall(b"HTTP/1.0 200 OK\r\n\r\nto the end")
            return False
        elif path == b"/cut":
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            return False
        elif path == b"/cut-end":
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf")
            self.go_on.wait(20)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            return False
        elif path == b"/garbage":
            sock.sendall(b"SSH-2.0-OpenSSH\r\n\r\n")
            return False
        elif path == b"/hangup":
            return False
        elif path == b"/once":
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nonce")
            return False
        elif path == b"/continue":
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        elif path == b"/early":
            sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
            read_until(sock, b"never")
            return False
        else:
            content = b"" if method == b"HEAD" else path
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), content))
        return True


def get(
    path: str, host: str = "a.example", method: str = "GET", version: str = "1.1", more: str = ""
) -> bytes:
    return f"{method} http://{host}{path} HTTP/{version}\r\nHost: {host}\r\n{more}\r\n".encode()


def answer(sock: socket.socket, data: bytes = b"") -> tuple[bytes, bytes]:
    """Head and body of one answer with a length."""
    data = read_until(sock, b"\r\n\r\n", data)
    head, _, rest = data.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.startswith(b"Content-Length: "):
            size = int(line[16:])
            return head, rest + exactly(sock, size - len(rest))
    raise AssertionError(head)


def test_many_requests_on_one_connection_and_one_to_the_server() -> None:
    server = Server()
    with place(Browser, server) as here, here.connect() as sock:
        for number in range(5):
            sock.sendall(get(f"/{number}"))
            head, body = answer(sock)
            assert body == b"/%d" % number
            assert b"Via: 1.1 plait" in head
            assert b"close" not in head
        assert here.asked == [Target("a.example", 80)]
        assert [len(heads) for heads in server.heads] == [5]
        assert server.heads[0][0] == b"GET /0 HTTP/1.1\r\nHost: a.example\r\nVia: 1.1 plait"


def test_another_server_on_the_same_connection() -> None:
    with place(Browser, Server()) as here, here.connect() as sock:
        for host in ("a.example", "b.example:8080", "a.example"):
            sock.sendall(get("/x", host))
            assert answer(sock)[1] == b"/x"
        assert here.asked == [Target("a.example", 80), Target("b.example", 8080), Target("a.example", 80)]
        here.until(lambda: len(here.outcomes) == 2)


def test_pipelined_requests_are_answered_in_order() -> None:
    with place(Browser, Server()) as here, here.connect() as sock:
        sock.sendall(b"".join(get(f"/{number}") for number in range(20)))
        data = b""
        for number in range(20):
            data = read_until(sock, b"/%d" % number, data)
            _, _, data = data.partition(b"\r\n\r\n")
            size = len(b"/%d" % number)
            data += exactly(sock, size - len(data)) if len(data) < size else b""
            assert data[:size] == b"/%d" % number
            data = data[size:]


def test_a_large_answer_to_a_slow_reader_then_the_next() -> None:
    with place(Browser, Server()) as here, here.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.sendall(get("/large") + get("/next"))
        assert answer(sock)[1] == LARGE
        assert answer(sock)[1] == b"/next"


def test_bodies_of_requests_of_both_kinds() -> None:
    server = Server()
    with place(Browser, server) as here, here.connect() as sock:
        sock.sendall(get("/a", method="POST", more=f"Content-Length: {len(LARGE)}\r\n") + LARGE)
        assert answer(sock)[1] == b"/a"
        chunks = b"5\r\nhello\r\n0\r\n\r\n"
        for byte in get("/b", method="POST", more="Transfer-Encoding: chunked\r\n") + chunks:
            sock.sendall(bytes([byte]))
        assert answer(sock)[1] == b"/b"
        sock.sendall(get("/c"))
        assert answer(sock)[1] == b"/c"
        assert server.bodies == [LARGE, b"5\r\nhello\r\n", b""]


def test_chunks_pass_as_they_are_and_the_connection_goes_on() -> None:
    with place(Browser, Server()) as here, here.connect() as sock:
        sock.sendall(get("/chunked") + get("/next"))
        data = read_until(sock, b"/next")
        assert b"\r\n\r\n3\r\nabc\r\n0\r\n\r\nHTTP/1.1 200 OK" in data


def test_head_requests_have_no_body() -> None:
    with place(Browser, Server()) as here, here.connect() as sock:
        sock.sendall(get("/x", method="HEAD") + get("/y"))
        data = read_until(sock, b"/y")
        assert data.count(b"HTTP/1.1 200 OK") == 2


def test_an_answer_that_ends_with_the_connection() -> None:
    with place(Browser, Server()) as here, here.connect() as sock:
        sock.sendall(get("/end"))
        data, how = to_the_end(sock)
        assert data.endswith(b"Connection: close\r\n\r\nto the end")
        assert data.startswith(b"HTTP/1.1 200 OK\r\n")
        assert how == "eof"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_client_that_wants_no_more(version: str) -> None:
    with place(Browser, Server()) as here, here.connect() as sock:
        sock.sendall(get("/x", version=version, more="Connection: close\r\n"))
        data, how = to_the_end(sock)
        assert data.endswith(b"/x")
        assert b"Connection: close\r\n" in data
        assert how == "eof"


def test_a_client_that_is_done_talking_still_gets_its_answer() -> None:
    with place(Browser, Server()) as here, here.connect() as sock:
        sock.sendall(get("/large"))
        sock.shutdown(socket.SHUT_WR)
        data, how = to_the_end(sock)
        assert data.endswith(LARGE)
        assert how == "eof"


def test_an_interim_answer() -> None:
    with place(Browser, Server()) as here, here.connect() as sock:
        sock.sendall(get("/continue"))
        data = read_until(sock, b"\r\n\r\nok")
        assert data.startswith(b"HTTP/1.1 100 Continue\r\nVia: 1.1 plait\r\n\r\nHTTP/1.1 200 OK")


def test_an_interim_answer_is_not_for_old_clients() -> None:
    with place(Browser, Server()) as here, here.connect() as sock:
        sock.sendall(get("/continue", version="1.0"))
        data, _ = to_the_end(sock)
        assert data.startswith(b"HTTP/1.1 200 OK")


def test_a_server_that_answers_before_it_has_heard_all() -> None:
    with place(Browser, Server()) as here, here.connect() as sock:
        sock.sendall(get("/early", method="POST", more="Content-Length: 1000000\r\n") + b"x" * 1000)
        data = read_until(sock, b"\r\n\r\nno")
        assert b"413 Too Large" in data
        assert to_the_end(sock)[1] == "eof"


@pytest.mark.parametrize("path", ["/cut", "/cut-end"])
def test_half_an_answer_ends_in_a_reset(path: str) -> None:
    server = Server()
    with place(Browser, server) as here, here.connect() as sock:
        sock.sendall(get(path))
        assert read_until(sock, b"half").endswith(b"half")
        server.go_on.set()
        assert to_the_end(sock) == (b"", "reset")


@pytest.mark.parametrize("path", ["/garbage", "/hangup"])
def test_no_answer_is_told_as_such(path: str) -> None:
    with place(Browser, Server()) as here, here.connect() as sock:
        sock.sendall(get(path))
        data, how = to_the_end(sock)
        assert data.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        assert how == "eof"


def test_a_kept_connection_that_has_ended_is_made_anew() -> None:
    with place(Browser, Server()) as here, here.connect() as sock:
        for _ in range(10):
            sock.sendall(get("/once"))
            assert answer(sock)[1] == b"once"
        assert len(here.asked) == 10


def test_nothing_is_asked_twice_that_may_do_something_twice() -> None:
    server = Server()

    def serve(sock: socket.socket, data: bytes) -> None:
        """Answers one request, then hears another and hangs up."""
        server.heads.append([read_until(sock, b"\r\n\r\n", data)])
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        server.heads[-1].append(read_until(sock, b"\r\n\r\n"))

    with place(Browser, serve) as here, here.connect() as sock:
        sock.sendall(get("/1"))
        assert answer(sock)[1] == b"ok"
        sock.sendall(get("/2", method="DELETE"))
        assert to_the_end(sock)[0].startswith(b"HTTP/1.1 502")
        assert len(here.asked) == 1
    with place(Browser, serve) as here, here.connect() as sock:
        for path in ("/1", "/2", "/3"):
            sock.sendall(get(path))
            assert answer(sock)[1] == b"ok"


def test_a_tunnel() -> None:
    def echo(sock: socket.socket, data: bytes) -> None:
        while data or (data := sock.recv(65536)):
            sock.sendall(data)
            data = b""

    with place(Browser, echo) as here, here.connect() as sock:
        sock.sendall(b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\nearly")
        told = b"HTTP/1.1 200 Connection established\r\n\r\n"
        assert exactly(sock, len(told) + 5) == told + b"early"
        sock.sendall(LARGE[:100_000])
        assert exactly(sock, 100_000) == LARGE[:100_000]
        assert here.asked == [Target("a.example", 443)]


def basic(user: str, password: str) -> str:
    return f"Proxy-Authorization: Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}\r\n"


def test_passwords() -> None:
    server = Server()
    with place(Browser, server, password="geheim") as here:
        for line, kind in (("", "no password"), (basic("app", "wrong"), "wrong password")):
            with here.connect() as sock:
                sock.sendall(get("/x", more=line))
                data, _ = to_the_end(sock)
                assert data.startswith(b"HTTP/1.1 407 ")
                assert b"Proxy-Authenticate: Basic" in data
                assert here.tally.strangers[kind] == 1
        assert here.asked == []
        with here.connect() as sock:
            for path in ("/x", "/y"):
                sock.sendall(get(path, more=basic("app", "geheim")))
                assert answer(sock)[1] == path.encode()
        assert all(b"Authorization" not in head for head in server.heads[0])


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"\x05\x01\x00\r\n\r\n", b"400"),
        (b"GET http://a/ HTTP/1.1\r\n" + b"X: " + b"y" * 70000, b"431"),
        (b"GET https://a/ HTTP/1.1\r\n\r\n", b"501"),
    ],
)
def test_what_is_no_request(said: bytes, status: bytes) -> None:
    with place(Browser, Server()) as here, here.connect() as sock:
        sock.sendall(said)
        assert to_the_end(sock)[0].startswith(b"HTTP/1.1 " + status)
        assert dict(here.tally.strangers) == {"not a proxy's client": 1}
        assert here.asked == []


def test_wrong_chunks_end_the_connection() -> None:
    with place(Browser, Server()) as here, here.connect() as sock:
        sock.sendall(get("/b", method="POST", more="Transfer-Encoding: chunked\r\n") + b"zz\r\n")
        assert to_the_end(sock) == (b"", "reset")


def test_an_exit_that_is_not_there() -> None:
    with place(Browser, Server(), exit_is_there=False) as here:
        for said in (get("/x"), b"CONNECT a:443 HTTP/1.1\r\n\r\n"):
            with here.connect() as sock:
                sock.sendall(said)
                assert to_the_end(sock)[0].startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        assert here.tally.outcomes == {"refused": 2}


def test_idle_connections_end_uncounted_and_silent_ones_counted() -> None:
    with place(Browser, Server(), handshake=0.5) as here, here.connect() as sock, here.connect() as silent:
        sock.sendall(get("/x"))
        assert answer(sock)[1] == b"/x"
        assert to_the_end(sock) == (b"", "eof")
        assert to_the_end(silent) == (b"", "eof")
        here.until(lambda: here.tally.strangers)
        assert dict(here.tally.strangers) == {"silent": 1}
        here.until(lambda: here.outcomes)


def no_server_is_left(here: Place) -> bool:
    return not here.proxy.pump.sessions


def test_a_client_that_breaks_off_leaves_nothing_behind() -> None:
    with place(Browser, Server()) as here:
        with here.connect() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.sendall(get("/large"))
            read_until(sock, b"\r\n\r\n")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        here.until(lambda: no_server_is_left(here))


def test_draining_closes_the_idle_and_lets_answers_end() -> None:
    server = Server()
    with place(Browser, server) as here, here.connect() as idle, here.connect() as busy:
        idle.sendall(get("/x"))
        assert answer(idle)[1] == b"/x"
        busy.sendall(get("/cut-end"))
        read_until(busy, b"half")
        here.loop.after(0.0, here.proxy.drain)
        assert to_the_end(idle) == (b"", "eof")
        assert not here.proxy.busy
        server.go_on.set()
        assert to_the_end(busy)[1] == "reset"


@pytest.mark.parametrize("outcome", [Outcome.IDLE, Outcome.CLOSED])
def test_a_client_that_reads_nothing_does_not_outlive_its_session_for_long(
    outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNREAD", 0.2 if outcome is Outcome.CLOSED else 300.0)
    with place(Browser, Server()) as here, here.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(get("/huge"))
        here.until(lambda: here.proxy.pump.sessions)
        [session] = here.proxy.pump.sessions
        here.until(lambda: session.down.pending is not None)
        here.loop.after(0.0, lambda: session.abort(outcome))
        here.until(lambda: here.outcomes == [outcome])
        assert to_the_end(sock)[1] == "reset"


def test_one_that_reads_slowly_gets_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNREAD", 0.5)
    with place(Browser, Server()) as here, here.connect() as sock:
        sock.sendall(get("/end"))
        assert to_the_end(sock)[0].endswith(b"to the end")
        here.until(lambda: here.outcomes == [Outcome.DONE])
        assert not here.loop._timeouts.get(0.5)
