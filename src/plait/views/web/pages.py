"""The files that make the page, kept in memory: they are few and small."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Page:
    """One file."""

    content: bytes
    kind: str


def pages() -> dict[str, Page]:
    """All files by the path at which they are served; the page itself is at ``/``."""
    found = {}
    for file in (resources.files("plait.views.web") / "static").iterdir():
        ending = file.name[file.name.rfind(".") :]
        if ending in _TYPES:
            where = "/" if file.name == "index.html" else f"/{file.name}"
            found[where] = Page(file.read_bytes(), _TYPES[ending])
    return found
