"""Atomic files and folders are complete or absent."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from handmap.files.atomic import new_folder, write_file
from tests.support.processes import ROOT


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


UNFINISHED = """
import os, sys, time
from pathlib import Path
from handmap.files.atomic import new_folder
with new_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("x")
    print("filling", flush=True)
    time.sleep(60)
"""


def filling(path: Path) -> "subprocess.Popen[str]":
    """A process in the middle of filling a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", UNFINISHED, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "filling\n"
    process.stdout.close()
    return process


def test_what_a_killed_process_left_is_swept_by_the_next_one_and_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / ".other.abc.tmp").mkdir()
    (tmp_path / ".notes").write_text("mine")
    killed, alive = filling(tmp_path / "killed"), filling(tmp_path / "alive")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    before = set(os.listdir(tmp_path))

    with new_folder(tmp_path / "next"):
        pass
    after = set(os.listdir(tmp_path))
    alive.kill()
    alive.wait()
    write_file(tmp_path / "file", b"x")

    assert len(before) == 4 and {name.split(".")[1] for name in before} == {"other", "notes", "killed", "alive"}
    assert {name.split(".")[1] for name in after - {"next"}} == {"other", "notes", "alive"}
    assert set(os.listdir(tmp_path)) == {".other.abc.tmp", ".notes", "next", "file"}


def test_a_file_half_written_by_a_killed_process_is_swept(tmp_path: Path) -> None:
    (tmp_path / ".a.xyz.handmap.tmp").write_bytes(b"ha")

    write_file(tmp_path / "b", b"whole")

    assert os.listdir(tmp_path) == ["b"]
