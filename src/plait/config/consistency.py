"""What no single table can know: names, references, and whether anything is missing.

Every check looks at the ``Draft`` of all files together and points at the
table that is wrong. Values that could not be read are empty here and skipped:
they are faults already.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from ipaddress import ip_address

from plait.config import keys, web
from plait.config.model import Method, Mode, Period
from plait.config.tables import Draft, M, Placed
from plait.config.values import CREDENTIAL_MAX, show, suggest
from plait.errors import Fault

GATEWAY_HEADERS = frozenset(("gateway", "path", "rule", "proxy"))
"""Tables that only a gateway has. ``exit`` is either's, by its brackets."""

EXIT_HEADERS = frozenset(("user",))
"""Tables that only an exit has. ``tunnel``, ``relay`` and ``web`` are either's."""


def check(draft: Draft, sources: Sequence[str]) -> list[Fault]:
    """Note what is wrong in the tables concerned; return the faults that no table has."""
    _one_each(draft)
    _distinct("name", draft.peers, lambda peer: peer.name)
    _distinct("name", draft.paths, lambda path: path.name)
    _distinct("interface", draft.paths, lambda path: path.interface)
    _distinct("name", draft.users, lambda user: user.name)
    _distinct("listen", draft.proxies, lambda proxy: proxy.listen if proxy.listen[1] else None)
    _one_master(draft)
    _links_are_not_lans(draft)
    _references(draft)
    _admission(draft)
    _fallback(draft)
    _users(draft)
    _proxies(draft)
    _ports(draft)
    _tunnel(draft)
    web.check(draft)
    return _missing(draft, " + ".join(sources))


def _place(first: Placed[M], second: Placed[M], name: str) -> str:
    """Where the first of two is, as seen from the second."""
    key = f"{first.table.key}.{name}" if name else first.table.key
    return key if first.table.source == second.table.source else f"{key} of {first.table.source}"


def _one_each(draft: Draft) -> None:
    for singles in (draft.gateways, draft.exits):
        for again in singles[1:]:
            again.table.fault("", f"is already in {singles[0].table.source}", "a node has one of each role")
    shares = ((draft.relays, "the workers"), (draft.tunnels, "the tunnel"), (draft.webs, "the page"))
    for shared, why in shares:
        for other in shared[1:]:
            if other.value != shared[0].value:
                problem = f"differs from the one in {shared[0].table.source}"
                other.table.fault("", problem, f"both roles share {why}: write it once")


def _distinct(name: str, items: Sequence[Placed[M]], identity: Callable[[M], Hashable]) -> None:
    first: dict[Hashable, Placed[M]] = {}
    for item in items:
        key = identity(item.value)
        if key and first.setdefault(key, item) is not item:
            # A path's name is its interface unless it is given: say it once, of the interface.
            if name == "name" and name not in item.table:
                continue
            item.table.fault(name, f"is the same as {_place(first[key], item, name)}")


def _one_master(draft: Draft) -> None:
    masters = [path for path in draft.paths if path.value.mode is Mode.MASTER]
    for path in masters[1:]:
        problem = f"there is a master already: {_place(masters[0], path, 'mode')}"
        path.table.fault("mode", problem, "one path carries all other traffic; make this one on or backup")


def _links_are_not_lans(draft: Draft) -> None:
    lans = {name for gateway in draft.gateways for name in gateway.value.lan}
    for path in draft.paths:
        if path.value.interface in lans:
            path.table.fault(
                "interface",
                f"{show(path.value.interface)} is in gateway.lan too",
                "a link is one or the other",
            )


def _references(draft: Draft) -> None:
    names = [peer.value.name for peer in draft.peers if peer.value.name]
    hint = "there is no [[exit]] with a name" if not names else ""
    for rule in draft.rules:
        to = rule.value.to
        if isinstance(to, str) and to not in names:
            remedy = hint or suggest(to, names)
            rule.table.fault("to", f"no exit is named {show(to)}", remedy)
    for proxy in draft.proxies:
        if proxy.value.exit and proxy.value.exit not in names:
            proxy.table.fault(
                "exit", f"no exit is named {show(proxy.value.exit)}", hint or suggest(proxy.value.exit, names)
            )


def _admission(draft: Draft) -> None:
    """Who may use the exit: someone must, and never just anybody."""
    for item in draft.exits[:1]:
        role, table = item.value, item.table
        if role.method is Method.NONE:
            if not table.means("trust"):
                remedy = (
                    'name the gateways\' addresses, as in trust = ["10.1.1.0/24"], or choose a sealed method'
                )
                table.fault("trust", "is missing: with method none anybody could use this exit", remedy)
            elif table.raw.get("trust") == []:
                table.fault(
                    "trust",
                    "is empty: with method none nobody could use this exit",
                    "name the gateways' addresses",
                )
        elif not table.means("password") and not draft.users:
            remedy = "`plait keygen` makes one; [[user]] tables with one each will do too"
            table.fault("password", f"is missing: method {role.method.value} needs it", remedy)
        elif not table.means("password") and role.method.key_bytes:
            remedy = f"users are told apart under it; `plait keygen --method {role.method.value}` makes one"
            table.fault("password", f"is missing: method {role.method.value} needs it beside users", remedy)


def _fallback(draft: Draft) -> None:
    """Strangers must not be handed on to the port that they came to: each would come again for ever."""
    for item in draft.exits[:1]:
        role = item.value
        if role.fallback is None or role.fallback[1] != role.port:
            continue
        host = role.fallback[0]
        try:
            address = None if host == "localhost" else ip_address(host)
        except ValueError:
            continue
        inward = address is None or address.is_loopback
        if address in role.listen or (inward and any(each.is_unspecified for each in role.listen)):
            where = f"[{host}]" if ":" in host else host
            problem = f"{where}:{role.port} is this exit itself"
            item.table.fault("fallback", problem, 'name another server, as in "127.0.0.1:80"')


def _users(draft: Draft) -> None:
    """Users are told apart by their passwords, whose form depends on the exit's method."""
    for item in draft.exits[:1]:
        role = item.value
        taken = {role.password: "[exit]"} if role.password else {}
        for user in draft.users:
            if not role.method.tells_users_apart:
                problem = f"can't be told apart with method {role.method.value}"
                user.table.fault("", problem, "choose another method in [exit]")
                continue
            if user.value.password:
                user.table.take("password", keys.shared(role.method, identities=False), user.value.password)
            owner = (
                taken.setdefault(user.value.password, user.table.key)
                if user.value.password
                else user.table.key
            )
            if owner != user.table.key:
                user.table.fault("password", f"is the same as that of {owner}", "users are told apart by it")
            if user.value.volume_period is not Period.NEVER and "volume" not in user.table:
                user.table.fault("volume_period", "is of no use without `volume`", 'as in volume = "100 GB"')


def _proxies(draft: Draft) -> None:
    """A proxy is open to a LAN at most, unless it asks who comes."""
    for item in draft.proxies:
        proxy, table = item.value, item.table
        if table.means("username") and not table.means("password"):
            table.fault("password", "is missing: there is a username")
        if table.means("password") and not table.means("username"):
            table.fault("username", "is missing: there is a password")
        if len(proxy.password.reveal().encode()) > CREDENTIAL_MAX:
            table.fault("password", f"has more than {CREDENTIAL_MAX} bytes", "RFC 1929 allows no more")
        address = proxy.listen[0]
        private = address.is_private and not address.is_unspecified
        if "listen" in table and proxy.listen[1] and not private and not table.means("username"):
            table.fault(
                "listen",
                f"{address} can be reached from outside: anybody could use this proxy",
                'listen on the LAN\'s address, as in "192.168.78.1:1081", or set username and password',
            )


def _tunnel(draft: Draft) -> None:
    """Addresses that are handed out are nobody's beside."""
    for item in draft.tunnels[:1]:
        for network in item.value.networks:
            for subnet in item.value.subnets:
                if network.version == subnet.version and network.overlaps(subnet):
                    problem = f"{network} overlaps with {subnet}, out of which gateways get their addresses"
                    item.table.fault("networks", problem, "choose another subnet")


def _ports(draft: Draft) -> None:
    """The interceptor takes one port for each exit, counting up from ``gateway.port``; with rules by domain
    one more, for UDP."""
    names = any(rule.value.domain for rule in draft.rules)
    for item in draft.gateways[:1]:
        first, last = item.value.port, item.value.port + max(len(draft.peers), 1) - 1
        if last + names > 65535:
            whose = f"{len(draft.peers)} exits{' and rules by domain' if names else ''}"
            problem = f"{whose} need the ports {first} to {last + names}"
            item.table.fault("port", problem, "begin lower; the highest port is 65535")
        for role in draft.exits[:1] if names else ():
            if role.value.port == last + 1:
                fix = "rules by domain need one port more than the exits"
                role.table.fault("port", f"{last + 1} is taken by the interceptor", fix)
        taken = f"{first}" if first == last else f"{first} to {last}"
        others = [("port", role.table, role.value.port) for role in draft.exits[:1]]
        others += [("listen", proxy.table, proxy.value.listen[1]) for proxy in draft.proxies]
        others += [("listen", page.table, port) for page in draft.webs for _, port in page.value.listen]
        for name, table, port in others:
            if first <= port <= last:
                table.fault(name, f"{port} is taken by the interceptor", f"gateway.port gives it {taken}")


def _missing(draft: Draft, source: str) -> list[Fault]:
    wants_exit = bool(draft.headers & EXIT_HEADERS)
    wants_gateway = bool(draft.headers & GATEWAY_HEADERS) or bool(draft.peers)
    faults = []
    if wants_gateway:
        lacks = [
            header
            for header, there in (
                ("[gateway]", "gateway" in draft.headers),
                ("an [[exit]]", bool(draft.peers) or ("exit" in draft.headers and not draft.exits)),
                ("a [[path]]", "path" in draft.headers),
            )
            if not there
        ]
        if lacks:
            remedy = "it needs [gateway], at least one [[exit]] and at least one [[path]]"
            faults.append(Fault(source, "", f"a gateway without {' and without '.join(lacks)}", remedy))
    if wants_exit and "exit" not in draft.headers:
        which = " and ".join(sorted(f"[[{name}]]" for name in draft.headers & EXIT_HEADERS))
        faults.append(Fault(source, "", f"{which} without [exit]", "they say more about this box's own exit"))
    if not wants_gateway and not wants_exit and "exit" not in draft.headers:
        faults.append(
            Fault(
                source,
                "",
                "neither [gateway] nor [exit]",
                "nothing to do; docs/reference/config.md has examples",
            )
        )
    return faults
