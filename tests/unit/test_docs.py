"""What the documents say of the code, held against it: links, verbs, options, fields, words, examples."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from plait.cli.main import VERBS
from plait.config.toml import load
from plait.control.snapshot import (
    ClientStatus,
    Connection,
    Datagrams,
    Event,
    ExitStatus,
    PathStatus,
    Sessions,
    Status,
    SubflowStatus,
    UserStatus,
    WorkerStatus,
)
from plait.control.tunnel_status import TunnelPathStatus, TunnelStatus
from plait.paths.state import State
from plait.relay.dialer import Failure
from plait.relay.pump import Outcome

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CLI = (ROOT / "docs/reference/cli.md").read_text()
STATUS = (ROOT / "docs/reference/status.md").read_text()

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """A page without its examples."""
    return _FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """The headings of a page as links to them are written: lower case, no punctuation, hyphens."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in _HEADING.findall(prose(page))
    }


def code(text: str) -> set[str]:
    """All that stands between backticks."""
    return set(re.findall(r"`([^`\n]+)`", text))


def section(text: str, heading: str) -> str:
    """From a heading to the next one of the same level."""
    found = re.search(
        rf"^{re.escape(heading)}$(.*?)(?=^{heading.split()[0]} |\Z)", text, re.MULTILINE | re.DOTALL
    )
    assert found is not None, f"no heading {heading!r}"
    return found[1]


def test_the_pages_are_found() -> None:
    assert {"README.md", "ARCHITECTURE.md", "docs/reference/cli.md"} <= {name(page) for page in PAGES}
    assert sum(len(_LINK.findall(prose(page))) for page in PAGES) > 50


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(prose(page)):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_no_page_is_an_orphan() -> None:
    """Every page can be reached from the README."""
    seen: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in seen:
            continue
        seen.add(page)
        for link in _LINK.findall(prose(page)):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.is_dir():
                ahead += target.glob("*.md")
            elif target.suffix == ".md" and target.is_file():
                ahead.append(target)
    assert [name(page) for page in PAGES if page not in seen] == []


def parsers(verb: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The parser of a verb, and those of its own verbs."""
    parser = argparse.ArgumentParser(prog=f"plait {verb}")
    import_module(f"plait.cli.{verb}").configure(parser)
    ahead = [(f"plait {verb}", parser)]
    while ahead:
        called, found = ahead.pop()
        yield called, found
        for action in found._actions:
            if isinstance(action, argparse._SubParsersAction):
                ahead += [(f"{called} {word}", sub) for word, sub in action.choices.items()]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_and_option_is_described(verb: str) -> None:
    for called, parser in parsers(verb):
        said = [text for text in code(CLI) if text == called or text.startswith(f"{called} ")]
        assert said, f"{called} is not in cli.md"
        for action in parser._actions:
            if action.dest != "help":
                for option in action.option_strings:
                    assert option in CLI, f"{called} {option} is not in cli.md"


def test_no_verb_is_described_that_does_not_exist() -> None:
    assert {text.split()[1] for text in code(CLI) if re.match(r"plait [a-z]", text)} <= set(VERBS)


@pytest.mark.parametrize(
    ("value", "heading"),
    [
        (Status, "# Status"),
        (Sessions, "## `sessions`"),
        (Datagrams, "## `datagrams`"),
        (ExitStatus, "## `exits`"),
        (PathStatus, "## `paths`"),
        (TunnelStatus, "## `tunnels`"),
        (TunnelPathStatus, "## `tunnels`"),
        (UserStatus, "## `users`"),
        (Connection, "## `connections`"),
        (SubflowStatus, "## `connections`"),
        (ClientStatus, "## `clients`"),
        (Event, "## `events`"),
    ],
)
def test_every_field_of_the_status_is_described(value: type, heading: str) -> None:
    described = code(section(STATUS, heading))
    assert {field.name for field in dataclasses.fields(value)} - described == set()


def test_what_a_worker_and_a_path_may_say_is_described() -> None:
    assert {field.name for field in dataclasses.fields(WorkerStatus)} <= code(STATUS)
    assert {state.value for state in State} <= code(section(STATUS, "## `paths`"))


def test_every_way_to_end_is_described() -> None:
    words = {outcome.value for outcome in Outcome} | {failure.value for failure in Failure}
    assert words - code(section(STATUS, "## `sessions`")) == set()


EXAMPLES = [
    pytest.param(text, id=f"{name(page)}:{number}")
    for page in PAGES
    for number, (language, text) in enumerate(_FENCE.findall(page.read_text()))
    if language == "toml"
]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 8


@pytest.mark.parametrize("text", EXAMPLES)
def test_configs_in_the_documents_are_good(text: str, tmp_path: Path) -> None:
    path = tmp_path / "example.toml"
    path.write_text(text)
    load([path])
