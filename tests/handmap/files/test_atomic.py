"""Atomic files and folders are complete or absent."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from handmap.files.atomic import all_names, make_folder, new_folder, refuse_unwritable, write_file, write_into
from handmap.types.errors import ConfigError, FileError
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
        with new_folder(tmp_path / "bundle", all_names) as folder:
            (folder / name).write_text(name)

    assert os.listdir(tmp_path) == ["bundle"]
    assert os.listdir(tmp_path / "bundle") == ["second"]


def test_the_old_folder_stays_when_its_replacement_fails(tmp_path: Path) -> None:
    with new_folder(tmp_path / "bundle") as folder:
        (folder / "first").write_text("first")

    with pytest.raises(RuntimeError), new_folder(tmp_path / "bundle", all_names) as folder:
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


def test_somebodys_folder_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    for name in ("a.pt", "b.pt", "c.pt", "d.pt"):
        (tmp_path / "work" / name).write_text("weeks")

    sentence = r"holds 'a\.pt', 'b\.pt', 'c\.pt' and 1 more, .* choose another --out"
    with pytest.raises(ConfigError, match=sentence), new_folder(tmp_path / "work"):
        raise AssertionError("it is refused before the work")

    assert len(os.listdir(tmp_path / "work")) == 4 and os.listdir(tmp_path) == ["work"]


def test_what_somebody_puts_there_meanwhile_is_never_replaced(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'notes'"), new_folder(tmp_path / "out"):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "notes").write_text("mine")

    assert (tmp_path / "out" / "notes").read_text() == "mine" and os.listdir(tmp_path) == ["out"]


def test_an_empty_folder_may_be_replaced_and_a_file_or_link_may_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "empty")

    with new_folder(tmp_path / "empty") as folder:
        (folder / "new").write_text("x")
    for name in ("file", "link"):
        with pytest.raises(ConfigError, match="other than a folder"), new_folder(tmp_path / name, all_names):
            raise AssertionError("it is refused before the work")

    assert os.listdir(tmp_path / "empty") == ["new"] and (tmp_path / "file").read_text() == "mine"


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_is_a_sentence_and_leaves_nothing(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(tmp_path / "f", b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os if call == "fsync" else Path, call, full_disk)

        with pytest.raises(FileError, match=r"No space left on device.*free some space"):
            write_file(tmp_path / "f", b"new")

    assert (tmp_path / "f").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]


def test_a_folder_that_cannot_be_finished_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileError, match="No space left"), new_folder(tmp_path / "bundle") as folder:
        write_into(folder, {"a": b"x"})
        monkeypatch.setattr(os, "fsync", full_disk)

    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("place", ["file/out", "file/deeper/out", "/proc/out", "/sys/kernel/out", "a\0b", "x" * 300])
@pytest.mark.parametrize("write", [refuse_unwritable, lambda path: write_file(path, b"x"), make_folder])
def test_a_place_that_cannot_be_written_is_a_sentence(
    place: str, write: Callable[[Path], None], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(FileError, match="cannot be written") as refused:
        write(tmp_path / place)

    assert "\n" not in str(refused.value)
    assert os.listdir(tmp_path) == ["file"]


def test_checking_a_place_leaves_nothing_and_makes_no_folder(tmp_path: Path) -> None:
    refuse_unwritable(tmp_path / "deep" / "deeper" / "out")

    assert os.listdir(tmp_path) == []
