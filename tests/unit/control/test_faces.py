"""What may be borrowed: any address but the host's own and those that are nobody's."""

from __future__ import annotations

import asyncio
import socket

import pytest

from plait.control import faces
from plait.control.faces import Lender
from plait.courier.faces import spell

PLACE = bytes((192, 0, 2, 1))


def ask(monkeypatch: pytest.MonkeyPatch, questions: list[bytes]) -> list[tuple[bytes, int]]:
    """Ask with a stand-in for the privileged call; gives each answer and how many descriptors came."""

    def opened(address: bytes, port: int, mark: int) -> socket.socket:
        if port == 99:
            raise PermissionError
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    monkeypatch.setattr(faces, "open_face", opened)

    async def run() -> list[tuple[bytes, int]]:
        lender = Lender({bytes((192, 0, 2, 9))})
        lender.theirs.setblocking(False)
        answers = []
        for question in questions:
            lender.theirs.send(question)
            for _ in range(100):
                await asyncio.sleep(0.002)
                try:
                    answer, fds, _, _ = socket.recv_fds(lender.theirs, 64, 4)
                except BlockingIOError:
                    continue
                for fd in fds:
                    socket.close(fd)
                answers.append((answer, len(fds)))
                break
        lender.close()
        lender.close()
        return answers

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("address", "port", "lent"),
    [
        (PLACE, 443, 1),
        (bytes.fromhex("20010db8000000000000000000000001"), 53, 1),
        (PLACE, 99, 0),
        (PLACE, 0, 0),
        (bytes((192, 0, 2, 9)), 53, 0),
        (bytes((127, 0, 0, 1)), 53, 0),
        (bytes((224, 0, 0, 1)), 53, 0),
        (bytes(4), 53, 0),
        (bytes(16), 53, 0),
    ],
)
def test_what_is_lent(monkeypatch: pytest.MonkeyPatch, address: bytes, port: int, lent: int) -> None:
    question = spell((address, port))
    assert ask(monkeypatch, [question]) == [(question, lent)]


def test_a_question_that_is_none_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    good = spell((PLACE, 53))
    assert ask(monkeypatch, [b"nonsense", good]) == [(good, 1)]


def test_an_end_that_goes_away_is_closed() -> None:
    async def run() -> int:
        lender = Lender(())
        lender.theirs.close()
        for _ in range(1000):
            await asyncio.sleep(0.002)
            if lender._sock.fileno() < 0:
                break
        return lender._sock.fileno()

    assert asyncio.run(run()) == -1
