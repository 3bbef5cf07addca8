"""What only the whole config shows: names, references, what is missing, who is admitted."""

from __future__ import annotations

import pytest

from plait.config.toml import parse
from plait.errors import ConfigError

LAN = '[gateway]\nlan = "lan"\n'
PEER = '[[exit]]\nname = "attic"\naddress = "10.1.1.70"\npassword = "x"\n'
PATH = '[[path]]\ninterface = "wan1"\n'
EXIT = '[exit]\npassword = "x"\n'
KEY_16 = "AAECAwQFBgcICQoLDA0ODw=="
KEY_32 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
NODE = LAN + PEER.replace("[[exit]]", "[[gateway.exit]]") + PATH + EXIT

NEEDS = "; it needs [gateway], at least one [[exit]] and at least one [[path]]"
EXACT = [
    ("", ["neither [gateway] nor [exit]; nothing to do; docs/reference/config.md has examples"]),
    ("[relay]", ["neither [gateway] nor [exit]; nothing to do; docs/reference/config.md has examples"]),
    (LAN, ["a gateway without an [[exit]] and without a [[path]]" + NEEDS]),
    (PEER, ["a gateway without [gateway] and without a [[path]]" + NEEDS]),
    (PATH + PEER, ["a gateway without [gateway]" + NEEDS]),
    (LAN + PATH + EXIT, ["a gateway without an [[exit]]" + NEEDS]),
    (
        LAN + "[path]\n" + PEER,
        ["path: must be a list of tables, not a table; write [[path]], in double brackets"],
    ),
    (
        '[[user]]\nname = "a"\npassword = "x"\n[tunnel]',
        ["[[user]] without [exit]; they say more about this box's own exit"],
    ),
    (
        LAN + PATH + '[exit]\nname = "attic"\naddress = "10.1.1.70"\npassword = "x"',
        [
            "exit.name: no such key; it belongs under [[exit]] or [[path]] or [[user]] or [tunnel]",
            "exit.address: no such key; it belongs under [[exit]]",
            "a gateway without an [[exit]]" + NEEDS,
        ],
    ),
    (
        "[[gateway]]\n" + PEER + PATH,
        ["gateway: must be one table, not a list; write [gateway], in single brackets"],
    ),
    (
        LAN + PEER + PATH + PATH,
        ["path[1].interface: is the same as path[0].interface"],
    ),
    (
        LAN + PEER + PATH + 'name = "a"\n[[path]]\ninterface = "wan2"\nname = "a"',
        ["path[1].name: is the same as path[0].name"],
    ),
    (
        LAN + PEER + PATH + '[[path]]\ninterface = "wan2"\nname = "wan1"',
        ["path[1].name: is the same as path[0].name"],
    ),
    (LAN + PEER + PEER + PATH, ["exit[1].name: is the same as exit[0].name"]),
    (
        LAN + PEER + PATH + 'mode = "master"\n[[path]]\ninterface = "wan2"\nmode = "master"',
        [
            "path[1].mode: there is a master already: path[0].mode; "
            "one path carries all other traffic; make this one on or backup"
        ],
    ),
    (
        LAN + PEER + '[[path]]\ninterface = "lan"',
        ['path[0].interface: "lan" is in gateway.lan too; a link is one or the other'],
    ),
    (
        LAN + PEER + PATH + '[[rule]]\nto = "exit:atic"',
        ['rule[0].to: no exit is named "atic"; did you mean "attic"?'],
    ),
    (
        LAN + PEER + PATH + '[[rule]]\nto = "exit:zzz"',
        ['rule[0].to: no exit is named "zzz"; known: "attic"'],
    ),
    (
        LAN + PEER + PATH + '[[proxy]]\nlisten = "127.0.0.1:1081"\nexit = "atic"\n',
        ['proxy[0].exit: no exit is named "atic"; did you mean "attic"?'],
    ),
    (
        LAN + PEER + PATH + '[[proxy]]\nlisten = "127.0.0.1:1081"\nexit = "attic"\n' * 2,
        ["proxy[1].listen: is the same as proxy[0].listen"],
    ),
    (
        LAN.replace("[gateway]", "[gateway]\nport = 65535") + PEER + PEER.replace("attic", "cellar") + PATH,
        ["gateway.port: 2 exits need the ports 65535 to 65536; begin lower; the highest port is 65535"],
    ),
    (
        LAN.replace("[gateway]", "[gateway]\nport = 65535")
        + PEER
        + PATH
        + '[[rule]]\nto = "direct"\ndomain = "example.org"',
        [
            "gateway.port: 1 exits and rules by domain need the ports 65535 to 65536; "
            "begin lower; the highest port is 65535"
        ],
    ),
    (
        NODE.replace("[gateway]", "[gateway]\nport = 8387") + '[[rule]]\nto = "direct"\ndomain = "a.org"',
        ["exit.port: 8388 is taken by the interceptor; rules by domain need one port more than the exits"],
    ),
    (
        NODE.replace("[gateway]", "[gateway]\nport = 8388"),
        ["exit.port: 8388 is taken by the interceptor; gateway.port gives it 8388"],
    ),
    (
        LAN + PEER + "[[exit]]\n" + PATH + "[[rule]]\nto = 'exit:attic'",
        [
            'exit[1].name: is missing; rules and status call it so, as in name = "attic"',
            'exit[1].address: is missing; as in address = ["203.0.113.10"]',
            "exit[1].password: is missing; method aes-128-gcm needs it, the same on both ends; "
            "`plait keygen` makes one",
        ],
    ),
    (
        "[exit]",
        [
            "exit.password: is missing: method aes-128-gcm needs it; "
            "`plait keygen` makes one; [[user]] tables with one each will do too"
        ],
    ),
    ('[exit]\npaswd = "x"', ["exit.paswd: no such key; did you mean `password`?"]),
    ('[exit]\npassword = ""', ["exit.password: is empty; `plait keygen` makes a strong one"]),
    (
        '[exit]\nmethod = "none"',
        [
            "exit.trust: is missing: with method none anybody could use this exit; "
            'name the gateways\' addresses, as in trust = ["10.1.1.0/24"], or choose a sealed method'
        ],
    ),
    (
        '[exit]\nmethod = "none"\ntrust = []',
        ["exit.trust: is empty: with method none nobody could use this exit; name the gateways' addresses"],
    ),
    (
        '[exit]\nmethod = "none"\ntrust = "10.0.0.0/8"\n[[user]]\nname = "a"\npassword = "x"',
        ["user[0]: can't be told apart with method none; choose another method in [exit]"],
    ),
    (
        f'[exit]\nmethod = "2022-blake3-chacha20-poly1305"\npassword = "{KEY_32}"\n'
        f'[[user]]\nname = "a"\npassword = "{KEY_32}"',
        [
            "user[0]: can't be told apart with method 2022-blake3-chacha20-poly1305; "
            "choose another method in [exit]"
        ],
    ),
    (
        f'[exit]\nmethod = "2022-blake3-aes-128-gcm"\n[[user]]\nname = "a"\npassword = "{KEY_16}"\n'
        f'[[user]]\nname = "b"\npassword = "{KEY_32}"\n[[user]]\nname = "c"\npassword = "x"',
        [
            "exit.password: is missing: method 2022-blake3-aes-128-gcm needs it beside users; "
            "users are told apart under it; `plait keygen --method 2022-blake3-aes-128-gcm` makes one",
            "user[1].password: is a key of 32 bytes; method 2022-blake3-aes-128-gcm needs 16; "
            "`plait keygen --method 2022-blake3-aes-128-gcm` makes one",
            "user[2].password: is not base64, as method 2022-blake3-aes-128-gcm needs it; "
            "`plait keygen --method 2022-blake3-aes-128-gcm` makes one",
        ],
    ),
    (
        EXIT + '[[user]]\nname = "a"\npassword = "y"\nvolume_period = "day"',
        ['user[0].volume_period: is of no use without `volume`; as in volume = "100 GB"'],
    ),
    (
        LAN + PEER + PATH + '[[proxy]]\nlisten = "0.0.0.0:1090"\nexit = "attic"',
        [
            "proxy[0].listen: 0.0.0.0 can be reached from outside: anybody could use this proxy; listen on "
            'the LAN\'s address, as in "192.168.78.1:1081", or set username and password'
        ],
    ),
    (
        LAN + PEER + PATH + '[[proxy]]\nlisten = "8.8.8.8:1090"\nexit = "attic"\npassword = "x"',
        [
            "proxy[0].listen: 8.8.8.8 can be reached from outside: anybody could use this proxy; listen on "
            'the LAN\'s address, as in "192.168.78.1:1081", or set username and password',
            "proxy[0].username: is missing: there is a password",
        ],
    ),
    (
        LAN + PEER + PATH + '[[proxy]]\nlisten = "[::]:1090"\nexit = "attic"\nusername = "x"',
        ["proxy[0].password: is missing: there is a username"],
    ),
    (
        LAN
        + PEER
        + PATH
        + '[[proxy]]\nlisten = "127.0.0.1:1090"\nexit = "attic"\nusername = "x"\npassword = "'
        + "x" * 256
        + '"',
        ["proxy[0].password: has more than 255 bytes; RFC 1929 allows no more"],
    ),
    (
        LAN + PEER + PATH + '[[proxy]]\nlisten = "127.0.0.1:1080"\nexit = "attic"',
        ["proxy[0].listen: 1080 is taken by the interceptor; gateway.port gives it 1080"],
    ),
    (
        EXIT + '[[user]]\nname = "a"\npassword = "x"\n[[user]]\nname = "a"\npassword = "y"\n'
        '[[user]]\nname = "c"\npassword = "y"',
        [
            "user[0].password: is the same as that of [exit]; users are told apart by it",
            "user[1].name: is the same as user[0].name",
            "user[2].password: is the same as that of user[1]; users are told apart by it",
        ],
    ),
    (
        LAN + PEER + "[[gateway.exit]]\nname = 'b'\naddress = 'b'\npassword = 'x'\n" + PATH,
        ["exit: far ends are written both as [[exit]] and as [[gateway.exit]]; use one form in a file"],
    ),
    (
        EXIT + "[tunnel]\nserve = true\nnetworks = ['192.168.5.0/24', '10.0.0.0/8']",
        [
            "tunnel.networks: 10.0.0.0/8 overlaps with 10.188.0.0/16, out of which gateways get their"
            " addresses; choose another subnet"
        ],
    ),
]


@pytest.mark.parametrize(("text", "expected"), EXACT)
def test_says_what_does_not_fit(text: str, expected: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse("f.toml", text)
    assert [str(fault).removeprefix("f.toml: ") for fault in caught.value.faults] == expected


@pytest.mark.parametrize(
    "text",
    [
        LAN + PEER + PATH,
        EXIT,
        NODE,
        '[exit]\nmethod = "none"\ntrust = "10.1.1.0/24"',
        '[exit]\n[[user]]\nname = "a"\npassword = "x"',
        LAN + "[tunnel]\nname = 'plait1'\n" + PEER + PATH,
        LAN + PEER + PATH + '[[proxy]]\nlisten = "[fd00::1]:1081"\nexit = "attic"',
        LAN
        + PEER
        + PATH
        + '[[proxy]]\nlisten = "0.0.0.0:1081"\nexit = "attic"\nusername = "a"\npassword = "x"',
        f'[exit]\nmethod = "2022-blake3-aes-256-gcm"\npassword = "{KEY_32}"\n'
        f'[[user]]\nname = "a"\npassword = "{KEY_32.replace("AAE", "BBE")}"',
        LAN
        + PEER.replace('"x"', f'"{KEY_16}:{KEY_16}"\nmethod = "2022-blake3-aes-128-gcm"')
        + PATH
        + "metered = true",
        LAN + PEER.replace('password = "x"', 'method = "none"') + PATH,
        LAN + PEER + PATH + '[[rule]]\nto = "direct"\n[[rule]]\nto = "block"\n[[rule]]\nto = "exit:attic"',
    ],
)
def test_accepts(text: str) -> None:
    assert parse("f.toml", text)


@pytest.mark.parametrize(
    ("listen", "fallback", "itself"),
    [
        ("", "127.0.0.1:8388", True),
        ("", "127.8.9.10:8388", True),
        ("", "localhost:8388", True),
        ("", "[::1]:8388", True),
        ("listen = '192.0.2.1'\n", "192.0.2.1:8388", True),
        ("listen = ['127.0.0.1', '::1']\n", "127.0.0.1:8388", True),
        ("", "127.0.0.1:80", False),
        ("", "192.0.2.1:8388", False),
        ("", "web.example:8388", False),
        ("listen = '192.0.2.1'\n", "127.0.0.1:8388", False),
        ("listen = '192.0.2.1'\n", "192.0.2.2:8388", False),
    ],
)
def test_strangers_are_not_handed_on_to_where_they_came(listen: str, fallback: str, itself: bool) -> None:
    text = f"{EXIT}{listen}fallback = '{fallback}'\n"
    if not itself:
        parse("a.toml", text)
        return
    with pytest.raises(ConfigError) as caught:
        parse("a.toml", text)
    [fault] = str(caught.value).splitlines()
    assert "exit.fallback: " in fault
    assert "is this exit itself" in fault
