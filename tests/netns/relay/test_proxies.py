"""Proxies of a gateway on the street, asked by real clients and by hand."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.netns.relay.asking import target
from tests.netns.relay.places import (
    PATIENCE,
    connect,
    echo,
    exactly,
    family_of,
    inside,
    listen,
    until_end,
)
from tests.netns.relay.street import (
    EXIT_OUT,
    SERVER,
    Plait,
    Street,
    exit_config,
    gateway_config,
    plain_log,
)

from plait.lab.node import wait_for
from plait.wire import socks5
from plait.wire.address import Target, encode
from plait.wire.socks5 import Reply

GATEWAY = "192.168.78.1"
NAME = "www.test"
PAGE = b"a page of some length\n" * 4000
PROXIES = f"""
[[proxy]]
listen = "{GATEWAY}:1081"
exit = "attic"
[[proxy]]
listen = "[fd78::1]:1081"
exit = "attic"
[[proxy]]
listen = "{GATEWAY}:3128"
protocol = "http"
exit = "attic"
[[proxy]]
listen = "0.0.0.0:1082"
exit = "attic"
username = "app"
password = "geheim"
[[proxy]]
listen = "0.0.0.0:3129"
protocol = "http"
exit = "attic"
username = "app"
password = "geheim"
"""


class Web:
    """A web server of a few lines in a node, which notes who came."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.port = int(listener.getsockname()[1])
        self.peers: list[str] = []
        self.heads: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        self._listener.settimeout(None)
        while True:
            try:
                sock, peer = self._listener.accept()
            except OSError:
                return
            self.peers.append(peer[0].removeprefix("::ffff:"))
            threading.Thread(target=self._answer, args=(sock,), daemon=True).start()

    def _answer(self, sock: socket.socket) -> None:
        with sock:
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    piece = sock.recv(65536)
                    if not piece:
                        return
                    data += piece
                head, _, data = data.partition(b"\r\n\r\n")
                self.heads.append(head)
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PAGE) + PAGE)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture(scope="module")
def pair(street: Street) -> Iterator[tuple[Plait, Plait]]:
    street.exit.overlay("/etc/hosts", f"127.0.0.1 localhost\n{SERVER[4]} {NAME}\n{SERVER[6]} {NAME}\n")
    gateway, exit = street.pair(gateway_config(rest=PROXIES), exit_config())
    yield gateway, exit
    assert gateway.stop() == 0
    assert exit.stop() == 0
    for side in (gateway, exit):
        assert plain_log(side.log()), side.log()
        assert "geheim" not in side.log()


@pytest.fixture
def gateway(pair: tuple[Plait, Plait]) -> Plait:
    return pair[0]


@pytest.fixture(scope="module")
def web(street: Street) -> Iterator[Web]:
    with inside(street.server):
        sock = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    server = Web(sock)
    yield server
    server.close()


@pytest.mark.parametrize(
    "options",
    [
        ["--socks5-hostname", f"{GATEWAY}:1081"],
        ["--socks5-hostname", "[fd78::1]:1081"],
        ["--socks5-hostname", f"app:geheim@{GATEWAY}:1082"],
        ["--proxy", f"http://{GATEWAY}:3128"],
        ["--proxy", f"http://{GATEWAY}:3128", "--proxytunnel"],
        ["--proxy", f"http://app:geheim@{GATEWAY}:3129"],
        ["--proxy", f"http://app:geheim@{GATEWAY}:3129", "--proxytunnel"],
        ["--proxy", f"http://app:geheim@{GATEWAY}:3129", "--proxy-anyauth"],
        ["--proxy", f"http://{GATEWAY}:3128", "--http1.0"],
    ],
    ids=" ".join,
)
def test_curl(street: Street, gateway: Plait, web: Web, options: list[str]) -> None:
    before = len(web.peers)
    url = f"http://{NAME}:{web.port}/page"
    # Twice in one run: the second over the same connection where the proxy lets it.
    done = street.client.run("curl", "-sS", "--max-time", "20", *options, url, url)
    assert done.stdout.encode() == PAGE * 2
    assert set(web.peers[before:]) <= {EXIT_OUT[4], EXIT_OUT[6]}, "the exit asked, and looked the name up"
    assert all(b"Proxy-" not in head for head in web.heads)


@pytest.mark.parametrize("kind", ["socks5", "http"])
def test_a_program_that_knows_no_proxy(
    street: Street, gateway: Plait, web: Web, kind: str, tmp_path: Path
) -> None:
    """proxychains4 leads its connections to the proxy, and has names looked up behind it."""
    port = {"socks5": 1082, "http": 3129}[kind]
    chain = tmp_path / "proxychains.conf"
    chain.write_text(
        f"strict_chain\nquiet_mode\nproxy_dns\n[ProxyList]\n{kind} {GATEWAY} {port} app geheim\n"
    )
    before = len(web.peers)
    url = f"http://{NAME}:{web.port}/page"
    curl = ("curl", "-sS", "--noproxy", "*", "--max-time", "20", url)
    done = street.client.run("proxychains4", "-f", str(chain), *curl)
    assert done.stdout.encode() == PAGE
    assert set(web.peers[before:]) <= {EXIT_OUT[4], EXIT_OUT[6]}


def test_what_the_exit_can_not_do_is_told_where_http_lets_us(street: Street, gateway: Plait) -> None:
    done = street.client.run(
        "curl", "-sS", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code}",
        "--proxy", f"http://{GATEWAY}:3128", "http://127.0.0.1:1/",
    )  # fmt: skip
    assert done.stdout == "502", "the exit does not dial itself"


def test_a_wrong_password_is_refused_and_told(street: Street, gateway: Plait, web: Web) -> None:
    url = f"http://{NAME}:{web.port}/"
    told = street.client.run(
        "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}",
        "--proxy", f"http://app:wrong@{GATEWAY}:3129", url, check=False,
    )  # fmt: skip
    assert told.stdout == "407"
    told = street.client.run(
        "curl", "-sS", "--socks5-hostname", f"app:wrong@{GATEWAY}:1082", url, check=False
    )
    assert told.returncode != 0
    gateway.until(
        "wrong passwords to be counted",
        lambda status: status["sessions"]["strangers"].get("wrong password", 0) >= 2,
    )
    gateway.until_log("wrong user name or password")


def greeted(street: Street, where: str = GATEWAY, port: int = 1081) -> socket.socket:
    sock = connect(street.client, where, port)
    sock.sendall(b"\x05\x01\x00")
    assert exactly(sock, 2) == b"\x05\x00"
    return sock


def test_half_a_megabyte_each_way_by_address(street: Street, gateway: Plait) -> None:
    data = bytes(range(256)) * 2048
    with echo(street.server, SERVER[4]) as server, greeted(street) as sock:
        sock.sendall(b"\x05\x01\x00" + b"\x01" + socket.inet_aton(SERVER[4]) + server.port.to_bytes(2, "big"))
        assert exactly(sock, 10) == socks5.reply(Reply.DONE)
        thread = threading.Thread(target=sock.sendall, args=(data,))
        thread.start()
        assert exactly(sock, len(data)) == data
        thread.join()
        assert server.peers == {EXIT_OUT[4]}


def test_many_at_once_and_all_are_counted(street: Street, gateway: Plait) -> None:
    with echo(street.server, SERVER[4]) as server:
        before = gateway.status()["sessions"]["total"]
        socks = [greeted(street) for _ in range(50)]
        ask = b"\x05\x01\x00" + encode(Target(NAME, server.port))
        for sock in socks:
            sock.sendall(ask + b"hello")
        for sock in socks:
            assert exactly(sock, 15) == socks5.reply(Reply.DONE) + b"hello"
        status = gateway.status()
        assert status["sessions"]["total"] - before == 50
        for sock in socks:
            sock.close()
        gateway.until("sessions to end", lambda status: status["sessions"]["open"] == 0)


@pytest.mark.parametrize("host", [SERVER[4], SERVER[6], NAME])
def test_datagrams(street: Street, gateway: Plait, host: str) -> None:
    address = SERVER[6] if host == SERVER[6] else SERVER[4]
    with inside(street.server):
        server = socket.socket(family_of(address), socket.SOCK_DGRAM)
        server.bind((address, 0))
    server.settimeout(PATIENCE)
    port = server.getsockname()[1]
    with server, greeted(street) as control, inside(street.client):
        control.sendall(b"\x05\x03\x00\x01" + bytes(6))
        answer = exactly(control, 10)
        assert answer[:4] == b"\x05\x00\x00\x01"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(PATIENCE)
            sock.connect((socket.inet_ntoa(answer[4:8]), int.from_bytes(answer[8:], "big")))
            for size in (0, 1, 1200, 20_000):
                sock.send(socks5.wrap(target(host, port), bytes(size)))
                data, peer = server.recvfrom(65535)
                assert data == bytes(size)
                assert peer[0] in EXIT_OUT.values()
                server.sendto(b"seen " + data, peer)
                unwrapped = socks5.unwrap(sock.recv(65535))
                assert unwrapped is not None
                assert unwrapped[0] == target(address, port), "answers tell who really sent them"
                assert unwrapped[1] == b"seen " + data


def test_a_link_is_no_way_in(street: Street, gateway: Plait) -> None:
    # This host answers for all its addresses on every link; with a route one could come.
    street.exit.run("ip", "route", "replace", f"{GATEWAY}/32", "via", "10.1.1.78")
    with pytest.raises(ConnectionRefusedError):
        connect(street.exit, GATEWAY, 1081)
    with connect(street.exit, GATEWAY, 1082) as sock:
        sock.sendall(b"\x05\x01\x02")
        assert exactly(sock, 2) == b"\x05\x02", "that one asks who comes"


def test_what_is_no_client_is_left_and_counted(street: Street, gateway: Plait) -> None:
    for port, said in ((1081, b"GET / HTTP/1.1\r\n\r\n"), (3128, b"\x05\x01\x00" + b"\xff" * 70000)):
        with connect(street.client, GATEWAY, port) as sock:
            sock.sendall(said)
            sock.shutdown(socket.SHUT_WR)
            until_end(sock)
    gateway.until(
        "both to be counted",
        lambda status: status["sessions"]["strangers"].get("not a proxy's client", 0) >= 2,
    )


def test_a_reload_keeps_who_is_half_way_and_takes_a_new_password(street: Street, gateway: Plait) -> None:
    with echo(street.server, SERVER[4]) as server, greeted(street) as sock, greeted(street) as other:
        ask = b"\x05\x01\x00" + encode(Target(SERVER[4], server.port))
        other.sendall(ask + b"stays")
        assert exactly(other, 15)[10:] == b"stays"
        workers = gateway.workers()
        gateway.rewrite(gateway.config.read_text().replace("geheim", "neuheim"))
        os.kill(gateway.pid, signal.SIGHUP)
        gateway.until_log("config reloaded")
        wait_for("new workers", lambda: set(gateway.workers()) - set(workers), within=20.0)
        sock.sendall(ask + b"hello")
        assert exactly(sock, 15)[10:] == b"hello"
        other.sendall(b" here")
        assert exactly(other, 5) == b" here"
        with connect(street.client, GATEWAY, 1082) as new:
            new.sendall(b"\x05\x01\x02" + b"\x01\x03app\x07neuheim")
            assert exactly(new, 4) == b"\x05\x02\x01\x00"


def test_a_proxy_says_so_while_its_exit_is_away(
    street: Street, gateway: Plait, pair: tuple[Plait, Plait]
) -> None:
    with listen(street.server, SERVER[4]) as listener:
        port = listener.getsockname()[1]
        street.exit.run("nft", "-f", "-", stdin=BLOCK)
        try:
            with greeted(street) as sock:
                sock.sendall(b"\x05\x01\x00" + encode(Target(SERVER[4], port)))
                code = exactly(sock, 10)[1]
                assert code in (Reply.REFUSED, Reply.HOST_UNREACHABLE, Reply.NETWORK_UNREACHABLE)
        finally:
            street.exit.run("nft", "delete", "table", "inet", "closed")


BLOCK = """
table inet closed {
    chain input {
        type filter hook input priority -10;
        tcp dport 8388 tcp flags & (syn | ack) == syn reject with tcp reset
    }
}
"""
