from __future__ import annotations

import errno
import socket

import pytest

from plait.config.model import Config, Exit, Gateway, Intercept, Peer, TcpVia
from plait.errors import KernelError, MissingCapability
from plait.kernel import capabilities, nft
from plait.kernel.netlink import NetlinkError

GATEWAY = Config(gateway=Gateway(lan=("lan",)), peers=(Peer(name="attic", address=("192.0.2.1",)),))
EXIT = Config(exit=Exit())


def refuse(*_: object, **__: object) -> None:
    raise KernelError("nft: Could not process rule: No such file or directory")


class Absent:
    def __init__(self, *_: object) -> None:
        raise NetlinkError(errno.ENOENT)


class NoMptcp(socket.socket):
    code = errno.EPROTONOSUPPORT

    def __init__(self, family: int = -1, kind: int = -1, proto: int = -1) -> None:
        if proto == 262:
            raise OSError(self.code, "no")
        super().__init__(family, kind, proto)


class MptcpOff(NoMptcp):
    code = errno.ENOPROTOOPT


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A host on which everything is there, whatever this one has."""
    for probe in ("_net_admin", "_mptcp_socket", "_path_manager", "_transparent_socket", "_tun"):
        monkeypatch.setattr(capabilities, f"real{probe}", getattr(capabilities, probe), raising=False)
        monkeypatch.setattr(capabilities, probe, lambda: None)
    monkeypatch.setattr(nft, "run", lambda *_, **__: None)
    return monkeypatch


def real(monkeypatch: pytest.MonkeyPatch, probe: str) -> None:
    monkeypatch.setattr(capabilities, probe, getattr(capabilities, f"real{probe}"))


def test_nothing_is_missing(able: pytest.MonkeyPatch) -> None:
    assert capabilities.missing(GATEWAY) == []
    assert capabilities.missing(EXIT) == []


TUNNEL = Config(
    gateway=Gateway(lan=("lan",), tcp=TcpVia.TUNNEL), peers=(Peer(name="attic", address=("192.0.2.1",)),)
)


def test_tcp_in_the_tunnel_needs_its_rules_and_a_device(able: pytest.MonkeyPatch) -> None:
    scripts: list[str] = []
    able.setattr(nft, "run", lambda script, **_: scripts.append(script))
    assert capabilities.missing(TUNNEL) == []
    assert "table inet plait_near" in scripts[0]

    def no_device(path: str, flags: int) -> int:
        raise OSError(errno.ENOENT, "No such file or directory")

    real(able, "_tun")
    able.setattr(capabilities.os, "open", no_device)
    lack = one(TUNNEL)
    assert "no TUN devices" in str(lack)
    assert "kmod-tun" in str(lack.hint)
    able.undo()


def test_the_tunnels_rules_are_tried(able: pytest.MonkeyPatch) -> None:
    able.setattr(nft, "run", refuse)
    lack = one(TUNNEL)
    assert "tunnel's rules" in str(lack)
    assert "kmod-nft-fib" in str(lack.hint)


def one(config: Config) -> MissingCapability:
    [lack] = capabilities.missing(config)
    assert lack.exit_status == 3
    assert lack.hint
    return lack


def test_without_privileges(able: pytest.MonkeyPatch) -> None:
    real(able, "_net_admin")
    able.setattr(capabilities, "has_net_admin", lambda: False)
    assert "CAP_NET_ADMIN" in one(GATEWAY).message
    assert capabilities.missing(EXIT) == []  # an exit needs none


@pytest.mark.parametrize(("kind", "word"), [(NoMptcp, "no MPTCP"), (MptcpOff, "switched off")])
def test_without_mptcp(able: pytest.MonkeyPatch, kind: type[NoMptcp], word: str) -> None:
    real(able, "_mptcp_socket")
    able.setattr(socket, "socket", kind)
    assert word in one(EXIT).message
    assert word in one(GATEWAY).message
    direct = Config(gateway=Gateway(lan=("lan",), tcp=TcpVia.DIRECT))
    assert capabilities.missing(direct) == []


def test_without_a_path_manager(able: pytest.MonkeyPatch) -> None:
    real(able, "_path_manager")
    able.setattr(capabilities, "MptcpPm", Absent)
    assert "mptcp_pm" in one(GATEWAY).message


def test_without_the_program_nft(able: pytest.MonkeyPatch) -> None:
    able.undo()
    able.setattr(capabilities, "_net_admin", lambda: None)
    able.setattr(capabilities, "_mptcp_socket", lambda: None)
    able.setattr(capabilities, "_path_manager", lambda: None)
    able.setattr(capabilities, "_transparent_socket", lambda: None)
    able.setattr(nft, "_search_path", lambda: "/nowhere")
    assert "apt install nftables" in str(one(GATEWAY).hint)


@pytest.mark.parametrize(
    ("intercept", "word"), [(Intercept.TPROXY, "kmod-nft-tproxy"), (Intercept.REDIRECT, "kmod-nft-nat")]
)
def test_a_kernel_that_can_not_load_the_rules(
    able: pytest.MonkeyPatch, intercept: Intercept, word: str
) -> None:
    able.setattr(nft, "run", refuse)
    lack = one(Config(gateway=Gateway(lan=("lan",), intercept=intercept), peers=GATEWAY.peers))
    assert word in str(lack.hint)
    assert ("redirect" in str(lack.hint)) == (intercept is Intercept.TPROXY)


def test_all_lacks_are_named_at_once(able: pytest.MonkeyPatch) -> None:
    for probe in ("_net_admin", "_mptcp_socket", "_path_manager"):
        real(able, probe)
    able.setattr(capabilities, "has_net_admin", lambda: False)
    able.setattr(capabilities, "MptcpPm", Absent)
    able.setattr(socket, "socket", NoMptcp)
    assert len(capabilities.missing(GATEWAY)) == 3
