"""Sessions as a page of text: what ``multipath -c`` and ``netstat -m`` showed, and more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from plait.views.cells import clean, fit, table
from plait.views.text import duration, ms, rate, scaled

Facts = Mapping[str, object]


def render(answer: Facts, *, subflows: bool, filtered: bool = False) -> str:
    """The answer to ``GET /v1/connections`` as a page, with its last newline; ``filtered`` says that not
    all were asked for."""
    connections = cast("Sequence[Facts]", answer["connections"])
    if not connections:
        return "no session is like that\n" if filtered else "no sessions\n"
    names = device_names(cast("Sequence[Facts]", answer["clients"]))
    lines = []
    for each in connections:
        lines.append(headline(each, names))
        if subflows:
            flows = cast("Sequence[Facts]", each["subflows"])
            lines += [f"  {line}" for line in table(_HEAD, [_flow(flow) for flow in flows])] if flows else []
    left = cast("int", answer["matched"]) - len(connections)
    if left > 0:
        lines.append(f"and {left} more: --limit shows them")
    return "\n".join(lines) + "\n"


def headline(each: Facts, names: Mapping[str, str]) -> str:
    """One session in a line."""
    parts = [
        f"{client(each, names)} > {each['target']}",
        f"via {each['exit']}" if each["exit"] else "",
        f"user {each['user']}" if each["user"] else "",
        f"down {rate(cast('float', each['down_bps']))} {scaled(cast('float', each['down_bytes']))}B",
        f"up {rate(cast('float', each['up_bps']))} {scaled(cast('float', each['up_bytes']))}B",
        duration(cast("float", each["age"])),
        kind(each),
    ]
    return clean("  ".join(part for part in parts if part))


def client(each: Facts, names: Mapping[str, str]) -> str:
    """Who has it: the address, with a name where one is known."""
    spelled = str(each["client"])
    name = names.get(host(spelled), "")
    return f"{spelled} ({name})" if name else spelled


def kind(each: Facts) -> str:
    """How it travels between gateway and exit."""
    if each["transport"] == "mptcp":
        return f"MPTCP {each['token']}"
    return "plain TCP" if each["transport"] else "not looked at"


def host(spelled: str) -> str:
    """The address in an address and port."""
    return spelled.rpartition(":")[0].strip("[]")


def device_names(clients: Sequence[Facts]) -> dict[str, str]:
    """Names of devices by address, of those that have one."""
    return {
        address: str(each["name"])
        for each in clients
        for address in cast("Sequence[str]", each["addresses"])
        if each["name"] not in cast("Sequence[str]", each["addresses"])
    }


def devices(clients: Sequence[Facts]) -> str:
    """The devices as a page, with its last newline."""
    if not clients:
        return "no devices\n"
    head = ("DEVICE", "DOWN", "UP", "TOTAL DOWN", "TOTAL UP", "SESSIONS", "ADDRESSES")
    return "\n".join(table(head, [_device(each) for each in clients])) + "\n"


_HEAD = ("PATH", "LOCAL", "REMOTE", "STATE", "RTT", "CWND", "DOWN", "UP", "SENT", "RECEIVED", "AGAIN")


def _flow(flow: Facts) -> tuple[str, ...]:
    state = str(flow["state"])
    return (
        str(flow["path"]) or "-",
        str(flow["local"]),
        str(flow["remote"]),
        f"{state}, backup" if flow["backup"] else state,
        ms(flow["rtt_ms"]),
        str(flow["cwnd"]),
        rate(cast("float", flow["rx_bps"])),
        rate(cast("float", flow["tx_bps"])),
        *(f"{scaled(cast('float', flow[name]))}B" for name in ("tx_bytes", "rx_bytes", "retrans_bytes")),
    )


def _device(each: Facts) -> tuple[str, ...]:
    addresses = cast("Sequence[str]", each["addresses"])
    known = [*(address for address in addresses if address != each["name"]), str(each["mac"])]
    return (
        str(each["name"]),
        rate(cast("float", each["down_bps"])),
        rate(cast("float", each["up_bps"])),
        f"{scaled(cast('float', each['down_bytes']))}B",
        f"{scaled(cast('float', each['up_bytes']))}B",
        f"{each['open']} of {each['total']}",
        fit(" ".join(text for text in known if text), 60).rstrip(),
    )
