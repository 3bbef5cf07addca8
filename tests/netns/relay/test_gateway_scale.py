"""Many clients at once, and many that say nothing."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator

import pytest
from tests.netns.relay.places import connect, descriptors, echo, exactly, resident
from tests.netns.relay.street import EXIT_OUT, SERVER, Plait, Street, exit_config, gateway_config, plain_log

CLIENTS = 2000


@pytest.fixture(scope="module")
def plaits(street: Street) -> Iterator[tuple[Plait, Plait]]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CLIENTS + 200
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this test holds {wanted} descriptors itself, and may have {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    gateway, exit = street.pair(gateway_config(), exit_config())
    yield gateway, exit
    assert gateway.stop() == exit.stop() == 0
    assert plain_log(gateway.log()), gateway.log()
    assert plain_log(exit.log()), exit.log()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_two_thousand_clients(street: Street, plaits: tuple[Plait, Plait]) -> None:
    before = {pid: (descriptors(pid), resident(pid)) for plait in plaits for pid in plait.workers()}
    with echo(street.server, SERVER[4]) as server:
        socks: list[socket.socket] = []
        try:
            for number in range(CLIENTS):
                socks.append(connect(street.client, SERVER[4], server.port))
                socks[-1].sendall(b"%06d" % number)
            for number, sock in enumerate(socks):
                assert exactly(sock, 6) == b"%06d" % number
            assert server.peers == {EXIT_OUT[4]}
            # All live, none does anything: two descriptors each, and no buffer.
            for plait in plaits:
                status = plait.status()
                assert status["sessions"]["open"] == CLIENTS
                more_descriptors = more_memory = 0
                for pid in plait.workers():
                    more_descriptors += descriptors(pid) - before[pid][0]
                    more_memory += resident(pid) - before[pid][1]
                assert more_descriptors == 2 * CLIENTS
                # Some 10 kB each, sealed. The smallest buffer there is (16 kB) would be 32 MB in all.
                assert more_memory < 25e6
            # They are as alive as on the first day.
            for sock in socks[::50]:
                sock.sendall(b"again")
                assert exactly(sock, 5) == b"again"
        finally:
            for sock in socks:
                sock.close()
    for plait in plaits:
        plait.until("all to end", lambda status: status["sessions"]["open"] == 0, within=30)
        for pid in plait.workers():
            assert descriptors(pid) <= before[pid][0] + 4


def test_a_worker_that_is_full_lets_clients_wait(street: Street, plaits: tuple[Plait, Plait]) -> None:
    gateway, _ = plaits
    gateway.stop()
    small = street.plait(street.gateway, "gateway", gateway_config(relay="sessions = 10"))
    small.until("the exit to be up", lambda status: status["exits"][0]["state"] == "up")
    with echo(street.server, SERVER[4]) as server:
        first = [connect(street.client, SERVER[4], server.port) for _ in range(10)]
        for sock in first:
            sock.sendall(b"a")
            assert exactly(sock, 1) == b"a"
        waiting = connect(street.client, SERVER[4], server.port)
        waiting.sendall(b"patience")
        assert small.status()["sessions"]["open"] == 10
        first.pop().close()
        assert exactly(waiting, 8) == b"patience"
        for sock in (waiting, *first):
            sock.close()
    assert small.stop() == 0
    assert plain_log(small.log()), small.log()
