"""Configs of several kinds together, and faults in the words of whoever wrote them."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from tests.unit.config.test_shadowsocks import REDIR, SERVER

from plait.config.model import Method, UdpVia
from plait.config.sources import Sources, load
from plait.errors import ConfigError

LINKS = '[[path]]\ninterface = "wan1"\n'
GATEWAY = '[gateway]\nlan = "lan"\nport = 2080\n' + LINKS


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def faults_of(sources: Sources, role: str | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(sources, role)
    return [str(fault).replace(f"{Path(fault.source).parent}/", "") for fault in caught.value.faults]


def test_the_gateway_of_the_article_runs_as_it_is(tmp_path: Path) -> None:
    redir = write(tmp_path, "redir.json", REDIR)
    config, notes = load(Sources(shadowsocks=(redir,), lan=("lan",), paths=("wan1", "wan2")), "gateway")
    assert config.gateway is not None
    assert (config.gateway.lan, config.gateway.port, config.gateway.udp) == (("lan",), 1080, UdpVia.DIRECT)
    assert [path.interface for path in config.paths] == ["wan1", "wan2"]
    (peer,) = config.peers
    assert (peer.address, peer.method) == (("10.1.1.70", "10.2.2.70"), Method.NONE)
    assert len(notes) == 3
    assert all(note.startswith(f"{redir}: ") for note in notes)


def test_the_server_of_the_article_wants_to_know_who_may_come(tmp_path: Path) -> None:
    server = write(tmp_path, "server.json", SERVER)
    (line,) = faults_of(Sources(shadowsocks=(server,)), "exit")
    assert line.startswith("server.json: --trust: is missing: with method none anybody could use this exit")
    config, _ = load(
        Sources(shadowsocks=(server,), trust=("10.1.1.0/24",), allow=("192.168.70.0/24",)), "exit"
    )
    assert config.exit is not None
    assert config.exit.listen == (ip_address("0.0.0.0"),)
    assert config.exit.trust == (ip_network("10.1.1.0/24"),)
    assert config.exit.allow == (ip_network("192.168.70.0/24"),)


def test_a_file_of_ours_beside_it_wins(tmp_path: Path) -> None:
    redir = write(tmp_path, "redir.json", REDIR)
    ours = write(tmp_path, "gateway.toml", GATEWAY)
    config, _ = load(Sources(files=(ours,), shadowsocks=(redir,)), "gateway")
    assert config.gateway is not None
    assert config.gateway.port == 2080
    links = write(tmp_path, "links.toml", LINKS)
    config, _ = load(Sources(files=(links,), shadowsocks=(redir,), lan=("lan",)), "gateway")
    assert config.gateway is not None
    assert config.gateway.port == 1080


def test_two_files_are_two_exits(tmp_path: Path) -> None:
    one = write(tmp_path, "one.json", json.dumps({"server": "192.0.2.1", "method": "none", "tag": "one"}))
    two = write(tmp_path, "two.json", json.dumps({"server": "192.0.2.2", "method": "none", "tag": "two"}))
    config, _ = load(Sources(shadowsocks=(one, two), lan=("lan",), paths=("wan1",)), "gateway")
    assert [peer.name for peer in config.peers] == ["one", "two"]


def test_what_is_lacking_is_said(tmp_path: Path) -> None:
    redir = write(tmp_path, "redir.json", REDIR)
    assert faults_of(Sources(shadowsocks=(redir,)), "gateway") == [
        "redir.json: it does not say which LAN to serve; --lan INTERFACE, "
        "or [gateway] in a file given with -c",
        "redir.json: it does not say which links to use; --path INTERFACE for each, "
        "or [[path]] tables in a file given with -c",
    ]


def test_faults_have_the_names_of_the_file(tmp_path: Path) -> None:
    text = REDIR.replace('"10.2.2.70"', '"10.2.2.700"').replace("8388", "0").replace('"none"', '"rc4-md5"')
    redir = write(tmp_path, "redir.json", text)
    found = faults_of(Sources(shadowsocks=(redir,), lan=("lan", "a b"), paths=("wan1",)), "gateway")
    assert [line.split(": ")[1] for line in found] == [
        "server[1]",
        "server_port",
        "method",
        "password",
        "--lan[1]",
    ]


def test_files_that_are_not_there(tmp_path: Path) -> None:
    found = faults_of(Sources(shadowsocks=(tmp_path / "none.json",)), "gateway")
    assert found == ["none.json: can't be read: No such file or directory"]
