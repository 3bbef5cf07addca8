"""Other programs' JSON: as found in the wild, and what is said of what can't be."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.config.shadowsocks import EXIT, GATEWAY, read, read_link
from plait.errors import Fault

# The two files of the article that this began with, trailing commas and all.
REDIR = """
{
    "server" : ["10.1.1.70", "10.2.2.70"],
    "server_port" : 8388,
    "local_address" : "0.0.0.0",
    "local_port" : 1080,
    "password" : "",
    "timeout" : 300,
    "method" : "none",
    "fast_open" : false,
}
"""
SERVER = REDIR.replace('["10.1.1.70", "10.2.2.70"]', '"0.0.0.0"')


def said(faults: tuple[Fault, ...]) -> list[str]:
    return [str(fault).removeprefix("f.json") for fault in faults]


def test_the_gateway_of_the_article() -> None:
    found = read("f.json", REDIR)
    assert found.role == GATEWAY
    assert found.faults == ()
    assert found.document == {
        "exit": [
            {"name": "shadowsocks", "address": ["10.1.1.70", "10.2.2.70"], "port": 8388, "method": "none"}
        ],
        "gateway": {"port": 1080, "udp": "direct"},
    }
    assert [note.split(":")[0] for note in found.notes] == ["local_address", "timeout", "fast_open"]


def test_the_server_of_the_article() -> None:
    found = read("f.json", SERVER)
    assert found.role == EXIT
    assert found.faults == ()
    assert found.document == {"exit": {"listen": ["0.0.0.0"], "port": 8388, "method": "none"}}


def test_comments_quoted_ports_and_foreign_names() -> None:
    text = """// a comment, with "quotes"
    { # another
      "server": "exit.example.net", /* and
      one more */ "server_port": "443",
      "password": "// no comment, # nor this, \\" nor [1,] that",
      "method": "AEAD_CHACHA20_POLY1305", "mode": "tcp_and_udp", "workers": 3,
      "remarks": "Zürich #1",
    }"""
    found = read("f.json", text)
    assert found.faults == ()
    assert found.document == {
        "exit": [
            {
                "name": "Z-rich-1",
                "address": ["exit.example.net"],
                "port": 443,
                "method": "chacha20-ietf-poly1305",
                "password": '// no comment, # nor this, " nor [1,] that',
            }
        ],
        "gateway": {"udp": "shadowsocks"},
        "relay": {"workers": 3},
    }


def test_several_servers() -> None:
    text = json.dumps(
        {
            "version": 1,
            "servers": [
                {"server": "192.0.2.1", "server_port": 1, "password": "a", "method": "aes-128-gcm"},
                {"address": "192.0.2.2", "port": 2, "password": "b", "method": "plain", "disabled": True},
                {"address": "192.0.2.3", "port": 3, "password": "c", "method": "aes-256-gcm", "tag": "x"},
                {"address": "192.0.2.4", "port": 4, "password": "d", "method": "aes-256-gcm", "tag": "x"},
            ],
        }
    )
    found = read("f.json", text)
    assert found.faults == ()
    peers = found.document["exit"]
    assert isinstance(peers, list)
    assert [(peer["name"], peer["port"]) for peer in peers] == [("shadowsocks", 1), ("x", 3), ("x-3", 4)]
    assert found.notes == ("servers[1]: disabled, left out",)
    assert found.names["exit[1].port"] == "servers[2].port"


def test_users_of_a_server() -> None:
    users = [{"name": "roof", "password": "a"}, {"password": "b"}]
    found = read("f.json", json.dumps({"server": "::", "server_port": 1, "password": "k", "users": users}))
    assert found.role == EXIT
    assert found.document["user"] == [{"name": "roof", "password": "a"}, {"name": "user2", "password": "b"}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [":1:1: this is not JSON: Expecting value"]),
        ('{\n "a": }', [":2:7: this is not JSON: Expecting value"]),
        ("[]", [": must be an object, not a list"]),
        ("[" * 100_000, [": is nested too deeply"]),
        (
            '{"server": "a", "sever_port": 1, "plugin": "v2ray", "plugin_opts": ""}',
            [
                ": sever_port: no such key; did you mean `server_port`?",
                ": plugin: can't be done; "
                "plait has no plugins; see whether the server can be reached without",
            ],
        ),
        (
            '{"server": "a", "mode": "udp_only"}',
            [': mode: can\'t be done; it is "tcp_only" or "tcp_and_udp"'],
        ),
        ('{"servers": {}}', [": servers: must be a list of objects"]),
        (
            '{"servers": [{"server": "a", "secret": 1}]}',
            [
                ": servers[0].secret: no such key; did you mean `server`?",
            ],
        ),
        ('{"server": "0.0.0.0", "users": [1]}', [": users: must be a list of objects"]),
        (
            '{"server": "0.0.0.0", "servers": []}',
            [": servers: is a client's; `--role gateway`, if this box is the client"],
        ),
    ],
)
def test_what_is_wrong(text: str, expected: list[str]) -> None:
    assert said(read("f.json", text).faults) == expected


def test_the_role_can_be_said() -> None:
    assert read("f.json", REDIR, EXIT).role == EXIT
    assert said(read("f.json", '{"server": "a", "users": []}', GATEWAY).faults) == [
        ": users: is a server's; `--role exit`, if this box is the server"
    ]


def test_links() -> None:
    found = read_link("the link", "ss://YWVzLTEyOC1nY206dGVzdA==@192.168.100.1:8888#My%20exit")
    assert found.document == {
        "exit": [
            {
                "name": "My-exit",
                "address": ["192.168.100.1"],
                "port": 8888,
                "method": "aes-128-gcm",
                "password": "test",
            }
        ]
    }
    (fault,) = read_link("the link", "ss://x").faults
    assert fault.source == "the link"


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.floats(allow_nan=False)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["server", "servers", "server_port", "users", "method", "mode", "tag", "name"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from([None, GATEWAY, EXIT]))
def test_nothing_but_faults(said: object, role: str | None) -> None:
    read("f.json", json.dumps(said), role)


@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    read("f.json", text)
