"""``python -m plait.lab.fetch_process serve PORT`` and ``… fetch ADDRESS PORT SIZE COUNT PAUSE``.

Short flows, as a browser has many: connect, ask for so many bytes, read them to the end. ``fetch``
does that ``COUNT`` times one after the other, ``PAUSE`` seconds apart, and prints the seconds that each
took, one a line. The server answers at once from memory.
"""

from __future__ import annotations

import socket
import sys
import threading
import time

_TIMEOUT = 20.0
_CHUNK = bytes(1 << 16)


def fetch(address: str, port: int, size: int) -> float:
    """Seconds from the call of connect to the last byte; OSError when it fails or ends early."""
    began = time.monotonic()
    with socket.create_connection((address, port), timeout=_TIMEOUT) as sock:
        sock.sendall(b"%d\n" % size)
        left = size
        while data := sock.recv(1 << 16):
            left -= len(data)
    if left:
        raise OSError(f"{left} of {size} bytes did not arrive")
    return time.monotonic() - began


def serve(port: int) -> None:
    """Answer, for ever."""
    with socket.create_server(("", port), backlog=256) as listener:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_answer, args=(client,), daemon=True).start()


def _answer(client: socket.socket) -> None:
    with client, client.makefile("rb") as lines:
        try:
            left = int(lines.readline())
            while left > 0:
                left -= client.send(_CHUNK[:left])
        except (OSError, ValueError):  # the client has gone, or asked for nonsense
            return


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        for _ in range(int(sys.argv[5])):
            print(f"{fetch(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])):.6f}", flush=True)
            time.sleep(float(sys.argv[6]))
