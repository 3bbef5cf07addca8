"""Every kind of conversation through a gateway and an exit, for every cipher and both interceptions."""

from __future__ import annotations

import hashlib
import random
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.netns.relay.places import (
    accept,
    connect,
    drain,
    echo,
    exactly,
    full,
    listen,
    reset,
    resident,
    silent,
    until_end,
)
from tests.netns.relay.street import (
    EXIT_OUT,
    SERVER,
    Plait,
    Street,
    exit_config,
    gateway_config,
    left_in_kernel,
    plain_log,
)

COMBINATIONS = (
    ("tproxy", "none"),
    ("redirect", "aes-128-gcm"),
    ("tproxy", "aes-256-gcm"),
    ("redirect", "chacha20-ietf-poly1305"),
)
MEGABYTE = 1 << 20


@dataclass
class Running:
    street: Street
    gateway: Plait
    exit: Plait
    version: int

    @property
    def address(self) -> str:
        return SERVER[self.version]

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """A conversation: the client's socket and the server's."""
        with listen(self.street.server, self.address) as listener:
            client = connect(self.street.client, self.address, listener.getsockname()[1])
            server = accept(listener)
        assert server.getpeername()[0] == EXIT_OUT[self.version]
        return client, server


@pytest.fixture(scope="module", params=COMBINATIONS, ids="-".join)
def plaits(request: pytest.FixtureRequest, street: Street) -> Iterator[tuple[Plait, Plait]]:
    intercept, method = request.param
    gateway, exit = street.pair(gateway_config(method, intercept=intercept), exit_config(method))
    yield gateway, exit
    assert gateway.stop() == 0
    assert exit.stop() == 0
    assert plain_log(gateway.log()), gateway.log()
    assert plain_log(exit.log()), exit.log()
    assert left_in_kernel(street.gateway) == {}


@pytest.fixture(params=(4, 6), ids=("ipv4", "ipv6"))
def running(request: pytest.FixtureRequest, street: Street, plaits: tuple[Plait, Plait]) -> Running:
    return Running(street, *plaits, request.param)


def test_the_client_is_done_first_and_the_server_goes_on(running: Running) -> None:
    client, server = running.pair()
    client.sendall(b"question")
    client.shutdown(socket.SHUT_WR)
    assert until_end(server) == (b"question", "eof")
    server.sendall(b"answer" * 10000)
    server.close()
    assert until_end(client) == (b"answer" * 10000, "eof")
    client.close()


def test_the_server_is_done_first_and_the_client_goes_on(running: Running) -> None:
    client, server = running.pair()
    client.sendall(b"hello")
    assert exactly(server, 5) == b"hello"
    server.shutdown(socket.SHUT_WR)
    assert until_end(client) == (b"", "eof")
    client.sendall(b"still here" * 10000)
    client.close()
    assert until_end(server) == (b"still here" * 10000, "eof")
    server.close()


def test_the_server_speaks_first(running: Running) -> None:
    client, server = running.pair()
    server.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    assert exactly(client, 21) == b"SSH-2.0-OpenSSH_9.2\r\n"
    client.sendall(b"SSH-2.0-client\r\n")
    assert exactly(server, 16) == b"SSH-2.0-client\r\n"
    client.close()
    assert until_end(server) == (b"", "eof")
    server.close()


def test_one_byte_at_a_time(running: Running) -> None:
    client, server = running.pair()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in bytes(range(256)):
        client.send(bytes([byte]))
        assert server.recv(9) == bytes([byte])
        server.send(bytes([255 - byte]))
        assert client.recv(9) == bytes([255 - byte])
    client.close()
    server.close()


def test_a_reset_by_the_server_comes_after_all_that_it_had_said(running: Running) -> None:
    client, server = running.pair()
    client.sendall(b"go")
    assert exactly(server, 2) == b"go"
    body = random.Random(1).randbytes(300_000)
    got: list[tuple[bytes, str]] = []
    reader = threading.Thread(target=lambda: got.append(until_end(client)))
    reader.start()
    server.sendall(body)
    # A reset throws away what the server's own kernel has not sent: that much no proxy can save.
    drain(server)
    reset(server)
    reader.join(20)
    assert len(got[0][0]) == len(body)
    assert got[0] == (body, "reset")
    client.close()


def test_a_reset_by_the_client_reaches_the_server(running: Running) -> None:
    client, server = running.pair()
    body = random.Random(2).randbytes(300_000)
    got: list[tuple[bytes, str]] = []
    reader = threading.Thread(target=lambda: got.append(until_end(server)))
    reader.start()
    client.sendall(body)
    drain(client)
    reset(client)
    reader.join(20)
    assert got[0] == (body, "reset")
    server.close()


def test_a_reset_of_an_idle_conversation_is_passed_on_both_ways(running: Running) -> None:
    for who in (0, 1):
        ends = running.pair()
        ends[0].sendall(b"x")
        assert exactly(ends[1], 1) == b"x"
        reset(ends[who])
        assert until_end(ends[1 - who]) == (b"", "reset")
        ends[1 - who].close()


def test_a_reset_after_a_half_close_is_passed_on(running: Running) -> None:
    client, server = running.pair()
    client.sendall(b"x")
    client.shutdown(socket.SHUT_WR)
    assert until_end(server) == (b"x", "eof")
    reset(server)
    assert until_end(client) == (b"", "reset")
    client.close()


def test_a_refusal_is_a_reset(running: Running) -> None:
    with listen(running.street.server, running.address) as listener:
        port = listener.getsockname()[1]
    # The gateway's kernel has accepted before the exit is asked: the client sees it in its first read,
    # or already in its connect when that looks late.
    try:
        client = connect(running.street.client, running.address, port)
    except ConnectionResetError:
        return
    assert until_end(client) == (b"", "reset")
    client.close()


def test_big_bodies_both_ways_at_once(running: Running) -> None:
    client, server = running.pair()
    size = 24 * MEGABYTE
    bodies = [random.Random(seed).randbytes(MEGABYTE) for seed in (3, 4)]
    sums: dict[str, str] = {}

    def send(sock: socket.socket, body: bytes) -> None:
        for _ in range(size // MEGABYTE):
            sock.sendall(body)
        sock.shutdown(socket.SHUT_WR)

    def take(name: str, sock: socket.socket) -> None:
        digest, length = hashlib.sha256(), 0
        while piece := sock.recv(1 << 18):
            digest.update(piece)
            length += len(piece)
        sums[name] = f"{length} {digest.hexdigest()}"

    threads = [
        threading.Thread(target=send, args=(client, bodies[0])),
        threading.Thread(target=send, args=(server, bodies[1])),
        threading.Thread(target=take, args=("client", client)),
        threading.Thread(target=take, args=("server", server)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    want = [f"{size} {hashlib.sha256(body * (size // MEGABYTE)).hexdigest()}" for body in bodies]
    assert sums == {"client": want[1], "server": want[0]}
    client.close()
    server.close()


def test_a_client_that_does_not_read_holds_nobody_up_and_little_memory(running: Running) -> None:
    lazy, flood = running.pair()
    workers = running.gateway.workers() + running.exit.workers()
    before = {pid: resident(pid) for pid in workers}
    lazy.sendall(b"everything, please")
    flood.setblocking(False)
    sent = 0
    body = bytes(MEGABYTE)
    while not full(flood):
        sent += flood.send(body)
    # Kernels hold some MB on the way; the workers next to nothing.
    for pid in workers:
        assert resident(pid) - before[pid] < 3 * MEGABYTE
    client, server = running.pair()
    client.sendall(b"me too")
    assert exactly(server, 6) == b"me too"
    for sock in (client, server):
        sock.close()
    # And nothing is lost once it reads.
    assert len(exactly(lazy, sent)) == sent
    reset(flood)
    assert until_end(lazy) == (b"", "reset")
    lazy.close()


def test_many_at_once(running: Running) -> None:
    count = 300
    with echo(running.street.server, running.address) as server:
        socks = [connect(running.street.client, running.address, server.port) for _ in range(count)]
        for number, sock in enumerate(socks):
            sock.sendall(b"%06d" % number)
        for number, sock in enumerate(socks):
            assert exactly(sock, 6) == b"%06d" % number
        assert server.peers == {EXIT_OUT[running.version]}
        for sock in socks:
            sock.shutdown(socket.SHUT_WR)
        for sock in socks:
            assert until_end(sock) == (b"", "eof")
            sock.close()
    for plait in (running.gateway, running.exit):
        plait.until("all sessions to end", lambda status: status["sessions"]["open"] == 0)


def test_an_mptcp_client(running: Running) -> None:
    with echo(running.street.server, running.address) as server:
        sock = connect(running.street.client, running.address, server.port, mptcp=True)
        sock.sendall(b"x" * 100_000)
        assert exactly(sock, 100_000) == b"x" * 100_000
        sock.close()


def test_nothing_comes_unasked(running: Running) -> None:
    client, server = running.pair()
    assert silent(client, 0.3)
    assert silent(server, 0.1)
    client.close()
    assert until_end(server) == (b"", "eof")
    server.close()
