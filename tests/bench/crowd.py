"""Many quiet connections: ``crowd serve PORT`` holds what comes, ``crowd call HOST PORT COUNT`` comes.

Each caller sends one byte and waits for it to come back, so that its whole chain stands. Both say
``ready`` and stay until they are ended.
"""

from __future__ import annotations

import asyncio
import resource
import sys

_SPARE = 200
_AT_ONCE = 100


async def serve(port: int) -> None:
    """Echo one byte to each, then hold."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(1))
        await reader.read()
        writer.close()

    async with await asyncio.start_server(hold, "0.0.0.0", port, backlog=4096) as server:
        print("ready", flush=True)
        await server.serve_forever()


async def call(host: str, port: int, count: int) -> None:
    """Open ``count`` connections, a hundred at a time, and hold them."""
    held: list[asyncio.StreamWriter] = []
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one() -> None:
        async with turn:
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"x")
            await reader.readexactly(1)
            held.append(writer)

    await asyncio.gather(*(one() for _ in range(count)))
    print("ready", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """The process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    verb, *words = sys.argv[1:]
    if verb == "serve":
        asyncio.run(serve(int(words[0])))
    else:
        if hard < int(words[2]) + _SPARE:
            sys.exit(f"the limit of open files is {hard} (was {soft}); too low for {words[2]} connections")
        asyncio.run(call(words[0], int(words[1]), int(words[2])))


if __name__ == "__main__":
    main()
