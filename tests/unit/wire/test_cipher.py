"""Keys, and what stands in for a ``cryptography`` that is old or absent."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator

import pytest
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers import aead as real

from plait.errors import MissingCapability
from plait.wire import cipher
from plait.wire.cipher import SUITES, SUITES_2022, Key, bytes_to_key, session_key
from plait.wire.shadowsocks import Opener, Sealer

METHODS = sorted(SUITES)


@pytest.fixture
def loads_again() -> Iterator[None]:
    """``cryptography`` is looked at afresh, within the test and after it."""
    cipher._backend.cache_clear()
    yield
    cipher._backend.cache_clear()


@pytest.mark.parametrize(
    ("password", "key"),
    [
        # D1 = MD5("foobar"), D2 = MD5(D1 + "foobar")
        ("foobar", "3858f62230ac3c915f300c664312c63f 568378529614d22ddb49237d2f60bfdf"),
        # D1 is RFC 1321's digest of nothing
        ("", "d41d8cd98f00b204e9800998ecf8427e 59adb24ef3cdbe0297f05b395827453f"),
    ],
)
def test_bytes_to_key(password: str, key: str) -> None:
    assert bytes_to_key(password.encode(), 32) == bytes.fromhex(key)
    assert bytes_to_key(password.encode(), 16) == bytes.fromhex(key)[:16]


def test_session_keys_differ_by_salt_and_secret() -> None:
    keys = {session_key(secret, salt) for secret in (b"a" * 32, b"b" * 32) for salt in (b"c" * 32, b"d" * 32)}
    assert {len(key) for key in keys} == {32}
    assert len(keys) == 4


@pytest.mark.parametrize(
    ("method", "size"), [("aes-128-gcm", 16), ("aes-256-gcm", 32), ("chacha20-ietf-poly1305", 32)]
)
def test_sizes(method: str, size: int) -> None:
    key = Key.derive(method, "secret")
    assert (key.key_size, key.salt_size, len(key.secret)) == (size, size, size)


def test_a_key_does_not_print_itself() -> None:
    key = Key.derive("aes-128-gcm", "secret")
    assert key.secret.hex() not in repr(key)
    assert repr(key.secret) not in repr(key)


@pytest.mark.parametrize("method", ["none", "rc4-md5", ""])
def test_only_sealed_methods_have_keys(method: str) -> None:
    with pytest.raises(KeyError):
        Key.derive(method, "secret")


class _Old:
    """As ``cryptography`` 38 of Debian 12: bytes in, bytes out, nothing into a buffer."""

    def __init__(self, key: bytes) -> None:
        self._aead = self.kind(key)

    def encrypt(self, nonce: object, data: object, associated_data: None) -> bytes:
        assert type(data) is bytes
        return self._aead.encrypt(nonce, data, associated_data)

    def decrypt(self, nonce: object, data: object, associated_data: None) -> bytes:
        assert type(data) is bytes
        return self._aead.decrypt(nonce, data, associated_data)


class OldAesGcm(_Old):
    kind = real.AESGCM


class OldChaCha(_Old):
    kind = real.ChaCha20Poly1305


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.usefixtures("loads_again")
def test_an_old_library_makes_the_same_bytes(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def round_trip() -> tuple[bytes, bytes]:
        key = Key.derive(method, "secret")
        data = bytes(range(256)) * 200
        sealer = Sealer(key, bytes(key.salt_size))
        sealed = bytearray(sealer.sealed_size(len(data)))
        assert sealer.seal_into(memoryview(data), memoryview(sealed)) == len(sealed)
        plain = bytearray(len(sealed))
        consumed, produced = Opener(key).open_into(memoryview(sealed), memoryview(plain))
        assert consumed == len(sealed)
        assert plain[:produced] == data
        return bytes(sealed), bytes(plain[:produced])

    new = round_trip()
    monkeypatch.setattr(real, "AESGCM", OldAesGcm)
    monkeypatch.setattr(real, "ChaCha20Poly1305", OldChaCha)
    cipher._backend.cache_clear()
    assert type(Key.derive(method, "secret").session(bytes(16))).__name__ == "_Copying"
    assert round_trip() == new
    aead = Key.derive(method, "secret").session(bytes(16))
    with pytest.raises(InvalidTag):
        aead.decrypt_into(bytes(12), bytes(18), None, bytearray(2))
    with pytest.raises(ValueError, match="different structures"):
        aead.encrypt_into(bytes(12), bytes(18), None, bytearray(2))


@pytest.mark.usefixtures("loads_again")
def test_an_absent_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(MissingCapability) as caught:
        Key.derive("aes-128-gcm", "secret")
    assert "cryptography" in caught.value.message
    assert "pip install cryptography" in str(caught.value.hint)
    assert "python3-cryptography" in str(caught.value.hint)
    assert "secret" not in str(caught.value)


@pytest.mark.usefixtures("loads_again")
def test_an_absent_cipher_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lacking:
        def __init__(self, key: bytes) -> None:
            raise UnsupportedAlgorithm("ChaCha20Poly1305 is not supported")

    monkeypatch.setattr(real, "ChaCha20Poly1305", Lacking)
    with pytest.raises(MissingCapability, match="ChaCha20Poly1305"):
        Key.derive("chacha20-ietf-poly1305", "secret")
    assert Key.derive("aes-128-gcm", "secret").key_size == 16


def test_none_needs_no_library() -> None:
    """In a process where ``cryptography`` can't be imported, both greetings work."""
    program = """
import base64
import sys
sys.modules["cryptography"] = None
from plait.wire import address, replay
from plait.wire.shadowsocks import Accept, Dial
first, sealer = Dial(None).first(address.encode_packed(bytes([192, 0, 2, 1]), 80), b"payload")
request = Accept(None).feed(first)
print(sealer, request.target, request.first_payload, request.opener)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "None 192.0.2.1:80 b'payload' None\n"


class TestKeysOf2022:
    OWN = base64.b64encode(b"k" * 16).decode()
    ABOVE = base64.b64encode(b"i" * 16).decode()

    def test_a_password_is_the_key_in_base64(self) -> None:
        key = Key.derive("2022-blake3-aes-128-gcm", self.OWN)
        assert (key.secret, key.above) == (b"k" * 16, ())

    def test_identity_keys_come_first(self) -> None:
        key = Key.derive("2022-blake3-aes-128-gcm", f"{self.ABOVE}:{self.OWN}")
        assert (key.secret, key.above) == (b"k" * 16, (b"i" * 16,))

    @pytest.mark.parametrize("password", ["secret", "", OWN[:-1], OWN + ":", OWN + "\n", OWN[4:], "ключ"])
    def test_any_other_password_is_refused_without_showing_it(self, password: str) -> None:
        with pytest.raises(ValueError, match="16 bytes in base64") as caught:
            Key.derive("2022-blake3-aes-128-gcm", password)
        assert not password or password not in str(caught.value)

    @pytest.mark.parametrize("method", SUITES_2022)
    def test_sizes_are_those_of_the_specification(self, method: str) -> None:
        size = 16 if "128" in method else 32
        key = Key.derive(method, base64.b64encode(bytes(size)).decode())
        assert (key.key_size, key.salt_size) == (size, size)


@pytest.mark.parametrize(
    "key",
    [Key.derive("aes-128-gcm", "x"), Key(SUITES_2022["2022-blake3-aes-256-gcm"], b"k" * 32, (b"a" * 32,))],
)
def test_keys_travel_whole_and_do_not_print(key: Key) -> None:
    assert Key.heard(key.suite.method, key.told()) == key
    assert not any(part in repr(key) for part in key.told().split(":"))
