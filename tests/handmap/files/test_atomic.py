"""Atomic files and folders are complete or absent."""

import os
from pathlib import Path

import pytest

from handmap.files.atomic import new_folder, write_file


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_file(tmp_path / "a", b"one")

    write_file(tmp_path / "a", b"two")

    assert (tmp_path / "a").read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["a"]


def test_a_folder_that_failed_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), new_folder(tmp_path / "bundle") as folder:
        (folder / "half").write_text("x")
        raise RuntimeError

    assert os.listdir(tmp_path) == []


def test_a_folder_replaces_the_old_one_with_nothing_left_of_it(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with new_folder(tmp_path / "bundle") as folder:
            (folder / name).write_text(name)

    assert os.listdir(tmp_path) == ["bundle"]
    assert os.listdir(tmp_path / "bundle") == ["second"]


def test_the_old_folder_stays_when_its_replacement_fails(tmp_path: Path) -> None:
    with new_folder(tmp_path / "bundle") as folder:
        (folder / "first").write_text("first")

    with pytest.raises(RuntimeError), new_folder(tmp_path / "bundle") as folder:
        raise RuntimeError

    assert os.listdir(tmp_path / "bundle") == ["first"]
