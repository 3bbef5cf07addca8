"""What is wrong with the paths: each one for itself, and beside the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from plait.doctor.facts import Answer, Carried, PathFacts, WayFacts
from plait.doctor.finding import Finding, fine, note, problem
from plait.doctor.place import is_lost_on_the_way, place, translators
from plait.wire.segments import Options

_LOSSY, _USELESS = 0.03, 0.15
_SMALLEST = 1280
"""Bytes that every path must let through (RFC 8200, section 5)."""


def keeps_options(way: WayFacts) -> bool | None:
    """Whether MPTCP works over it; None when nobody knows."""
    if way.carried is not Carried.UNTRIED:
        return way.carried is Carried.MPTCP
    if way.capable is Answer.UNTRIED:
        return None
    return way.capable is Answer.MPTCP


def lacking(ways: Sequence[WayFacts]) -> bool:
    """Whether it is the exit that has no MPTCP: it answers without over each of several paths, and no
    router has seen the option vanish."""
    answered = [way for way in ways if way.syn.came or way.capable.came]
    plain = [way for way in answered if keeps_options(way) is False and way.capable is Answer.PLAIN]
    return (
        len(answered) > 1
        and len(plain) == len(answered)
        and not any(is_lost_on_the_way(way.hops) for way in plain)
    )


def judge(path: PathFacts, everyone: Sequence[PathFacts], *, tunnelled: bool) -> list[Finding]:
    """What can be said of one path; ``tunnelled`` is whether TCP goes through the tunnel anyway."""
    if path.state:
        return [problem("path.down", path.name, path.state)]
    found: list[Finding] = []
    if path.strict_filter:
        found.append(
            note(
                "path.filter",
                path.name,
                f"the reverse path filter of {path.interface} is strict, so that answers may be dropped",
                "plait makes it loose while it runs",
            )
        )
    if path.hijacked:
        found.append(
            note(
                "path.dns.hijacked",
                path.name,
                "somebody on the way answers DNS questions, whomever they were put to",
                "what goes through the tunnel is not touched; what leaves directly is",
            )
        )
    if path.running:
        found.append(note("path.running", path.name, path.running))
    several = len(path.ways) > 1
    for way in path.ways:
        subject = f"{path.name} to {way.exit}" if several else path.name
        rivals = [
            other
            for each in everyone
            if each.name != path.name
            for other in each.ways
            if other.exit == way.exit
        ]
        found += _way(subject, path, way, rivals, tunnelled=tunnelled)
    return found


def _way(
    subject: str, path: PathFacts, way: WayFacts, rivals: Sequence[WayFacts], *, tunnelled: bool
) -> Iterator[Finding]:
    if way.came_in and way.came_in != path.interface:
        yield problem(
            "path.asymmetric",
            subject,
            f"what leaves by {path.interface} is answered by way of {way.came_in}",
            f"who routes between here and the exit must send answers to {way.local} back over the same link",
        )
    reached = any(other.syn.came or other.udp for other in rivals)
    if way.syn is Answer.REFUSED:
        yield problem(
            "path.tcp.refused",
            subject,
            f"{_door(way)} refuses connections",
            "is the exit running, and is that its port?",
        )
    elif way.syn is Answer.SILENT and way.udp:
        yield problem(
            "path.tcp.blocked",
            subject,
            f"TCP to {_door(way)} gets no answer although UDP does",
            "a firewall on this path or at the exit drops it",
        )
    elif way.syn is Answer.SILENT and reached:
        yield problem(
            "path.silent",
            subject,
            f"nothing comes back from {_door(way)} by TCP or UDP, while other paths reach it",
            "see what is behind this link: the modem, its firewall, the route back",
        )
    if not way.syn.came:
        return
    yield from _mptcp(subject, way, rivals, tunnelled=tunnelled)
    if way.udp is False and any(other.udp for other in rivals):
        yield problem(
            "path.udp.blocked",
            subject,
            f"sealed datagrams to UDP port {way.port} are not answered over this path, while other paths"
            " let them through",
            "no tunnel goes over it, and its silence is found out by connections only, more slowly",
        )
    yield from _size(subject, path, way)
    yield from _translation(subject, way)
    if way.loss is not None and way.loss >= _LOSSY:
        finding = problem if way.loss >= _USELESS else note
        yield finding("path.loss", subject, f"{100 * way.loss:.0f} % of small packets are lost")
    yield from _figures(subject, way)


def _mptcp(subject: str, way: WayFacts, rivals: Sequence[WayFacts], *, tunnelled: bool) -> Iterator[Finding]:
    kept = keeps_options(way)
    if kept is None:
        return
    if kept:
        yield fine("path.mptcp", subject, "MPTCP gets through, there and back, with data")
        return
    if lacking([way, *rivals]):
        return  # it is said of the exit
    then = _consequence(way, rivals, tunnelled=tunnelled)
    if way.capable in (Answer.SILENT, Answer.REFUSED):
        what = "vanish" if way.capable is Answer.SILENT else "are refused"
        where = _last_seen(way)
        yield problem("path.mptcp.dropped", subject, f"SYNs with MPTCP's options {what} {where}", then)
    elif way.capable is Answer.PLAIN or way.carried is Carried.TCP:
        doubt = "" if is_lost_on_the_way(way.hops) or rivals else " (or the exit has no MPTCP)"
        text = f"MPTCP's options are taken out {place(way.hops)}{doubt}"
        yield problem("path.mptcp.stripped", subject, text, then)
    elif way.carried is Carried.FELL_BACK:
        yield problem(
            "path.mptcp.stripped-later",
            subject,
            "MPTCP's options pass in the handshake and are taken out of what follows",
            then,
        )
    else:
        yield problem(
            "path.mptcp.broken",
            subject,
            "a connection with MPTCP's options opens and then nothing comes through it",
            then,
        )


def _consequence(way: WayFacts, rivals: Sequence[WayFacts], *, tunnelled: bool) -> str:
    """What plait makes of a path without MPTCP."""
    if tunnelled:
        return "TCP goes through the tunnel in any case"
    if any(keeps_options(other) for other in rivals):
        rest = "the tunnel still uses it" if way.tunnel and way.udp else "nothing else uses it"
        return f"connections begin on the other paths and get no subflow here; {rest}"
    if way.tunnel:
        return "TCP on this path goes through the tunnel"
    return "TCP uses one path at a time; with [tunnel] serve = true at the exit it goes through the tunnel"


def _last_seen(way: WayFacts) -> str:
    seen = max(
        (hop for hop in way.hops if hop.mptcp is Options.INTACT), key=lambda hop: hop.distance, default=None
    )
    return f"beyond hop {seen.distance} ({seen.address})" if seen is not None else "on the way"


def _size(subject: str, path: PathFacts, way: WayFacts) -> Iterator[Finding]:
    up, down = way.mtu_up, way.mtu_down
    smallest = min((size for size in (up, down) if size is not None), default=None)
    if smallest is None:
        return
    if smallest < _SMALLEST:
        yield problem(
            "path.mtu.tiny",
            subject,
            f"packets of more than {smallest} bytes do not get through, and IPv6 needs {_SMALLEST}",
            "see the encapsulation on this link",
        )
    elif up is not None and path.mtu and up < path.mtu:
        what = f"packets of more than {up} bytes do not get to the exit, though the link takes {path.mtu}"
        if way.icmp_told:
            yield note("path.mtu.small", subject, what, "a router says so, and the kernel heeds it")
        else:
            yield note(
                "path.mtu.blackhole",
                subject,
                f"{what}, and no router says so",
                f"plait keeps TCP's segments small enough; `ip link set {path.interface} mtu {up}` helps the"
                " host's other traffic",
            )
    if up is not None and down is not None and down < up and smallest >= _SMALLEST:
        yield note(
            "path.mtu.down",
            subject,
            f"packets of more than {down} bytes do not come back from the exit",
            "plait keeps TCP's segments small enough",
        )


def _translation(subject: str, way: WayFacts) -> Iterator[Finding]:
    if way.seen is not None and translators(way.local, way.seen, way.hops) > 1:
        yield note(
            "path.nat.double",
            subject,
            f"addresses are translated twice: {way.local} here, private addresses behind the first router,"
            f" {way.seen} at the exit",
            "plait does not mind; ports that are to be reached from outside need the modem as a mere bridge",
        )
    idle = way.idle
    if idle is not None and idle.tcp_lives is False:
        yield note(
            "path.nat.forgets",
            subject,
            f"a connection that is silent for {idle.seconds:g} s is forgotten on the way",
            "plait makes lost subflows anew; connections of others may hang",
        )
    if idle is not None and idle.udp_port_kept is False:
        yield note(
            "path.nat.forgets-udp",
            subject,
            f"a translator forgets datagrams' ports within {idle.seconds:g} s of silence",
            "plait's echoes come more often than that",
        )


def _figures(subject: str, way: WayFacts) -> Iterator[Finding]:
    parts = []
    if way.rtt is not None:
        parts.append(f"round trip {1e3 * way.rtt:.1f} ms")
    if way.down_bps is not None and way.up_bps is not None:
        parts.append(f"about {_rate(way.down_bps)} down and {_rate(way.up_bps)} up")
    if way.mtu_up is not None:
        parts.append(f"packets of {way.mtu_up} bytes")
    if parts:
        yield fine("path.figures", subject, ", ".join(parts))


def _rate(bps: int) -> str:
    return f"{bps / 1e9:.1f} Gbit/s" if bps >= 1e9 else f"{bps / 1e6:.3g} Mbit/s"


def _door(way: WayFacts) -> str:
    return f"[{way.remote}]:{way.port}" if way.remote.version == 6 else f"{way.remote}:{way.port}"
