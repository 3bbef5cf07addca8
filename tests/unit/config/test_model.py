"""The vocabulary: frozen, with defaults that DESIGN's contract names, and a secret that keeps quiet."""

from __future__ import annotations

import dataclasses
from ipaddress import ip_address, ip_network

import pytest

from plait.config import model

CONTRACT = [
    (model.Gateway(lan=("lan",)), "intercept", model.Intercept.TPROXY),
    (model.Gateway(lan=("lan",)), "tcp", model.TcpVia.MPTCP),
    (model.Gateway(lan=("lan",)), "udp", model.UdpVia.TUNNEL),
    (model.Gateway(lan=("lan",)), "when_exit_lost", model.WhenExitLost.DIRECT),
    (model.Gateway(lan=("lan",)), "bypass", ()),
    (model.Peer(name="x", address=("x",)), "port", 8388),
    (model.Peer(name="x", address=("x",)), "method", model.Method.AES_128_GCM),
    (model.Path(interface="wan1", name="wan1"), "mode", model.Mode.ON),
    (model.Exit(), "listen", (ip_address("0.0.0.0"), ip_address("::"))),
    (model.Exit(), "port", 8388),
    (model.Exit(), "method", model.Method.AES_128_GCM),
    (model.Exit(), "allow", ()),
    (model.Exit(), "trust", ()),
    (model.Tunnel(), "subnet", ip_network("10.188.0.0/16")),
    (model.Tunnel(), "masquerade", True),
    (model.Relay(), "workers", 0),
]


@pytest.mark.parametrize(("value", "name", "expected"), CONTRACT)
def test_defaults_of_the_contract(value: object, name: str, expected: object) -> None:
    assert getattr(value, name) == expected


def test_the_relay_waits_as_long_as_rfc_5382_asks() -> None:
    assert model.Relay().idle_timeout >= 2 * 3600 + 4 * 60
    assert model.Relay().half_close_timeout >= 4 * 60


def test_values_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.Exit().port = 1  # type: ignore[misc]


def test_a_secret_keeps_quiet() -> None:
    secret = model.Secret("hunter2")
    assert repr(secret) == str(secret) == f"{secret}" == "***"
    assert "hunter2" not in repr(model.Exit(password=secret))
    assert secret.reveal() == "hunter2"


def test_secrets_compare_by_value() -> None:
    assert model.Secret("a") == model.Secret("a")
    assert model.Secret("a") != model.Secret("b")
    assert model.Secret("a") != "a"
    assert len({model.Secret("a"), model.Secret("a")}) == 1
    assert not model.Secret("")
