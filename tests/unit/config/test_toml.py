"""Files to config: what they may say, several together, and files that can't be read at all."""

from __future__ import annotations

import dataclasses
import tomllib
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.config import model
from plait.config.toml import MAX_SIZE, exposed, load, parse
from plait.errors import ConfigError, Fault

GOLDEN = Path(__file__).parents[2] / "golden" / "config"

GATEWAY = """
[gateway]
lan = "lan"
[[exit]]
name = "attic"
address = ["10.1.1.70", "10.2.2.70"]
password = "correct horse"
[[path]]
interface = "wan1"
mode = "master"
[[path]]
interface = "wan2"
"""

EXIT = """
[exit]
password = "correct horse"
"""


def faults_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse("f.toml", text)
    return [str(fault).removeprefix("f.toml: ") for fault in caught.value.faults]


def write(folder: Path, **texts: str) -> list[Path]:
    files = []
    for name, text in texts.items():
        files.append(folder / f"{name}.toml")
        files[-1].write_text(text)
    return files


def test_the_short_gateway() -> None:
    assert parse("f.toml", GATEWAY) == model.Config(
        gateway=model.Gateway(lan=("lan",)),
        peers=(
            model.Peer(
                name="attic", address=("10.1.1.70", "10.2.2.70"), password=model.Secret("correct horse")
            ),
        ),
        paths=(
            model.Path(interface="wan1", name="wan1", mode=model.Mode.MASTER),
            model.Path(interface="wan2", name="wan2"),
        ),
    )


def test_the_short_exit() -> None:
    assert parse("f.toml", EXIT) == model.Config(exit=model.Exit(password=model.Secret("correct horse")))


def test_the_long_gateway() -> None:
    config = parse("f.toml", (GOLDEN / "every-key-gateway.toml").read_text())
    assert config.gateway == model.Gateway(
        lan=("lan", "guest"),
        intercept=model.Intercept.REDIRECT,
        tcp=model.TcpVia.DIRECT,
        udp=model.UdpVia.SHADOWSOCKS,
        routed=(ip_network("192.168.5.0/24"),),
        own=model.OwnVia.DNS,
        when_exit_lost=model.WhenExitLost.BLOCK,
        bypass=(ip_network("198.51.100.0/24"),),
        port=2080,
    )
    assert config.peers == (
        model.Peer(
            name="attic",
            address=("exit.example.net",),
            port=443,
            method=model.Method.CHACHA20_IETF_POLY1305,
            password=model.Secret("correct horse"),
            public_key="hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=",
        ),
        model.Peer(name="plain", address=("10.1.1.70",), method=model.Method.NONE),
    )
    assert config.paths == (
        model.Path(
            interface="eth1",
            name="dsl",
            mode=model.Mode.BACKUP,
            gateway=(ip_address("10.1.1.1"), ip_address("fe80::1")),
            metered=True,
            weight=0.5,
            on_up="logger $PLAIT_PATH is up",
            on_down="logger $PLAIT_PATH is down",
            on_standby="logger $PLAIT_PATH waits",
            watchdog="pppd",
            watchdog_after=90.0,
            watchdog_limit=3,
        ),
    )
    assert config.rules == (
        model.Rule(
            to="attic",
            source=(ip_network("192.168.5.32/27"),),
            destination=(ip_network("192.168.70.0/24"), ip_network("fd70::/64")),
            port=((443, 443), (8000, 8100)),
            protocol=(model.Protocol.TCP, model.Protocol.UDP),
            mac=("02:00:5e:10:00:01",),
            domain=("example.org", "www.example.net"),
        ),
        model.Rule(to=model.Verdict.BLOCK, port=((25, 25),)),
    )
    assert config.proxies == (
        model.Proxy(
            listen=(ip_address("192.168.78.1"), 1081),
            protocol=model.ProxyProtocol.HTTP,
            exit="plain",
            username="app",
            password=model.Secret("battery staple"),
        ),
    )
    assert config.relay == model.Relay(
        workers=3,
        connect_timeout=5.5,
        handshake_timeout=30.0,
        idle_timeout=8000.0,
        half_close_timeout=300.0,
        sessions=500,
        warm=0,
    )
    assert config.web == model.Web(
        listen=((ip_address("192.168.78.1"), 8390), (ip_address("fd78::1"), 8390)),
        password=model.Secret("correct horse"),
        token=model.Secret("battery-staple-battery"),
        names=("gateway.lan",),
        metrics=False,
        history=50_000_000,
        history_directory="/srv/plait",
    )


def test_the_long_exit() -> None:
    config = parse("f.toml", (GOLDEN / "every-key-exit.toml").read_text())
    assert config.exit == model.Exit(
        listen=(ip_address("10.1.1.70"), ip_address("10.2.2.70")),
        port=443,
        method=model.Method.AES_256_GCM,
        password=model.Secret("correct horse"),
        allow=(ip_network("192.168.70.0/24"),),
        deny=(ip_network("192.168.70.1"),),
        trust=(ip_network("10.1.1.0/24"),),
        fallback=("127.0.0.1", 80),
        private_key=model.Secret("dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo="),
    )
    assert config.users == (
        model.User(
            name="roof",
            password=model.Secret("battery staple"),
            rate=20_000_000,
            volume=100_000_000_000,
            volume_period=model.Period.MONTH,
        ),
    )
    assert config.tunnel == model.Tunnel(
        serve=True,
        subnet=ip_network("10.88.0.0/16"),
        subnet6=ip_network("fd88::/64"),
        networks=(ip_network("192.168.5.0/24"),),
        masquerade=False,
        mtu=1400,
        name="plait7",
    )
    assert config.web == model.Web(listen=((ip_address("::"), 8390),), insecure=True, exposed=True)


def test_every_key_of_the_model_is_read() -> None:
    """A field that the loader forgets keeps its default here, and is found."""
    both = [parse("f.toml", (GOLDEN / f"every-key-{role}.toml").read_text()) for role in ("gateway", "exit")]
    said: dict[type, list[object]] = {}
    for config in both:
        for field in dataclasses.fields(config):
            value = getattr(config, field.name)
            for item in value if isinstance(value, tuple) else (value,):
                said.setdefault(type(item), []).append(item)
    for kind, items in said.items():
        if kind is type(None):
            continue
        for field in dataclasses.fields(kind):  # type: ignore[arg-type]
            default = field.default
            if field.default_factory is not dataclasses.MISSING:
                default = field.default_factory()
            assert any(getattr(item, field.name) != default for item in items), (
                f"{kind.__name__}.{field.name}"
            )


def test_many_faults_are_told_at_once_and_in_order() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("gateway.toml", (GOLDEN / "many-faults.toml").read_text())
    assert f"{caught.value}\n" == (GOLDEN / "many-faults.txt").read_text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = ", [":1:5: this is not TOML: this is not a value; text goes in quotes"]),
        ("[gateway]\nlan lan", [":2:5: this is not TOML: a key is followed by '=' and a value"]),
        ('a = "x', [":1:7: this is not TOML: the text is not closed with a quote"]),
        ('a = "x\nb = 1', [":1:7: this is not TOML: a control character, or text whose closing quote"]),
        ("a = [1", [":1:7: this is not TOML: the list is not closed with ']'"]),
        ("a = 1\na = 2", [":2:6: this is not TOML: the key is there twice"]),
        ("[path]\n[path]", [":2:6: this is not TOML: the table is there twice; write [[…]]"]),
        ("a = 1 b", [":1:7: this is not TOML: something follows the value"]),
        ("a = " + "[" * 5000, [": is nested too deeply"]),
        ("a = " + "9" * 5000, [": holds a number that is too long"]),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_not_toml(text: str, expected: list[str]) -> None:
    found = faults_of(text)
    assert len(found) == len(expected)
    for line, start in zip(found, expected, strict=True):
        assert line.removeprefix("f.toml").startswith(start.removeprefix(": ")), line


@pytest.mark.parametrize(
    "text",
    [
        "[exit]\npassword = 'x'\n[[exit]]\nname = 'attic'",
        "[[exit]]\nname = 'attic'\n\n[exit]\npassword = 'x'",
        '["exit"]\n[[exit]]',
    ],
)
def test_both_kinds_of_exit_in_one_file(text: str) -> None:
    (line,) = faults_of(text)
    assert "[exit] and [[exit]] can't stand in one file" in line
    assert line.endswith(
        "; write the far ends as [[gateway.exit]], or give two files: -c gateway.toml -c exit.toml"
    )


def test_a_node_in_one_file() -> None:
    text = GATEWAY.replace("[[exit]]", "[[gateway.exit]]") + EXIT
    config = parse("node.toml", text)
    assert config.exit is not None
    assert [peer.name for peer in config.peers] == ["attic"]


def test_a_node_in_two_files(tmp_path: Path) -> None:
    gateway, exit_, node = write(
        tmp_path, gateway=GATEWAY, exit=EXIT, node=GATEWAY.replace("[[exit]]", "[[gateway.exit]]") + EXIT
    )
    assert load([gateway, exit_]) == load([exit_, gateway]) == load([node])


def test_faults_of_several_files(tmp_path: Path) -> None:
    files = write(
        tmp_path,
        gateway=GATEWAY + "[relay]\nworkers = 2\n",
        exit=EXIT + "colour = 1\n[relay]\nworkers = 3\n",
        again="[exit]\npassword = 'x'\n[[path]]\ninterface = 'wan1'\nmode = 'master'\n",
    )
    with pytest.raises(ConfigError) as caught:
        load(files)
    gateway, exit_, again = files
    assert [(fault.source, fault.key, fault.problem) for fault in caught.value.faults] == [
        (str(exit_), "exit.colour", "no such key"),
        (str(exit_), "relay", f"differs from the one in {gateway}"),
        (str(again), "exit", f"is already in {exit_}"),
        (str(again), "path[0].interface", f"is the same as path[0].interface of {gateway}"),
        (str(again), "path[0].mode", f"there is a master already: path[0].mode of {gateway}"),
    ]


def test_equal_relay_tables_of_two_files_are_no_fault(tmp_path: Path) -> None:
    relay = "[relay]\nworkers = 2\n"
    assert load(write(tmp_path, gateway=GATEWAY + relay, exit=EXIT + relay)).relay.workers == 2


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (good,) = write(tmp_path, exit="[exit]\nprt = 1\npassword = 'x'\n")
    absent, folder = tmp_path / "absent.toml", tmp_path
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"# a\n# caf\xe9\n")
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (MAX_SIZE + 1))
    loop = tmp_path / "loop.toml"
    loop.symlink_to(loop)
    with pytest.raises(ConfigError) as caught:
        load([absent, folder, latin, large, loop, Path("nul\0.toml"), good, good])
    assert [str(fault) for fault in caught.value.faults] == [
        f"{absent}: can't be read: No such file or directory",
        f"{folder}: can't be read: Is a directory",
        f"{latin}:2: is not UTF-8 text",
        f"{large}: is larger than 1 MiB; this is hardly a config file",
        f"{loop}: can't be read: Too many levels of symbolic links",
        "nul\0.toml: can't be read: not a file name",
        f"{good}: exit.prt: no such key; did you mean `port`?",
        f"{good}: is given twice; give each file once",
    ]


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "exit.toml"
    file.write_bytes(b"\xef\xbb\xbf" + EXIT.encode())
    assert load([file]).exit is not None


def test_exposed_passwords(tmp_path: Path) -> None:
    pair = "[exit]\nprivate_key = 'x'"
    secret, open_, key, plain = write(tmp_path, secret=GATEWAY, open=EXIT, key=pair, plain="[relay]")
    secret.chmod(0o640)
    for each in (open_, key, plain):
        each.chmod(0o644)
    assert exposed([secret, open_, key, plain]) == [str(open_), str(key)]


PASSWORD = "hunter2-is-long-enough"


@pytest.mark.parametrize(
    "line",
    [
        f'password = "{PASSWORD}',
        f"password = {PASSWORD}",
        f'password = "{PASSWORD}" "{PASSWORD}"',
        f'password = "{PASSWORD}\\q"',
        f'password "{PASSWORD}"',
        f'password = ["{PASSWORD}"]',
        f'password = {{ x = "{PASSWORD}" }}',
        f'passwd = "{PASSWORD}"',
        f'password = "{PASSWORD}"\npassword = "{PASSWORD}"',
        f'password."{PASSWORD}" = 1',
        f'password = "{PASSWORD}"\npassword."{PASSWORD}" = 1',
    ],
)
def test_no_fault_shows_a_password(line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse("f.toml", f"[exit]\n{line}\nport = 0\n")
    assert PASSWORD not in str(caught.value) + repr(caught.value) + repr(caught.value.faults)


def test_no_repr_shows_a_password() -> None:
    assert "correct horse" not in repr(parse("f.toml", GATEWAY)) + str(parse("f.toml", EXIT))


VOCABULARY = """
    [gateway] [[exit]] [exit] [[path]] [[rule]] [[gateway.exit]] [[user]] [relay] [tunnel] [[proxy]]
    lan name address port method password trust to listen source mode interface
    = . , [ ] { } ' " # 1 -1 true 1.5 9999999999999999999999 nan 2026-01-01 [] ['x']
    'x' 'exit:x' 'none' '::' 'wan1' '10.0.0.0/8' 'master'
"""
WORDS = st.sampled_from(VOCABULARY.split(" "))
LINES = st.lists(st.one_of(WORDS, st.text(max_size=8)), max_size=40).map(" ".join)
VALUES = st.sampled_from(
    [
        "1",
        "0",
        "true",
        "''",
        "'x'",
        "[]",
        "['x', 1]",
        "{}",
        "nan",
        "1e99",
        "'none'",
        "'10.0.0.1/8'",
        "'exit:x'",
        "0xFFFFFFFFF",
    ]
)


def _once(table: tuple[str, object]) -> object:
    """[x] may stand once in a file, [[x]] often."""
    return object() if table[0].startswith("[[") else table[0]


TABLES = st.lists(
    st.tuples(
        st.sampled_from(
            ["[gateway]", "[[exit]]", "[[path]]", "[[rule]]", "[[proxy]]", "[[user]]", "[relay]"]
        ),
        st.dictionaries(
            st.sampled_from(
                ["lan", "name", "address", "port", "method", "password", "to", "listen", "interface", "mode"]
            ),
            VALUES,
            max_size=4,
        ),
    ),
    max_size=6,
    unique_by=_once,
).map(
    lambda tables: "\n".join(
        "\n".join((header, *(f"{key} = {value}" for key, value in keys.items()))) for header, keys in tables
    )
)


@given(text=st.one_of(st.text(), LINES, TABLES))
def test_nothing_but_config_errors(text: str) -> None:
    faults: list[Fault] = []
    config = None
    try:
        config = parse("f.toml", text)
    except ConfigError as error:
        faults = error.faults
    assert bool(config) != bool(faults)
    assert all("\n" not in str(fault) for fault in faults)


@given(text=TABLES)
def test_the_made_up_tables_are_toml(text: str) -> None:
    """So that the test above reaches beyond the syntax."""
    assert isinstance(tomllib.loads(text), dict)
