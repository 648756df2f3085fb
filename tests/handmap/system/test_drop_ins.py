"""Drop-ins: what is merged and in which order, what is passed over, and whose line a refusal names."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from handmap.system.config import decode_config
from handmap.system.drop_ins import MOST_DROP_INS, drop_in_folder, find_drop_ins, read_layers
from handmap.types.errors import ConfigError
from tests.handmap.system.test_config import Live, Replay, Settings, Target


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    warm_c: float = 80.0
    hot_c: float = 90.0

    def __post_init__(self) -> None:
        if self.warm_c >= self.hot_c:
            raise ValueError(f"warm_c must be below hot_c, found {self.warm_c} and {self.hot_c}")


class Site(Settings, frozen=True, forbid_unknown_fields=True):
    limits: Limits = Limits()


BASE = "camera: {kind: replay, path: clip}\ntargets: [{host: a}, {host: b}]\nrate_hz: 60.0\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "config.d").mkdir()
    (tmp_path / "config.yaml").write_text(BASE)
    return tmp_path / "config.yaml"


def add(config: Path, name: str, text: str) -> Path:
    path = drop_in_folder(config) / name
    path.write_text(text)
    return path


def read(config: Path) -> Site:
    return decode_config(read_layers(config), Site)


def refusal(config: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read(config)
    return str(caught.value)


def test_each_file_has_a_folder_of_its_own() -> None:
    assert drop_in_folder(Path("/etc/handmap/config.yaml")) == Path("/etc/handmap/config.d")
    assert drop_in_folder(Path("/etc/handmap/left.yaml")) == Path("/etc/handmap/left.d")
    assert drop_in_folder(Path("/etc/handmap/left.cam.yaml")) == Path("/etc/handmap/left.cam.d")


def test_sections_are_merged_and_all_else_is_replaced(config: Path) -> None:
    add(config, "20-b.yaml", "camera: {loop: true}\ntargets: [{host: c, port: 7}]\n")

    assert read(config) == Site(Replay(config.parent / "clip", loop=True), (Target("c", 7),), 60.0)


def test_the_last_name_wins_by_its_bytes(config: Path) -> None:
    for name, rate in (("9.yaml", 9), ("10.yaml", 10), ("A.yaml", 11), ("a.yaml", 12), ("é.yaml", 13)):
        add(config, name, f"rate_hz: {rate}.0\n")
        assert read(config).rate_hz == rate if name != "10.yaml" else 9
    names = [path.name for path in find_drop_ins(config)[0]]
    assert names == ["10.yaml", "9.yaml", "A.yaml", "a.yaml", "é.yaml"]


def test_a_section_of_another_kind_replaces_the_one_below(config: Path) -> None:
    add(config, "1.yaml", "camera: {kind: live, serial: '7'}\n")
    assert read(config).camera == Live("7")

    add(config, "2.yaml", "camera: {kind: live}\n")
    assert read(config).camera == Live("7"), "the same kind is merged"


def test_paths_mean_the_same_in_every_file(config: Path) -> None:
    add(config, "1.yaml", "camera: {path: other}\n")

    assert read(config).camera == Replay(config.parent / "other")


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n", "\ufeff"])
def test_an_empty_drop_in_changes_nothing(config: Path, text: str) -> None:
    before = read(config)
    add(config, "1.yaml", text)

    assert read(config) == before


@pytest.mark.parametrize(
    "name",
    [
        "1.yaml~",
        "1.yaml.dpkg-old",
        "1.yaml.dpkg-dist",
        "1.yaml.bak",
        ".1.yaml.swp",
        ".hidden.yaml",
        "README",
        "#1.yaml#",
    ],
)
def test_leftovers_are_passed_over(config: Path, name: str) -> None:
    path = add(config, name, "no: such key\n")

    assert read(config).rate_hz == 60.0
    assert find_drop_ins(config) == ([], [path])


@pytest.mark.parametrize("name", ["1.yml", "1.YAML", "1.Yml"])
def test_a_name_that_is_meant_to_be_one_is_refused(config: Path, name: str) -> None:
    path = add(config, name, "rate_hz: 1.0\n")

    assert f"{str(path)!r}: only names that end in .yaml are read; rename it to '1.yaml'" in refusal(config)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rate_hz: 1.0\nrate: 2\n", "1.yaml', line 2: unknown key 'rate'; did you mean 'rate_hz'?"),
        ("rate_hz: 1.0\nrate_hz: 2.0\n", "1.yaml', line 2: key 'rate_hz' is given twice"),
        ("# why\ncamera:\n  lop: true\n", "1.yaml', line 3: unknown key 'camera.lop'; did you mean 'loop'?"),
        ("targets:\n- host: a\n- {host: c, prt: 3}\n", "1.yaml', line 3: unknown key 'targets[1].prt'"),
        ("rate_hz:\n", "1.yaml', line 1: key 'rate_hz'"),
        ("\nlimits: {hot_c: 70.0}\n", "1.yaml', line 2: key 'limits': warm_c must be below hot_c, found 80.0 and 70.0"),
        ("a: [\n", "1.yaml', line 2: not valid YAML"),
        ("a: &b 1\nc: *b\n", "1.yaml', line 2: found an alias"),
        ("- rate_hz\n", "1.yaml', line 1: found a list, wanted the keys of a configuration"),
        ("rate_hz 1.0\n", "1.yaml', line 1: found 'rate_hz 1.0', wanted the keys"),
        ("\xff", "is not UTF-8 text"),
    ],
)
def test_a_fault_is_refused_with_the_line_of_the_drop_in(config: Path, text: str, said: str) -> None:
    (drop_in_folder(config) / "1.yaml").write_bytes(text.encode("latin-1"))

    assert said in refusal(config)


def test_faults_in_several_files_are_listed_in_their_order(config: Path) -> None:
    config.write_text(BASE + "pase: recorded\n")
    first = add(config, "1.yaml", "rate_hz: fast\n")
    second = add(config, "2.yaml", "\ntargts: []\n")

    assert refusal(config).splitlines() == [
        f"configuration {str(config)!r} with its drop-ins has 3 faults:",
        f"  {str(config)!r}, line 4: unknown key 'pase'; did you mean 'pace'?",
        f"  {str(first)!r}, line 1: key 'rate_hz': expected a number, got text; correct the value",
        f"  {str(second)!r}, line 2: unknown key 'targts'; did you mean 'targets'?",
    ]


def test_a_fault_that_a_later_file_mends_is_none(config: Path) -> None:
    add(config, "1.yaml", "rate_hz: fast\n")
    add(config, "2.yaml", "rate_hz: 5.0\n")

    assert read(config).rate_hz == 5.0


def test_what_is_no_file_is_refused(config: Path) -> None:
    path = drop_in_folder(config) / "1.yaml"
    path.mkdir()
    assert f"{str(path)!r} cannot be read (it is a folder, not a file)" in refusal(config)

    path.rmdir()
    os.mkfifo(path)
    assert "it is a named pipe" in refusal(config)

    path.unlink()
    path.symlink_to("nowhere.txt")
    assert f"{str(path)!r} cannot be read (No such file" in refusal(config)


def test_without_a_folder_there_are_no_drop_ins(config: Path) -> None:
    folder = drop_in_folder(config)
    folder.rmdir()
    assert find_drop_ins(config) == ([], [])

    folder.write_text("rate_hz: 1.0\n")
    assert f"{str(folder)!r} cannot be listed (Not a directory)" in refusal(config)

    folder.unlink()
    folder.symlink_to("nowhere")
    assert "cannot be listed (No such file or directory)" in refusal(config)


@contextmanager
def as_nobody() -> Iterator[None]:
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_what_this_user_cannot_read_is_refused() -> None:
    with tempfile.TemporaryDirectory() as name:
        config = Path(name) / "config.yaml"
        config.write_text(BASE)
        drop_in_folder(config).mkdir()
        path = add(config, "1.yaml", "rate_hz: 1.0\n")
        config.parent.chmod(0o755)

        path.chmod(0o600)
        with as_nobody():
            assert f"{str(path)!r} cannot be read (Permission denied)" in refusal(config)
        path.parent.chmod(0o700)
        with as_nobody():
            assert f"{str(path.parent)!r} cannot be listed (Permission denied)" in refusal(config)


def test_there_is_a_bound(config: Path) -> None:
    for number in range(MOST_DROP_INS + 1):
        add(config, f"{number:03}.yaml", "")

    assert f"found {MOST_DROP_INS + 1} in" in refusal(config)


def test_without_the_file_itself_drop_ins_are_no_configuration(config: Path) -> None:
    add(config, "1.yaml", BASE)
    config.unlink()

    assert f"{str(config)!r} cannot be read" in refusal(config)
