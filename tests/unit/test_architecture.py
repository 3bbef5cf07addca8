"""The shape of the house: who imports whom, what the pure rooms may not know, how long a file may be.

cli, views → control → relay, kernel → config, wire, paths, tunnel, doctor  (any may skip a floor)
lab imports nothing of plait; only its verb in cli imports it
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SRC = TESTS.parents[1] / "src"
FILES = sorted(SRC.rglob("*.py"))

PURE = {"config", "wire", "paths", "tunnel", "doctor"}
ENGINE = {"relay", "courier", "kernel"}
MAY_IMPORT = {
    **dict.fromkeys(PURE, PURE),
    **dict.fromkeys(ENGINE, PURE | ENGINE),
    "control": PURE | ENGINE | {"control"},
    "views": PURE | ENGINE | {"control", "views"},
    "cli": PURE | ENGINE | {"control", "views", "lab", "cli"},
    "lab": {"lab"},
}
FOR_ALL = {"errors", "__version__"}
IMPURE = {
    "asyncio",
    "logging",
    "os",
    "random",
    "select",
    "selectors",
    "socket",
    "subprocess",
    "threading",
    "time",
}
LONGEST = 500


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Full names of all that a file imports, wherever in it: modules, and names taken from modules."""
    package = path.relative_to(SRC).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join((*above, *(node.module or "").split("."))).rstrip(".")
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def room(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else ""


IMPORTS = {module_name(path): set(imports(path)) for path in FILES}


def reachable(start: set[str]) -> set[str]:
    """All modules, ours and others', that importing ``start`` may load."""
    found: set[str] = set()
    ahead = set(start)
    while ahead:
        name = ahead.pop()
        found.add(name)
        known = name if name in IMPORTS else name.rpartition(".")[0]
        ahead |= IMPORTS.get(known, set()) - found
    return found


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_run_one_way(path: Path) -> None:
    own = room(module_name(path))
    if own not in MAY_IMPORT:  # the package itself, __main__ and errors
        return
    allowed = MAY_IMPORT[own] | (FOR_ALL if own != "lab" else set())
    wrong = {name for name in imports(path) if name.split(".")[0] == "plait" and room(name) not in allowed}
    assert not wrong


@pytest.mark.parametrize("path", [path for path in FILES if room(module_name(path)) in PURE], ids=module_name)
def test_pure_rooms_know_no_socket_clock_process_or_log(path: Path) -> None:
    reads_files = room(module_name(path)) == "config"
    assert not {name.split(".")[0] for name in imports(path)} & (
        IMPURE if reads_files else IMPURE | {"pathlib"}
    )


def test_a_worker_loads_neither_asyncio_nor_the_head() -> None:
    workers = {name for name in IMPORTS if room(name) in ("relay", "courier")}
    loaded = reachable(workers)
    assert "plait.errors" in {name.rpartition(".")[0] for name in loaded} | loaded, (
        "the search finds nothing at all"
    )
    assert not {
        name for name in loaded if name.split(".")[0] == "asyncio" or name.startswith("plait.control")
    }


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("path", [path for path in FILES if room(module_name(path)) in PURE], ids=module_name)
def test_every_file_of_a_pure_room_has_its_own_tests(path: Path) -> None:
    if path.name == "__init__.py":
        assert len(ast.parse(path.read_text()).body) <= 1, "a room's __init__ holds its description only"
    else:
        assert (TESTS / room(module_name(path)) / f"test_{path.name}").is_file()


def test_rooms_are_those_of_the_plan() -> None:
    rooms = {path.parent.name for path in (SRC / "plait").glob("*/__init__.py")}
    assert rooms == set(MAY_IMPORT)
