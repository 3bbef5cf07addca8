from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from plait.errors import PlaitError
from plait.views.ask import ask


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(PlaitError, match="no plait runs with"):
        ask(tmp_path, {"do": "status"})


def test_a_socket_that_a_crash_left(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "control.sock"))
    with pytest.raises(PlaitError, match="no plait runs with"):
        ask(tmp_path, {"do": "status"})


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (b"", "hung up"),
        (b"nonsense\n", "no answer"),
        (b'{"error": "busy"}\n', "busy"),
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
            ask(tmp_path, {"do": "status"})
        thread.join(10)
