"""The log in the form that was asked for: text for people, JSON lines, or systemd's journal with fields.

The form is chosen on the command line and reaches our other processes by the environment, so that one log
has one form. What a record carries as ``extra={"fields": {…}}`` becomes fields of its own in the latter two.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

TEXT, JSON, JOURNAL = FORMS = ("text", "json", "journal")
VARIABLE = "PLAIT_LOG"
"""Of the environment."""

_SOCKET = "/run/systemd/journal/socket"
_LONGEST = 32768
"""Bytes of a message; a datagram must hold it."""
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""Of syslog (RFC 5424, section 6.2.1); below: 7."""


def begin(form: str, level: int, text: str) -> None:
    """Log from now on; ``text`` is the format of lines for people. Where there is no journal, they get it."""
    os.environ[VARIABLE] = form
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(text, datefmt="%H:%M:%S"))
    if form == JSON:
        handler.setFormatter(JsonLines())
    elif form == JOURNAL and os.path.exists(_SOCKET):
        handler = Journal(_SOCKET, handler)
    root = logging.getLogger()
    for former in list(root.handlers):
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(level)


def chosen() -> str:
    """The form that the process which started us was asked for."""
    form = os.environ.get(VARIABLE, TEXT)
    return form if form in FORMS else TEXT


class JsonLines(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """``time`` (RFC 3339), ``level``, ``logger``, ``pid``, ``message``, and the record's fields."""
        said: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            said["trace"] = self.formatException(record.exc_info)
        return json.dumps(_fields(record) | said, default=str)


class Journal(logging.Handler):
    """Datagrams in the journal's own protocol (systemd.journal-fields(7), "Native Journal Protocol")."""

    def __init__(self, path: str, instead: logging.Handler) -> None:
        """``instead`` gets what can't be sent."""
        super().__init__()
        self._path = path
        self._instead = instead
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._sock.setblocking(False)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one; never waits."""
        try:
            message = record.getMessage()
            if record.exc_info:
                message += "\n" + logging.Formatter().formatException(record.exc_info)
            own = {f"PLAIT_{name.upper()}": str(value) for name, value in _fields(record).items()}
            said = own | {
                "MESSAGE": message,
                "PRIORITY": str(_priority(record.levelno)),
                "SYSLOG_IDENTIFIER": "plait",
                "PLAIT_LOGGER": record.name,
                "CODE_FILE": record.pathname,
                "CODE_LINE": str(record.lineno),
            }
            self._sock.sendto(b"".join(_field(*each) for each in said.items()), self._path)
        except OSError:
            self._instead.emit(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Give the socket back."""
        self._sock.close()
        super().close()


def _fields(record: logging.LogRecord) -> dict[str, object]:
    found = getattr(record, "fields", None)
    return dict(found) if isinstance(found, Mapping) else {}


def _field(name: str, value: str) -> bytes:
    """A field; one with line breaks tells its length, so that nobody can forge others within it."""
    data = value.encode(errors="replace")[:_LONGEST]
    if b"\n" not in data:
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"


def _priority(level: int) -> int:
    return next((number for least, number in _PRIORITIES if level >= least), 7)
