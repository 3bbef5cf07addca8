"""What the courier is told of a config."""

from __future__ import annotations

import base64

import pytest

from plait.config.model import Config, Exit, Method, Secret, User
from plait.control.errands import home_order
from plait.wire.greeting import preshared


def _key(number: int) -> Secret:
    return Secret(base64.b64encode(bytes([number]) * 16).decode())


@pytest.mark.parametrize(
    ("method", "users", "known"),
    [
        (Method.AES_128_GCM, (), {"": 0}),
        (Method.AES_128_GCM, (1, 2), {"": 0, "user1": 1, "user2": 2}),
        (Method.AES_128_GCM_2022, (), {"": 0}),
        (Method.AES_128_GCM_2022, (1, 2), {"user1": 1, "user2": 2}),
    ],
    ids=["2017", "2017 with users", "2022", "2022 with users"],
)
def test_who_may_greet(method: Method, users: tuple[int, ...], known: dict[str, int]) -> None:
    """The key that 2022's users have in common must not let in who is a user no more."""
    config = Config(
        exit=Exit(method=method, password=_key(0)),
        users=tuple(User(name=f"user{number}", password=_key(number)) for number in users),
    )
    order = home_order(config, [])
    assert order is not None
    assert order.psks == {user: preshared(_key(n).reveal()).hex() for user, n in known.items()}
    assert "" in order.secrets
