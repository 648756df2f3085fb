"""The writing side of the cache: room, lock, timing cache, and what is swept."""

import logging
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from export.engine_store import (
    KEPT_ENGINES,
    check_room,
    locked,
    read_timing,
    sweep_half_written,
    sweep_old,
    timing_file,
    write_timing,
)
from handmap.engines.cache import find_engine, hold_engine
from handmap.types.errors import BuildError
from tests.support.stored_engines import KEY, ORIN, store, wanted_in

replace = msgspec.structs.replace
ROOT = Path(__file__).resolve().parents[2]
TAKE_LOCK = (
    "import sys; from pathlib import Path; from export.engine_store import locked\n"
    "with locked(Path(sys.argv[1]), lambda: print('waiting', flush=True)): print('taken', flush=True); sys.stdin.read()"
)


def take_lock(cache_dir: Path) -> "subprocess.Popen[str]":
    """Another process that takes the lock and holds it until its input ends."""
    command = [sys.executable, "-c", TAKE_LOCK, str(cache_dir)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_one_builder_waits_for_another(tmp_path: Path) -> None:
    with locked(tmp_path, lambda: None):
        other = take_lock(tmp_path)
        first = line_of(other)
    later = iter(lambda: line_of(other), "taken")

    assert first == "waiting"
    assert set(later) <= {"waiting"}
    other.communicate("")
    assert other.returncode == 0


def test_a_killed_builder_leaves_no_lock(tmp_path: Path) -> None:
    other = take_lock(tmp_path)
    assert line_of(other) == "taken"

    other.kill()
    other.communicate()

    def must_not_wait() -> None:
        raise AssertionError("the lock is still held")

    with locked(tmp_path, must_not_wait):
        pass


def test_a_cache_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(BuildError, match=r"cannot be written \(Not a directory\); name another with --cache-dir"):
        locked(tmp_path / "file" / "engines", lambda: None).__enter__()


def test_too_little_memory_is_refused_before_the_build(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  3900000 kB\nMemFree:  1 kB\nMemAvailable:   1572863 kB\n")

    with pytest.raises(BuildError, match="1535 MB of memory are available, wanted 1536 MB with a workspace of 512 MB"):
        check_room(tmp_path, 1, 512, tmp_path / "meminfo")
    check_room(tmp_path, 1, 511, tmp_path / "meminfo")


def test_too_little_disk_is_refused_before_the_build(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"MB of disk are free, wanted \d+ MB to build in"):
        check_room(tmp_path, 1 << 60, 1)


def test_a_kernel_that_tells_no_memory_is_no_reason_to_refuse(tmp_path: Path) -> None:
    check_room(tmp_path, 1, 10**9, tmp_path / "none")


def test_a_timing_cache_comes_back_whole(tmp_path: Path) -> None:
    path = timing_file(tmp_path / "cache", ORIN)
    write_timing(path, b"tactics")

    assert read_timing(path) == b"tactics"


@pytest.mark.parametrize("how", ["cut", "changed", "empty", "absent"])
def test_a_spoiled_timing_cache_is_as_good_as_none(tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture) -> None:
    path = timing_file(tmp_path, ORIN)
    write_timing(path, b"tactics")
    content = path.read_bytes()
    spoiled = {"cut": content[:-1], "changed": content[:-1] + b"!", "empty": b""}
    path.unlink() if how == "absent" else path.write_bytes(spoiled[how])

    with caplog.at_level(logging.WARNING):
        assert read_timing(path) == b""

    assert ("timing cache ignored" in caplog.text) == (how != "absent")


def test_every_platform_has_its_own_timing_cache(tmp_path: Path) -> None:
    platforms = [ORIN, replace(ORIN, tensorrt="tensorrt 10.7.0"), replace(ORIN, gpu="Thor")]

    assert len({timing_file(tmp_path, platform) for platform in platforms}) == 3


def test_old_engines_of_a_bundle_go_but_the_newest_and_others_stay(tmp_path: Path) -> None:
    folders = [
        store(wanted_in(tmp_path, replace(KEY, batch=batch)), age_s=batch) for batch in range(1, KEPT_ENGINES + 4)
    ]
    other = store(wanted_in(tmp_path, replace(KEY, batch=99), bundle="/opt/other"), age_s=10**6)
    held = wanted_in(tmp_path, replace(KEY, batch=KEPT_ENGINES + 2))

    with hold_engine(find_engine(held)):
        gone = sweep_old(tmp_path, "/opt/handmap/bundle")

    assert set(gone) == {folders[KEPT_ENGINES], folders[KEPT_ENGINES + 2]}
    assert {path for path in tmp_path.iterdir() if path.is_dir()} == {*folders, other} - set(gone)
    assert find_engine(held).path.exists()


def test_what_killed_builds_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    whole = store(wanted_in(tmp_path))
    write_timing(timing_file(tmp_path, ORIN), b"tactics")
    (tmp_path / ".abc.xyz.tmp").mkdir()
    (tmp_path / ".abc.xyz.tmp" / "hand.engine").write_bytes(b"half")
    (tmp_path / ".timing.cache.xyz.tmp").write_bytes(b"half")

    sweep_half_written(tmp_path)

    assert set(tmp_path.iterdir()) == {whole, timing_file(tmp_path, ORIN)}
