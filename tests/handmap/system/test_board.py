"""The release of a Jetson's software."""

from pathlib import Path

import pytest

from handmap.system.jetpack import JETPACKS, find_jetpack, parse_version, read_l4t_release, show_version


@pytest.mark.parametrize(
    ("content", "release"),
    [
        (
            "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8\n"
            "# KERNEL_VARIANT: oot\n",
            "36.4.3",
        ),
        ("# R39 (release), REVISION: 2.0, GCID: 1, BOARD: generic, EABI: aarch64\n", "39.2.0"),
        ("# R36 (release), REVISION: 5, GCID: 1", "36.5"),
        ("# L4T of another world 1\nmore\n", "unknown: # L4T of another world 1"),
        ("", "unknown: "),
        (b"\xff\xfe# R36 (release), REVISION: 4.4, ...\n", "36.4.4"),
    ],
)
def test_the_release_is_read_from_its_file(tmp_path: Path, content: str | bytes, release: str) -> None:
    path = tmp_path / "nv_tegra_release"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

    assert read_l4t_release(path) == release


def test_a_machine_that_is_not_a_jetson_has_no_release(tmp_path: Path) -> None:
    assert read_l4t_release(tmp_path / "nv_tegra_release") == "none"


@pytest.mark.parametrize(
    ("release", "name"),
    [("36.4.0", "6.1 or 6.2"), ("36.5", "6.1 or 6.2"), ("38.3.1", "7.0 or 7.1"), ("39.2", "7.2 or 7.2.1"),
     ("39.2.1", "7.2 or 7.2.1"), ("39.2.2", "7.2.2 or newer"), ("39.2.9", "7.2.2 or newer")],
)  # fmt: skip
def test_the_jetpack_of_a_release(release: str, name: str) -> None:
    found = find_jetpack(parse_version(release))

    assert found is not None and found.name == name


@pytest.mark.parametrize(
    "release", ["none", "unknown: # R36", "35.6.1", "36.3.9", "36.6", "37.1", "38.1", "38.5.0", "39.1", "39.3", "40.0"]
)
def test_an_unknown_release_has_no_jetpack(release: str) -> None:
    assert find_jetpack(parse_version(release)) is None


def test_the_releases_of_two_jetpacks_never_overlap() -> None:
    bounds = [version for jetpack in JETPACKS for version in (jetpack.since, jetpack.before)]

    assert bounds == sorted(bounds)
    assert all(jetpack.since[0] == jetpack.before[0] for jetpack in JETPACKS)


@pytest.mark.parametrize(
    ("text", "version", "shown"),
    [("10.3.0.30-1+cuda12.5", (10, 3, 0, 30), "10.3.0"), ("36.5", (36, 5), "36.5"), ("none", (), "")],
)
def test_the_numbers_of_a_version(text: str, version: tuple[int, ...], shown: str) -> None:
    assert parse_version(text) == version
    assert show_version(version) == shown
