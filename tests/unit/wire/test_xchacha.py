"""HChaCha20 and XChaCha20-Poly1305 against draft-irtf-cfrg-xchacha-03."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from plait.wire.xchacha import XChaCha20Poly1305, hchacha20

KEY = bytes(range(0x80, 0xA0))
NONCE = bytes(range(0x40, 0x58))


def test_hchacha20() -> None:
    """Section 2.2.1."""
    nonce = bytes.fromhex("000000090000004a0000000031415927")
    assert hchacha20(bytes(range(32)), nonce).hex() == (
        "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"
    )


def test_the_ciphertext_of_the_draft() -> None:
    """Appendix A.3.1. Its tag covers additional data, which nothing here has, so the tag is left out."""
    plain = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
        b"sunscreen would be it."
    )
    sealed = XChaCha20Poly1305(KEY).encrypt(NONCE, plain)
    assert sealed[:-16].hex() == (
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
        "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
        "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
        "21f9664c97637da9768812f615c68b13b52e"
    )
    assert XChaCha20Poly1305(KEY).decrypt(NONCE, sealed) == plain
    inner = ChaCha20Poly1305(hchacha20(KEY, NONCE[:16]))
    assert inner.decrypt(bytes(4) + NONCE[16:], sealed, None) == plain


def test_a_changed_byte_is_noticed() -> None:
    sealed = bytearray(XChaCha20Poly1305(KEY).encrypt(NONCE, b"x"))
    sealed[0] ^= 1
    with pytest.raises(InvalidTag):
        XChaCha20Poly1305(KEY).decrypt(NONCE, bytes(sealed))
