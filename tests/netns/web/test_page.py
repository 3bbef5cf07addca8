"""The page's server beside a running gateway: who gets in, what is served, and what it survives.

client ── lan:gateway ══ exit ── server
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.netns.relay.street import Plait, Street, plain_log
from tests.netns.web.visits import TOKEN, Visitor, freeze, page_pid, served

from plait.lab.node import wait_for

ODD = Path(__file__).with_name("odd_client.py")


@pytest.fixture(scope="module")
def gateway(street: Street) -> Iterator[Plait]:
    with served(street) as found:
        yield found
        assert plain_log(found.log()), found.log()


def raw(street: Street, *words: object) -> list[str]:
    return street.client.run(sys.executable, ODD, *map(str, words), within=90).stdout.splitlines()


def test_the_page_itself_is_for_everybody_and_all_else_is_not(street: Street, gateway: Plait) -> None:
    stranger = Visitor(street.client)
    page = stranger.ask("/")
    assert page.status == 200
    assert "<title>plait</title>" in page.body
    assert page.headers["content-security-policy"].startswith("default-src 'self';")
    assert "unsafe" not in page.headers["content-security-policy"]
    for name, value in (
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("server", "plait"),
        ("x-frame-options", "DENY"),
    ):
        assert page.headers[name] == value
        assert stranger.ask("/nowhere").headers[name] == value
    for path in ("/api/status", "/api/connections", "/api/history?span=day", "/api/stream", "/metrics"):
        answer = stranger.ask(path)
        assert (answer.status, answer.facts["error"]) == (401, "who are you?"), path
    assert stranger.ask("/api/paths/wan1", body={"mode": "off"}).status == 401
    assert stranger.ask("/nowhere").status == 404
    assert stranger.ask("/api/status", "-X", "DELETE").status == 405
    assert stranger.ask("/api/me").facts == {"rights": "none", "login": True, "open": False}


def test_a_login_sees_and_changes(street: Street, gateway: Plait) -> None:
    owner = Visitor(street.client)
    answer = owner.log_in()
    assert answer.status == 200
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    status = owner.ask("/api/status").facts
    assert [path["name"] for path in status["paths"]] == ["wan1", "wan2"]
    try:
        assert owner.ask("/api/paths/wan2", body={"mode": "backup"}).facts == {"wan1": "on", "wan2": "backup"}
        gateway.until("the mode", lambda status: status["paths"][1]["mode"] == "backup")
    finally:
        assert owner.ask("/api/paths/wan2", body={"mode": "config"}).status == 200
    for path, body, said in (
        ("/api/paths/nope", {"mode": "on"}, "no path is named nope"),
        ("/api/paths/wan1", {"mode": "fast"}, "fast is not a mode"),
        ("/api/paths/wan1", {"mode": 7}, "which mode?"),
        ("/api/paths/wan1", ["on"], "this is not a JSON object"),
        ("/api/paths/%2e%2e%2fwan1", {"mode": "on"}, "no path is named"),
    ):
        refused = owner.ask(path, body=body)
        assert refused.status == 400, path
        assert said in refused.facts["error"]
    assert owner.ask("/api/connections?sort=rate&limit=10").facts["connections"] == []
    assert owner.ask("/api/connections?sort=colour").status == 400
    assert owner.ask("/api/connections?limit=1e9").status == 400
    assert owner.ask("/api/history?span=aeon").status == 400
    assert owner.ask("/api/logout", "-X", "POST").status == 200
    assert owner.ask("/api/status").status == 401


def test_no_other_site_changes_anything(street: Street, gateway: Plait) -> None:
    owner = Visitor(street.client)
    owner.log_in()
    forged = Visitor(street.client, cookies=owner.cookies)
    change = {"mode": "off"}
    assert forged.ask("/api/paths/wan1", body=change).status == 403
    forged.token = owner.token
    for options in (
        ("-H", "Origin: http://evil.example"),
        ("-H", "Origin: null"),
        ("-H", "Sec-Fetch-Site: cross-site"),
    ):
        assert forged.ask("/api/paths/wan1", *options, body=change).status == 403, options
    form = ("-H", "Content-Type: text/plain", "-d", '{"mode": "off"}')
    assert forged.ask("/api/paths/wan1", *form).status == 415
    assert Visitor(street.client).ask("/api/login", "-H", "Sec-Fetch-Site: cross-site", body={}).status == 403
    for host in ("evil.example", "evil.example:8390", "192.168.78.2", "", "[::1", "gateway.lan.evil.example"):
        assert owner.ask("/api/status", "-H", f"Host: {host}").status in (400, 421), host
    for host in ("gateway.lan", "GATEWAY.lan.:8390", "localhost:9", "192.168.78.1"):
        assert owner.ask("/api/status", "-H", f"Host: {host}").status == 200, host
    assert gateway.status()["paths"][0]["mode"] == "on"


def test_a_token_reads_and_no_more(street: Street, gateway: Plait) -> None:
    program = Visitor(street.client)
    bearer = ("-H", f"Authorization: Bearer {TOKEN}")
    metrics = program.ask("/metrics", *bearer)
    assert metrics.status == 200
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'plait_path_state{path="wan1",state="up"} 1.0' in metrics.body
    assert program.ask("/api/status", *bearer).facts["role"] == "gateway"
    assert program.ask("/api/me", *bearer).facts["rights"] == "read"
    refused = program.ask("/api/paths/wan1", *bearer, body={"mode": "off"})
    assert (refused.status, refused.facts["error"]) == (403, "a token may only read")
    assert program.ask("/metrics", "-H", "Authorization: Bearer wrong").status == 401


def test_ipv6_and_no_one_by_the_links(street: Street, gateway: Plait) -> None:
    assert Visitor(street.client, page="http://[fd78::1]:8390").ask("/api/me").status == 200
    for address in ("192.168.78.1", "[fd78::1]"):
        street.exit.run("ip", "route", "replace", "192.168.78.0/24", "via", "10.1.1.78")
        street.exit.run("ip", "-6", "route", "replace", "fd78::/64", "via", "fd01::78")
        outside = Visitor(street.exit, page=f"http://{address}:8390")
        assert outside.ask("/", within=5).status == -7, "curl: failed to connect"


def test_absurd_requests(street: Street, gateway: Plait) -> None:
    found = raw(street, "odd", 1)
    assert len(found) == 9
    for answer in found:
        assert answer.startswith(("HTTP/1.1 4", "HTTP/1.0 4")) or answer in ("", "ConnectionRe"), found
    huge = Visitor(street.client).ask(
        "/api/login", "-H", "Content-Type: application/json", "-d", '{"password": "' + "x" * 50_000 + '"}'
    )
    assert huge.status == 413
    deep = Visitor(street.client).ask("/api/login", "-H", "Content-Type: application/json", "-d", "[" * 4000)
    assert deep.status == 400


def test_who_is_slow_or_many_keeps_nobody_out(street: Street, gateway: Plait) -> None:
    assert raw(street, "many", 60) == ["open 24"]
    said = raw(street, "slow", 20)
    assert said[0].startswith("gone 20 after")
    assert 8 <= int(said[0].split()[-1]) <= 45
    assert Visitor(street.client).ask("/api/me").status == 200


def test_watchers_that_read_nothing_are_sent_away(street: Street, gateway: Plait) -> None:
    deaf = street.client.popen(sys.executable, ODD, "deaf", "8", TOKEN)
    try:
        deaf.wait_line("deaf")
        stream = street.client.popen(
            "curl",
            "-sN",
            "-m",
            "20",
            "-H",
            f"Authorization: Bearer {TOKEN}",
            "http://192.168.78.1:8390/api/stream",
        )
        wait_for("three snapshots", lambda: stream.text().count('data: {"role"') >= 3, within=20)
        stream.stop()
    finally:
        deaf.stop()
    rss = int(Path(f"/proc/{page_pid(gateway)}/statm").read_text().split()[1]) * 4096
    assert rss < 100e6


def test_it_has_no_privileges_and_no_secrets_in_sight(street: Street, gateway: Plait) -> None:
    pid = page_pid(gateway)
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    assert status["CapEff"].strip("0 \n") == ""
    assert status["CapBnd"].strip("0 \n") == ""
    assert status["NoNewPrivs"] == "1"
    words = Path(f"/proc/{pid}/cmdline").read_bytes() + gateway.log().encode()
    for secret in (b"correct horse", TOKEN.encode()):
        assert secret not in words


def test_while_control_stands_still_the_page_says_so(street: Street, gateway: Plait) -> None:
    bearer = ("-H", f"Authorization: Bearer {TOKEN}")
    freeze(gateway.pid, on=True)
    try:
        answer = wait_for(
            "a refusal",
            lambda: (
                found if (found := Visitor(street.client).ask("/metrics", *bearer)).status == 503 else None
            ),
            within=20,
        )
        assert answer.facts["error"] == "plait does not answer"
        assert Visitor(street.client).ask("/").status == 200
    finally:
        freeze(gateway.pid, on=False)
    wait_for("control", lambda: Visitor(street.client).ask("/api/status", *bearer).status == 200, within=20)


def test_a_reload_changes_or_ends_the_page_and_nothing_else(street: Street, gateway: Plait) -> None:
    pid, workers = page_pid(gateway), gateway.workers()
    text = gateway.config.read_text()
    try:
        gateway.process.send(signal.SIGHUP)
        gateway.until_log("config reloaded")
        assert page_pid(gateway) == pid, "the same config leaves it alone"
        gateway.rewrite(text.replace(TOKEN, TOKEN[::-1]))
        gateway.process.send(signal.SIGHUP)
        bearer = ("-H", f"Authorization: Bearer {TOKEN[::-1]}")
        wait_for(
            "the new token", lambda: Visitor(street.client).ask("/metrics", *bearer).status == 200, within=20
        )
        gateway.rewrite(text.partition("[web]")[0])
        gateway.process.send(signal.SIGHUP)
        wait_for("no page", lambda: Visitor(street.client).ask("/", within=3).status == -7, within=20)
    finally:
        gateway.rewrite(text)
        gateway.process.send(signal.SIGHUP)
    wait_for("the page", lambda: Visitor(street.client).ask("/", within=3).status == 200, within=20)
    assert workers


def test_a_killed_page_is_back_with_its_history_and_its_logins(street: Street, gateway: Plait) -> None:
    owner = Visitor(street.client)
    assert owner.log_in().status == 200
    wait_for("some history", lambda: any(owner.ask("/api/history?span=hour").facts["paths"]), within=20)
    pid = page_pid(gateway)
    os.kill(pid, signal.SIGKILL)
    wait_for("another process", lambda: owner.ask("/api/status").status == 200, within=20)
    assert page_pid(gateway) not in (0, pid)
    assert "the web page's process" in gateway.log()
    curves = owner.ask("/api/history?span=hour").facts
    assert list(curves["paths"]) == ["wan1", "wan2"]
    assert gateway.status()["restarts"] == 0


def test_wrong_passwords_are_slowed_down_and_right_cookies_are_not(street: Street, gateway: Plait) -> None:
    owner = Visitor(street.client)
    assert owner.log_in().status == 200
    guesses = [Visitor(street.client).log_in(f"guess {number}") for number in range(8)]
    assert [answer.status for answer in guesses][:2] == [401, 401]
    assert guesses[-1].status == 429
    assert 1 <= int(guesses[-1].headers["retry-after"]) <= 10
    assert owner.ask("/api/status").status == 200
    assert gateway.log().count("wrong password from") <= 2, "a flood must not fill the log"
    assert "guess" not in gateway.log()
