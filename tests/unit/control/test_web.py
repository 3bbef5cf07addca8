from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

import pytest

from plait.config.model import Config, Secret, Web
from plait.control import web as page
from plait.control.web import WebHost
from plait.control.web_orders import WebJob
from plait.errors import PlaitError

SECRET = "correct horse battery"

# Plays the page's process: says what its job was, asks, and says what it was told.
CHILD = """
import json, os, socket, sys
s = socket.socket(fileno=int(sys.argv[1])); f = s.makefile("rwb")
job = json.loads(f.readline())["job"]
out = open(os.environ["REPORT"], "a")
f.write(json.dumps({"ready": True, "lacks": "LACKS" in os.environ}).encode() + b"\\n")
for what in ("status", "mode", "odd", "stop"):
    f.write(json.dumps({"ask": what, "what": what}).encode() + b"\\n"); f.flush()
    out.write(json.dumps({"job": job["paths"], "said": json.loads(f.readline())}) + "\\n"); out.flush()
if os.environ.get("RUBBISH"): f.write(b"x" * 200000); f.flush()
f.readline()
"""


class Doubles:
    """Control's answers."""

    async def status(self, question: Mapping[str, object]) -> object:
        return {"role": "gateway"}

    async def mode(self, question: Mapping[str, object]) -> object:
        raise PlaitError("no path is named x", "known: wan1")

    async def odd(self, question: Mapping[str, object]) -> object:
        raise ZeroDivisionError


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WebHost:
    (tmp_path / "fake").mkdir()
    child = tmp_path / "child.py"
    child.write_text(CHILD)
    start = asyncio.create_subprocess_exec

    async def fake(program: str, *words: str, **more: object) -> object:
        assert words[:3] == ("-P", "-m", "plait.views.web.process")
        assert SECRET not in " ".join(words)
        return await start(sys.executable, str(child), words[3], **more)  # type: ignore[arg-type]

    monkeypatch.setattr(page.asyncio, "create_subprocess_exec", fake)
    monkeypatch.setattr(page, "listen_plainly", lambda address, port: socket.socket(socket.AF_UNIX))
    monkeypatch.setenv("REPORT", str(tmp_path / "report"))
    doubles = Doubles()
    return WebHost(tmp_path, {"status": doubles.status, "mode": doubles.mode, "odd": doubles.odd})


def config(**more: object) -> Config:
    return Config(web=Web(listen=((ip_address("192.168.1.1"), 8390),), password=Secret(SECRET), **more))  # type: ignore[arg-type]


async def lines(where: Path, count: int) -> list[dict[str, object]]:
    for _ in range(2000):
        if (where / "report").exists():
            found = (where / "report").read_text().splitlines()
            if len(found) >= count:
                return [json.loads(each)["said"] for each in found]
        await asyncio.sleep(0.01)
    raise AssertionError("it did not say enough")


def test_it_may_ask_for_three_things_and_nothing_else(
    host: WebHost, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        await host.renew(config(), uid=1, gid=1, verbose=0)
        status, mode, odd, stop = await lines(tmp_path, 4)
        assert status == {"answer": "status", "result": {"role": "gateway"}}
        assert mode == {"answer": "mode", "error": "no path is named x", "hint": "known: wan1"}
        assert odd == {"answer": "odd", "error": "a fault in plait; its log says more", "hint": None}
        assert stop == {"answer": "stop", "error": "unknown request", "hint": None}
        assert "ZeroDivisionError" in caplog.text
        pid = host.pid
        await host.renew(config(), uid=1, gid=1, verbose=0)
        assert host.pid == pid, "nothing has changed for it"
        await host.renew(config(metrics=False), uid=1, gid=1, verbose=0)
        assert host.pid not in (None, pid)
        await host.renew(Config(), uid=1, gid=1, verbose=0)
        assert host.pid is None
        await host.stop()

    asyncio.run(check())


@pytest.mark.parametrize("how", ["killed", "talks rubbish"])
def test_one_that_fails_is_replaced(
    host: WebHost, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        if how != "killed":
            monkeypatch.setenv("RUBBISH", "1")
        await host.renew(config(), uid=1, gid=1, verbose=0)
        await lines(tmp_path, 4)
        if how == "killed" and host.pid:
            os.kill(host.pid, 9)
        await lines(tmp_path, 8)
        assert host.restarts >= 1
        await host.stop()
        await asyncio.sleep(0.3)
        assert host.pid is None, "none is started after the end"

    asyncio.run(check())


def test_one_that_lacks_something_is_tried_again_with_a_reload(
    host: WebHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        monkeypatch.setenv("LACKS", "1")
        await host.renew(config(), uid=1, gid=1, verbose=0)
        await lines(tmp_path, 4)
        pid = host.pid
        await host.renew(config(), uid=1, gid=1, verbose=0)
        assert host.pid not in (None, pid)
        assert host.restarts == 0
        await host.stop()

    asyncio.run(check())


def test_cookies_outlive_a_restart(host: WebHost, tmp_path: Path) -> None:
    key = host._cookie_key()
    assert len(key) == 32
    assert host._cookie_key() == key
    assert (tmp_path / "web.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "web.key").write_bytes(b"short")
    assert host._cookie_key() != key
    (tmp_path / "web.key").unlink()
    (tmp_path / "web.key").symlink_to(tmp_path / "elsewhere")
    host._cookie_key()
    assert not (tmp_path / "elsewhere").exists()


def test_a_job_does_not_show_its_secrets() -> None:
    job = WebJob(
        listeners=[3],
        names=[],
        paths=[],
        directory="/",
        history=0,
        metrics=True,
        password=SECRET,
        token=SECRET,
        key=SECRET,
        uid=1,
        gid=1,
        verbose=0,
    )
    assert SECRET not in repr(job)
    assert WebJob.from_json(json.loads(json.dumps(job.to_json()))) == job


def test_history_is_where_systemd_wants_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/plait:/var/lib/other")
    assert page._history_directory(tmp_path) == Path("/var/lib/plait/history")
    monkeypatch.delenv("STATE_DIRECTORY")
    assert page._history_directory(tmp_path) == tmp_path / "history"
