"""Whichever edition: what a gateway says, an exit understands, and the other way round."""

from __future__ import annotations

import random
from ipaddress import IPv4Address

import pytest

from plait.wire import address
from plait.wire.address import Target
from plait.wire.cipher import SUITES, SUITES_2022, Key
from plait.wire.streams import Keyring, dial

TARGET = Target(IPv4Address("192.0.2.1"), 80)
KEYS = {
    "none": None,
    **{method: Key.derive(method, "secret") for method in SUITES},
    **{method: Key(suite, b"k" * suite.key_size) for method, suite in SUITES_2022.items()},
}


def clock() -> float:
    return 1e9


@pytest.mark.parametrize("method", KEYS)
def test_there_and_back(method: str) -> None:
    key = KEYS[method]
    keyring = Keyring([("", key)] if key else (), random.Random(1).randbytes, clock)
    assert bool(keyring) is (key is not None)
    greeting = dial(key, random.Random(2).randbytes, clock)
    sent, sealer = greeting.first(address.encode(TARGET), b"first")
    request = keyring.accept().feed(sent)
    assert request is not None
    assert (request.target, request.first_payload) == (TARGET, b"first")
    opener = greeting.opener()
    assert (sealer is None) == (opener is None) == (request.opener is None) == (key is None)
    if opener is None or request.opener is None:
        return
    answer, remembered = keyring.answer(request.opener)
    # SIP022, section 3.1.4: the type in the head says which way a stream goes.
    assert (remembered is None) == method.startswith("2022")
    out = bytearray(answer.sealed_size(6))
    assert answer.seal_into(b"second", memoryview(out)) == len(out)
    if remembered is not None:
        assert out.startswith(remembered)
    plain = bytearray(len(out))
    assert opener.open_into(out, memoryview(plain)) == (len(out), 6)
    assert plain[:6] == b"second"
