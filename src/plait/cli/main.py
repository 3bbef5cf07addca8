"""The ``plait`` command: finds the verb, runs it, and turns our errors into lines and exit statuses.

0 done · 1 failed · 2 wrong usage or config · 3 this host lacks something. Only the chosen verb's
module is imported, so that ``plait --version`` is quick on a router.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from io import TextIOWrapper
from types import ModuleType
from typing import NoReturn

from plait import __version__
from plait.errors import PlaitError

VERBS = {
    "gateway": "run the edge of a LAN",
    "exit": "run the far end",
    "node": "run both on one box",
    "check": "say whether config files are good, or everything that is wrong with them",
    "plan": "print what would be changed on this host, as lines one could type",
    "down": "take everything of plait's out of this host",
    "doctor": "examine this host and every path; say what is wrong and what to do",
    "status": "show what is going on",
    "connections": "show the sessions, with the subflows of each",
    "top": "show paths, sessions, devices and events live",
    "paths": "show the paths, or set the mode of one while plait runs",
    "keygen": "make a strong password",
    "import": "turn another program's config into one of plait's",
    "export": "print far ends as links and QR codes",
    "lab": "the proving ground: real programs over emulated links",
}


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in our form, and which word may have been meant."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"plait: {message}\nplait: see `{self.prog} --help`\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Names may hold letters that this locale has not: better a question mark than no answer.
            stream.reconfigure(errors="replace")
    try:
        return _run(given)
    except PlaitError as error:
        for text in error.message.splitlines():
            sys.stderr.write(f"plait: {text}\n")
        if error.hint:
            sys.stderr.write(f"plait: hint: {error.hint}\n")
        return error.exit_status
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return 130
    except BrokenPipeError:
        # Whoever read our output has left (`plait status | head`): not worth a word.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("PLAIT_TRACE"):
            raise
        kind = "" if isinstance(error, OSError) else f"internal fault: {type(error).__name__}: "
        sys.stderr.write(f"plait: {kind}{error}\n")
        sys.stderr.write("plait: hint: PLAIT_TRACE=1 in the environment shows where; please report it\n")
        return 1


def _run(given: list[str]) -> int:
    verb = next((word for word in given if not word.startswith("-")), None)
    parser = _Parser(prog="plait", description="Weaves several links into one way out for a whole LAN.")
    parser.add_argument("--version", action="version", version=f"plait {__version__}")
    if verb is None or given[0] in ("-h", "--help", "--version"):
        verbs = parser.add_argument_group("verbs")
        for name, text in VERBS.items():
            verbs.add_argument(name, help=text, nargs="?")
        parser.usage = "plait VERB ..."
        if not given:
            parser.print_help()
            return 2
        parser.parse_args(given[:1])
        return 2
    if verb not in VERBS or given[0] != verb:
        near = get_close_matches(verb, VERBS, 1)
        wrong = verb if verb not in VERBS else given[0]
        guess = f"; did you mean {near[0]}?" if near and wrong == verb else ""
        parser.error(f"unknown verb {wrong}{guess}" if wrong == verb else f"unknown option {wrong}")
    module: ModuleType = import_module(f"plait.cli.{verb}")
    subparser = _Parser(prog=f"plait {verb}", description=module.HELP)
    module.configure(subparser)
    status: int = module.run(subparser.parse_args(given[1:]))
    return status
