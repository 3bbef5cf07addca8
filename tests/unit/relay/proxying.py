"""A proxy on loopback with an exit of a few lines behind it, each in a thread of its own.

The exit speaks the method ``none``: it reads an address, notes it, and hands the connection to
whatever the test plays the server with.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from plait.kernel.sockets import listen
from plait.relay.gateway import Upstream, Way
from plait.relay.listener import Listener
from plait.relay.loop import Loop
from plait.relay.proxy import Guest, Proxy
from plait.relay.pump import Outcome, Pump, Session
from plait.relay.tally import Tally
from plait.wire import address
from plait.wire.address import Target
from plait.wire.passes import SALT, Pass

PATIENCE = 20.0

Serve = Callable[[socket.socket, bytes], None]
"""Plays a server: the connection, and what came along with the address."""


@dataclass
class Place:
    """Where clients connect, and what became of them."""

    port: int
    tally: Tally
    proxy: Proxy
    loop: Loop
    asked: list[Target] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def until(self, what: Callable[[], object]) -> None:
        done = threading.Event()
        for _ in range(int(PATIENCE / 0.01)):
            if what():
                return
            done.wait(0.01)
        raise AssertionError("did not happen in time")


@contextmanager
def place(
    welcome: Callable[[Proxy, socket.socket, str], Guest],
    serve: Serve,
    *,
    password: str = "",
    handshake: float = PATIENCE,
    exit_is_there: bool = True,
) -> Iterator[Place]:
    """A running proxy; ``password`` makes it ask for the user ``app``."""
    exit_sock = socket.create_server(("127.0.0.1", 0))
    exit_port = exit_sock.getsockname()[1]
    if not exit_is_there:
        exit_sock.close()
    loop, tally = Loop(), Tally()
    sock = listen("127.0.0.1", 0)
    outcomes: list[Outcome] = []

    def ended(session: Session, outcome: Outcome) -> None:
        outcomes.append(outcome)

    pump = Pump(loop, ended)
    ways = [Way("127.0.0.1", exit_port)]
    proxy = Proxy(
        pump,
        Upstream("attic", None, ways, mptcp=False),
        tally,
        welcome,
        held=Pass.of("app", password, bytes(SALT)) if password else None,
        handshake=handshake,
        limit=5.0,
    )
    listener = Listener(loop, sock, proxy.accepted, lambda: True)
    found = Place(sock.getsockname()[1], tally, proxy, loop, outcomes=outcomes)
    stop = threading.Event()

    def tick() -> None:
        proxy.sweep()
        if stop.is_set():
            listener.close()
            proxy.drain()
            for guest in list(proxy._waiting):
                guest.expel("left")
            for session in list(pump.sessions):
                session.abort(Outcome.CLOSED)
        # Nothing may be left open: farewells have their time, and no more.
        if stop.is_set() and not loop._handlers:
            loop.stop()
        else:
            loop.after(0.01, tick)

    def accept() -> None:
        while not stop.is_set():
            try:
                peer, _ = exit_sock.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(peer,), daemon=True).start()

    def answer(peer: socket.socket) -> None:
        peer.settimeout(PATIENCE)
        data = b""
        with suppress(OSError), peer:
            while (decoded := address.decode(data)) is None:
                piece = peer.recv(65536)
                if not piece:
                    return
                data += piece
            found.asked.append(decoded[0])
            serve(peer, data[decoded[1] :])

    loop.after(0.0, tick)
    threads = [threading.Thread(target=run, daemon=True) for run in (loop.run, accept)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        stop.set()
        with suppress(OSError):
            exit_sock.shutdown(socket.SHUT_RDWR)
        exit_sock.close()
        threads[0].join(PATIENCE)
        loop.close()


def read_until(sock: socket.socket, mark: bytes, data: bytes = b"") -> bytes:
    """All up to and with ``mark``, or to the end."""
    while mark not in data:
        piece = sock.recv(65536)
        if not piece:
            break
        data += piece
    return data


def exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := sock.recv(size - len(data))):
        data += piece
    return data


def to_the_end(sock: socket.socket) -> tuple[bytes, str]:
    """All that comes, and how it ends: ``eof`` or ``reset``."""
    data = b""
    while True:
        try:
            piece = sock.recv(65536)
        except ConnectionResetError:
            return data, "reset"
        if not piece:
            return data, "eof"
        data += piece
