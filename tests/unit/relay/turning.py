"""A loop turned by hand, and TCP sockets on loopback to hang on it."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

from plait.relay.loop import Loop

PATIENCE = 20.0


def turn(loop: Loop, until: Callable[[], object]) -> None:
    """Run the loop until something is true; fails when it never is."""
    deadline = time.monotonic() + PATIENCE

    def look() -> None:
        if until() or time.monotonic() > deadline:
            loop.stop()
        else:
            loop.after(0.001, look)

    loop._running = True  # a loop runs once in its life; here, several times
    loop.after(0.0, look)
    loop.run()
    assert until(), "did not happen in time"


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a TCP connection on loopback. The first is ours: it does not block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    ours.setblocking(False)
    far.settimeout(PATIENCE)
    return ours, far


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def until_end(sock: socket.socket) -> tuple[bytes, str]:
    data = b""
    while True:
        try:
            piece = sock.recv(65536)
        except ConnectionResetError:
            return data, "reset"
        if not piece:
            return data, "eof"
        data += piece
