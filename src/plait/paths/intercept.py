"""The nftables table that takes the LAN's TCP, and its UDP where that is wanted, as text. Pure.

One table, ``inet plait``, loaded whole in one transaction. What decides, in
this order, for a new connection that comes in by a LAN interface, or for a
datagram:

1. this host's own addresses, the exits', and what is routed back into the LAN: not taken;
2. ``bypass`` of the config: not taken;
3. the config's rules, first match wins; one that names no destination does not
   reach into the reserved ranges;
4. the reserved ranges: not taken;
5. all else goes to the first exit.

Some facts about TPROXY in nftables:

* Only a SYN is ever handed to the listener. A later packet of a connection
  that began before plait did would be answered with RST by the listener.
* Later packets of our connections are found by ``socket transparent``. Its
  ``wildcard 0`` (the socket is bound to an address, that is, no listener)
  can't be asked of a request or time-wait socket and then never matches
  (nft_socket.c), hence the second rule, without it.
* That rule would take the listener itself for such a socket when the far port
  has the listener's number. Packets to those ports go to ``tproxy``, which
  looks for the connection first; only a connection to such a far port that
  is older than plait is cut.
* ``tproxy`` ends the rule when it finds no listening socket. It stands before
  the mark is set, so that packets then go on as if plait were not there.
* The mark is set bit by bit; other programs' bits stay.
* A datagram has no SYN that would tell a new conversation from an old one. So
  conntrack is asked: what answers somebody outside, who was let in by a port
  forwarding, say, is left alone. Conntrack must not see our own answers then: of
  somebody whom the client had not written to, one would look like such a visit.

Rules by domain have us look at answers of DNS servers outside. Questions are only written down, with
addresses, port and id, and go the way that they would have gone. An answer to one of them is handed over
once NAT has given it the client's address back (priority dstnat + 1), and sent on by us.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

from plait.config.model import (
    Config,
    Gateway,
    Intercept,
    IPAddress,
    TcpVia,
    UdpVia,
    Verdict,
    WhenExitLost,
)
from plait.paths.clamping import Clamp, chains
from plait.paths.marks import FWMARK, FWMARK_ANSWER, FWMARK_MASK, NFT_TABLE
from plait.paths.model import Detour, Ruleset
from plait.paths.nftext import (
    RESERVED,
    addresses,
    braces,
    indent,
    learning,
    learnt,
    matches,
    return_to,
    seen,
)

_SYN = "tcp flags & (fin | syn | rst | ack) == syn"
_NO_SYN = "tcp flags & (fin | syn | rst | ack) != syn"
_MARK_OURS = f"meta mark set meta mark & {~FWMARK_MASK & 0xFFFFFFFF:#010x} | {FWMARK:#010x}"
_AFTER_NAT = "dstnat + 1"
_QUESTIONS = 4096
"""Questions to DNS servers that are open at once, of one IP version; answers to more are not looked at."""
_NOT_OURS = f"meta mark & {FWMARK_MASK:#010x} != {FWMARK:#010x}"


def ports(config: Config) -> dict[str, int]:
    """The interceptor's local port for each exit: one each, as the port says where a connection goes."""
    first = config.gateway.port if config.gateway else 0
    return {peer.name: first + index for index, peer in enumerate(config.peers)}


def takes_tcp(gateway: Gateway) -> bool:
    """Whether the LAN's TCP is taken."""
    return gateway.tcp is TcpVia.MPTCP


def takes_udp(gateway: Gateway) -> bool:
    """Whether the LAN's UDP is taken."""
    return gateway.udp is UdpVia.SHADOWSOCKS


def takes_names(config: Config) -> bool:
    """Whether answers of DNS servers are looked at: for rules by domain, where TPROXY is in use anyway."""
    gateway = config.gateway
    if gateway is None or not any(rule.domain for rule in config.rules):
        return False
    return takes_udp(gateway) or (takes_tcp(gateway) and gateway.intercept is Intercept.TPROXY)


def names_port(config: Config) -> int:
    """The UDP port at which those answers are handed over: the one after the exits'."""
    return (config.gateway.port if config.gateway else 0) + len(config.peers)


def ruleset(
    config: Config,
    exits: Mapping[str, tuple[IPAddress, ...]],
    *,
    taking: bool = True,
    detours: Sequence[Detour] = (),
    clamps: Sequence[Clamp] = (),
) -> Ruleset:
    """The whole table. ``exits`` are the exits' addresses, names resolved.

    With ``taking`` false no exit answers: new connections are refused when the owner said ``block``,
    and otherwise go out directly; those that exist are kept in either case.
    """
    gateway = config.gateway
    if gateway is None:
        raise ValueError("a config without [gateway] takes nothing")
    tproxy = gateway.intercept is Intercept.TPROXY
    by_name = list({learnt(rule): rule for rule in config.rules if rule.domain}.values())
    listening = ports(config)
    own = [address for addresses in exits.values() for address in addresses]
    lan = braces(f'"{name}"' for name in gateway.lan)
    body = [
        *addresses("exits", own),
        *addresses("bypass", gateway.bypass),
        *addresses("reserved", RESERVED),
        *(line for each in by_name for line in learning(each)),
    ]
    guard = ["type filter hook input priority filter; policy accept;"]
    if takes_tcp(gateway):
        body += [
            "chain take {",
            *indent(_head(tproxy, lan, listening.values())),
            *indent(_passing(lan, tproxy, listening.values())),
            *indent(_decisions(config, listening, taking)),
            "}",
            "",
        ]
        guard.append(_guard(tproxy, listening.values()))
    if takes_udp(gateway):
        body += [
            "chain take_udp {",
            *indent(_passing_udp(lan)),
            *indent(_decisions(config, listening, taking, udp=True)),
            "}",
            "",
        ]
        guard.append(f"udp dport {braces(listening.values())} {_NOT_OURS} drop")
    if takes_names(config):
        body += _names(lan, names_port(config))
        guard.append(f"udp dport {names_port(config)} {_NOT_OURS} drop")
    if takes_udp(gateway) or takes_names(config):
        body += [
            "chain answer_udp {",
            *indent(
                [
                    "type filter hook output priority raw; policy accept;",
                    f"meta mark & {FWMARK_MASK:#010x} == {FWMARK_ANSWER:#010x} notrack",
                ]
            ),
            "}",
            "",
        ]
    guard += _guard_doors(config)
    body += [
        "chain guard {",
        *indent(guard),
        "}",
        *_steering(detours),
        *chains(clamps),
    ]
    digest = sha256("\n".join(body).encode()).hexdigest()[:16]
    lines = [
        f"table inet {NFT_TABLE}",
        f"delete table inet {NFT_TABLE}",
        f"table inet {NFT_TABLE} {{",
        f'\tcomment "{digest}"',
        "",
        *indent(body),
        "}",
    ]
    kept = tuple(
        f"{name}v{version}" for rule in by_name for name in (learnt(rule), seen(rule)) for version in (4, 6)
    )
    return Ruleset(text="\n".join(lines) + "\n", digest=digest, kept=kept)


def for_dnsmasq(config: Config) -> list[str]:
    """Lines of dnsmasq's config that have it fill the sets of rules by domain (``--nftset``)."""
    return [
        f"nftset=/{'/'.join(sorted(rule.domain))}/4#inet#{NFT_TABLE}#{learnt(rule)}v4,6#inet#{NFT_TABLE}#{learnt(rule)}v6"
        for rule in {learnt(rule): rule for rule in config.rules if rule.domain}.values()
    ]


def _steering(detours: Sequence[Detour]) -> list[str]:
    """Sends subflows to the exit's address on the network that they leave by (NAT of our own output)."""
    if not detours:
        return []
    rules = []
    for detour in detours:
        family = "ip" if detour.address.version == 4 else "ip6"
        target = str(detour.instead) if family == "ip" else f"[{detour.instead}]"
        rules.append(
            f'oifname "{detour.interface}" {family} daddr {detour.address} tcp dport {detour.port} '
            f"dnat {family} to {target}"
        )
    return [
        "",
        "chain steer {",
        *indent(["type nat hook output priority -100; policy accept;", *rules]),
        "}",
    ]


def _head(tproxy: bool, lan: str, listening: Iterable[int]) -> list[str]:
    if not tproxy:
        return [
            "type nat hook prerouting priority dstnat; policy accept;",
            f"iifname != {lan} return",
            "meta l4proto != tcp return",
        ]
    return [
        "type filter hook prerouting priority mangle; policy accept;",
        f"iifname != {lan} return",
        "meta l4proto != tcp return",
        f"socket transparent 1 socket wildcard 0 {_MARK_OURS} accept",
        f"{_NO_SYN} tcp dport != {braces(listening)} socket transparent 1 {_MARK_OURS} accept",
    ]


def _passing(lan: str, tproxy: bool, listening: Iterable[int]) -> list[str]:
    """Who is never taken, before any rule of the config."""
    return [
        f"{_NO_SYN}{f' tcp dport != {braces(listening)}' if tproxy else ''} return",
        "fib daddr type local return",
        f"fib daddr oifname {lan} return",
        *return_to("exits"),
        *return_to("bypass"),
    ]


def _passing_udp(lan: str) -> list[str]:
    """The head of the other chain. It needs TPROXY, whatever TCP is taken by: nothing else keeps for each
    datagram whom it was for."""
    return [
        "type filter hook prerouting priority mangle; policy accept;",
        f"iifname != {lan} return",
        "meta l4proto != udp return",
        "ct direction reply return",
        "fib daddr type { local, broadcast, anycast, multicast } return",
        f"fib daddr oifname {lan} return",
        *return_to("exits"),
        *return_to("bypass"),
    ]


def _names(lan: str, port: int) -> list[str]:
    """Questions to DNS servers outside, for as long as an answer may come, and the answers to them."""
    lines: list[str] = []
    hear = [
        "type filter hook prerouting priority mangle; policy accept;",
        f"iifname != {lan} return",
        "udp dport != 53 return",
        "fib daddr type { local, broadcast, anycast, multicast } return",
    ]
    see = [f"type filter hook prerouting priority {_AFTER_NAT}; policy accept;", "udp sport != 53 return"]
    for version, word in ((4, "ip"), (6, "ip6")):
        # With the message's id, as clients check: whoever only guesses the port must teach us nothing.
        asked = f"{word} saddr . udp sport . {word} daddr . @th,64,16"
        lines += [
            f"set asked{version} {{",
            f"\ttypeof {asked}; flags dynamic,timeout; timeout 10s; size {_QUESTIONS};",
            "}",
            "",
        ]
        hear.append(f"update @asked{version} {{ {asked} }}")
        see.append(
            f"{word} daddr . udp dport . {word} saddr . @th,64,16 @asked{version} "
            f"meta l4proto udp tproxy {word} to :{port} {_MARK_OURS} accept"
        )
    return [*lines, "chain hear_names {", *indent(hear), "}", "", "chain see_names {", *indent(see), "}", ""]


def _decisions(config: Config, listening: Mapping[str, int], taking: bool, *, udp: bool = False) -> list[str]:
    gateway = config.gateway
    assert gateway is not None
    lines: list[str] = []
    for rule in config.rules:
        for match in matches(rule, "udp" if udp else "tcp"):
            verdict = _verdict(rule.to, match, gateway, listening, taking, udp=udp)
            lines.append(f"{match} {verdict}".strip())
    lines += return_to("reserved")
    if config.peers:
        lines.append(_verdict(config.peers[0].name, "", gateway, listening, taking, udp=udp))
    return lines


def _verdict(
    to: str | Verdict,
    match: str,
    gateway: Gateway,
    listening: Mapping[str, int],
    taking: bool,
    *,
    udp: bool = False,
) -> str:
    if to is Verdict.DIRECT:
        return "return"
    refused = not taking and gateway.when_exit_lost is WhenExitLost.BLOCK
    if to is Verdict.BLOCK or refused:
        return "reject" if udp else "reject with tcp reset"
    if not taking:
        return "return"
    port = listening[str(to)]
    tproxy = udp or gateway.intercept is Intercept.TPROXY
    word = match.split(" ", 1)[0]  # nft wants to be told the IP version when the rule has settled it
    family = f"{word} " if word in ("ip", "ip6") else ""
    taken = f"tproxy {family}to :{port} {_MARK_OURS} accept" if tproxy else f"redirect to :{port}"
    return f"meta l4proto {'udp' if udp else 'tcp'} {taken}"  # nft wants to read it beside each


def _guard(tproxy: bool, listening: Iterable[int]) -> str:
    """Nobody talks to the interceptor's ports unless intercepted: it would be made to dial itself."""
    taken = _NOT_OURS if tproxy else "ct status & dnat != dnat"
    return f"tcp dport {braces(listening)} {_SYN} {taken} reject with tcp reset"


def guards_doors(config: Config) -> bool:
    """Whether something of ours listens that may not be for those who come by a link that leads out."""
    return bool(config.proxies) or (config.web is not None and not config.web.exposed)


def _guard_doors(config: Config) -> list[str]:
    """A proxy that asks nobody who comes, and the web page, are not for those who come by a link that leads
    out, though their address may be known there: this host answers for all its addresses on every link."""
    web = config.web
    doors = [proxy.listen for proxy in config.proxies if not proxy.username]
    doors += web.listen if web is not None and not web.exposed else ()
    links = braces(f'"{path.interface}"' for path in config.paths)
    return [
        f"iifname {links} {'ip' if address.version == 4 else 'ip6'} daddr {address} tcp dport {port} "
        "reject with tcp reset"
        for address, port in doors
        if config.paths
    ]
