"""Asking the running plait of a run directory, over its control socket: HTTP with JSON."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast
from urllib.parse import urlencode

from plait.errors import PlaitError

_PATIENCE = 10.0

Facts = dict[str, object]


class NobodyThere(PlaitError):
    """No plait runs with that run directory, or not yet, or not any more."""


def ask(
    run_dir: Path, path: str, query: Mapping[str, object] | None = None, *, body: Facts | None = None
) -> Facts:
    """The answer to ``GET path``, or with a body to ``POST path``. Raises PlaitError: ours when nobody
    answers (`NobodyThere`), else what plait says against the question."""
    connection = _Unix(run_dir, _PATIENCE)
    try:
        answer = _asked(connection, path, query, body)
        try:
            text = answer.read()
        except (OSError, http.client.HTTPException):
            raise NobodyThere(f"the plait of {run_dir} ended while it answered") from None
        return _checked(connection, text)
    finally:
        connection.close()


def follow(
    run_dir: Path, query: Mapping[str, object] | None = None, *, patience: float = _PATIENCE
) -> Iterator[Facts]:
    """One snapshot after the other, as long as plait runs; raises like `ask`, and NobodyThere when
    it ends or says nothing for ``patience`` seconds."""
    connection = _Unix(run_dir, patience)
    try:
        answer = _asked(connection, "/v1/stream", query, None)
        if answer.status != 200:
            _checked(connection, answer.read())
        while True:
            try:
                line = answer.readline()
                if not line.endswith(b"\n"):
                    break
                snapshot = json.loads(line)
            except (OSError, http.client.HTTPException, ValueError):
                break
            yield snapshot
        raise NobodyThere(f"the plait of {run_dir} says nothing any more")
    finally:
        connection.close()


class _Unix(http.client.HTTPConnection):
    """A connection to a unix socket."""

    def __init__(self, run_dir: Path, patience: float) -> None:
        super().__init__("plait", timeout=patience)
        self.run_dir = run_dir
        self.place = run_dir / "control.sock"
        self.status = 0

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.place))


def _asked(
    connection: _Unix, path: str, query: Mapping[str, object] | None, body: Facts | None
) -> http.client.HTTPResponse:
    given = {key: value for key, value in (query or {}).items() if value not in (None, "")}
    try:
        connection.request(
            "GET" if body is None else "POST",
            path + (f"?{urlencode(given)}" if given else ""),
            body=None if body is None else json.dumps(body),
        )
        answer = connection.getresponse()
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        raise NobodyThere(
            f"no plait runs with {connection.run_dir}", "start one, or name its directory with --run-dir"
        ) from None
    except PermissionError:
        raise PlaitError(
            f"{connection.place}: permission denied", "only root may ask; run it with sudo"
        ) from None
    except (ConnectionError, http.client.RemoteDisconnected):
        raise NobodyThere(f"{connection.place}: it hung up") from None
    except (OSError, http.client.HTTPException) as error:
        raise PlaitError(f"{connection.place}: no answer: {error}") from None
    connection.status = answer.status
    return answer


def _checked(connection: _Unix, text: bytes) -> Facts:
    try:
        answer = json.loads(text)
    except ValueError as error:
        raise PlaitError(f"{connection.place}: no answer: {error}") from None
    if not isinstance(answer, dict):
        raise PlaitError(f"{connection.place}: no answer: not an object")
    if connection.status == 200:
        return cast("Facts", answer)
    if "status" not in answer:
        raise PlaitError(f"{connection.place}: {answer.get('error', 'it refuses')}", answer.get("hint"))
    # Its own words about what was asked: as good as ours.
    refusal = PlaitError(str(answer["error"]), answer.get("hint"))
    refusal.exit_status = int(answer["status"])
    raise refusal
