"""Keys of 2022: BLAKE3's own vectors for its key derivation, and what is said when it is missing."""

from __future__ import annotations

import sys

import pytest

from plait.errors import MissingCapability
from plait.wire import blake


def test_sizes() -> None:
    assert len(blake.session_key(bytes(16), bytes(16))) == 16
    assert len(blake.session_key(bytes(32), bytes(32))) == 32
    assert blake.session_key(bytes(32), bytes(8)) != blake.identity_key(bytes(32), bytes(8))
    assert len(blake.identity(bytes(32))) == 16


def test_the_hash_is_blake3() -> None:
    """Of the empty input, as in the paper's test vectors (test_vectors.json, input_len 0)."""
    assert blake.identity(b"").hex() == "af1349b9f5f9a1a6a0404dea36dcc949"


def test_the_block_is_aes() -> None:
    """FIPS 197, appendix B."""
    block = blake.block(bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"))
    plain = bytes.fromhex("3243f6a8885a308d313198a2e0370734")
    for _ in range(3):
        assert block.encrypt(plain).hex() == "3925841d02dc09fbdc118597196a0b32"
        assert block.decrypt(block.encrypt(plain)) == plain


def test_what_is_said_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "blake3", None)
    blake._derive.cache_clear()
    try:
        with pytest.raises(MissingCapability) as caught:
            blake.session_key(bytes(16), bytes(16))
    finally:
        blake._derive.cache_clear()
    assert "blake3" in str(caught.value)
    assert "sip022" in (caught.value.hint or "")
