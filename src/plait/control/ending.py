"""How control ends a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import signal


async def end(process: asyncio.subprocess.Process, patience: float) -> None:
    """Ask it to end, wait ``patience`` seconds, then kill it. It has ended when this returns."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(patience):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
