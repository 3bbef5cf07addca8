"""Links there and back, and those of other programs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.config import links
from plait.config.links import Link
from plait.config.model import Method, Secret
from plait.config.values import Wrong

KEY = "Zm9vYmFyYmF6cXV4+/9wZQ=="


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The examples of SIP002 itself; the plugin left out.
        (
            "ss://YWVzLTEyOC1nY206dGVzdA==@192.168.100.1:8888#Example1",
            Link("aes-128-gcm", Secret("test"), "192.168.100.1", "8888", "Example1"),
        ),
        (
            "ss://YWVzLTEyOC1nY206dGVzdA@192.168.100.1:8888/#Example%201",
            Link("aes-128-gcm", Secret("test"), "192.168.100.1", "8888", "Example 1"),
        ),
        # SIP022's.
        (
            "ss://2022-blake3-aes-256-gcm:YctPZ6U7xPPcU%2Bgp3u%2B0tx%2FtRizJN9K8y%2BuKlW2qjlI%3D@192.168.100.1:8888/#x",
            Link(
                "2022-blake3-aes-256-gcm",
                Secret("YctPZ6U7xPPcU+gp3u+0tx/tRizJN9K8y+uKlW2qjlI="),
                "192.168.100.1",
                "8888",
                "x",
            ),
        ),
        # Before SIP002: all of "bf-cfb:test/!@#:@192.168.100.1:8888".
        (
            "ss://YmYtY2ZiOnRlc3QvIUAjOkAxOTIuMTY4LjEwMC4xOjg4ODg#example-server",
            Link("bf-cfb", Secret("test/!@#:"), "192.168.100.1", "8888", "example-server"),
        ),
        (
            "ss://AEAD_AES_128_GCM:a%3Ab@[2001:db8::1]:443",
            Link("aes-128-gcm", Secret("a:b"), "2001:db8::1", "443", ""),
        ),
    ],
)
def test_reads(text: str, expected: Link) -> None:
    assert links.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("http://x", "is not an ss:// link"),
        ("ss://", "has no method and password before '@'"),
        ("ss://!!!", "is neither a link of SIP002 nor an older one"),
        ("ss://hunter2hunter2@h:1", "has no method and password before '@'"),
        ("ss://YWVzLTEyOC1nY206dGVzdA==@host", '"host" is not a host and a port'),
        ("ss://YWVzLTEyOC1nY206dGVzdA==@:1", '":1" is not a host and a port'),
        (
            "ss://cmM0LW1kNTpwYXNzd2Q@192.168.100.1:8888/?plugin=obfs-local%3Bobfs%3Dhttp#Example2",
            "asks for a plugin",
        ),
    ],
)
def test_refuses_and_shows_no_password(text: str, problem: str) -> None:
    with pytest.raises(Wrong) as caught:
        links.parse(text)
    assert caught.value.complaints[0][1] == problem
    assert "hunter2" not in str(caught.value.complaints)


@given(
    method=st.sampled_from(list(Method)),
    password=st.text(st.characters(codec="utf-8"), max_size=40),
    host=st.sampled_from(["exit.example.net", "192.0.2.1", "2001:db8::1"]),
    port=st.integers(1, 65535),
    name=st.text(max_size=20),
)
def test_there_and_back(method: Method, password: str, host: str, port: int, name: str) -> None:
    secret = Secret(f"{KEY}:{KEY}" if method.key_bytes else password)
    link = links.make(method, secret, host, port, name)
    assert link.isascii()
    assert links.parse(link) == Link(method.value, secret, host, str(port), name)
