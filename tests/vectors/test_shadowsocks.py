"""Streams captured from a real shadowsocks-libev, opened and sealed again.

``tests/interop/make_vectors.py`` says how they were made. Every stream is fed
whole, in pieces, cut short, and with its bytes changed one at a time.
"""

from __future__ import annotations

import json
import pathlib
from dataclasses import dataclass
from ipaddress import ip_address

import pytest

from plait.wire.address import Target
from plait.wire.cipher import SUITES, Key, bytes_to_key, session_key
from plait.wire.faults import Forged, Malformed
from plait.wire.shadowsocks import MAX_LEFTOVER, Accept, Dial, Opener, Sealer

HERE = pathlib.Path(__file__).parent / "shadowsocks"


@dataclass(frozen=True, slots=True)
class Vector:
    method: str
    password: str | None
    what: str
    stream: bytes
    target: Target | None
    payload: bytes

    @property
    def key(self) -> Key | None:
        return Key.derive(self.method, self.password) if self.password else None

    def __str__(self) -> str:
        return f"{self.method} {self.what}"


def vectors() -> list[Vector]:
    found = []
    for name in ("none", *SUITES):
        document = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
        for entry in document["vectors"]:
            target = None
            if entry["meaning"]["target"]:
                host, port = entry["meaning"]["target"]
                target = Target(host if host[0].isalpha() else ip_address(host), port)
            payload = "".join(text * times for text, times in entry["meaning"]["payload"]).encode()
            stream = bytes.fromhex(entry["hex"])
            found.append(Vector(name, document["password"], entry["what"], stream, target, payload))
    return found


ALL = vectors()
REQUESTS = [vector for vector in ALL if vector.target]
ANSWERS = [vector for vector in ALL if not vector.target and vector.password]
SEALED = [vector for vector in ALL if vector.password]


def each(chosen: list[Vector]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", chosen, ids=str)


def stride(vector: Vector) -> int:
    """1 for the short streams: every byte. The long ones are sampled by a prime."""
    return 1 if len(vector.stream) < 1000 else 31


def opened(opener: Opener, stream: bytes, step: int) -> list[bytes]:
    """Feed ``stream`` in pieces as the pump does; what each call produced."""
    produced, leftover = [], b""
    for at in range(0, len(stream), step):
        data = leftover + stream[at : at + step]
        out = bytearray(len(data))
        consumed, size = opener.open_into(memoryview(data), memoryview(out))
        leftover = data[consumed:]
        assert len(leftover) <= MAX_LEFTOVER
        if size:
            produced.append(bytes(out[:size]))
    assert leftover == b""
    return produced


def request(keys: Key | None, stream: bytes, step: int) -> tuple[Target, bytes]:
    """Feed an exit's ``Accept`` in pieces, then the ``Opener`` it hands over."""
    accept = Accept(keys)
    for at in range(0, len(stream), step):
        said = accept.feed(stream[at : at + step])
        if said is not None:
            rest = said.leftover + stream[at + step :]
            if said.opener is not None:
                rest = b"".join(opened(said.opener, rest, step))
            return said.target, said.first_payload + rest
    raise AssertionError("no request in it")


def test_there_are_vectors_of_every_kind() -> None:
    assert {vector.method for vector in REQUESTS} == {"none", *SUITES}
    assert {vector.method for vector in ANSWERS} == set(SUITES)
    assert {type(vector.target.host).__name__ for vector in REQUESTS if vector.target} == {
        "IPv4Address",
        "IPv6Address",
        "str",
    }


@pytest.mark.parametrize("step", [1, 7, 33, 1460, 1 << 20])
@each(REQUESTS)
def test_request_opens(vector: Vector, step: int) -> None:
    assert request(vector.key, vector.stream, step) == (vector.target, vector.payload)


@pytest.mark.parametrize("step", [1, 7, 33, 1460, 1 << 20])
@each(ANSWERS)
def test_answer_opens(vector: Vector, step: int) -> None:
    assert vector.key is not None
    assert b"".join(opened(Opener(vector.key), vector.stream, step)) == vector.payload


@each(SEALED)
def test_sealing_again_gives_the_same_bytes(vector: Vector) -> None:
    """Chunk by chunk with the same salt: libev cuts where its reads ended, so we cut there, too."""
    assert vector.key is not None
    chunks = opened(Opener(vector.key), vector.stream, 1)
    sealer = Sealer(vector.key, vector.stream[: vector.key.salt_size])
    out = memoryview(bytearray(len(vector.stream)))
    put = 0
    for chunk in chunks:
        put += sealer.seal_into(chunk, out[put:])
    assert out[:put] == vector.stream


@each([vector for vector in REQUESTS if vector.password])
def test_greeting_again_gives_the_same_bytes(vector: Vector) -> None:
    """libev puts the address and the first bytes into one chunk; so does ``Dial``."""
    assert vector.key is not None
    first, *rest = opened(Opener(vector.key), vector.stream, 1)
    sent, sealer = Dial(vector.key, vector.stream[: vector.key.salt_size]).first(first[:3], first[3:])
    assert vector.stream.startswith(sent)
    assert sealer is not None
    for chunk in rest:
        out = bytearray(sealer.sealed_size(len(chunk)))
        sealer.seal_into(chunk, memoryview(out))
        sent += out
    assert sent == vector.stream


@each(SEALED)
def test_cut_short_gives_a_beginning(vector: Vector) -> None:
    assert vector.key is not None
    whole = b"".join(opened(Opener(vector.key), vector.stream, len(vector.stream)))
    for end in range(0, len(vector.stream), stride(vector)):
        out = bytearray(end)
        consumed, size = Opener(vector.key).open_into(vector.stream[:end], memoryview(out))
        assert whole.startswith(out[:size])
        assert consumed <= end


@each(SEALED)
def test_any_changed_byte_is_noticed(vector: Vector) -> None:
    """Nothing beyond the chunk before the change ever comes out, and no foreign exception does."""
    assert vector.key is not None
    whole = b"".join(opened(Opener(vector.key), vector.stream, len(vector.stream)))
    for at in range(0, len(vector.stream), stride(vector)):
        changed = bytearray(vector.stream)
        changed[at] ^= 1 << at % 8
        opener = Opener(vector.key)
        before, produced = opener.open_into(changed[:at], memoryview(bytearray(at)))
        assert produced < len(whole)
        with pytest.raises(Forged):
            opener.open_into(changed[before:], memoryview(bytearray(len(changed) - before)))
        with pytest.raises(Forged):
            opener.open_into(b"", memoryview(b""))


@each([vector for vector in REQUESTS if vector.password])
def test_a_changed_request_is_refused(vector: Vector) -> None:
    for at in range(0, len(vector.stream), stride(vector)):
        changed = bytearray(vector.stream)
        changed[at] ^= 1 << at % 8
        accept = Accept(vector.key)
        for _ in range(2):
            with pytest.raises(Forged):
                accept.feed(changed)


@each([vector for vector in REQUESTS if not vector.password])
def test_a_changed_plain_request_is_another_or_none(vector: Vector) -> None:
    for at in range(0, len(vector.stream), stride(vector)):
        for bit in range(8):
            changed = bytearray(vector.stream)
            changed[at] ^= 1 << bit
            try:
                said = Accept(None).feed(changed)
            except Malformed:
                continue
            if said is not None:
                assert (said.target, said.first_payload) != (vector.target, vector.payload)


@pytest.mark.parametrize(
    "entry",
    json.loads((HERE / "keys.json").read_text(encoding="utf-8"))["vectors"],
    ids=lambda entry: f"{entry['what']} of {entry['meaning']['password'][:8]}",
)
def test_key_derivation(entry: dict[str, dict[str, str]]) -> None:
    meaning = entry["meaning"]
    expected = bytes.fromhex(meaning["key"])
    secret = bytes_to_key(meaning["password"].encode(), len(expected))
    assert secret == expected
    assert session_key(secret, bytes.fromhex(meaning["salt"])) == bytes.fromhex(str(entry["hex"]))
