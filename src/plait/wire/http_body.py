"""Where the body of an HTTP message ends (RFC 9112, sections 6 and 7). No I/O.

A body is passed on as it comes. `Body.take` only counts: how many of these bytes belong to it.
"""

from __future__ import annotations

import re
from enum import Enum

from plait.wire.cipher import Bytes
from plait.wire.faults import Malformed

_MAX_LINE = 4096
"""Bytes of the longest line that gives a chunk's size, with extensions that nobody uses."""
_MAX_TRAILER = 16384

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n")


class _At(Enum):
    SIZE = "the line with the size of a chunk"
    DATA = "a chunk"
    AFTER = "the line's end behind a chunk"
    TRAILER = "the fields behind the last chunk"


class Body:
    """One body, as it passes by."""

    __slots__ = ("_at", "_chunked", "_left", "_line", "_trailer", "done", "to_end")

    def __init__(self, left: int, *, chunked: bool = False, to_end: bool = False) -> None:
        self._left = left
        self._chunked = chunked
        self.to_end = to_end
        """It ends with the connection."""
        self.done = not left and not chunked and not to_end
        """All of it has been seen."""
        self._at = _At.SIZE
        self._line = b""
        self._trailer = 0

    @classmethod
    def none(cls) -> Body:
        """A message without a body."""
        return cls(0)

    @classmethod
    def fixed(cls, length: int) -> Body:
        """A body of known length."""
        return cls(length)

    @classmethod
    def chunked(cls) -> Body:
        """A body in chunks, each with its length."""
        return cls(0, chunked=True)

    @classmethod
    def until_end(cls) -> Body:
        """A body that ends with the connection."""
        return cls(0, to_end=True)

    def take(self, data: Bytes) -> int:
        """How many bytes of ``data``, from its start, are of this body. ``Malformed`` by a wrong chunk."""
        if self.to_end:
            return len(data)
        if not self._chunked:
            used = min(self._left, len(data))
            self._left -= used
            self.done = not self._left
            return used
        at = 0
        view = memoryview(data)
        while at < len(view) and not self.done:
            if self._at is _At.DATA:
                used = min(self._left, len(view) - at)
                self._left -= used
                at += used
                if not self._left:
                    self._at = _At.AFTER
            else:
                at += self._read_line(view[at : at + _MAX_LINE])
        return at

    def _read_line(self, view: memoryview) -> int:
        """Some bytes of a line; once it is whole, what it says."""
        piece = bytes(view)
        end = piece.find(b"\n") + 1
        self._line += piece[:end] if end else piece
        if len(self._line) > _MAX_LINE:
            raise Malformed("a line without end in a chunked body")
        if not end:
            return len(piece)
        line, self._line = self._line, b""
        if self._at is _At.SIZE:
            match = _SIZE.fullmatch(line)
            if match is None:
                raise Malformed("not the size of a chunk")
            self._left = int(match[1], 16)
            self._at = _At.DATA if self._left else _At.TRAILER
        elif self._at is _At.AFTER:
            if line != b"\r\n":
                raise Malformed("a chunk longer than it said")
            self._at = _At.SIZE
        elif line == b"\r\n":
            self.done = True
        else:
            self._trailer += len(line)
            if not _FIELD.fullmatch(line) or self._trailer > _MAX_TRAILER:
                raise Malformed("not a field behind the chunks")
        return end
