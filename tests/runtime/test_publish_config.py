"""The section `publish`: what cannot be met is refused when the file is read, by what to write instead."""

from pathlib import Path

import pytest

from handmap.types.errors import ConfigError
from runtime.settings import Settings, read_settings

START = "bundle: b\ncamera: {kind: replay, path: r}\n"


def read(folder: Path, keys: str, more: str = "") -> Settings:
    (folder / "c.yaml").write_text(f"{START}publish: {{{keys}}}\n{more}")
    return read_settings(folder / "c.yaml")


def test_a_key_file_is_relative_to_the_configuration(tmp_path: Path) -> None:
    assert read(tmp_path, "control: {}, key_file: hand.key").publish.key_file == tmp_path / "hand.key"


@pytest.mark.parametrize(
    "keys",
    [
        "control: {}",
        "multicast: {group: 239.255.77.1, interface: eth0}",
        "multicast: {group: 'ff15::4d50', interface: eth0, ttl: 3}",
        "broadcast: {address: 192.168.1.255}",
        "broadcast: {address: 255.255.255.255, port: 7000}",
        "control: {bind: 0.0.0.0}, discovery: true, device_name: left arm",
        "control: {bind: '::'}, key_credential: handmap.key",
        "control: {}, frame: {name: base, position_m: [0, -1.5, 2], quaternion: [0.5, -0.5, 0.5, 0.5]}",
        "control: {}, skeleton: true",
    ],
)
def test_what_can_be_met_is_accepted(tmp_path: Path, keys: str) -> None:
    read(tmp_path, keys)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ("skeleton: true", "nobody would receive anything"),
        ("control: {}, key_file: k, key_credential: c", "both given"),
        ("targets: [{host: h}], key_file: k", "a key needs the control port"),
        ("control: {}, key_credential: a/b", "is not the name of a credential"),
        ("targets: [{host: h}], discovery: true", "set control.bind"),
        ("control: {}, discovery: true", "set control.bind"),
        ("control: {bind: localhost}", "is not an address"),
        ("control: {bind: 192.168.1.255}", "is a broadcast address"),
        ("multicast: {group: 192.168.1.4, interface: eth0}", "is not a multicast address"),
        ("multicast: {group: 'ff02::1%eth0', interface: eth0}", "write that under interface"),
        ("multicast: {group: 239.255.77.1}", "multicast.interface' is missing"),
        ("broadcast: {address: 192.168.1.4}", "is not a broadcast address"),
        ("broadcast: {address: 239.1.2.3}", "is not a broadcast address"),
        ("broadcast: {address: 'ff02::1'}", "which has no broadcast"),
        ("control: {}, frame: {name: base, position_m: [0, 0, 0], quaternion: [0, 0, 0, 0]}", "does not have length 1"),
        ("control: {}, frame: {name: base, position_m: [0, 0], quaternion: [0, 0, 0, 1]}", "position_m"),
        ("control: {max_subscribers: 0}", "max_subscribers"),
    ],
)
def test_what_cannot_be_met_is_refused(tmp_path: Path, keys: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        read(tmp_path, keys)

    assert "line 3" in str(caught.value)


def test_skeletons_of_hands_that_are_not_fitted_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no fitted hand to send"):
        read(tmp_path, "control: {}, skeleton: true", "skeleton: {enabled: false}\n")
