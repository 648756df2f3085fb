"""Writing to the engine cache: free space, the lock, the timing cache, and the sweep."""

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
    """Another process that takes the lock and holds it until its stdin closes."""
    command = [sys.executable, "-c", TAKE_LOCK, str(cache_dir)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_second_builder_waits_for_the_first(tmp_path: Path) -> None:
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


def test_an_unwritable_cache_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(BuildError, match=r"cannot be written \(Not a directory\); name another with --cache-dir"):
        locked(tmp_path / "file" / "engines", lambda: None).__enter__()


def test_too_little_memory_is_reported_before_the_build(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  3900000 kB\nMemFree:  1 kB\nMemAvailable:   1572863 kB\n")

    with pytest.raises(BuildError, match="a workspace of 512 MB needs 1536 MB of memory, found 1535 MB available"):
        check_room(tmp_path, 1, 512, tmp_path / "meminfo")
    check_room(tmp_path, 1, 511, tmp_path / "meminfo")


def test_too_little_disk_space_is_reported_before_the_build(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"a build needs \d+ MB of disk space, found \d+ MB free"):
        check_room(tmp_path, 1 << 60, 1)


def test_a_kernel_that_does_not_report_memory_is_accepted(tmp_path: Path) -> None:
    check_room(tmp_path, 1, 10**9, tmp_path / "none")


def test_a_timing_cache_reads_back(tmp_path: Path) -> None:
    path = timing_file(tmp_path / "cache", ORIN)
    write_timing(path, b"tactics")

    assert read_timing(path) == b"tactics"


@pytest.mark.parametrize("how", ["cut", "changed", "empty", "absent"])
def test_a_corrupt_timing_cache_is_ignored(tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture) -> None:
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


def test_only_the_oldest_engines_of_the_bundle_are_deleted(tmp_path: Path) -> None:
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


def test_only_leftovers_of_killed_builds_are_swept(tmp_path: Path) -> None:
    whole = store(wanted_in(tmp_path))
    write_timing(timing_file(tmp_path, ORIN), b"tactics")
    (tmp_path / ".abc.xyz.tmp").mkdir()
    (tmp_path / ".abc.xyz.tmp" / "hand.engine").write_bytes(b"half")
    (tmp_path / ".timing.cache.xyz.tmp").write_bytes(b"half")

    sweep_half_written(tmp_path)

    assert set(tmp_path.iterdir()) == {whole, timing_file(tmp_path, ORIN)}
