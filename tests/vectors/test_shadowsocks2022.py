"""What two sing-boxes said to each other (tests/interop/make_vectors_2022.py): whole, in pieces, broken."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest

from plait.wire import shadowsocks2022_udp
from plait.wire.address import Target
from plait.wire.cipher import SUITES_2022, Key
from plait.wire.faults import Forged, PeerFault, Replayed
from plait.wire.shadowsocks import Request
from plait.wire.shadowsocks2022 import Accept, AnswerOpener, Directory

FILES = sorted((Path(__file__).parent / "shadowsocks2022").glob("*.json"))


@dataclass(frozen=True)
class Vector:
    method: str
    keys: list[tuple[str, Key]]
    now: float
    target: Target
    payload: bytes
    request: bytes
    response: bytes
    question: bytes
    answer: bytes

    @property
    def key(self) -> Key:
        """Whoever asks."""
        return self.keys[-1][1]

    @property
    def user(self) -> str:
        return self.keys[-1][0]

    def accept(self, now: float | None = None) -> Accept:
        return Accept(Directory(self.keys), lambda: self.now if now is None else now)

    def desk(self, now: float | None = None) -> shadowsocks2022_udp.Desk:
        return shadowsocks2022_udp.Desk(self.keys, bytes, lambda: self.now if now is None else now)


def load(path: Path) -> Vector:
    raw = json.loads(path.read_text())
    host, port = raw["target"]
    keys = {"": raw["password"], **raw["users"]}
    return Vector(
        raw["method"],
        [(user, Key.derive(raw["method"], password)) for user, password in keys.items()],
        raw["time"],
        Target(ip_address(host), port),
        *(bytes.fromhex(raw[name]) for name in ("payload", "request", "response", "question", "answer")),
    )


VECTORS = [load(path) for path in FILES]
ids = [path.stem for path in FILES]
every = pytest.mark.parametrize("vector", VECTORS, ids=ids)


def test_there_is_one_of_every_method() -> None:
    assert {vector.method for vector in VECTORS} == set(SUITES_2022)
    assert {vector.user for vector in VECTORS} == {"", "roof"}


def read(vector: Vector, step: int) -> tuple[Request, bytes]:
    """The request, fed ``step`` bytes at a time; and all payload."""
    accept = vector.accept()
    for at in range(0, len(vector.request), step):
        request = accept.feed(vector.request[at : at + step])
        if request is not None:
            break
    assert request is not None
    assert request.opener is not None
    rest = request.leftover + vector.request[at + step :]
    out = bytearray(len(rest))
    used, made = request.opener.open_into(rest, memoryview(out))
    assert used == len(rest)
    return request, request.first_payload + out[:made]


@every
@pytest.mark.parametrize("step", [1, 7, 43, 1 << 20])
def test_a_request(vector: Vector, step: int) -> None:
    request, payload = read(vector, step)
    assert (request.target, request.user, payload) == (vector.target, vector.user, vector.payload)


@every
@pytest.mark.parametrize("step", [1, 7, 43, 1 << 20])
def test_a_response(vector: Vector, step: int) -> None:
    opener = AnswerOpener(vector.key, vector.request[: vector.key.salt_size], lambda: vector.now)
    plain, rest = b"", b""
    for at in range(0, len(vector.response), step):
        rest += vector.response[at : at + step]
        out = bytearray(len(rest))
        used, made = opener.open_into(rest, memoryview(out))
        plain, rest = plain + out[:made], rest[used:]
    assert (plain, rest) == (vector.payload, b"")


@every
def test_every_byte_of_the_request_counts(vector: Vector) -> None:
    for at in range(len(vector.request)):
        changed = bytearray(vector.request)
        changed[at] ^= 0x40
        with pytest.raises(Forged):
            vector.accept().feed(bytes(changed))


@every
def test_it_is_of_its_time(vector: Vector) -> None:
    for off in (-40.0, 40.0):
        with pytest.raises(Replayed):
            vector.accept(vector.now + off).feed(vector.request)
        with pytest.raises(Replayed):
            vector.desk(vector.now + off).open(vector.question)


@every
def test_datagrams(vector: Vector) -> None:
    desk = vector.desk()
    parcel = desk.open(vector.question)
    assert (parcel.place, parcel.payload, parcel.user) == (vector.target, vector.payload, vector.user)
    with pytest.raises(Replayed):
        desk.open(vector.question)
    talk = shadowsocks2022_udp.Talk(vector.key, lambda size: parcel.session, lambda: vector.now)
    back = talk.open(vector.answer)
    assert (back.place, back.payload) == (vector.target, vector.payload)


@every
def test_every_byte_of_a_datagram_counts(vector: Vector) -> None:
    for at in range(len(vector.question)):
        changed = bytearray(vector.question)
        changed[at] ^= 0x40
        with pytest.raises(PeerFault):
            vector.desk().open(bytes(changed))
