"""``plait check``: is this config good, and what of it will not be done?"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from plait.config.notes import notes
from plait.config.roles import roles
from plait.config.toml import exposed, load
from plait.errors import ConfigError
from plait.kernel.capabilities import page_lacks

HELP = "say whether config files are good, or everything that is wrong with them"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        type=Path,
        help="a config file; several are taken together, as `plait node -c FILE -c FILE` takes them",
    )
    parser.add_argument("--json", action="store_true", help="print facts as JSON")


def run(args: argparse.Namespace) -> int:
    """0 when the config is good; 2 with all its faults on standard output when it is not."""
    files: list[Path] = args.files
    names = [str(path) for path in files]
    faults: list[dict[str, str | None]] = []
    remarks: list[str] = []
    held: list[str] = []
    try:
        config = load(files)
    except ConfigError as error:
        lines = [str(fault) for fault in error.faults]
        faults = [
            {"source": fault.source, "key": fault.key, "problem": fault.problem, "remedy": fault.remedy}
            for fault in error.faults
        ]
    else:
        held = sorted(roles(config), reverse=True)
        lacks = page_lacks(config)
        remarks = notes(config) + [
            f"{path} holds a password and everybody on this host may read it: chmod o-r {path}"
            for path in exposed(files)
        ]
        remarks += [f"this host lacks something: {lacks}"] if lacks is not None else []
        lines = [
            f"{' + '.join(names)}: ok ({' and '.join(held)})",
            *(f"note: {remark}" for remark in remarks),
        ]
    if args.json:
        facts = {
            "ok": not faults,
            "files": names,
            "roles": held,
            "faults": faults,
            "notes": remarks,
        }
        lines = [json.dumps(facts, indent=2)]
    sys.stdout.write("\n".join(lines) + "\n")
    return 2 if faults else 0
