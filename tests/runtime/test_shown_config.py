"""`handmap config show`: what the daemon will use, and where each value was written."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from handmap.system.renamed import RENAMED_KEYS
from handmap.types.errors import ConfigError
from runtime.config_commands import config as verb
from runtime.settings import read_settings

BASE = """\
bundle: b
camera:
  kind: faulty
  camera: {kind: replay, path: r}
  faults: [{kind: unplugged, start_s: 3.0}]
publish:
  targets:
  - host: 127.0.0.1
  - {host: "::1", port: 5700}
"""
DROP_IN = "tracking:\n  max_hands: 2\nthermal: {zones: []}\npublish: {device_name: 'on'}\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "left.d").mkdir()
    (tmp_path / "left.d/50-site.yaml").write_text(DROP_IN)
    (tmp_path / "left.d/50-site.yaml.dpkg-old").write_text("old")
    (tmp_path / "left.yaml").write_text(BASE)
    return tmp_path / "left.yaml"


def shown(config: Path, *options: str) -> str:
    done = CliRunner().invoke(verb, ["show", "--config", str(config), *options], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_every_value_has_the_line_that_it_comes_from(config: Path) -> None:
    rows = shown(config).splitlines()

    assert rows[:3] == [
        f"# {config}", f"# {config.parent}/left.d/50-site.yaml", f"# passed over: {config.parent}/left.d/50-site.yaml.dpkg-old",
    ]  # fmt: skip
    found = {text.strip(): origin.strip() for text, _, origin in (row.rpartition("# ") for row in rows[3:]) if text}
    assert found[f"bundle: {config.parent}/b"] == "left.yaml:1"
    assert found["kind: faulty"] == "left.yaml:3"
    assert found["- kind: unplugged"] == "left.yaml:5"
    assert found["duration_s: null"] == "default"
    assert found["- host: 127.0.0.1"] == "left.yaml:8"
    assert found["- host: ::1"] == "left.yaml:9"
    assert found["max_hands: 2"] == "left.d/50-site.yaml:2"
    assert found["zones: []"] == "left.d/50-site.yaml:3"
    assert found["device_name: 'on'"] == "left.d/50-site.yaml:4"
    assert found["backend: onnx"] == "default"


def test_the_output_is_a_configuration_that_means_the_same(config: Path, tmp_path: Path) -> None:
    (tmp_path / "joined").mkdir()
    joined = tmp_path / "joined/other.yaml"
    joined.write_text(shown(config))

    assert read_settings(joined) == read_settings(config)


def test_json_has_each_value_with_its_origin(config: Path) -> None:
    found = json.loads(shown(config, "--json"))

    assert found["files"] == [str(config), str(config.parent / "left.d/50-site.yaml")]
    assert found["values"]["publish.targets[1].port"] == {"value": 5700, "from": "left.yaml:9"}
    assert found["values"]["tracking.max_hands"] == {"value": 2, "from": "left.d/50-site.yaml:2"}
    assert found["values"]["telemetry.port"] == {"value": 9400, "from": "default"}


def test_what_the_daemon_would_refuse_is_refused(config: Path) -> None:
    (config.parent / "left.d/60.yaml").write_text("\ntracking: {max_hnds: 1}\n")

    with pytest.raises(
        ConfigError, match=r"left\.d/60\.yaml', line 2: unknown key 'tracking.max_hnds'; did you mean 'max_hands'"
    ):
        CliRunner().invoke(verb, ["show", "--config", str(config)], catch_exceptions=False)


# What the packages of 0.1.0 installed as /etc/handmap/config.yaml.
OF_0_1_0 = {
    "board": "bundle: /usr/share/handmap/models/handmap-hand21\ncamera: {kind: realsense}\n"
    "publish:\n  targets:\n  - {host: 127.0.0.1, port: 5656}\nengine: {backend: tensorrt, precision: fp16, fallback: onnx}\n",
    "replay": "bundle: /usr/share/handmap/models/handmap-hand21\ncamera: {kind: replay, path: /usr/share/handmap/models/demo_recording}\n"
    "publish:\n  targets:\n  - {host: 127.0.0.1, port: 5656}\n",
}


@pytest.mark.parametrize("name", OF_0_1_0)
def test_the_configurations_of_0_1_0_are_still_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.yaml").write_text(OF_0_1_0[name])

    assert read_settings(tmp_path / "config.yaml").publish.targets[0].port == 5656


def test_every_key_that_was_renamed_since_is_named_in_a_drop_in_too(config: Path) -> None:
    sections: dict[str, list[str]] = {}
    for old in RENAMED_KEYS:
        if not old.startswith("camera.faults"):
            section, _, key = old.partition(".")
            sections.setdefault(section, []).append(key)
    text = "".join(f"{section}:\n" + "".join(f"  {key}: 1\n" for key in keys) for section, keys in sections.items())
    (config.parent / "left.d/60.yaml").write_text(
        text + "camera:\n  faults:\n  - {kind: frozen, at_s: 1, for_s: 1, every_s: 1}\n"
    )

    with pytest.raises(ConfigError) as caught:
        read_settings(config)
    for old, new in RENAMED_KEYS.items():
        full, name = old.replace("camera.faults.", "camera.faults[0]."), new.rpartition(".")[2]
        assert f"key {full!r} is now called {name!r}; rename it" in str(caught.value)


def test_a_name_with_a_line_break_stays_within_its_comment(config: Path) -> None:
    (config.parent / "left.d/60\nbundle: other #.yaml").write_text("log: {level: debug}\n")
    (config.parent / "left.d/70\nbundle: other").write_text("")

    (config.parent / "again.yaml").write_text(shown(config))

    assert read_settings(config.parent / "again.yaml").bundle == read_settings(config).bundle
