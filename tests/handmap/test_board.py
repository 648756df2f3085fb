"""The release of a Jetson's software."""

from pathlib import Path

import pytest

from handmap.board import read_l4t_release


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


def test_a_machine_that_is_no_jetson_has_none(tmp_path: Path) -> None:
    assert read_l4t_release(tmp_path / "nv_tegra_release") == "none"
