from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from plait.kernel import logs

log = logging.getLogger("plait.test")


@pytest.fixture(autouse=True)
def _put_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    monkeypatch.setenv(logs.VARIABLE, "text")
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def journal(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(path))
    sock.settimeout(20)
    return sock


def fields(datagram: bytes) -> dict[str, str]:
    """The native protocol, read back."""
    found = {}
    while datagram:
        head, _, rest = datagram.partition(b"\n")
        if b"=" in head:
            name, _, value = head.partition(b"=")
        else:
            name, size = head, int.from_bytes(rest[:8], "little")
            value, rest = rest[8 : 8 + size], rest[9 + size :]
        found[name.decode()] = value.decode()
        datagram = rest
    return found


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logs.begin("text", logging.INFO, "%(levelname)s %(message)s")
    log.info("path %s is up", "wan1", extra={"fields": {"path": "wan1"}})
    log.debug("not this")
    assert capsys.readouterr().err == "INFO path wan1 is up\n"


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.begin("json", logging.INFO, "%(message)s")
    log.warning('odd "words"\nand a line %s', "é", extra={"fields": {"path": "wan1", "message": "no"}})
    try:
        raise ValueError("x")
    except ValueError:
        log.exception("it failed")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["message"] == 'odd "words"\nand a line é'
    assert (first["level"], first["logger"], first["path"]) == ("warning", "plait.test", "wan1")
    assert first["pid"] == os.getpid()
    assert first["time"].endswith("+00:00")
    assert "ValueError" in second["trace"]


def test_the_journal_gets_fields_that_nobody_can_forge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logs, "_SOCKET", str(tmp_path / "socket"))
    with journal(tmp_path / "socket") as sock:
        logs.begin("journal", logging.INFO, "%(message)s")
        log.error("a name\nPRIORITY=0\nMESSAGE=forged", extra={"fields": {"path": "wan1"}})
        log.info("%s", "x" * 100_000)
        first, second = (fields(sock.recv(1 << 17)) for _ in range(2))
    assert first["MESSAGE"] == "a name\nPRIORITY=0\nMESSAGE=forged"
    assert (first["PRIORITY"], first["PLAIT_PATH"], first["SYSLOG_IDENTIFIER"]) == ("3", "wan1", "plait")
    assert second["PRIORITY"] == "6"
    assert len(second["MESSAGE"]) == 32768
    assert capsys.readouterr().err == ""


def test_without_a_journal_people_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logs, "_SOCKET", str(tmp_path / "socket"))
    logs.begin("journal", logging.INFO, "%(message)s")
    log.info("one")
    with journal(tmp_path / "socket"):
        logs.begin("journal", logging.INFO, "%(message)s")
    (tmp_path / "socket").unlink()
    log.info("two")
    assert capsys.readouterr().err == "one\ntwo\n"


@pytest.mark.parametrize(
    ("said", "form"), [("json", "json"), ("journal", "journal"), ("nonsense", "text"), ("", "text")]
)
def test_our_other_processes_follow(said: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(logs.VARIABLE, said)
    assert logs.chosen() == form
