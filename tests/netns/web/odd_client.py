"""Clients that no browser is, run in a node: ``odd_client.py odd|slow|many|deaf N [TOKEN]``."""

from __future__ import annotations

import socket
import sys
import time

WHERE = ("192.168.78.1", 8390)
HOST = b"Host: 192.168.78.1\r\n"
LOGIN = b"POST /api/login HTTP/1.1\r\n" + HOST
ODD = (
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + b"Host: evil\r\n\r\n",
    b"\x16\x03\x01\x02\x00" * 50 + b"\r\n\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"b" * 100_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n" * 20_000 + b"\r\n",
    LOGIN + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    LOGIN + b"Content-Length: -5\r\n\r\n",
    b"GET /../../etc/passwd HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
)


def answer(data: bytes) -> bytes:
    """The beginning of what is said to it; empty when the connection is just ended."""
    with socket.create_connection(WHERE) as sock:
        sock.settimeout(30)
        try:
            sock.sendall(data)
            return sock.recv(12)
        except ConnectionError:
            return b""


def slow(count: int) -> None:
    """A byte of a head now and then."""
    began = time.monotonic()
    socks = [socket.create_connection(WHERE) for _ in range(count)]
    for sock in socks:
        sock.sendall(b"GET / HTTP/1.1\r\n" + HOST + b"X-Slow: ")
    while socks and time.monotonic() - began < 60:
        for sock in list(socks):
            sock.settimeout(0.01)
            try:
                sock.sendall(b"X")
                if not sock.recv(100):
                    socks.remove(sock)
            except TimeoutError:
                pass
            except OSError:
                socks.remove(sock)
        time.sleep(0.5)
    print("gone", count - len(socks), "after", round(time.monotonic() - began))


def many(count: int) -> None:
    """All at once."""
    socks = [socket.create_connection(WHERE, 5) for _ in range(count)]
    served = 0
    for sock in socks:
        try:
            sock.sendall(b"GET /api/me HTTP/1.1\r\n" + HOST + b"\r\n")
            served += bool(sock.recv(10))
        except OSError:
            pass
    print("open", served)


def deaf(count: int, token: str) -> None:
    """Ask for the stream and never read."""
    socks = []
    for _ in range(count):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(WHERE)
        head = b"GET /api/stream HTTP/1.1\r\n" + HOST
        sock.sendall(head + b"Authorization: Bearer " + token.encode() + b"\r\n\r\n")
        socks.append(sock)
    print("deaf", flush=True)
    time.sleep(600)


if __name__ == "__main__":
    kind, number = sys.argv[1], int(sys.argv[2])
    if kind == "slow":
        slow(number)
    elif kind == "many":
        many(number)
    elif kind == "deaf":
        deaf(number, sys.argv[3])
    else:
        for data in ODD:
            print(answer(data).decode(errors="replace"))
