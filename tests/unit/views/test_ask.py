from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from plait.errors import PlaitError
from plait.views.ask import NobodyThere, ask, follow


@pytest.mark.parametrize("run_dir", ["", "none", "file/none"])
def test_nobody_there(tmp_path: Path, run_dir: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NobodyThere, match="no plait runs with"):
        ask(tmp_path / run_dir, "/v1/status")
    with pytest.raises(NobodyThere, match="no plait runs with"):
        next(follow(tmp_path / run_dir))


def test_a_socket_that_a_crash_left(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "control.sock"))
    with pytest.raises(NobodyThere, match="no plait runs with"):
        ask(tmp_path, "/v1/status")


def test_a_name_too_long_for_a_socket(tmp_path: Path) -> None:
    with pytest.raises(PlaitError, match="no answer"):
        ask(tmp_path / ("x" * 200), "/v1/status")


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (b"", "hung up"),
        (b"nonsense\n", "no answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "ended while it answered"),
        (b"HTTP/1.1 200 OK\r\n\r\nnonsense", "no answer"),
        (b"HTTP/1.1 200 OK\r\n\r\n[]", "no answer"),
        (b'HTTP/1.1 503 Service Unavailable\r\n\r\n{"error": "busy"}', "busy"),
    ],
)
def test_one_that_answers_badly(tmp_path: Path, said: bytes, complaint: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "control.sock"))
        listener.listen()

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(4096)
                sock.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(PlaitError, match=complaint):
            ask(tmp_path, "/v1/status")
        thread.join(10)
