"""Two exits of one gateway: the second serves while the first can't, and gives back what is new."""

from __future__ import annotations

from tests.netns.relay.places import connect, echo, exactly
from tests.netns.relay.street import PASSWORD, SERVER, Plait, Street, exit_config, gateway_config, plain_log

PRIVATE = "192.168.70.2"

SECOND = f"""
[[exit]]
name = "vps"
address = ["10.1.1.70", "10.2.2.70"]
port = 8389
password = "{PASSWORD}"
[[rule]]
destination = ["192.168.70.0/24"]
to = "exit:attic"
[[rule]]
port = 7777
to = "exit:vps"
"""


def states(plait: Plait) -> dict[str, str]:
    return {exit["name"]: exit["state"] for exit in plait.status()["exits"]}


def total(plait: Plait) -> int:
    """Requests that were not the gateway's own questions."""
    outcomes = plait.status()["sessions"]
    return int(outcomes["total"])


def test_another_exit_takes_over_and_gives_back(street: Street) -> None:
    street.server.run("ip", "addr", "add", f"{PRIVATE}/32", "dev", "lo")
    street.exit.run("ip", "route", "add", PRIVATE, "via", SERVER[4])
    wanted = exit_config(exit_lines='allow = ["192.168.70.0/24"]')
    first = street.plait(street.exit, "exit", wanted)
    second = street.plait(
        street.exit,
        "exit",
        exit_config(exit_lines='allow = ["192.168.70.0/24"]\nport = 8389'),
        run_dir="/run/second",
    )
    gateway = street.plait(street.gateway, "gateway", gateway_config(rest=SECOND))
    gateway.until("both exits", lambda _: set(states(gateway).values()) == {"up"}, within=30.0)

    def ask(address: str = SERVER[4], port: int = 0) -> str:
        """Which exit a new connection goes through."""
        with echo(street.server, address, port) as server:
            before = total(first), total(second)
            with connect(street.client, address, server.port) as sock:
                sock.sendall(b"hello")
                if exactly(sock, 5) != b"hello":
                    return "nobody"
            return "first" if total(first) > before[0] else "second" if total(second) > before[1] else "?"

    assert ask() == "first"
    assert ask(port=7777) == "second"
    assert ask(PRIVATE) == "first"

    first.stop()
    gateway.until_log("exit attic: new connections go to vps", within=30.0)
    assert gateway.status()["exits"][0]["state"] == "down"
    with echo(street.server, SERVER[4]) as server, connect(street.client, SERVER[4], server.port) as kept:
        kept.sendall(b"hello")
        assert exactly(kept, 5) == b"hello"
        assert total(second) > 0
        with echo(street.server, PRIVATE) as private:
            # The private network is not the second exit's, whatever that may reach.
            before = total(second)
            with connect(street.client, PRIVATE, private.port) as sock:
                sock.sendall(b"hello")
                try:
                    assert exactly(sock, 5) == b""
                except ConnectionResetError:
                    pass
            assert total(second) == before

        first = street.plait(street.exit, "exit", wanted)
        gateway.until_log("exit attic: new connections go to it again", within=60.0)
        assert ask() == "first"
        kept.sendall(b"still")
        assert exactly(kept, 5) == b"still", "what runs is not moved"
    for plait in (gateway, second, first):
        assert plait.stop() == 0
        assert plain_log(plait.log()), plait.log()
