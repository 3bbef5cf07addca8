"""Single values: what is accepted, and what is said of what is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.config import values
from plait.config.model import Mode, Period, Secret, TcpVia, Verdict

GOOD = [
    (values.text, "x", "x"),
    (values.secret, "päss word", Secret("päss word")),
    (values.boolean, False, False),
    (values.port, 1, 1),
    (values.port, 65535, 65535),
    (values.integer(0, 4), 0, 0),
    (values.seconds(0.1, 9), 1, 1.0),
    (values.seconds(0.1, 9), 0.1, 0.1),
    (values.word(Mode), "handover", Mode.HANDOVER),
    (values.label, "roof-2.west_side", "roof-2.west_side"),
    (values.interface, "br-lan.100@eth0", "br-lan.100@eth0"),
    (values.interface, "a" * 15, "a" * 15),
    (values.address, "10.1.1.70", ip_address("10.1.1.70")),
    (values.address, "2001:DB8::1", ip_address("2001:db8::1")),
    (values.host, "2001:DB8:0::1", "2001:db8::1"),
    (values.host, "exit.example.net", "exit.example.net"),
    (values.host, "exit.example.net.", "exit.example.net."),
    (values.host, "attic", "attic"),
    (values.host, "xn--kche-0ra.example", "xn--kche-0ra.example"),
    (values.network, "192.168.5.32/27", ip_network("192.168.5.32/27")),
    (values.network, "192.168.5.3", ip_network("192.168.5.3/32")),
    (values.network, "::/0", ip_network("::/0")),
    (values.socket_address, "192.168.78.1:1081", (ip_address("192.168.78.1"), 1081)),
    (values.socket_address, "[fd00::1]:1081", (ip_address("fd00::1"), 1081)),
    (values.host_port, "127.0.0.1:80", ("127.0.0.1", 80)),
    (values.host_port, "[fd00::1]:80", ("fd00::1", 80)),
    (values.host_port, "www.example.net:443", ("www.example.net", 443)),
    (values.mac, "02:00:5E:10:00:01", "02:00:5e:10:00:01"),
    (values.mac, "02-00-5e-10-00-01", "02:00:5e:10:00:01"),
    (values.domain, "Example.ORG.", "example.org"),
    (values.domain, "_sip.xn--kche-0ra.example", "_sip.xn--kche-0ra.example"),
    (values.domain, "lan", "lan"),
    (values.credential, "päule", "päule"),
    (values.mtu, 0, 0),
    (values.mtu, 1280, 1280),
    (values.command, "", ""),
    (values.command, "logger 'a b' # x", "logger 'a b' # x"),
    (values.number(0.01, 100), 1, 1.0),
    (values.word(Period), "", Period.NEVER),
    (values.word(Period), "day", Period.DAY),
    (values.port_range, 443, (443, 443)),
    (values.port_range, "443", (443, 443)),
    (values.port_range, "8000-8100", (8000, 8100)),
    (values.port_range, "8000 - 8100", (8000, 8100)),
    (values.destination_of_rule, "direct", Verdict.DIRECT),
    (values.destination_of_rule, "block", Verdict.BLOCK),
    (values.destination_of_rule, "exit:attic", "attic"),
    (values.destination_of_rule, "exit:direct", "direct"),
    (values.many(values.port), 80, (80,)),
    (values.many(values.port), [80, 81], (80, 81)),
    (values.many(values.port), [], ()),
]


@pytest.mark.parametrize(("parse", "written", "expected"), GOOD)
def test_accepts(parse: Callable[[object], object], written: object, expected: object) -> None:
    found = parse(written)
    assert found == expected
    assert type(found) is type(expected)


MAC_REMEDY = 'write it as in "02:00:5e:10:00:01"'
BAD = [
    (values.text, "", "is empty", None),
    (values.text, 7, "must be a string, not a whole number", None),
    (values.text, date(2026, 1, 1), "must be a string, not a date or time", None),
    (values.secret, "", "is empty", "`plait keygen` makes a strong one"),
    (values.secret, 7, "must be a string in quotes, not a whole number", None),
    (values.secret, ["x"], "must be a string in quotes, not a list", None),
    (values.boolean, 1, "must be true or false, not a whole number", None),
    (values.port, True, "must be a whole number, not true or false", None),
    (values.port, "443", "must be a whole number, not a string", None),
    (values.port, 1.0, "must be a whole number, not a number", None),
    (values.port, 0, "0 is out of range", "1 to 65535 is possible"),
    (values.port, 65536, "65536 is out of range", "1 to 65535 is possible"),
    (values.port, 10**20, "a very large number is out of range", "1 to 65535 is possible"),
    (values.seconds(0.1, 600), float("nan"), "nan is out of range", "0.1 to 600 seconds are possible"),
    (values.seconds(0.1, 600), float("inf"), "inf is out of range", "0.1 to 600 seconds are possible"),
    (
        values.seconds(0.1, 600),
        10**400,
        "a very large number is out of range",
        "0.1 to 600 seconds are possible",
    ),
    (values.seconds(0.1, 600), False, "must be a number of seconds, not true or false", None),
    (values.word(Mode), "Master", '"Master" is not known', 'did you mean "master"?'),
    (
        values.word(Mode),
        "zzz",
        '"zzz" is not known',
        'known: "on", "master", "off", "backup", "handover"',
    ),
    (values.word(Mode), True, "must be a string, not true or false", None),
    (
        values.word(TcpVia, later=(TcpVia.TUNNEL,)),
        "tunnel",
        '"tunnel" is not in this version',
        "use mptcp or direct",
    ),
    (values.subnet, "10.188.0.0/31", '"10.188.0.0/31" is too small', "it must have 4 addresses at least"),
    (values.subnet6, "10.188.0.0/16", '"10.188.0.0/16" is not IPv6', "IPv4 goes into `subnet`"),
    (values.word(Period), "week", '"week" is not known', 'known: "day", "month"'),
    (
        values.host_port,
        "127.0.0.1",
        '"127.0.0.1" is not a host and a port',
        'write it as in "127.0.0.1:80", "www.example.net:443" or "[fd00::1]:80"',
    ),
    (
        values.host_port,
        "fd00::1:80",
        '"fd00::1:80" is not a host and a port',
        'write it as in "127.0.0.1:80", "www.example.net:443" or "[fd00::1]:80"',
    ),
    (values.host_port, ":80", "is empty", None),
    (values.host_port, "a:0", "0 is out of range", "1 to 65535 is possible"),
    (values.mac, "02:00:5e:10:00", '"02:00:5e:10:00" is not an Ethernet address', MAC_REMEDY),
    (values.mac, "02:00-5e:10:00:01", '"02:00-5e:10:00:01" is not an Ethernet address', MAC_REMEDY),
    (values.domain, "*.a.org", '"*.a.org" begins with a wildcard', '"a.org" stands for all below it, too'),
    (values.domain, ".a.org", '".a.org" begins with a wildcard', '"a.org" stands for all below it, too'),
    (values.domain, "a b.org", '"a b.org" is not a domain', 'write it as in "example.org"'),
    (values.domain, ".", '"." is not a domain', 'write it as in "example.org"'),
    (values.domain, "ü.org", '"\\u00fc.org" is not ASCII', "write the name in its xn-- form"),
    (
        values.domain,
        "10.0.0.1",
        '"10.0.0.1" is an address, not a domain',
        "addresses go into `destination`",
    ),
    (values.credential, "a:b", '"a:b" holds a colon or what can\'t be printed', None),
    (values.credential, "x" * 256, "has more than 255 bytes", None),
    (values.mtu, 1279, "1279 is too small", "at least 1280, or 0 to have it found"),
    (values.command, 7, "must be a string, not a whole number", None),
    (values.command, "a\0", "holds a NUL", None),
    (values.number(0.01, 100), 0, "0 is out of range", "0.01 to 100 is possible"),
    (values.number(0.01, 100), "1", "must be a number, not a string", None),
    (values.label, "two words", '"two words" can\'t be a name', "up to 32 letters, digits, '.', '_' and '-'"),
    (values.label, "x" * 33, f'"{"x" * 33}" can\'t be a name', "up to 32 letters, digits, '.', '_' and '-'"),
    (
        values.interface,
        "a" * 16,
        f'"{"a" * 16}" has 16 bytes; Linux allows an interface name 15',
        None,
    ),
    (values.interface, "wan*", '"wan*" has a wildcard', "name each interface"),
    (values.interface, "a b", '"a b" is not an interface name', "`ip -br link` lists those of this host"),
    (values.interface, 'a"}', '"a\\"}" is not an interface name', "`ip -br link` lists those of this host"),
    (values.interface, "..", '".." is not an interface name', "`ip -br link` lists those of this host"),
    (values.address, "10.1.1.270", '"10.1.1.270" is not an IP address', None),
    (values.address, "[fd00::1]", '"[fd00::1]" is not an IP address', 'write "fd00::1", without brackets'),
    (
        values.address,
        "0.0.0.0:8388",
        '"0.0.0.0:8388" is not an IP address',
        'write "0.0.0.0"; the port has a key of its own',
    ),
    (
        values.address,
        "10.1.1.1/24",
        '"10.1.1.1/24" is not an IP address',
        'write "10.1.1.1", without a prefix length',
    ),
    (values.address, "fe80::1%wan1", '"fe80::1%wan1" names a zone', "leave out the part from '%' on"),
    (values.host, "10.1.1", '"10.1.1" is not an IP address', None),
    (values.host, "0.0.0.0", '"0.0.0.0" is nothing one can connect to', None),
    (values.host, "ff02::1", '"ff02::1" is nothing one can connect to', None),
    (
        values.host,
        "[2001:db8::1]:443",
        '"[2001:db8::1]:443" is not an IP address',
        'write "2001:db8::1"; the port has a key of its own',
    ),
    (values.host, "http://x", '"http://x" is not an IP address', None),
    (values.host, "küche.example", '"k\\u00fcche.example" is not ASCII', "write the name in its xn-- form"),
    (values.host, "-x.example", '"-x.example" is neither an IP address nor a host name', None),
    (values.host, "a..b", '"a..b" is neither an IP address nor a host name', None),
    (
        values.host,
        "a" * 64 + ".example",
        f'"{"a" * (values.MAX_SHOWN - 2)}… is neither an IP address nor a host name',
        None,
    ),
    (values.network, "10.1.1.1/24", '"10.1.1.1/24" has host bits set', 'did you mean "10.1.1.0/24"?'),
    (values.network, "fd00::1/64", '"fd00::1/64" has host bits set', 'did you mean "fd00::/64"?'),
    (values.network, "10.0.0.0/33", '"10.0.0.0/33" is not a network', 'write it as in "192.168.5.0/24"'),
    (values.network, "attic", '"attic" is not a network', 'write it as in "192.168.5.0/24"'),
    (values.network, "fe80::%1/64", '"fe80::%1/64" names a zone', "leave out the part from '%' on"),
    (
        values.socket_address,
        "192.168.78.1",
        '"192.168.78.1" has no port',
        'write it as in "192.168.78.1:1081" or "[fd00::1]:1081"',
    ),
    (
        values.socket_address,
        "fd00::1:1081",
        '"fd00::1:1081" has no port',
        'write an IPv6 address in brackets, with a port: "[fd00::1:1081]:PORT"',
    ),
    (
        values.socket_address,
        "fd00:0:0:0:0:0:0:1:1081",
        '"fd00:0:0:0:0:0:0:1:1081" lacks brackets',
        'write "[fd00:0:0:0:0:0:0:1]:1081"',
    ),
    (
        values.socket_address,
        "[10.0.0.1]:80",
        '"[10.0.0.1]:80" has an IPv4 address in brackets',
        'write "10.0.0.1:80"',
    ),
    (
        values.socket_address,
        "localhost:80",
        '"localhost:80" is not an address and a port',
        'write it as in "192.168.78.1:1081" or "[fd00::1]:1081"',
    ),
    (values.socket_address, "10.0.0.1:0", "0 is out of range", "1 to 65535 is possible"),
    (values.port_range, "8100-8000", '"8100-8000" ends before it begins', 'did you mean "8000-8100"?'),
    (values.port_range, "80-", '"80-" is not a port or a range', 'write 443 or "8000-8100"'),
    (values.port_range, "-1", '"-1" is not a port or a range', 'write 443 or "8000-8100"'),
    (values.port_range, 0, "0 is out of range", "1 to 65535 is possible"),
    (values.port_range, True, 'must be a port or "FIRST-LAST", not true or false', None),
    (
        values.destination_of_rule,
        "exit",
        '"exit" is not known',
        'it is "exit:NAME", "direct" or "block"',
    ),
    (values.destination_of_rule, "exti:attic", '"exti:attic" is not known', 'did you mean "exit:attic"?'),
    (values.destination_of_rule, "blok", '"blok" is not known', 'did you mean "block"?'),
    (values.many(values.port, 1), [], "is an empty list", "at least 1 is needed"),
]


@pytest.mark.parametrize(("parse", "written", "problem", "remedy"), BAD)
def test_says_what_is_wrong(
    parse: Callable[[object], object], written: object, problem: str, remedy: str | None
) -> None:
    with pytest.raises(values.Wrong) as caught:
        parse(written)
    assert caught.value.complaints == [("", problem, remedy)]


def test_a_list_tells_every_wrong_item() -> None:
    with pytest.raises(values.Wrong) as caught:
        values.many(values.port)([0, 80, "x", 80])
    assert [(suffix, problem) for suffix, problem, _ in caught.value.complaints] == [
        ("[0]", "0 is out of range"),
        ("[2]", "must be a whole number, not a string"),
        ("[3]", "is the same as [1]"),
    ]


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("interfce", ("interface", "mode"), "interface"),
        ("WHEN-EXIT-LOST", ("when_exit_lost",), "when_exit_lost"),
        ("colour", ("interface", "mode"), None),
        ("", ("interface",), None),
    ],
)
def test_nearest(word: str, known: tuple[str, ...], expected: str | None) -> None:
    assert values.nearest(word, known) == expected


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\x1b[31m\nb", '"a\\u001b[31m\\nb"'),
        ("x" * 100, '"' + "x" * 58 + "…"),
        (True, "true"),
        (1.5, "1.5"),
    ],
)
def test_what_is_shown_of_a_file_is_short_and_printable(value: object, shown: str) -> None:
    assert values.show(value) == shown


def test_a_number_too_long_for_str_is_shown_in_words() -> None:
    assert values.show(1 << 20000) == "a very large number"


PARSERS = [parse for parse, *_ in GOOD]
ANYTHING = st.one_of(
    st.text(),
    st.from_regex(r"[\[\]0-9a-f:./%-]{0,40}", fullmatch=True),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.lists(st.text(max_size=5), max_size=3),
)


@given(written=ANYTHING, index=st.integers(0, len(PARSERS) - 1))
def test_nothing_but_wrong_is_raised(written: object, index: int) -> None:
    complaints: list[tuple[str, str, str | None]] = []
    try:
        PARSERS[index](written)
    except values.Wrong as wrong:
        complaints = wrong.complaints
    for _, problem, remedy in complaints:
        assert problem
        assert "\n" not in problem + (remedy or "")
