"""Sockets that are not MPTCP, and bytes. Real subflows are read in tests/netns/hands/test_subflows.py."""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address

import pytest

from plait.kernel.mptcp_info import Portrait, _address, is_mptcp, portray, subflows


def test_plain_sockets_have_no_subflows() -> None:
    with socket.socket() as tcp:
        assert not is_mptcp(tcp)
        assert subflows(tcp) == ()
    near, far = socket.socketpair()
    with near, far:
        assert not is_mptcp(near)
        assert subflows(near) == ()


def test_a_closed_descriptor_is_an_error() -> None:
    closed = socket.socket()
    closed.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        subflows(closed)


def test_a_portrait_of_plain_tcp_is_the_connection_itself() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as near,
        listener.accept()[0],
    ):
        near.sendall(b"x" * 100)
        seen = portray(near)
        here, there = near.getsockname(), near.getpeername()
    assert (seen.transport, seen.token) == ("tcp", 0)
    (flow,) = seen.flows
    assert (str(flow.local), flow.local_port, str(flow.remote), flow.remote_port) == (*here, *there)
    assert (flow.state, flow.bytes_sent) == ("established", 100)
    assert flow.window > 0


def test_what_is_gone_has_no_portrait() -> None:
    closed = socket.socket()
    closed.close()
    assert portray(closed) == Portrait("", 0, ())
    near, far = socket.socketpair()
    with near, far:
        assert portray(near).flows == ()


def storage(family: int, address: str, port: int) -> bytes:
    """``struct sockaddr_storage``"""
    packed = ip_address(address).packed
    gap = b"" if family == socket.AF_INET else bytes(4)  # the flow label
    return (struct.pack("=H", family) + struct.pack("!H", port) + gap + packed).ljust(128, b"\0")


@pytest.mark.parametrize(
    ("family", "address", "expected"),
    [
        (socket.AF_INET, "10.1.1.70", "10.1.1.70"),
        (socket.AF_INET6, "2001:db8::7", "2001:db8::7"),
        (socket.AF_INET6, "::ffff:10.1.1.70", "10.1.1.70"),
    ],
)
def test_addresses(family: int, address: str, expected: str) -> None:
    assert _address(storage(family, address, 80)) == (ip_address(expected), 80)


def test_the_address_of_a_dead_subflow_is_none() -> None:
    assert _address(bytes(128)) is None
