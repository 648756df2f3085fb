"""Hosts that packets can go to, and all others refused by what to write instead; following the advice must lead to success."""

import re
from pathlib import Path

import pytest
import yaml

from handmap.types.errors import ConfigError
from runtime.settings import read_settings


def read_targets(tmp_path: Path, *targets: dict[str, object]) -> None:
    content = {"bundle": "b", "camera": {"kind": "replay", "path": "r"}, "publish": {"targets": list(targets)}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(content))
    read_settings(tmp_path / "c.yaml")


GOOD = (
    "127.0.0.1", "192.168.1.20", "10.0.255.4", "localhost", "robot-7.local", "robot_7", "a.b.c.", "xn--bcher-kva.example", "bücher.example",
    "3com.example", "::1", "fd00::5", "2001:db8::1", "fe80::1%eth0", "FD00::5",
)  # fmt: skip


@pytest.mark.parametrize("host", GOOD)
def test_one_machine_is_accepted(tmp_path: Path, host: str) -> None:
    read_targets(tmp_path, {"host": host})


BAD = [
    ("127.0.0.1:5656", 'write host: "127.0.0.1" and port: 5656'),
    ("robot.local:5656", 'write host: "robot.local" and port: 5656'),
    ("robot.local:", 'write host: "robot.local"'),
    ("[::1]", 'write host: "::1"'),
    ("[fd00::5]:5656", 'write host: "fd00::5" and port: 5656'),
    ("http://10.0.0.5:8080/joints", 'is a URL, .* write host: "10.0.0.5" and port: 8080'),
    ("udp://robot.local", 'is a URL, .* write host: "robot.local"'),
    ("udp://[fd00::5]:5656", 'is a URL, .* write host: "fd00::5" and port: 5656'),
    ("10.0.0.0/24", "has a slash"),
    ("255.255.255.255", "is a broadcast address"),
    ("192.168.1.255", "is a broadcast address"),
    ("224.0.0.251", "is a multicast address"),
    ("239.1.2.3", "is a multicast address"),
    ("ff02::1", "is a multicast address"),
    ("ff02::1%eth0", "is a multicast address"),
    ("0.0.0.0", "means any address.*write 127.0.0.1"),
    ("0.1.2.3", "means any address"),
    ("::", "means any address.*write ::1"),
    ("250.1.2.3", "which no machine has"),
    ("::ffff:10.0.0.5", "write 10.0.0.5"),
    ("fe80::1", "add the network interface, as in fe80::1%eth0"),
    ("192.168.1.999", "is not an IPv4 address"),
    ("192.168.1", "is not an IPv4 address"),
    ("192.168.1.1.1", "is not an IPv4 address"),
    ("192.168.001.001", "is not an IPv4 address"),
    ("3232235777", "is not an IPv4 address"),
    ("0x7f000001", "is not an IPv4 address"),
    ("0x7f.0.0.1", "is not an IPv4 address"),
    ("127.1", "is not an IPv4 address"),
    ("1.2.3.4.", "is not an IPv4 address"),
    ("fd00:::5", "is not an IPv6 address"),
    ("fd00::12345", "is not an IPv6 address"),
    ("::1:5656:x", "is not an IPv6 address"),
    ("", "length >= 1"),
    (" ", "is empty or has spaces"),
    ("10.0.0.5 ", "is empty or has spaces"),
    ("a b", "is not a host name"),
    ("a,b", "is not a host name"),
    ("10.0.0.5,10.0.0.6", "is not an IPv4 address"),
    ("user@robot", "is not a host name"),
    ("*", "is not a host name"),
    ("a..b", "is not a host name"),
    (".", "is not a host name"),
    ("-robot", "is not a host name"),
    ("a" * 64, "is not a host name"),
    (".".join(["a" * 60] * 5), "is not a host name"),
]


@pytest.mark.parametrize(("host", "said"), BAD)
def test_anything_else_is_refused_by_what_to_write(tmp_path: Path, host: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        read_targets(tmp_path, {"host": "10.0.0.5"}, {"host": host})

    assert re.search(r"key 'publish\.targets\[1\](\.host)?'", str(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", [host for host, said in BAD if 'write host: "' in said])
def test_the_advice_can_be_followed(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_targets(tmp_path, {"host": host})
    found = re.search(r'write host: "(?P<host>[^"]+)"(?: and port: (?P<port>\d+))?', str(caught.value))
    assert found is not None

    read_targets(tmp_path, {"host": found["host"], "port": int(found["port"] or 5656)})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"host": "10.0.0.5"}, {"host": "10.0.0.5", "port": 5656}),
        ({"host": "Robot.local."}, {"host": "robot.local"}),
        ({"host": "fd00::5"}, {"host": "FD00:0:0::5"}),
    ],
)
def test_a_receiver_given_twice_is_refused(tmp_path: Path, first: dict[str, object], second: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"key 'publish': targets: .* is given twice; remove one"):
        read_targets(tmp_path, first, second)

    read_targets(tmp_path, first, second | {"port": 9})
