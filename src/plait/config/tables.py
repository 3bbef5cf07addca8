"""The tables of a config file, one function each: from a ``Table`` to a value of the model.

The keys of a table are the fields of its dataclass, so the model stays the one
list of what there is. A ``Draft`` holds what all files together gave, each
value with the table it came from, for ``consistency`` to point at.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from plait.config import amounts, keys, model, values
from plait.config.table import Table

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Placed(Generic[M]):
    """A value of the model and the table that said it."""

    value: M
    table: Table


@dataclass(slots=True)
class Draft:
    """Everything the files said, before anybody asked whether it fits together."""

    gateways: list[Placed[model.Gateway]] = field(default_factory=list)
    exits: list[Placed[model.Exit]] = field(default_factory=list)
    peers: list[Placed[model.Peer]] = field(default_factory=list)
    paths: list[Placed[model.Path]] = field(default_factory=list)
    rules: list[Placed[model.Rule]] = field(default_factory=list)
    proxies: list[Placed[model.Proxy]] = field(default_factory=list)
    users: list[Placed[model.User]] = field(default_factory=list)
    tunnels: list[Placed[model.Tunnel]] = field(default_factory=list)
    relays: list[Placed[model.Relay]] = field(default_factory=list)
    webs: list[Placed[model.Web]] = field(default_factory=list)
    headers: set[str] = field(default_factory=set)
    """Top-level tables that were written at all, whether they could be read or not."""


def _keys(kind: type) -> tuple[str, ...]:
    return tuple(each.name for each in dataclasses.fields(kind))


PEER_KEYS = _keys(model.Peer)

KEYS: Mapping[str, tuple[str, ...]] = {
    "[gateway]": (*_keys(model.Gateway), "exit"),
    "[[exit]]": PEER_KEYS,
    "[[path]]": _keys(model.Path),
    "[[rule]]": _keys(model.Rule),
    "[[proxy]]": _keys(model.Proxy),
    "[exit]": _keys(model.Exit),
    "[[user]]": _keys(model.User),
    "[tunnel]": _keys(model.Tunnel),
    "[relay]": _keys(model.Relay),
    "[web]": _keys(model.Web),
}
"""What may stand under each header. ``exit`` under ``[gateway]`` is ``[[gateway.exit]]``."""

TOP_KEYS = ("gateway", "exit", "path", "rule", "proxy", "user", "tunnel", "relay", "web")

# A default of the model, so that no default is written down twice.
_GATEWAY = model.Gateway(lan=())
_PEER = model.Peer(name="", address=())
_PATH = model.Path(interface="", name="")
_RULE = model.Rule(to=model.Verdict.DIRECT)
_PROXY = model.Proxy(listen=(values.address("::"), 0), exit="")
_EXIT = model.Exit()
_USER = model.User(name="", password=model.Secret(""))
_TUNNEL = model.Tunnel()
_RELAY = model.Relay()
_WEB = model.Web(listen=())

_NETWORKS = values.many(values.network)
_NO_SECRET = model.Secret("")


def read(root: Table, draft: Draft) -> None:
    """Read one file's tables into the draft, noting every fault."""
    root.refuse_unknown(TOP_KEYS, KEYS)
    draft.headers |= set(root.raw)
    gateway = root.child("gateway")
    if gateway is not None:
        draft.gateways.append(Placed(_gateway(gateway), gateway))
        draft.peers += [Placed(_peer(table), table) for table in gateway.children("exit")]
    if isinstance(root.raw.get("exit"), list):
        if gateway is not None and "exit" in gateway:
            root.fault(
                "exit",
                "far ends are written both as [[exit]] and as [[gateway.exit]]",
                "use one form in a file",
            )
        draft.peers += [Placed(_peer(table), table) for table in root.children("exit")]
    else:
        _single(root, "exit", _exit, draft.exits)
    _several(root, "path", _path, draft.paths)
    _several(root, "rule", _rule, draft.rules)
    _several(root, "proxy", _proxy, draft.proxies)
    _several(root, "user", _user, draft.users)
    _single(root, "tunnel", _tunnel, draft.tunnels)
    _single(root, "relay", _relay, draft.relays)
    _single(root, "web", _web, draft.webs)


def _single(root: Table, name: str, build: Callable[[Table], M], into: list[Placed[M]]) -> None:
    table = root.child(name)
    if table is not None:
        into.append(Placed(build(table), table))


def _several(root: Table, name: str, build: Callable[[Table], M], into: list[Placed[M]]) -> None:
    into += [Placed(build(table), table) for table in root.children(name)]


def _gateway(table: Table) -> model.Gateway:
    table.refuse_unknown(KEYS["[gateway]"], _others("[gateway]"))
    return model.Gateway(
        lan=table.need(
            "lan", values.many(values.interface, 1), (), 'name the LAN\'s interfaces, as in lan = ["lan"]'
        ),
        intercept=table.take("intercept", values.word(model.Intercept), _GATEWAY.intercept),
        tcp=table.take("tcp", values.word(model.TcpVia), _GATEWAY.tcp),
        udp=table.take("udp", values.word(model.UdpVia), _GATEWAY.udp),
        routed=table.take("routed", _NETWORKS, _GATEWAY.routed),
        own=table.take("own", values.word(model.OwnVia), _GATEWAY.own),
        when_exit_lost=table.take("when_exit_lost", values.word(model.WhenExitLost), _GATEWAY.when_exit_lost),
        bypass=table.take("bypass", _NETWORKS, _GATEWAY.bypass),
        port=table.take("port", values.port, _GATEWAY.port),
    )


def _peer(table: Table) -> model.Peer:
    table.refuse_unknown(PEER_KEYS, _others("[[exit]]"))
    method = table.take("method", values.word(model.Method), _PEER.method)
    return model.Peer(
        name=table.need("name", values.label, "", 'rules and status call it so, as in name = "attic"'),
        address=table.need("address", values.many(values.host, 1), (), 'as in address = ["203.0.113.10"]'),
        port=table.take("port", values.port, _PEER.port),
        method=method,
        password=_password(table, method),
        public_key=table.take("public_key", keys.public_key, _PEER.public_key),
    )


def _password(table: Table, method: model.Method) -> model.Secret:
    read = keys.shared(method, identities=True)
    if method is model.Method.NONE:
        return table.take("password", read, _NO_SECRET)
    wanted = f" --method {method.value}" if method.key_bytes else ""
    remedy = f"method {method.value} needs it, the same on both ends; `plait keygen{wanted}` makes one"
    return table.need("password", read, _NO_SECRET, remedy)


def _path(table: Table) -> model.Path:
    table.refuse_unknown(KEYS["[[path]]"], _others("[[path]]"))
    interface = table.need(
        "interface", values.interface, "", 'name the link\'s interface, as in interface = "wan1"'
    )
    hops = table.take("gateway", values.many(values.address), _PATH.gateway)
    for version in (4, 6):
        if sum(hop.version == version for hop in hops) > 1:
            table.fault(
                "gateway", f"has more than one IPv{version} address", "a path has one next hop of each family"
            )
    return model.Path(
        interface=interface,
        name=table.take("name", values.label, interface),
        mode=table.take("mode", values.word(model.Mode), _PATH.mode),
        gateway=hops,
        metered=table.take("metered", values.boolean, _PATH.metered),
        weight=table.take("weight", values.number(0.01, 100), _PATH.weight),
        on_up=table.take("on_up", values.command, _PATH.on_up),
        on_down=table.take("on_down", values.command, _PATH.on_down),
        on_standby=table.take("on_standby", values.command, _PATH.on_standby),
        watchdog=table.take("watchdog", values.command, _PATH.watchdog),
        # Below some seconds a link that is just dialling would be hung up again and again.
        watchdog_after=table.take("watchdog_after", values.seconds(5, 86400), _PATH.watchdog_after),
        watchdog_limit=table.take("watchdog_limit", values.integer(1, 60), _PATH.watchdog_limit),
    )


def _rule(table: Table) -> model.Rule:
    table.refuse_unknown(KEYS["[[rule]]"], _others("[[rule]]"))
    return model.Rule(
        to=table.need("to", values.destination_of_rule, _RULE.to, 'it is "exit:NAME", "direct" or "block"'),
        source=table.take("source", _NETWORKS, _RULE.source),
        destination=table.take("destination", _NETWORKS, _RULE.destination),
        port=table.take("port", values.many(values.port_range), _RULE.port),
        protocol=table.take("protocol", values.many(values.word(model.Protocol)), _RULE.protocol),
        mac=table.take("mac", values.many(values.mac), _RULE.mac),
        domain=table.take("domain", values.many(values.domain), _RULE.domain),
    )


def _proxy(table: Table) -> model.Proxy:
    table.refuse_unknown(KEYS["[[proxy]]"], _others("[[proxy]]"))
    return model.Proxy(
        listen=table.need(
            "listen", values.socket_address, _PROXY.listen, 'as in listen = "192.168.78.1:1081"'
        ),
        protocol=table.take("protocol", values.word(model.ProxyProtocol), _PROXY.protocol),
        exit=table.need("exit", values.label, "", 'the name of an exit, as in exit = "attic"'),
        username=table.take("username", values.credential, _PROXY.username),
        password=table.take("password", values.secret, _NO_SECRET),
    )


def _exit(table: Table) -> model.Exit:
    table.refuse_unknown(KEYS["[exit]"], _others("[exit]"))
    method = table.take("method", values.word(model.Method), _EXIT.method)
    return model.Exit(
        listen=table.take("listen", values.many(values.address, 1), _EXIT.listen),
        port=table.take("port", values.port, _EXIT.port),
        method=method,
        password=table.take("password", keys.shared(method, identities=False), _NO_SECRET),
        allow=table.take("allow", _NETWORKS, _EXIT.allow),
        deny=table.take("deny", _NETWORKS, _EXIT.deny),
        trust=table.take("trust", _NETWORKS, _EXIT.trust),
        fallback=table.take("fallback", values.host_port, _EXIT.fallback),
        private_key=table.take("private_key", keys.private_key, _NO_SECRET),
    )


def _user(table: Table) -> model.User:
    table.refuse_unknown(KEYS["[[user]]"], _others("[[user]]"))
    return model.User(
        name=table.need("name", values.label, "", 'as in name = "roof"'),
        password=table.need("password", values.secret, _NO_SECRET, "`plait keygen` makes one"),
        rate=table.take("rate", amounts.rate, _USER.rate),
        volume=table.take("volume", amounts.volume, _USER.volume),
        volume_period=table.take("volume_period", values.word(model.Period), _USER.volume_period),
    )


def _tunnel(table: Table) -> model.Tunnel:
    table.refuse_unknown(KEYS["[tunnel]"], _others("[tunnel]"))
    return model.Tunnel(
        serve=table.take("serve", values.boolean, _TUNNEL.serve),
        subnet=table.take("subnet", values.subnet, _TUNNEL.subnet),
        subnet6=table.take("subnet6", values.subnet6, _TUNNEL.subnet6),
        networks=table.take("networks", _NETWORKS, _TUNNEL.networks),
        masquerade=table.take("masquerade", values.boolean, _TUNNEL.masquerade),
        mtu=table.take("mtu", values.mtu, _TUNNEL.mtu),
        name=table.take("name", values.interface, _TUNNEL.name),
    )


def _relay(table: Table) -> model.Relay:
    table.refuse_unknown(KEYS["[relay]"], _others("[relay]"))
    # Bounds: a worker per core of the largest machines; a week for what is idle; below a tenth of a
    # second not even a dial across a room is sure to succeed.
    quick, slow = values.seconds(0.1, 600), values.seconds(1, 604800)
    return model.Relay(
        workers=table.take("workers", values.integer(0, 256), _RELAY.workers),
        connect_timeout=table.take("connect_timeout", quick, _RELAY.connect_timeout),
        handshake_timeout=table.take("handshake_timeout", quick, _RELAY.handshake_timeout),
        idle_timeout=table.take("idle_timeout", slow, _RELAY.idle_timeout),
        half_close_timeout=table.take("half_close_timeout", slow, _RELAY.half_close_timeout),
        sessions=table.take("sessions", values.integer(1, 500_000), _RELAY.sessions),
        warm=table.take("warm", values.integer(0, 64), _RELAY.warm),
    )


def _web(table: Table) -> model.Web:
    table.refuse_unknown(KEYS["[web]"], _others("[web]"))
    return model.Web(
        listen=table.need(
            "listen",
            values.many(values.socket_address, 1),
            (),
            'the LAN\'s address, as in listen = "192.168.1.1:8390"',
        ),
        password=table.take("password", values.secret, _NO_SECRET),
        token=table.take("token", values.secret, _NO_SECRET),
        insecure=table.take("insecure", values.boolean, _WEB.insecure),
        exposed=table.take("exposed", values.boolean, _WEB.exposed),
        names=table.take("names", values.many(values.domain), _WEB.names),
        metrics=table.take("metrics", values.boolean, _WEB.metrics),
        history=table.take("history", amounts.volume, _WEB.history),
        history_directory=table.take("history_directory", values.directory, _WEB.history_directory),
    )


def _others(header: str) -> dict[str, tuple[str, ...]]:
    return {other: keys for other, keys in KEYS.items() if other != header}
