"""OpenWrt's configuration (UCI): which of a router's interfaces are links of it, how each may be used, and
which are its LAN.

Read are ``/etc/config/network`` and, where given, ``/etc/config/firewall``, in each form in which they are
found: the files themselves, ``uci export``, and ``uci show`` with or without quotes. What a link may do is
said by the option ``multipath`` of its interface: ``on``, ``master``, ``backup``, ``handover`` or ``off``,
as OpenWrt's MultipathTCP script knows it. Who wrote only some of them meant ``off`` by leaving it out.

The result is a *document*, as of `plait.config.shadowsocks`. Faults name the line.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

from plait.config.model import Mode
from plait.config.values import suggest
from plait.errors import Fault

Document = dict[str, object]

NETWORK, FIREWALL = "network", "firewall"

_MODES = tuple(mode.value for mode in Mode)
_TUNNELLED = {"pppoe": "pppoe-", "pptp": "pptp-", "l2tp": "l2tp-", "3g": "3g-", "6in4": "6in4-"}
"""Protocols whose interface in the kernel is called after the one in the config."""
_NAMED_ALIKE = frozenset(("wireguard", "vti", "gre", "gretap", "vxlan"))
_MODEMS = frozenset(("qmi", "mbim", "ncm", "modemmanager", "wwan"))
_ANONYMOUS = re.compile(r"@(\w+)\[(\d+)\]")
_SHOWN = re.compile(r"(?:uci\s+set\s+)?([\w-]+)\.([\w@\[\]-]+)(?:\.([\w-]+))?=(.*)")
_FAULTS = 5
"""So many faults are told of one file: what is no UCI config has as many as lines."""
_MOST = 1 << 20
"""Characters of a file: a router's are some kilobytes."""


@dataclass(slots=True)
class Section:
    """One section: an interface, a zone."""

    kind: str
    name: str
    line: int
    options: dict[str, list[str]] = field(default_factory=dict)

    def one(self, option: str) -> str:
        """The value of an option; empty when it is not there."""
        return self.options.get(option, [""])[-1]

    def all(self, *options: str) -> list[str]:
        """All words of lists and options."""
        values = [value for option in options for value in self.options.get(option, [])]
        return [word for value in values for word in value.split()]


@dataclass(slots=True)
class Router:
    """The sections by package and name, as far as they could be read."""

    sections: dict[tuple[str, str], Section] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def of(self, package: str, kind: str) -> list[Section]:
        """The sections of a kind, in their order."""
        return [each for (of, _), each in self.sections.items() if of == package and each.kind == kind]


def read(router: Router, source: str, text: str, package: str = NETWORK) -> None:
    """Add what one file says. ``package`` is what it is of unless it says so."""
    if len(text) > _MOST or "\0" in text:
        router.faults.append(Fault(source, "", "is no UCI config", "as in /etc/config/network"))
        return
    section: Section | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        shown = _SHOWN.fullmatch(line)
        try:
            if shown:
                _shown(router, number, *shown.groups())
                continue
            words = shlex.split(line, comments=True)
        except ValueError:
            router.faults.append(Fault(source, f"line {number}", "has a quote that does not end"))
            continue
        match words:
            case ["package", name]:
                package, section = name, None
            case ["config", kind, *rest] if len(rest) <= 1:
                name = rest[0] if rest else f"@{kind}[{len(router.of(package, kind))}]"
                # Two sections of one name are one, as for UCI.
                section = router.sections.setdefault((package, name), Section(kind, name, number))
            case ["option", key, value] if section is not None:
                section.options[key] = [value]
            case ["list", key, value] if section is not None:
                section.options.setdefault(key, []).append(value)
            case ["option" | "list", _, _]:
                router.faults.append(Fault(source, f"line {number}", "stands before the first `config` line"))
            case _:
                problem = "is not understood"
                remedy = "a line is `config`, `option` or `list`, or one of `uci show`"
                router.faults.append(Fault(source, f"line {number}", problem, remedy))
        if len(router.faults) >= _FAULTS:
            return


def _shown(router: Router, number: int, package: str, name: str, key: str | None, value: str) -> None:
    """A line of ``uci show``. Raises ValueError."""
    values = shlex.split(value)
    if key is None:
        router.sections.setdefault((package, name), Section("".join(values), name, number))
        return
    section = router.sections.get((package, name))
    if section is None:
        # Only some lines were copied, as into a forum: an anonymous name tells its kind.
        found = _ANONYMOUS.fullmatch(name)
        kind = found[1] if found else "globals" if name == "globals" else "interface"
        section = router.sections[package, name] = Section(kind, name, number)
    section.options[key] = values


def document(router: Router, source: str) -> Document:
    """The tables of a gateway; what is wrong and what can't be carried over is added to the router's."""
    paths: list[Document] = []
    masters = []
    for section in router.of(NETWORK, "interface"):
        word = section.one("multipath")
        if not word:
            continue
        where = f"{NETWORK}.{section.name}.multipath"
        if word not in _MODES:
            problem = f'"{word}" is not a mode'
            router.faults.append(Fault(source, where, problem, suggest(word, _MODES)))
            continue
        device = _device(router, section, source)
        if not device:
            continue
        if word == Mode.MASTER.value:
            masters.append(section.name)
        if section.one("disabled") == "1" or section.one("auto") == "0":
            router.notes.append(f"{NETWORK}.{section.name} is not brought up by itself")
        path: Document = {"interface": device}
        if section.name != device:
            path["name"] = section.name
        paths.append({**path, "mode": word})
    for second in masters[1:]:
        where = f"{NETWORK}.{second}.multipath"
        problem = f"there is a master already: {masters[0]}"
        router.faults.append(Fault(source, where, problem, "make one of them on or backup"))
    taken = [str(path["interface"]) for path in paths]
    for twice in sorted({each for each in taken if taken.count(each) > 1}):
        router.faults.append(
            Fault(source, NETWORK, f"{twice} is the device of several interfaces", "leave one of them out")
        )
    if not paths and not router.faults:
        problem = "no interface has the option `multipath`"
        remedy = "set it for each link, as in: uci set network.wan1.multipath=on"
        router.faults.append(Fault(source, NETWORK, problem, remedy))
    switch = next((each.one("multipath") for each in router.of(NETWORK, "globals")), "")
    if paths and switch not in ("enable", "1"):
        router.notes.append("network.globals.multipath is not enable: the script does nothing, plait will")
    return {"gateway": {"lan": _lan(router, source)}, "path": paths}


def _device(router: Router, section: Section, source: str) -> str:
    """The interface in the kernel; empty when it can't be known."""
    name, proto = section.name, section.one("proto")
    words = section.all("device", "ifname")
    if section.one("type") == "bridge":
        return f"br-{name}"
    if proto in _TUNNELLED:
        return _TUNNELLED[proto] + name
    if proto in _NAMED_ALIKE:
        return name
    where = f"{NETWORK}.{name}.device"
    if proto in _MODEMS or any(word.startswith("/dev/") for word in words):
        problem = "a modem's interface has no name in this file"
        remedy = "see `ip link`, and name it, as in device='wwan0'"
        router.faults.append(Fault(source, where, problem, remedy))
        return ""
    if len(words) != 1:
        problem = "is missing" if not words else f"names several devices: {' '.join(words)}"
        router.faults.append(Fault(source, where, problem, "a link is one interface, as in device='eth0.1'"))
        return ""
    if words[0].startswith("@"):
        # An alias: further addresses on the interface of another section.
        below = router.sections.get((NETWORK, words[0][1:]))
        if (
            below is None
            or below is section
            or any(word.startswith("@") for word in below.all("device", "ifname"))
        ):
            router.faults.append(Fault(source, where, f"{words[0]} is no interface of this file"))
            return ""
        return _device(router, below, source)
    return words[0]


def _lan(router: Router, source: str) -> list[str]:
    """Devices of the LAN: of the firewall's zone of that name, or of the interface of that name."""
    zones = [each for each in router.of(FIREWALL, "zone") if each.one("name") == "lan"]
    names = [name for zone in zones for name in zone.all("network")] or ["lan"]
    interfaces = {each.name: each for each in router.of(NETWORK, "interface")}
    # What becomes of a LAN is the owner's to say: what can't be known here is left to him.
    aside = Router(dict(router.sections))
    found = [_device(aside, interfaces[name], source) for name in names if name in interfaces]
    return list(dict.fromkeys(device for device in found if device))
