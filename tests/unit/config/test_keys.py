"""Keys in base64: their sizes, several in one, and that no complaint shows one."""

from __future__ import annotations

import base64

import pytest

from plait.config import keys
from plait.config.model import Method, Secret
from plait.config.values import Wrong

KEY_16 = base64.b64encode(bytes(range(16))).decode()
KEY_32 = base64.b64encode(bytes(range(32))).decode()
CHACHA = Method.CHACHA20_POLY1305_2022
AES_128, AES_256 = Method.AES_128_GCM_2022, Method.AES_256_GCM_2022


@pytest.mark.parametrize(
    ("method", "identities", "written"),
    [
        (AES_128, False, KEY_16),
        (AES_256, False, KEY_32),
        (CHACHA, False, KEY_32),
        (CHACHA, True, KEY_32),
        (AES_128, True, f"{KEY_16}:{KEY_16}"),
        (AES_128, True, f"{KEY_16}:{KEY_16}:{KEY_16}"),
        (AES_256, True, KEY_32),
        (Method.AES_256_GCM, False, "any: pass phrase"),
    ],
)
def test_accepts(method: Method, identities: bool, written: str) -> None:
    assert keys.shared(method, identities=identities)(written) == Secret(written)


SIXTEEN = "`plait keygen --method 2022-blake3-aes-128-gcm` makes one"


@pytest.mark.parametrize(
    ("method", "identities", "written", "problem", "remedy"),
    [
        (AES_128, True, KEY_32, "is a key of 32 bytes; method 2022-blake3-aes-128-gcm needs 16", SIXTEEN),
        (AES_128, True, "secret", "is not base64, as method 2022-blake3-aes-128-gcm needs it", SIXTEEN),
        (AES_128, True, "sécret", "is not base64, as method 2022-blake3-aes-128-gcm needs it", SIXTEEN),
        (AES_128, True, KEY_16[:-1], "is not base64, as method 2022-blake3-aes-128-gcm needs it", SIXTEEN),
        (AES_128, True, KEY_16 + "\n", "is not base64, as method 2022-blake3-aes-128-gcm needs it", SIXTEEN),
        (
            AES_128,
            True,
            f"{KEY_16}:",
            "is a key of 0 bytes; method 2022-blake3-aes-128-gcm needs 16",
            SIXTEEN,
        ),
        (
            AES_128,
            False,
            f"{KEY_16}:{KEY_16}",
            "holds several keys",
            "the key before ':' goes into [exit], the last into [[user]]",
        ),
        (
            CHACHA,
            True,
            f"{KEY_32}:{KEY_32}",
            "holds several keys",
            "method 2022-blake3-chacha20-poly1305 knows no users: give the one key",
        ),
        (AES_128, True, "", "is empty", "`plait keygen` makes a strong one"),
        (AES_128, True, 7, "must be a string in quotes, not a whole number", None),
    ],
)
def test_refuses(method: Method, identities: bool, written: object, problem: str, remedy: str | None) -> None:
    with pytest.raises(Wrong) as caught:
        keys.shared(method, identities=identities)(written)
    assert caught.value.complaints == [("", problem, remedy)]


def test_the_pair() -> None:
    assert keys.private_key(KEY_32) == Secret(KEY_32)
    assert keys.public_key(KEY_32) == KEY_32
    for written, problem in ((KEY_16, "is a key of 16 bytes; the tunnel's have 32"), ("x", "is not base64")):
        for parse in (keys.private_key, keys.public_key):
            with pytest.raises(Wrong) as caught:
                parse(written)
            assert caught.value.complaints == [("", problem, "`plait keygen --pair` makes both halves")]
