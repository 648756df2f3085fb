"""The daemon's configuration: the shipped one is valid, a bad one is refused with its line."""

from pathlib import Path

import msgspec
import pytest
import yaml

from handmap.bundle.manifest import Bundle
from handmap.protocol.fields import DEFAULT_PORT
from handmap.system.renamed import RENAMED_KEYS
from handmap.types.errors import ConfigError
from runtime.cameras.replay import ReplayConfig
from runtime.settings import Settings, read_settings
from tests.support.tiny_bundle import write_config

ROOT = Path(__file__).resolve().parents[2]
GOOD = "bundle: b\ncamera: {kind: replay, path: r}\npublish: {targets: [{host: 127.0.0.1}]}\n"


def read(tmp_path: Path, text: str) -> Settings:
    (tmp_path / "c.yaml").write_text(text)
    return read_settings(tmp_path / "c.yaml")


def test_shipped_configuration_is_valid_and_shows_defaults_except_for_the_hands() -> None:
    shipped = read_settings(ROOT / "configs" / "laptop_demo.yaml")

    assert shipped.bundle == ROOT / "models" / "handmap-hand21"
    assert isinstance(shipped.camera, ReplayConfig)
    assert shipped.camera.path == ROOT / "models" / "demo_recording"
    assert [target.port for target in shipped.publish.targets] == [DEFAULT_PORT, DEFAULT_PORT + 1, DEFAULT_PORT + 2]
    defaults = Settings(shipped.bundle, shipped.camera, shipped.publish)
    hands = msgspec.structs.replace(defaults.tracking, handedness="any", max_hands=2)
    assert shipped == msgspec.structs.replace(defaults, tracking=hands)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD).bundle == tmp_path / "b"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (GOOD + "trakcing: {}\n", "line 4: unknown key 'trakcing'; did you mean 'tracking'"),
        (GOOD.replace("path: r", "path: r, pase: lockstep"), "line 2: unknown key 'camera.pase'; did you mean 'pace'"),
        (GOOD.replace("path: r", "path: r, pace: fast"), "line 2: key 'camera.pace'"),
        (GOOD.replace("kind: replay", "kind: webcam"), "line 2: key 'camera.*webcam"),
        (GOOD.replace("127.0.0.1", "h, port: 70000"), "line 3: key 'publish.targets"),
        (GOOD.replace("targets: [{host: 127.0.0.1}]", "targets: []"), "line 3: key 'publish.targets'"),
        (GOOD + "bundle: c\n", "line 4: key 'bundle' is given twice"),
        (GOOD.replace("bundle: b\n", ""), "key 'bundle' is missing"),
        (GOOD + "log: {stats_interval_s: often}\n", "line 4: key 'log.stats_interval_s'"),
        ("bundle: [\n", "not valid YAML"),
    ],
)
def test_bad_configuration_is_refused_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as caught:
        read(tmp_path, text)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("old", "new"), sorted(RENAMED_KEYS.items()))
def test_a_renamed_key_is_refused_with_its_new_name(
    tmp_path: Path, bundle: Bundle, recording: Path, old: str, new: str
) -> None:
    *sections, key = old.split(".")
    config = write_config(tmp_path / "c.yaml", bundle.path, recording, 9, "recorded", False)
    data = yaml.safe_load(config.read_text())
    if "faults" in sections:
        data["camera"] = {"kind": "faulty", "camera": data["camera"], "faults": [{"kind": "stalled", key: 1}]}
        old, new = (name.replace("faults.", "faults[0].") for name in (old, new))
    else:
        data.setdefault(sections[0], {})[key] = 1
    config.write_text(yaml.safe_dump(data))

    with pytest.raises(ConfigError) as caught:
        read_settings(config)

    assert f"key {old!r} is now called {new.rpartition('.')[2]!r}; rename it" in str(caught.value)
