from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.relay.admission import Admission, carried, private

# Within what is allowed, and without.
DENY = ("192.168.70.128/25", "192.0.2.0/24", "fd70::dead/128")
OWN = ("203.0.113.1", "2001:db8:113::1", "192.168.70.1")
ALLOW = ("192.168.70.0/24", "fd70::/64")


@pytest.fixture
def admission() -> Admission:
    return Admission(
        [ip_network(text) for text in ALLOW],
        [ip_address(text) for text in OWN],
        deny=[ip_network(text) for text in DENY],
    )


@pytest.mark.parametrize(
    ("address", "admitted"),
    [
        ("8.8.8.8", True),
        ("203.0.113.2", True),
        ("2001:db8::1", True),
        ("100.63.255.255", True),
        ("100.128.0.0", True),
        ("172.15.255.255", True),
        ("172.32.0.0", True),
        ("127.0.0.1", False),
        ("127.255.255.255", False),
        ("0.0.0.0", False),
        ("0.1.2.3", False),
        ("10.0.0.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("172.16.0.1", False),
        ("192.168.71.1", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("fc00::1", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("ff02::1", False),
        # What the config names; its own address among it is named too.
        ("192.168.70.2", True),
        ("192.168.70.1", True),
        ("fd70::5", True),
        ("::ffff:192.168.70.2", True),
        # What it denies, whatever else it says.
        ("192.168.70.200", False),
        ("::ffff:192.168.70.200", False),
        ("64:ff9b::192.0.2.7", False),
        ("192.0.2.7", False),
        ("fd70::dead", False),
        # The host's own.
        ("203.0.113.1", False),
        ("2001:db8:113::1", False),
        # Other spellings of the same places.
        ("::ffff:127.0.0.1", False),
        ("::ffff:203.0.113.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::808:808", True),
        ("64:ff9b:1::808:808", False),
        ("::ffff:0:10.0.0.1", False),
        ("2002:7f00:1::1", False),
        ("2002:cb00:7101::", False),
        ("2002:808:808::", True),
        ("::7f00:1", False),
    ],
)
def test_admits(admission: Admission, address: str, admitted: bool) -> None:
    assert admission.admits(address) is admitted
    assert admission.admits(address) is admitted, "remembered as it was judged"


def test_allow_can_open_loopback() -> None:
    admission = Admission([ip_network("127.0.0.1/32")])
    assert admission.admits("127.0.0.1")
    assert not admission.admits("127.0.0.2")


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        ("8.8.8.8", False),
        ("2001:db8::1", False),
        ("192.168.70.1", True),
        ("100.64.0.1", True),
        ("::ffff:10.0.0.1", True),
        ("fd70::1", True),
        ("fe80::1", True),
    ],
)
def test_private(address: str, answer: bool) -> None:
    assert private(ip_address(address).packed) is answer


def test_new_addresses_of_the_host_are_closed_at_once(admission: Admission) -> None:
    assert admission.admits("198.51.100.9")
    admission.own([ip_address("198.51.100.9")])
    assert not admission.admits("198.51.100.9")
    assert admission.admits("203.0.113.1"), "no longer its own"


@given(st.ip_addresses(v=4))
def test_no_wrapping_changes_the_judgement(address: object) -> None:
    admission = Admission([ip_network(text) for text in ALLOW], [ip_address(text) for text in OWN])
    value = int(ip_address(str(address)))
    plain = admission.admits(str(address))
    for wrapped in (0xFFFF << 32 | value, 0x64FF9B << 96 | value, 0x2002 << 112 | value << 80):
        text = str(ip_address(wrapped.to_bytes(16, "big")))
        assert admission.admits(text) is plain
        assert str(carried(ip_address(text))) == str(address)


def test_memory_is_bounded() -> None:
    admission = Admission([])
    for number in range(10_000):
        admission.admits(str(ip_address(0x08000000 + number)))
    assert len(admission._known) <= 4096
