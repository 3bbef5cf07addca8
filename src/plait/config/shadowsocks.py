"""Configs of Shadowsocks programs: their JSON, as it is found on hosts, and what of it means what here.

Read as those programs read it: with comments and trailing commas. The result is a *document*, the same
nested tables that a TOML file gives, so that every value is checked by the one set of rules. Faults name
the key as it is written in the JSON.

Known: what shadowsocks-libev(8) documents, the lists ``servers`` and ``users`` of shadowsocks-rust, and
SIP008's online form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from plait.config import links
from plait.config.values import Wrong, suggest, type_name
from plait.errors import Fault

Document = dict[str, object]

GATEWAY, EXIT = "gateway", "exit"

_NAME = "shadowsocks"
_BAD_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")

_TAKEN = (
    "server", "server_port", "password", "method", "mode", "local_port", "workers", "servers", "users",
    "remarks", "tag", "name",
)  # fmt: skip
_OF_A_SERVER = (
    "server", "address", "server_port", "port", "password", "method", "remarks", "tag", "name", "id",
    "disabled", "mode", "timeout", "weight", "group",
)  # fmt: skip
_WITHOUT_MEANING = {
    "timeout": "the limits of [relay] are kept",
    "local_address": "interceptors are reached by nobody but the LAN's intercepted connections",
    "fast_open": "TCP Fast Open does not work on MPTCP sockets",
    "mptcp": "it is always on where the kernel has it",
    "reuse_port": "it is always on",
    "no_delay": "it is always on",
    "ipv6_first": "both families are tried (RFC 8305)",
    "nofile": "the limit is raised as far as it may be",
    "user": "workers are unprivileged anyway",
    "nameserver": "the host's resolver is asked",
    "dns": "the host's resolver is asked",
    "use_syslog": "the log goes to standard error",
    "log": "the log goes to standard error",
    "keep_alive": "it is always on",
    "udp_timeout": "associations end after five minutes",
    "udp_max_associations": "their number is limited anyway",
    "version": "",
    "$schema": "",
}
_REFUSED = {
    "plugin": "plait has no plugins; see whether the server can be reached without",
    "plugin_opts": "plait has no plugins",
    "key": "give the password that it was made of",
    "port_password": "make a config for each port; [[user]] tables let several share one",
    "tunnel_address": "ss-tunnel's work is an ordinary connection through the gateway",
    "acl": "rules are written as [[rule]]",
    "locals": "listeners are written as [[proxy]]",
    "manager_address": "plait is told by `plait paths` and by reload",
}
_COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|#[^\n]*|/\*.*?\*/|,(?=\s*[}\]])', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Imported:
    """What a file says, in our terms."""

    role: str
    """`GATEWAY` or `EXIT`."""
    document: Document
    names: Mapping[str, str] = field(default_factory=dict)
    """Keys of the document as they are written in the file."""
    notes: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()


def read(source: str, text: str, role: str | None = None) -> Imported:
    """Read a JSON file. ``role`` is what it is for; else that of a server is told by its address.

    Never raises: what is wrong is in ``faults``.
    """
    try:
        said = json.loads(_plain_json(text))
    except json.JSONDecodeError as error:
        fault = Fault(f"{source}:{error.lineno}:{error.colno}", "", f"this is not JSON: {error.msg}")
        return Imported(role or GATEWAY, {}, faults=(fault,))
    except (RecursionError, ValueError):
        return Imported(role or GATEWAY, {}, faults=(Fault(source, "", "is nested too deeply"),))
    if not isinstance(said, dict):
        problem = f"must be an object, not {type_name(said)}"
        return Imported(role or GATEWAY, {}, faults=(Fault(source, "", problem),))
    return _Reader(source, said).read(role)


def read_link(source: str, text: str) -> Imported:
    """The same of an ``ss://`` link."""
    try:
        link = links.parse(text)
    except Wrong as wrong:
        found = tuple(Fault(source, key, problem, remedy) for key, problem, remedy in wrong.complaints)
        return Imported(GATEWAY, {}, faults=found)
    port: object = int(link.port) if link.port.isdecimal() and len(link.port) < 6 else link.port
    table: Document = {
        "name": _label(link.name) or _NAME,
        "address": [link.host],
        "port": port,
        "method": link.method,
        "password": link.password.reveal(),
    }
    return Imported(GATEWAY, {"exit": [_without_empty(table)]})


def _plain_json(text: str) -> str:
    """Without comments and trailing commas; every character stays in its place."""

    def blank(match: re.Match[str]) -> str:
        found = match[0]
        return found if found.startswith('"') else re.sub(r"[^\n]", " ", found)

    return _COMMENT.sub(blank, text.removeprefix("\ufeff"))


class _Reader:
    """One file on its way into a document."""

    def __init__(self, source: str, said: Mapping[str, object]) -> None:
        self._source = source
        self._said = said
        self._names: dict[str, str] = {}
        self._notes: list[str] = []
        self._faults: list[Fault] = []

    def read(self, role: str | None) -> Imported:
        said = self._said
        self._sort_out("", said, _TAKEN)
        document: Document = {}
        if role is None:
            role = EXIT if _is_listening(said.get("server")) or "users" in said else GATEWAY
        if role == EXIT:
            self._exit(document)
        else:
            self._gateway(document)
        if "workers" in said:
            document["relay"] = {"workers": said["workers"]}
            self._names["relay.workers"] = "workers"
        return Imported(role, document, self._names, tuple(self._notes), tuple(self._faults))

    def _sort_out(self, prefix: str, said: Mapping[str, object], taken: tuple[str, ...]) -> None:
        """Name all keys that mean nothing here, or nothing that can be done."""
        for key in said:
            if key in taken:
                continue
            if key in _WITHOUT_MEANING:
                if _WITHOUT_MEANING[key]:
                    self._notes.append(f"{prefix}{key}: not used; {_WITHOUT_MEANING[key]}")
            elif key in _REFUSED:
                if said[key]:
                    self._fault(prefix + key, "can't be done", _REFUSED[key])
            else:
                known = (*taken, *_WITHOUT_MEANING)
                self._fault(prefix + key, "no such key", suggest(key, known, "`"))

    def _fault(self, key: str, problem: str, remedy: str | None = None) -> None:
        self._faults.append(Fault(self._source, key, problem, remedy))

    def _gateway(self, document: Document) -> None:
        said = self._said
        peers: list[Document] = []
        if "server" in said or "servers" not in said:
            peers.append(self._server("exit[0]", "", said))
        servers = said.get("servers", [])
        if isinstance(servers, list) and all(isinstance(each, dict) for each in servers):
            for index, each in enumerate(servers):
                if each.get("disabled"):
                    self._notes.append(f"servers[{index}]: disabled, left out")
                    continue
                self._sort_out(f"servers[{index}].", each, _OF_A_SERVER)
                peers.append(self._server(f"exit[{len(peers)}]", f"servers[{index}].", each))
        else:
            self._fault("servers", "must be a list of objects")
        if "users" in said:
            self._fault("users", "is a server's", "`--role exit`, if this box is the server")
        taken: set[object] = set()
        for number, peer in enumerate(peers, 1):
            if peer["name"] in taken:
                peer["name"] = f"{peer['name']}-{number}"[:32]
            taken.add(peer["name"])
        document["exit"] = peers
        gateway: Document = {}
        if "local_port" in said:
            gateway["port"] = said["local_port"]
            self._names["gateway.port"] = "local_port"
        mode = said.get("mode", "tcp_only")
        if mode == "tcp_and_udp":
            gateway["udp"] = "shadowsocks"
        elif mode == "tcp_only":
            gateway["udp"] = "direct"
        else:
            self._fault("mode", "can't be done", 'it is "tcp_only" or "tcp_and_udp"')
        document["gateway"] = gateway

    def _server(self, at: str, prefix: str, said: Mapping[str, object]) -> Document:
        """One far end, as a table of [[exit]]."""
        where = "server" if "server" in said or not prefix else "address"
        port = "server_port" if "server_port" in said or not prefix else "port"
        host = said.get(where)
        label = next((said[key] for key in ("remarks", "tag", "name") if said.get(key)), None)
        for ours, theirs in (
            ("address", where),
            ("port", port),
            ("method", "method"),
            ("password", "password"),
        ):
            self._names[f"{at}.{ours}"] = prefix + theirs
        return _without_empty(
            {
                "name": _label(label) or _NAME,
                "address": list(host) if isinstance(host, list) else [] if host is None else [host],
                "port": _number(said.get(port, 8388)),
                "method": _method(said.get("method")),
                "password": said.get("password"),
            }
        )

    def _exit(self, document: Document) -> None:
        said = self._said
        host = said.get("server", ["0.0.0.0", "::"])
        table: Document = {
            "listen": host if isinstance(host, list) else [host],
            "port": _number(said.get("server_port", 8388)),
            "method": _method(said.get("method")),
            "password": said.get("password"),
        }
        for ours, theirs in (("listen", "server"), ("port", "server_port")):
            self._names[f"exit.{ours}"] = theirs
        for key in ("method", "password"):
            self._names[f"exit.{key}"] = key
        document["exit"] = _without_empty(table)
        if "servers" in said:
            self._fault("servers", "is a client's", "`--role gateway`, if this box is the client")
        if "local_port" in said:
            self._notes.append("local_port: not used; it is a client's")
        users = said.get("users", [])
        if not isinstance(users, list) or not all(isinstance(user, dict) for user in users):
            self._fault("users", "must be a list of objects")
        elif users:
            document["user"] = [
                {"name": _label(user.get("name")) or f"user{number}", "password": user.get("password", "")}
                for number, user in enumerate(users, 1)
            ]
            for index in range(len(users)):
                self._names[f"user[{index}].password"] = f"users[{index}].password"


def _is_listening(server: object) -> bool:
    """Whether a server's address is one to listen on: the unspecified one, which nobody can connect to."""
    for one in server if isinstance(server, list) else [server]:
        try:
            if isinstance(one, str) and ip_address(one).is_unspecified:
                return True
        except ValueError:
            pass
    return False


def _without_empty(table: Document) -> Document:
    return {key: value for key, value in table.items() if value not in (None, "")}


def _method(said: object) -> object:
    return links.ALIASES.get(said.lower(), said.lower()) if isinstance(said, str) else said


def _number(said: object) -> object:
    """Some programs write ports in quotes."""
    return int(said) if isinstance(said, str) and said.isdecimal() and len(said) < 6 else said


def _label(said: object) -> str:
    """A name for an exit or a user out of what people write there."""
    bare = _BAD_IN_NAMES.sub("-", said).strip("-.")[:32] if isinstance(said, str) else ""
    return bare.rstrip("-.")
