"""What the courier is told of a config."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from plait.config.model import Config, Exit, Gateway, Method, Peer, Rule, Secret, UdpVia, User, Verdict
from plait.control.errands import UdpDoor, home_order, names_order, udp_doors
from plait.courier.orders import NamesOrder
from plait.paths.nftext import seen
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


def test_dns_answers_have_a_door_of_their_own() -> None:
    rule = Rule(to=Verdict.DIRECT, domain=("b.example", "a.example"))
    plain = Config(
        gateway=Gateway(lan=("lan",), udp=UdpVia.SHADOWSOCKS),
        peers=(Peer(name="attic", address=("192.0.2.1",), password=_key(0)),),
        exit=Exit(password=_key(0)),
    )
    assert names_order(plain, []) is None
    ruled = replace(plain, rules=(rule,))
    more = set(udp_doors(ruled)) - set(udp_doors(plain))
    assert more == {UdpDoor(address, 1081, names=True) for address in ("0.0.0.0", "::")}
    assert all(door.handed for door in more)
    assert {door.handed for door in udp_doors(plain) if not door.exit} == {False}
    assert names_order(ruled, [5, 6]) == NamesOrder(
        doors=[5, 6], sets={seen(rule): ["a.example", "b.example"]}
    )
