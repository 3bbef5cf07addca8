"""A pass admits the one user with the one password."""

from __future__ import annotations

import pytest

from plait.wire.passes import SALT, Pass


@pytest.mark.parametrize(
    ("user", "password", "admitted"),
    [
        (b"app", "gehäim".encode(), True),
        (b"app", b"geh", False),
        (b"ap", "pgehäim".encode(), False),
        (b"", b"", False),
        (b"app", b"", False),
        (b"\xff", b"\xff", False),
    ],
)
def test_who_is_admitted(user: bytes, password: bytes, admitted: bool) -> None:
    held = Pass.of("app", "gehäim", bytes(range(SALT)))
    assert held.admits(user, password) is admitted


def test_salts_make_proofs_differ_and_nothing_shows_them() -> None:
    one, other = Pass.of("app", "x", bytes(SALT)), Pass.of("app", "x", bytes(SALT - 1) + b"\x01")
    assert one.proof != other.proof
    assert repr(one) == "Pass()"
