"""Asking the running plait of a run directory."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import cast

from plait.errors import PlaitError

_PATIENCE = 10.0


def ask(run_dir: Path, question: dict[str, object]) -> dict[str, object]:
    """The answer to one question. Raises PlaitError when nobody answers."""
    path = run_dir / "control.sock"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(_PATIENCE)
            sock.connect(str(path))
            with sock.makefile("rwb") as stream:
                stream.write(json.dumps(question).encode() + b"\n")
                stream.flush()
                answer = json.loads(stream.readline() or b"{}")
    except (FileNotFoundError, ConnectionRefusedError):
        raise PlaitError(
            f"no plait runs with {run_dir}", "start one, or name its directory with --run-dir"
        ) from None
    except PermissionError:
        raise PlaitError(f"{path}: permission denied", "only root may ask; run it with sudo") from None
    except (OSError, ValueError) as error:
        raise PlaitError(f"{path}: no answer: {error}") from None
    if "result" not in answer:
        if "status" not in answer:
            raise PlaitError(f"{path}: {answer.get('error', 'it hung up')}")
        # Its own words about what was asked: as good as ours.
        refusal = PlaitError(str(answer["error"]), answer.get("hint"))
        refusal.exit_status = int(answer["status"])
        raise refusal
    return cast("dict[str, object]", answer["result"])
