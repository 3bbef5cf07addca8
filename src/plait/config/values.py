"""Single values: from what TOML gives to what the model holds.

Every parser is a function of one object. It returns the typed value or raises
``Wrong``, which says what is wrong and what to write instead. A complaint about
the *type* never shows the value, so that a password can't leak through one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterable
from difflib import get_close_matches
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TypeVar

from plait.config.model import IPAddress, IPNetwork, Secret, Verdict

T = TypeVar("T")
E = TypeVar("E", bound=Enum)
Parser = Callable[[object], T]

MAX_SHOWN = 60
"""Longest piece of a config file repeated in a complaint, in characters."""

INTERFACE_NAME_MAX = 15
"""Longest interface name in bytes: IFNAMSIZ less the NUL (include/uapi/linux/if.h)."""

CREDENTIAL_MAX = 255
"""Longest user name and password of RFC 1929, in bytes."""

_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,31}")
# The kernel takes more (net/core/dev.c, dev_valid_name: all but '/', ':' and space), but '*' is a
# wildcard in nft and quotes or braces have no business in a ruleset.
_INTERFACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+~=,-]*")
_HOST_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_NUMBER = re.compile(r"[0-9]{1,5}")
_MAC = re.compile(r"[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}")
# An underscore stands in real names, and dnsmasq and nft take it.
_DOMAIN_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


class Wrong(Exception):
    """A value can't be used. ``complaints`` are (suffix of the key, problem, remedy)."""

    def __init__(self, problem: str, remedy: str | None = None) -> None:
        super().__init__(problem)
        self.complaints: list[tuple[str, str, str | None]] = [("", problem, remedy)]


def show(value: object) -> str:
    """A value as TOML would write it, on one line, short, without control characters."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) >= 10**18:  # str() refuses very long ones
        return "a very large number"
    text = json.dumps(value) if isinstance(value, str) else str(value)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def type_name(value: object) -> str:
    """What a TOML author would call the type of ``value``."""
    for kind, name in (
        (bool, "true or false"),
        (str, "a string"),
        (int, "a whole number"),
        (float, "a number"),
        (list, "a list"),
        (dict, "a table"),
    ):
        if isinstance(value, kind):
            return name
    return "a date or time"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, or None."""
    plain = {name.casefold().replace("_", "-"): name for name in known}
    close = get_close_matches(word.casefold().replace("_", "-"), plain, n=1, cutoff=0.6)
    return plain[close[0]] if close else None


def suggest(word: str, known: Iterable[str], quote: str = '"') -> str:
    """``did you mean "x"?`` when one is near, else the list of what there is."""
    names = list(known)
    match = nearest(word, names)
    if match is not None:
        return f"did you mean {quote}{match}{quote}?"
    return "known: " + ", ".join(f"{quote}{name}{quote}" for name in names)


def _wrong_type(expected: str, value: object) -> Wrong:
    return Wrong(f"must be {expected}, not {type_name(value)}")


def text(value: object) -> str:
    """Any string that is not empty."""
    if not isinstance(value, str):
        raise _wrong_type("a string", value)
    if not value:
        raise Wrong("is empty")
    return value


def secret(value: object) -> Secret:
    """A password. No complaint ever shows it."""
    if not isinstance(value, str):
        raise _wrong_type("a string in quotes", value)
    if not value:
        raise Wrong("is empty", "`plait keygen` makes a strong one")
    return Secret(value)


def boolean(value: object) -> bool:
    """``true`` or ``false``."""
    if not isinstance(value, bool):
        raise _wrong_type("true or false", value)
    return value


def integer(lowest: int, highest: int) -> Parser[int]:
    """A whole number within bounds, both included. TOML's ``true`` is none, though Python's is."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_type("a whole number", value)
        if not lowest <= value <= highest:
            raise Wrong(f"{show(value)} is out of range", f"{lowest} to {highest} is possible")
        return value

    return parse


def seconds(lowest: float, highest: float) -> Parser[float]:
    """A time in seconds within bounds, both included."""

    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong_type("a number of seconds", value)
        if (isinstance(value, float) and math.isnan(value)) or not lowest <= value <= highest:
            raise Wrong(f"{show(value)} is out of range", f"{lowest:g} to {highest:g} seconds are possible")
        return float(value)

    return parse


port: Parser[int] = integer(1, 65535)


def word(kind: type[E], *, later: Collection[E] = ()) -> Parser[E]:
    """One word of an Enum. Members in ``later`` are known, and refused by this version."""

    def parse(value: object) -> E:
        written = value if value == "" and any(member.value == "" for member in kind) else text(value)
        known = [str(member.value) for member in kind if member.value and member not in later]
        for member in kind:
            if member.value == written:
                if member in later:
                    raise Wrong(f"{show(written)} is not in this version", "use " + " or ".join(known))
                return member
        raise Wrong(f"{show(written)} is not known", suggest(written, known))

    return parse


def many(parse_one: Parser[T], at_least: int = 0) -> Parser[tuple[T, ...]]:
    """A list without repetitions; a single value stands for a list of one."""

    def parse(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            return (parse_one(value),)
        found: dict[T, int] = {}
        complaints: list[tuple[str, str, str | None]] = []
        for index, item in enumerate(value):
            try:
                one = parse_one(item)
            except Wrong as wrong:
                complaints += [
                    (f"[{index}]{key}", problem, remedy) for key, problem, remedy in wrong.complaints
                ]
                continue
            if found.setdefault(one, index) != index:
                complaints.append((f"[{index}]", f"is the same as [{found[one]}]", None))
        if len(value) < at_least:
            complaints.append(("", "is an empty list", f"at least {at_least} is needed"))
        if complaints:
            several = Wrong("list")
            several.complaints = complaints
            raise several
        return tuple(found)

    return parse


def label(value: object) -> str:
    """A name that the owner gives to something; it ends up in logs, status and rules."""
    name = text(value)
    if not _LABEL.fullmatch(name):
        raise Wrong(f"{show(name)} can't be a name", "up to 32 letters, digits, '.', '_' and '-'")
    return name


def interface(value: object) -> str:
    """The name of a network interface."""
    name = text(value)
    size = len(name.encode())
    if size > INTERFACE_NAME_MAX:
        raise Wrong(f"{show(name)} has {size} bytes; Linux allows an interface name {INTERFACE_NAME_MAX}")
    if "*" in name:
        raise Wrong(f"{show(name)} has a wildcard", "name each interface")
    if not _INTERFACE.fullmatch(name):
        raise Wrong(f"{show(name)} is not an interface name", "`ip -br link` lists those of this host")
    return name


def address(value: object) -> IPAddress:
    """An IPv4 or IPv6 address without port, prefix, brackets or zone."""
    written = text(value)
    bare = written[1:-1] if written[0] == "[" and written[-1] == "]" else None
    try:
        found = ip_address(written)
    except ValueError:
        raise Wrong(f"{show(written)} is not an IP address", _address_remedy(written, bare)) from None
    if "%" in written:
        raise Wrong(f"{show(written)} names a zone", "leave out the part from '%' on")
    return found


def _address_remedy(written: str, bare: str | None) -> str | None:
    if bare is not None and _is_address(bare):
        return f"write {show(bare)}, without brackets"
    if written.count("/") == 1 and _is_address(written.partition("/")[0]):
        return f"write {show(written.partition('/')[0])}, without a prefix length"
    host, colon, number = written.rpartition(":")
    if colon and _NUMBER.fullmatch(number) and _is_address(host.strip("[]")):
        return f"write {show(host.strip('[]'))}; the port has a key of its own"
    return None


def _is_address(written: str) -> bool:
    try:
        ip_address(written)
    except ValueError:
        return False
    return True


def host(value: object) -> str:
    """An address to connect to, or a host name (RFC 1123, section 2.1)."""
    written = text(value)
    labels = written.removesuffix(".").split(".")
    # A name whose last label is a number is an address gone wrong, and resolvers disagree on it.
    looks_like_address = labels[-1].isdecimal() or any(character in written for character in ":[]/%")
    if looks_like_address:
        found = address(written)
        if found.is_unspecified or found.is_multicast:
            raise Wrong(f"{show(written)} is nothing one can connect to")
        return str(found)
    if not written.isascii():
        raise Wrong(f"{show(written)} is not ASCII", "write the name in its xn-- form")
    if len(written) > 253 or not all(_HOST_LABEL.fullmatch(part) for part in labels):
        raise Wrong(f"{show(written)} is neither an IP address nor a host name")
    return written


def host_port(value: object) -> tuple[str, int]:
    """``HOST:PORT``: a name, an IPv4 address, or an IPv6 address in brackets."""
    written = text(value)
    where, colon, number = written.rpartition(":")
    if not colon or not _NUMBER.fullmatch(number) or (":" in where and where[0] != "["):
        remedy = 'write it as in "127.0.0.1:80", "www.example.net:443" or "[fd00::1]:80"'
        raise Wrong(f"{show(written)} is not a host and a port", remedy)
    bracketed = where.startswith("[") and where.endswith("]")
    return host(where[1:-1] if bracketed else where), port(int(number))


def mac(value: object) -> str:
    """An Ethernet address, in lower case with colons."""
    written = text(value).lower()
    if not _MAC.fullmatch(written):
        raise Wrong(f"{show(value)} is not an Ethernet address", 'write it as in "02:00:5e:10:00:01"')
    return written.replace("-", ":")


def domain(value: object) -> str:
    """A domain, which stands for all below it too; lower case, without the final dot."""
    written = text(value).lower().removesuffix(".")
    bare = written.removeprefix("*").removeprefix(".")
    if bare != written and bare:
        raise Wrong(f"{show(value)} begins with a wildcard", f'"{bare}" stands for all below it, too')
    if not written.isascii():
        raise Wrong(f"{show(value)} is not ASCII", "write the name in its xn-- form")
    labels = written.split(".")
    if len(written) > 253 or not all(_DOMAIN_LABEL.fullmatch(label) for label in labels):
        raise Wrong(f"{show(value)} is not a domain", 'write it as in "example.org"')
    if labels[-1].isdecimal():
        raise Wrong(f"{show(value)} is an address, not a domain", "addresses go into `destination`")
    return written


def credential(value: object) -> str:
    """A user name of SOCKS5 (RFC 1929: 1 to 255 bytes) and of HTTP's Basic (RFC 7617: no colon)."""
    written = text(value)
    if len(written.encode()) > CREDENTIAL_MAX:
        raise Wrong(f"has more than {CREDENTIAL_MAX} bytes")
    if ":" in written or not written.isprintable():
        raise Wrong(f"{show(written)} holds a colon or what can't be printed")
    return written


def mtu(value: object) -> int:
    """Bytes of the largest packet, 0 for "found by trying"; IPv6 asks for 1280 (RFC 8200, section 5)."""
    found = integer(0, 65535)(value)
    if 0 < found < 1280:
        raise Wrong(f"{found} is too small", "at least 1280, or 0 to have it found")
    return found


def command(value: object) -> str:
    """A line for the shell. It may be empty: nothing is run."""
    if not isinstance(value, str):
        raise _wrong_type("a string", value)
    if "\0" in value:
        raise Wrong("holds a NUL")
    return value


def directory(value: object) -> str:
    """A directory of this host, from its root on."""
    written = text(value)
    if not written.startswith("/") or "\0" in written:
        raise Wrong(f"{show(written)} does not begin with '/'", 'write it as in "/var/lib/plait/history"')
    return written


def number(lowest: float, highest: float) -> Parser[float]:
    """A number within bounds, both included."""

    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong_type("a number", value)
        if (isinstance(value, float) and math.isnan(value)) or not lowest <= value <= highest:
            raise Wrong(f"{show(value)} is out of range", f"{lowest:g} to {highest:g} is possible")
        return float(value)

    return parse


def network(value: object) -> IPNetwork:
    """A network as ADDRESS/LENGTH; a lone address stands for itself."""
    written = text(value)
    if "%" in written:
        raise Wrong(f"{show(written)} names a zone", "leave out the part from '%' on")
    try:
        return ip_network(written)
    except ValueError:
        pass
    try:
        loose: IPv4Network | IPv6Network = ip_network(written, strict=False)
    except ValueError:
        raise Wrong(f"{show(written)} is not a network", 'write it as in "192.168.5.0/24"') from None
    raise Wrong(f"{show(written)} has host bits set", f'did you mean "{loose}"?')


def subnet(value: object) -> IPNetwork:
    """A network with room for its owner and somebody else, beside what may be a broadcast address."""
    found = network(value)
    if found.num_addresses < 4:
        raise Wrong(f"{show(str(found))} is too small", "it must have 4 addresses at least")
    return found


def subnet6(value: object) -> IPv6Network | None:
    """The same of IPv6; None when empty."""
    if value == "":
        return None
    found = subnet(value)
    if isinstance(found, IPv4Network):
        raise Wrong(f"{show(str(found))} is not IPv6", "IPv4 goes into `subnet`")
    return found


def socket_address(value: object) -> tuple[IPAddress, int]:
    """``ADDRESS:PORT`` or ``[IPv6 ADDRESS]:PORT``."""
    written = text(value)
    remedy = 'write it as in "192.168.78.1:1081" or "[fd00::1]:1081"'
    where, colon, number = written.rpartition(":")
    bracketed = where.startswith("[") and where.endswith("]")
    bare = where[1:-1] if bracketed else where
    if _is_address(written):
        if ":" in written:
            remedy = f'write an IPv6 address in brackets, with a port: "[{written}]:PORT"'
        raise Wrong(f"{show(written)} has no port", remedy)
    if not colon or not _NUMBER.fullmatch(number) or not _is_address(bare):
        raise Wrong(f"{show(written)} is not an address and a port", remedy)
    found = address(bare)
    if bracketed and found.version == 4:
        raise Wrong(f"{show(written)} has an IPv4 address in brackets", f'write "{bare}:{number}"')
    if not bracketed and found.version == 6:
        raise Wrong(f"{show(written)} lacks brackets", f'write "[{bare}]:{number}"')
    return found, port(int(number))


def port_range(value: object) -> tuple[int, int]:
    """A port, or ``"FIRST-LAST"``; always a pair, both ends included."""
    if not isinstance(value, str):
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_type('a port or "FIRST-LAST"', value)
        return port(value), port(value)
    first, dash, last = (part.strip() for part in value.partition("-"))
    if not _NUMBER.fullmatch(first) or (dash and not _NUMBER.fullmatch(last)):
        raise Wrong(f"{show(value)} is not a port or a range", 'write 443 or "8000-8100"')
    low, high = port(int(first)), port(int(last if dash else first))
    if low > high:
        raise Wrong(f"{show(value)} ends before it begins", f'did you mean "{high}-{low}"?')
    return low, high


def destination_of_rule(value: object) -> str | Verdict:
    """``exit:NAME``, ``direct`` or ``block``; whether NAME exists is seen later."""
    written = text(value)
    for verdict in Verdict:
        if written == verdict.value:
            return verdict
    kind, colon, name = written.partition(":")
    if colon and kind == "exit":
        return label(name)
    guess = nearest(kind, ("exit", *(verdict.value for verdict in Verdict)))
    if guess == "exit" and _LABEL.fullmatch(name):
        remedy = f'did you mean "exit:{name}"?'
    elif guess is not None and guess != "exit" and not colon:
        remedy = f'did you mean "{guess}"?'
    else:
        remedy = 'it is "exit:NAME", "direct" or "block"'
    raise Wrong(f"{show(written)} is not known", remedy)
