"""YAML into structs: what is refused, and how the message helps."""

import os
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from handmap.system.config import read_config
from handmap.types.errors import ConfigError
from tests.support.bounded import within


class Replay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="replay", tag_field="kind"):
    path: Path
    loop: bool = False


class Live(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="live", tag_field="kind"):
    serial: str = ""


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str
    port: int = 5656


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    camera: Replay | Live
    targets: tuple[Target, ...] = ()
    rate_hz: float = 30.0
    pace: Literal["recorded", "lockstep"] = "recorded"


def write(folder: Path, text: str) -> Path:
    path = folder / "settings.yaml"
    path.write_text(text)
    return path


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_config(write(folder, text), Settings)
    return str(caught.value)


def test_a_path_is_relative_to_the_folder_of_its_file(tmp_path: Path) -> None:
    path = write(tmp_path, "camera: {kind: replay, path: ../clips/one}\n")

    settings = read_config(path, Settings)

    assert settings.camera == Replay(path=(tmp_path / "../clips/one").resolve())


def test_an_unknown_key_is_refused_with_its_line_and_the_nearest_key(tmp_path: Path) -> None:
    message = refusal(tmp_path, "camera:\n  kind: replay\n  path: x\n  lop: true\n")

    assert "line 4" in message
    assert "'camera.lop'" in message
    assert "did you mean 'loop'?" in message


def test_an_unknown_key_in_a_list_is_refused_with_its_line(tmp_path: Path) -> None:
    message = refusal(tmp_path, "camera: {kind: live}\ntargets:\n  - host: a\n  - host: b\n    prt: 1\n")

    assert "line 5" in message
    assert "did you mean 'port'?" in message


def test_a_key_of_the_wrong_camera_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, "camera: {kind: live, loop: true}\n")

    assert "unknown key 'camera.loop'" in message


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("camera: {kind: live}\nrate_hz: fast\n", "line 2", "'rate_hz'"),
        ("camera: {kind: live}\nrate_hz: 1e-3\n", "line 2", "write 1.0e-3"),
        ("camera: {kind: live}\npace: slow\n", "line 2", "'pace'"),
        ("camera: {kind: film}\n", "line 1", "film"),
        ("rate_hz: 3\n", "line 1", "'camera' is missing"),
        ("", "line 1", "'camera' is missing"),
        ("camera: {kind: live}\nrate_hz: 1\nrate_hz: 2\n", "line 3", "given twice"),
        ("camera: {kind: live\n", "line 2", "not valid YAML"),
        ("- 1\n", "line 1", "got a list"),
        ("camera: {kind: film}\n", "line 1", "expected one of"),
        ("camera: {kind: live}\npace: slow\n", "line 2", "found 'slow'"),
        ("a: &a [*a]\n", "line 1", "alias"),
        ("camera: &c {kind: live}\nother: *c\n", "line 2", "alias"),
        ("camera: !!python/object:os.system {}\n", "line 1", "a tag"),
        ("camera: " + "[" * 3000 + "]" * 3000 + "\n", "line 1", "nested sections"),
        ("camera: {kind: replay, path: 3}\n", "line 1", "expected a path, found 3"),
        ("camera: {kind: replay, path: ''}\n", "line 1", "expected a path"),
        ("camera: {kind: replay, path: ~no-such-user/x}\n", "line 1", "expected a path"),
        ('camera: {kind: replay, path: "a\\0b"}\n', "line 1", "control character"),
        ('camera: {kind: "\\ud800"}\n', "line 1", "control character"),
        ("camera: {kind: live}\n1: 2\n", "line 2", "not text to YAML"),
        ("camera: {kind: live}\n? [a]\n: 2\n", "line 2", "not text to YAML"),
        ("camera: 2020-99-01\n", "configuration", "month must be"),
        ("bundle: a\0b\n", "configuration", "not valid YAML"),
    ],
)
def test_a_bad_value_is_refused_with_its_line(tmp_path: Path, text: str, line: str, said: str) -> None:
    message = refusal(tmp_path, text)

    assert line in message
    assert said in message
    assert "\n" not in message


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        read_config(tmp_path / "none.yaml", Settings)


@pytest.mark.parametrize(
    ("content", "said"), [(b"bundle: \xff\n", "not UTF-8 text"), (b"# " + b"x" * 300_000, "is longer")]
)
def test_files_that_are_not_short_text_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "c.yaml").write_bytes(content)

    with pytest.raises(ConfigError, match=said):
        read_config(tmp_path / "c.yaml", Settings)


def test_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbfcamera: {kind: live}\n")

    read_config(tmp_path / "c.yaml", Settings)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("camera: {kind: liv}\n", "did you mean 'live'?"),
        ("camera: {kind: live}\npace: LOCKSTEP\n", "did you mean 'lockstep'?"),
        ("camera: {kind: live}\nloop: true\n", "it belongs under 'camera' of kind 'replay'"),
        ("camera: {kind: live, path: x}\n", "unknown key 'camera.path'; it belongs under 'camera' of kind 'replay'"),
        ("camera: {kind: live}\nhost: a\n", "it belongs under 'targets[]'"),
        ("camera: {kind: live, rate_hz: 3}\n", "it belongs under no section"),
        ("camera: {kind: live}\nzzz: 3\n", "known keys here: camera, targets, rate_hz, pace"),
        ("camera: {}\n", "key 'camera.kind' is missing; add it, one of replay, live"),
        ("camera: {kind: live, serial: on}\n", "YAML reads on, off, yes and no as true or false"),
        ("camera: {kind: live}\ntargets: {host: a}\n", "expected a list, got a section of keys"),
        (
            "camera: {kind: live}\ntargets: [{host: a, port: [1]}]\n",
            "'targets[0].port': expected a whole number, got a list",
        ),
        ("camera:\n  kind: live\n  serial: a\n  serial: b\n", "line 4: key 'camera.serial' is given twice"),
        ("camera: {kind: live}\ntargets: [{host: a, host: b}]\n", "line 2: key 'targets[0].host' is given twice"),
    ],
)
def test_a_refusal_suggests_what_was_probably_meant(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, text)


def test_every_fault_is_given_with_its_line_in_the_order_of_the_file(tmp_path: Path) -> None:
    message = refusal(
        tmp_path,
        "camera:\n  kind: replay\n  lop: true\nrate_hz: fast\npace: LOCKSTEP\ntargets:\n- host: 1\n- port: x\n- {host: a, prot: 1}\n"
        "rate: 1\nrate_hz: 1\non: 2\n",
    )

    lines = message.splitlines()
    assert lines[0] == f"configuration {str(tmp_path / 'settings.yaml')!r} has {len(lines) - 1} faults:"
    said = [(1, "'camera.path' is missing"), (3, "'camera.lop'"), (4, "'rate_hz': expected a number"), (5, "'lockstep'"), (7, "'targets[0].host'"),
            (8, "'targets[1].port'"), (8, "'targets[1].host' is missing"), (9, "'targets[2].prot'"), (10, "'rate'"),
            (11, "'rate_hz' is given twice"), (12, "is not text")]  # fmt: skip
    for line, words in said:
        assert any(one.startswith(f"  line {line}: ") and words in one for one in lines[1:]), (line, words, message)
    assert len(lines) - 1 == len(said)


def test_a_crowd_of_faults_is_counted(tmp_path: Path) -> None:
    message = refusal(tmp_path, "camera: {kind: live}\n" + "".join(f"x{n}: 1\n" for n in range(50)))

    assert message.count("\n") == 21
    assert "has 50 faults" in message and message.endswith("and 30 more")


@pytest.mark.parametrize("serial", ["123456789012", "0123", "1.5", "2020-01-02"])
def test_a_serial_number_without_quotes_is_told_so(tmp_path: Path, serial: str) -> None:
    message = refusal(tmp_path, f"camera: {{kind: live, serial: {serial}}}\n")

    assert "'camera.serial'" in message and "put it in quotes" in message


@pytest.mark.parametrize(
    "number",
    [
        "0x" + "f" * 100_000, "0b" + "1" * 100_000, "0" + "7" * 100_000, "1" + ":59" * 30_000, "9" * 100_000, "-" + "9" * 5000,
        "1" + ":59" * 30_000 + ".5",
    ],
    ids=range(7),
)  # fmt: skip
def test_a_number_without_end_is_refused_within_bounds(tmp_path: Path, number: str) -> None:
    with within(20):
        message = refusal(tmp_path, f"camera: {{kind: live}}\nrate_hz: {number}\n")

    assert "line 2: found a number of" in message and len(message) < 500


@pytest.mark.parametrize("number", ["1e999", ".nan", "-.inf"])
def test_a_number_beyond_its_type_is_a_sentence(tmp_path: Path, number: str) -> None:
    message = refusal(tmp_path, f"camera: {{kind: live}}\ntargets: [{{host: a, port: {number}}}]\n")

    assert "'targets[0].port'" in message and "\n" not in message


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c.yaml")

    with within(20), pytest.raises(ConfigError, match="named pipe"):
        read_config(tmp_path / "c.yaml", Settings)
