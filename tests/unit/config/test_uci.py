"""OpenWrt's configs, as files, as `uci show` prints them, and as they are copied into forums."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.config.toml import parse
from plait.config.uci import FIREWALL, NETWORK, Router, document, read
from plait.config.writing import write

FILE = """
config interface 'loopback'
    option device 'lo'

config globals 'globals'
    option multipath 'enable'

config interface 'lan'
    option type 'bridge'
    option ifname 'eth0.3 wlan0'
    option proto 'static'

config interface 'wan1'
    option proto 'dhcp'  # the cable
    option ifname 'eth0.1'
    option multipath 'master'

config interface 'wan2'
    option proto 'dhcp'
    option device "eth0.2"
    option multipath on

config interface 'eth3'
    option device 'eth3'
    option multipath 'off'
"""
SHOWN = """
network.globals=globals
network.globals.multipath='enable'
network.lan=interface
network.lan.type='bridge'
network.lan.ifname='eth0.3' 'wlan0'
network.wan1=interface
network.wan1.ifname='eth0.1'
network.wan1.multipath='master'
network.wan2=interface
network.wan2.device='eth0.2'
network.wan2.multipath='on'
network.eth3=interface
network.eth3.device='eth3'
network.eth3.multipath='off'
"""
COPIED = """
network.globals.multipath=enable
network.lan.type=bridge
uci set network.wan1.ifname=eth0.1
uci set network.wan1.multipath=master
network.wan2.ifname=eth0.2
network.wan2.multipath=on
network.eth3.ifname=eth3
network.eth3.multipath=off
"""
PATHS = [
    {"interface": "eth0.1", "name": "wan1", "mode": "master"},
    {"interface": "eth0.2", "name": "wan2", "mode": "on"},
    {"interface": "eth3", "mode": "off"},
]


def links(text: str, firewall: str = "") -> tuple[Router, dict[str, object]]:
    router = Router()
    read(router, "network", text)
    read(router, "firewall", firewall, FIREWALL)
    return router, document(router, "network")


@pytest.mark.parametrize(
    "text", [FILE, SHOWN, COPIED, "package network\n" + FILE], ids=["file", "show", "copied", "export"]
)
def test_the_same_in_every_form(text: str) -> None:
    router, found = links(text)
    assert not router.faults
    assert not router.notes
    assert found == {"gateway": {"lan": ["br-lan"]}, "path": PATHS}


def test_what_comes_out_is_a_config_once_there_is_an_exit() -> None:
    _, found = links(FILE)
    text = write(found) + '[[exit]]\nname = "attic"\naddress = "192.0.2.1"\npassword = "x"\n'
    config = parse("a.toml", text)
    assert [path.name for path in config.paths] == ["wan1", "wan2", "eth3"]


@pytest.mark.parametrize(
    ("options", "device"),
    [
        ("device=eth1", "eth1"),
        ("ifname=eth1", "eth1"),
        ("proto=pppoe device=eth1", "pppoe-x"),
        ("proto=wireguard", "x"),
        ("type=bridge ifname=eth1", "br-x"),
        ("device=@base", "eth7"),
        ("proto=dhcp device=wwan0", "wwan0"),
    ],
)
def test_the_interface_in_the_kernel(options: str, device: str) -> None:
    lines = "".join(f"network.x.{option}\n" for option in options.split())
    _, found = links(f"network.base=interface\nnetwork.base.device=eth7\n{lines}network.x.multipath=on")
    assert [path["interface"] for path in found["path"]] == [device]  # type: ignore[attr-defined]


def test_the_lan_is_the_zone_of_that_name() -> None:
    zone = (
        "config zone\n option name 'lan'\n list network 'lan'\n list network 'guest'\n list network 'gone'\n"
    )
    guest = "config interface guest\n option device br-guest\n"
    _, found = links(FILE + guest, zone + "config zone\n option name wan\n list network wan1\n")
    assert found["gateway"] == {"lan": ["br-lan", "br-guest"]}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no interface has the option `multipath`"),
        ("config interface lan\n option device eth0", "no interface has the option `multipath`"),
        ("network.x.device=eth0\nnetwork.x.multipath=bakcup", 'did you mean "backup"?'),
        ("network.x.multipath=on", "network.x.device: is missing"),
        ("network.x.multipath=on\nnetwork.x.ifname='eth0 eth1'", "names several devices"),
        (
            "network.x.multipath=on\nnetwork.x.proto=qmi\nnetwork.x.device=/dev/cdc-wdm0",
            "a modem's interface",
        ),
        ("network.x.multipath=on\nnetwork.x.device=@x", "is no interface of this file"),
        (
            "network.x.multipath=on\nnetwork.x.ifname=@y\nnetwork.y=interface\nnetwork.y.ifname=@x",
            "is no interface of this file",
        ),
        (
            "network.x.device=a\nnetwork.x.multipath=master\nnetwork.y.device=b\nnetwork.y.multipath=master",
            "there is a master already: x",
        ),
        (
            "network.x.device=a\nnetwork.x.multipath=on\nnetwork.y.device=a\nnetwork.y.multipath=on",
            "a is the device of several interfaces",
        ),
        ("option device 'eth0'", "line 1: stands before the first `config` line"),
        ("config interface 'x\n", "line 1: has a quote that does not end"),
        ("network.x.device='eth0", "line 1: has a quote that does not end"),
        ("<html>", "line 1: is not understood"),
        ("config interface x y", "line 1: is not understood"),
        ("\0" * 10, "is no UCI config"),
        ("x" * (1 << 21), "is no UCI config"),
    ],
)
def test_what_is_wrong_is_told(text: str, fault: str) -> None:
    router = Router()
    read(router, "network", text)
    if not router.faults:
        document(router, "network")
    assert len(router.faults) == 1
    assert fault in str(router.faults[0])


def test_what_is_no_config_at_all_is_not_told_line_by_line() -> None:
    router = Router()
    read(router, "network", "root:x:0:0\n" * 100)
    assert len(router.faults) == 5


def test_what_a_router_would_not_do_is_noted() -> None:
    router, _ = links(
        "network.x.device=a\nnetwork.x.multipath=on\nnetwork.x.auto=0\nnetwork.globals.multipath=disable"
    )
    assert len(router.notes) == 2


@given(
    text=st.text(
        st.sampled_from("config interface option multipath on'\"\n#@[].=x network globals list\\"),
        max_size=200,
    )
)
def test_noise_is_read_or_refused(text: str) -> None:
    router = Router()
    read(router, NETWORK, text)
    document(router, NETWORK)
