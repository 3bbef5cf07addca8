"""The handshake against published vectors, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.wire.cipher import aead
from plait.wire.faults import Forged
from plait.wire.noise import KEY, Cipher, Handshake, Pattern, public_key

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "noise.json").read_text())["vectors"]
PSK = bytes(range(32))
SERVER = bytes(range(1, 33))
BAD_POINTS = [bytes(32), b"\x01" + bytes(31)]


def pair(
    pattern: Pattern = Pattern.NN,
    cipher: Cipher = Cipher.AESGCM,
    *,
    psk: bytes = PSK,
    static: bytes = SERVER,
    remote: bytes | None = None,
    prologue: bytes = b"",
) -> tuple[Handshake, Handshake]:
    remote = public_key(SERVER) if remote is None else remote
    nk = pattern is Pattern.NK
    return (
        Handshake(
            pattern, cipher, initiator=True, psk=PSK, ephemeral=b"i" * 32, remote=remote if nk else b""
        ),
        Handshake(
            pattern,
            cipher,
            initiator=False,
            psk=psk,
            ephemeral=b"r" * 32,
            static=static if nk else b"",
            prologue=prologue,
        ),
    )


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["protocol_name"])
def test_published_vectors(vector: dict[str, Any]) -> None:
    _, name, _, cipher, _ = vector["protocol_name"].split("_")
    pattern, kind = Pattern(name), Cipher(cipher)

    def field(key: str) -> bytes:
        return bytes.fromhex(vector.get(key, ""))

    here = Handshake(
        pattern,
        kind,
        initiator=True,
        psk=bytes.fromhex(vector["init_psks"][0]),
        ephemeral=field("init_ephemeral"),
        prologue=field("init_prologue"),
        remote=field("init_remote_static"),
    )
    there = Handshake(
        pattern,
        kind,
        initiator=False,
        psk=bytes.fromhex(vector["resp_psks"][0]),
        ephemeral=field("resp_ephemeral"),
        prologue=field("resp_prologue"),
        static=field("resp_static"),
    )
    messages = [(bytes.fromhex(m["payload"]), bytes.fromhex(m["ciphertext"])) for m in vector["messages"]]
    for (payload, expected), writer, reader in zip(messages, (here, there), (there, here), strict=False):
        message = writer.write(payload)
        assert message == expected
        assert reader.read(message) == payload
    ours, theirs = here.split(), there.split()
    assert ours.transcript.hex() == theirs.transcript.hex() == vector["handshake_hash"]
    assert (ours.sending, ours.receiving) == (theirs.receiving, theirs.sending)
    method = {"AESGCM": "aes-256-gcm", "ChaChaPoly": "chacha20-ietf-poly1305"}[cipher]
    order = {"AESGCM": "big", "ChaChaPoly": "little"}[cipher]
    for number, (payload, expected) in enumerate(messages[2:]):
        key = (ours, theirs)[number % 2].sending
        nonce = bytes(4) + (number // 2).to_bytes(8, order)  # type: ignore[arg-type]
        assert aead(method, key).encrypt(nonce, payload, b"") == expected


@pytest.mark.parametrize("pattern", Pattern)
@pytest.mark.parametrize("cipher", Cipher)
def test_both_ends_find_the_same_keys(pattern: Pattern, cipher: Cipher) -> None:
    here, there = pair(pattern, cipher)
    assert there.read(here.write(b"hello")) == b"hello"
    assert here.read(there.write(b"")) == b""
    assert here.split().sending == there.split().receiving != here.split().receiving


@pytest.mark.parametrize(
    "changed",
    [{"psk": bytes(32)}, {"prologue": b"other"}, {"pattern": Pattern.NK, "static": bytes(range(2, 34))}],
    ids=["psk", "prologue", "static key"],
)
def test_who_differs_is_refused(changed: dict[str, Any]) -> None:
    here, there = pair(**changed)
    with pytest.raises(Forged):
        there.read(here.write(b"hello"))


def test_an_exit_with_another_key_cannot_answer() -> None:
    here, _ = pair(Pattern.NK)
    _, impostor = pair(Pattern.NN)
    first = here.write(b"hello")
    with pytest.raises(Forged):
        impostor.read(first)
    with pytest.raises(Forged):
        here.read(impostor.write(b""))


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, KEY + 16 + 5 - 1), flip=st.integers(1, 255), second=st.booleans())
def test_any_changed_byte_is_noticed(position: int, flip: int, second: bool) -> None:
    here, there = pair()
    message = bytearray(here.write(b"hello"))
    reader = there
    if second:
        there.read(bytes(message))
        message, reader = bytearray(there.write(b"hello")), here
    message[position] ^= flip
    # The top bit of a coordinate is masked (RFC 7748, 5), but the transcript has it.
    with pytest.raises(Forged):
        reader.read(bytes(message))


@pytest.mark.parametrize("length", [0, 1, KEY, KEY + 15])
def test_short_messages_are_refused(length: int) -> None:
    with pytest.raises(Forged):
        pair()[1].read(bytes(length))


@pytest.mark.parametrize("point", BAD_POINTS, ids=["zero", "one"])
def test_keys_that_any_secret_agrees_with_are_refused(point: bytes) -> None:
    _, there = pair(Pattern.NK)
    with pytest.raises(Forged):
        there.read(point + bytes(16))


@pytest.mark.parametrize("wrong", [{"psk": b"short"}, {"ephemeral": b"short"}])
def test_keys_of_a_wrong_size_are_our_fault(wrong: dict[str, bytes]) -> None:
    good: dict[str, Any] = {"psk": PSK, "ephemeral": b"e" * 32}
    with pytest.raises(ValueError, match="32"):
        Handshake(Pattern.NN, Cipher.AESGCM, initiator=True, **(good | wrong))


def test_a_public_key_is_needed_to_verify_one() -> None:
    with pytest.raises(ValueError, match="public key"):
        Handshake(Pattern.NK, Cipher.AESGCM, initiator=True, psk=PSK, ephemeral=b"e" * 32)


def test_secrets_do_not_print() -> None:
    here, there = pair()
    there.read(here.write(b""))
    there.write(b"")
    split = there.split()
    assert split.sending.hex() not in repr(split)
    assert repr(split) == "Split(***)"
