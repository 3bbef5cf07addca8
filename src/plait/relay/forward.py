"""Forwarding HTTP requests: the part of an HTTP proxy that is not CONNECT.

    client ══ Browser ══ socket pair ══ Session ══ exit ══ server
              heads are read and rewritten        sealed and pumped like any other

A client's connection carries one request after the other, each to a server of its own choice; the
connection to a server is kept for the next request when that goes to the same one. One request is
answered before the next is read. Heads are Python's work; bodies are counted and passed on.

An answer that is cut short ends in a reset, never in what looks like an end.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from enum import Enum

from plait.relay.dialer import Failure
from plait.relay.farewell import Farewell
from plait.relay.gateway import FIRST, Way, reach
from plait.relay.loop import FAILED, Timer
from plait.relay.proxy import Call, Proxy, connect
from plait.relay.pump import Outcome, Session, reset
from plait.wire import http
from plait.wire.address import Target
from plait.wire.faults import Malformed
from plait.wire.http import Refusal, Request, Response

_READ = 2
"""Index of the size of one read among the shared buffer's."""
UNREAD = 300.0
"""Seconds for which a client may read nothing of an answer whose session is over."""
_TURN = 16
"""Reads in one turn; then the others come first."""

_SAFE = (b"GET", b"HEAD", b"OPTIONS")
"""Methods that may be asked again when a kept connection turns out to have ended (RFC 9110, 9.2.2)."""


class _Phase(Enum):
    ASKING = "the client says what it wants"
    DIALLING = "the exit is being dialled"
    ANSWERING = "request and answer pass by"
    OVER = "nothing more comes"


class _Server:
    """Our end of the socket pair to the session that leads to one server."""

    __slots__ = ("alone", "broken", "deaf", "have", "over", "reused", "sock", "target", "waiting")

    def __init__(self, sock: socket.socket, target: Target, over: Callable[[_Server, Outcome], None]) -> None:
        self.sock = sock
        self.over = over
        """Told when the session has ended."""
        self.alone: Timer | None = None
        """Due when its client has taken nothing for too long since."""
        self.target = target
        self.waiting = b""
        """What the pair would not take yet."""
        self.have = bytearray()
        """What the server said of a head that is not whole yet."""
        self.reused = False
        self.deaf = False
        """It takes nothing more; it may have said something before."""
        self.broken = False
        """The session did not end as a conversation ends."""

    def ended(self, outcome: Outcome) -> None:
        """The session is over; its end of the pair closes now, or soon."""
        self.broken = outcome is not Outcome.DONE
        self.over(self, outcome)

    def close(self) -> None:
        """It is of no more use."""
        if self.alone is not None:
            self.alone.cancel()
        self.sock.close()


class Browser:
    """A client of an HTTP proxy, for as long as its connection lasts."""

    __slots__ = (
        "_have", "_phase", "_proxy", "_queued", "_request", "_response", "_served", "_server",
        "_taken", "_waiting", "peer", "sock",
    )  # fmt: skip

    def __init__(self, proxy: Proxy, sock: socket.socket, peer: str) -> None:
        self._proxy = proxy
        self.sock = sock
        self.peer = peer
        self._phase = _Phase.ASKING
        self._have = bytearray()
        """What the client said and nobody has used yet."""
        self._waiting = b""
        """What the client would not take yet."""
        self._taken = 0
        """Bytes of answers that it took."""
        self._request: Request | None = None
        self._response: Response | None = None
        self._served = False
        """It has had an answer before, and waits for its user."""
        self._server: _Server | None = None
        self._queued = False

    def leave(self) -> None:
        """Close, unless the client has begun to say something."""
        if self._phase is _Phase.ASKING and not self._have:
            self._close()

    def expel(self, kind: str) -> None:
        """It has taken too long, or the place of others."""
        if self._served and not self._have:
            self._close()
        else:
            self._refuse(kind, b"")

    def event(self, mask: int) -> None:
        """Something happened on the client's socket."""
        if mask & FAILED and self._phase is not _Phase.ASKING:
            self._break()
        else:
            self._run()

    def _run(self) -> None:
        """Go on as far as both sides let us, and as the others' patience goes."""
        for _ in range(_TURN):
            if self._phase is _Phase.ASKING:
                moved = self._ask()
            elif self._phase is _Phase.ANSWERING:
                moved = self._upward()
                if self._phase is _Phase.ANSWERING:
                    moved |= self._downward()
            else:
                return
            if not moved:
                return
        if not self._queued:
            self._queued = True
            self._proxy.pump.loop.soon(self._turn)

    def _turn(self) -> None:
        self._queued = False
        self._run()

    # What the client says.

    def _ask(self) -> bool:
        """Read a head; whether there is reason to go on."""
        have = self._have
        while have[:2] == b"\r\n":
            del have[:2]  # an empty line before a request is let pass (RFC 9112, 2.2)
        try:
            end = http.head_end(have)
            if end is None:
                return self._hear()
            request = http.parse_request(bytes(have[:end]))
        except Refusal as refusal:
            self._refuse("not a proxy's client", http.own_answer(refusal.status, str(refusal)))
            return False
        del have[:end]
        held = self._proxy.held
        if held is not None and not held.admits(*(request.credentials or (b"", b""))):
            words = http.own_answer(407, "this proxy asks for a user name and a password")
            self._refuse("wrong password" if request.credentials else "no password", words)
            return False
        self._proxy.known(self)
        if request.tunnel:
            self._tunnel(request)
            return False
        self._request, self._response = request, None
        server = self._server
        if server is not None and server.target == request.target:
            server.reused = True
            server.waiting = request.head
            self._phase = _Phase.ANSWERING
            return True
        self._drop_server()
        self._dial(request)
        return False

    def _hear(self) -> bool:
        """Read more of the client; False when there is nothing now, or it has left."""
        view = self._proxy.pump.buffers.views[0]
        try:
            n = self.sock.recv_into(view)
        except BlockingIOError:
            return False
        except OSError:
            n = 0
        if n:
            self._have += view[:n]
            return True
        if self._phase is not _Phase.ASKING:
            self._break()  # in the middle of what it had to say
        elif self._have:
            self._refuse("left", b"")
        else:
            self._close()
        return False

    def _refuse(self, kind: str, words: bytes) -> None:
        self._phase = _Phase.OVER
        self._drop_server()
        self._proxy.stranger(self, kind, words)

    def _tunnel(self, request: Request) -> None:
        self._phase = _Phase.OVER
        self._drop_server()
        Call(
            self._proxy,
            self.sock,
            self.peer,
            request.target,
            first=bytes(self._have),
            granted=http.CONNECTED,
            refusal=_words,
        )

    # The connection to the server.

    def _dial(self, request: Request) -> None:
        proxy = self._proxy
        self._phase = _Phase.DIALLING
        proxy.tally.total += 1
        proxy.tally.opening += 1
        reach(proxy.pump, proxy.upstream, self._connected, self._failed, proxy.limit)

    def _failed(self, failure: Failure) -> None:
        proxy = self._proxy
        proxy.tally.opening -= 1
        proxy.tally.ended(failure.value)
        proxy.tally.exit_failed(proxy.upstream.name, failure.value)
        if self._phase is _Phase.DIALLING:
            self._phase = _Phase.OVER
            Farewell(proxy.pump, self.sock, _words(failure))

    def _connected(self, exit_sock: socket.socket, way: Way, mask: int) -> None:
        proxy, request = self._proxy, self._request
        proxy.tally.opening -= 1
        used = -1
        if self._phase is _Phase.DIALLING and request is not None:
            try:
                used = request.body.take(self._have)
            except Malformed:
                self._break()
        if used < 0 or request is None:
            proxy.tally.ended("gone")
            proxy.pump.loop.forget(exit_sock.fileno())
            reset(exit_sock)
            return
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        server = self._server = _Server(ours, request.target, self._left_alone)
        first = request.head + self._have[:used]
        del self._have[:used]
        server.waiting = first[FIRST:]
        session: Session = connect(proxy, theirs, self.peer, exit_sock, request.target, first[:FIRST])
        session.told = server.ended
        self._phase = _Phase.ANSWERING
        proxy.pump.loop.register(ours.fileno(), lambda mask: self._server_event(server))
        session.start(session.up, session.down, 0, mask)
        self._run()

    def _server_event(self, server: _Server) -> None:
        if server is not self._server:
            return
        if self._phase is _Phase.ANSWERING:
            self._run()
        elif self._phase is _Phase.ASKING:
            # A kept connection that says something, or ends, is of no more use.
            try:
                server.sock.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                return
            except OSError:
                pass
            self._drop_server()

    def _left_alone(self, server: _Server, outcome: Outcome) -> None:
        """The session is over, and with it whoever looks whether anything moves."""
        if server is not self._server or self._phase is not _Phase.ANSWERING:
            return
        if outcome is Outcome.IDLE and self._waiting:
            self._break()
        else:
            self._watch(server)

    def _watch(self, server: _Server) -> None:
        """A client that takes nothing of an answer that is all here does not stay for ever."""
        before = self._taken

        def look() -> None:
            if self._taken == before:
                self._break()
            else:
                self._watch(server)

        server.alone = self._proxy.pump.loop.timeout(UNREAD, look)

    def _drop_server(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            self._proxy.pump.loop.forget(server.sock.fileno())
            server.close()

    # Request and answer pass by.

    def _upward(self) -> bool:
        """More of the request to the server; whether anything moved."""
        server, request = self._server, self._request
        assert server is not None
        assert request is not None
        if server.waiting:
            sent = self._send(server.sock, server.waiting)
            server.deaf = sent < 0
            server.waiting = b"" if server.deaf else server.waiting[sent:]
            return bool(sent)
        if request.body.done or server.deaf:
            return False
        if not self._have and not self._hear():
            return False
        try:
            used = request.body.take(self._have)
        except Malformed:
            self._break()
            return False
        server.waiting = bytes(self._have[:used])
        del self._have[:used]
        return True

    def _downward(self) -> bool:
        """More of the answer to the client; whether anything moved."""
        server = self._server
        assert server is not None
        if self._waiting:
            sent = self._send(self.sock, self._waiting)
            if sent < 0:
                self._break()
                return False
            self._taken += sent
            self._waiting = self._waiting[sent:]
            if self._waiting:
                return bool(sent)
        if self._response is not None and self._response.body.done:
            return self._answered_whole()
        view = self._proxy.pump.buffers.views[_READ]
        try:
            n = server.sock.recv_into(view)
        except BlockingIOError:
            return False
        except OSError:
            n, server.broken = 0, True
        try:
            return self._from_server(view[:n]) if n else self._server_done()
        except Refusal as refusal:
            self._no_answer(str(refusal))
        except Malformed:
            self._break()
        return False

    def _from_server(self, data: memoryview) -> bool:
        server, request = self._server, self._request
        assert server is not None
        assert request is not None
        while self._response is None:
            server.have += data
            end = http.head_end(server.have)
            if end is None:
                return True
            response = http.parse_response(bytes(server.have[:end]), request)
            data = memoryview(bytes(server.have[end:]))
            server.have.clear()
            if response.interim:
                # A client of HTTP/1.0 knows none of these (RFC 9110, 15.2).
                self._waiting += b"" if request.old else response.head
                continue
            self._response = response
            self._waiting += response.head
        used = self._response.body.take(data)
        if self._response.body.done and used < len(data):
            # More than it had announced: this connection is not to be trusted again.
            server.broken = True
        if self._waiting:
            self._waiting += bytes(data[:used])
            return True
        sent = self._send(self.sock, data[:used])
        if sent < 0:
            self._break()
            return False
        self._taken += sent
        self._waiting = bytes(data[sent:used])
        return True

    def _server_done(self) -> bool:
        """The end of what the server says."""
        server, response, request = self._server, self._response, self._request
        assert server is not None
        assert request is not None
        if response is not None and response.body.to_end and not server.broken:
            self._part()
        elif response is not None:
            self._break()
        elif server.reused and request.body.done and request.method in _SAFE and not server.have:
            self._drop_server()
            self._dial(request)
        else:
            self._no_answer("the server closed the connection without an answer")
        return False

    def _answered_whole(self) -> bool:
        """The answer has been passed on."""
        request, response, server = self._request, self._response, self._server
        assert request is not None
        assert response is not None
        assert server is not None
        if not (request.body.done and response.keep) or self._proxy.draining:
            self._part()
            return False
        if not response.reuse or server.broken:
            self._drop_server()
        self._request = self._response = None
        self._served = True
        self._phase = _Phase.ASKING
        self._proxy.wait(self)
        return True

    def _no_answer(self, why: str) -> None:
        if self._response is not None or self._waiting:
            self._break()
            return
        self._phase = _Phase.OVER
        self._drop_server()
        Farewell(self._proxy.pump, self.sock, http.own_answer(502, why))

    # Ends.

    @staticmethod
    def _send(sock: socket.socket, data: bytes | memoryview) -> int:
        """How many bytes it took; -1 when it is gone."""
        try:
            return sock.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            return -1

    def _part(self) -> None:
        """The last answer is given."""
        self._phase = _Phase.OVER
        self._drop_server()
        Farewell(self._proxy.pump, self.sock)

    def _close(self) -> None:
        self._phase = _Phase.OVER
        self._drop_server()
        self._proxy.close(self)

    def _break(self) -> None:
        """Half an answer, or half a request: nobody is to take it for a whole one."""
        self._phase = _Phase.OVER
        self._proxy.known(self)
        server, self._server = self._server, None
        if server is not None:
            self._proxy.pump.loop.forget(server.sock.fileno())
            server.close()
        self._proxy.pump.loop.forget(self.sock.fileno())
        reset(self.sock)


def _words(failure: Failure) -> bytes:
    """What a client is told of an exit that can't be reached."""
    status = {Failure.TIMEOUT: 504, Failure.NO_WAY: 503}.get(failure, 502)
    return http.own_answer(status, f"the exit can't be reached: {failure.value}")
