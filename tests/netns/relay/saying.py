"""A word from the client to the server and back, and what endpoints there are."""

from __future__ import annotations

from tests.netns.relay.places import Echo, connect, exactly, listen
from tests.netns.relay.street import SERVER, Street


def say_twice(street: Street) -> str:
    """A word from the client to the server and back; whom the server saw."""
    echo = Echo(listen(street.server, SERVER[4]))
    try:
        with connect(street.client, SERVER[4], echo.port) as sock:
            for word in (b"one", b"two"):
                sock.sendall(word)
                assert exactly(sock, 3) == word
        (peer,) = echo.peers
        return peer
    finally:
        echo.close()


def endpoints(street: Street) -> list[str]:
    """Address and link of each."""
    lines = street.gateway.run("ip", "mptcp", "endpoint").stdout.splitlines()
    return sorted(f"{line.split()[0]} {line.split('dev ')[1].split()[0]}" for line in lines)
