"""Writes the cache of engines: one builder at a time, room checked first, an engine whole or absent, old ones swept."""

import fcntl
import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from handmap.engines.cache import ENGINE_FILE, Platform, key_name, list_sidecars
from handmap.files.atomic import write_file
from handmap.types.errors import BuildError

LOCK_FILE: Final = "build.lock"
LOCK_POLL_S: Final = 0.2
KEPT_ENGINES: Final = 8  # of one bundle: precisions, batches, and the ones before an update that may be taken back
MIB: Final = 1 << 20
# Libraries, a CUDA context and the graph's copies while tactics are tried. An estimate: no board has measured it.
BUILDER_MB: Final = 1024
# The engine, its copy during the exchange, the layers' JSON and the timing cache, in sizes of the graph.
GRAPHS_ON_DISK: Final = 6
MEMORY_FILE: Final = Path("/proc/meminfo")
_SHA256_BYTES: Final = 32

LOG = logging.getLogger("handmap.export")


@contextmanager
def locked(cache_dir: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Holds the cache's lock, after waiting for another builder; on_wait is called while it does.

    The kernel lets go of the lock when its holder dies, so it cannot be left behind.
    Raises BuildError if the cache cannot be written.
    """
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        file = (cache_dir / LOCK_FILE).open("w")
    except OSError as error:
        raise BuildError(
            f"engine cache {str(cache_dir)!r} cannot be written ({error.strerror}); name another with --cache-dir"
        ) from error
    with file:
        while not _try_lock(file):
            on_wait()
            time.sleep(LOCK_POLL_S)
        yield


def check_room(cache_dir: Path, graph_bytes: int, workspace_mb: int, memory_file: Path = MEMORY_FILE) -> None:
    """Raises BuildError if disk or memory is too short to build in."""
    free_mb, wanted_mb = shutil.disk_usage(cache_dir).free // MIB, GRAPHS_ON_DISK * graph_bytes // MIB + 1
    if free_mb < wanted_mb:
        raise BuildError(
            f"engine cache {str(cache_dir)!r}: {free_mb} MB of disk are free, wanted {wanted_mb} MB to build in; "
            "make room, or name another with --cache-dir"
        )
    available_mb, needed_mb = _available_mb(memory_file), BUILDER_MB + workspace_mb
    if available_mb is not None and available_mb < needed_mb:
        raise BuildError(
            f"engine build: {available_mb} MB of memory are available, wanted {needed_mb} MB with a workspace of {workspace_mb} MB; "
            "stop other programs, or try a smaller --workspace-mb"
        )


def sweep_half_written(cache_dir: Path) -> None:
    """Removes what killed builds left; only for the holder of the lock."""
    for path in cache_dir.glob(".*.tmp"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def sweep_old(cache_dir: Path, bundle: str, kept: int = KEPT_ENGINES) -> list[Path]:
    """Removes all but the newest engines of a bundle, never one that somebody holds; gives the folders that went."""
    mine = [folder for folder, sidecar in list_sidecars(cache_dir).items() if sidecar.bundle == bundle]
    gone = [folder for folder in mine[kept:] if not _is_held(folder / ENGINE_FILE)]
    for folder in gone:
        # Renamed first: a kill in between leaves a name that is never looked at and is swept.
        shutil.rmtree(folder.rename(cache_dir / f".{folder.name}.tmp"), ignore_errors=True)
    return gone


def timing_file(cache_dir: Path, platform: Platform) -> Path:
    """Where the timing cache of a platform is kept: TensorRT takes it nowhere else."""
    return cache_dir / f"timing-{key_name(platform)[:16]}.cache"


def read_timing(path: Path) -> bytes:
    """The timing cache that `write_timing` wrote; empty where there is none, or it is not what was written."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        LOG.warning("timing cache ignored path=%s reason=%r", path, error.strerror)
        return b""
    sha256, timing = content[:_SHA256_BYTES], content[_SHA256_BYTES:]
    if hashlib.sha256(timing).digest() != sha256:
        LOG.warning("timing cache ignored path=%s reason=corrupt", path)
        return b""
    return timing


def write_timing(path: Path, timing: bytes) -> None:
    """Writes a timing cache behind its sha256: TensorRT need never see a corrupt one."""
    write_file(path, hashlib.sha256(timing).digest() + timing)


def _try_lock(file: IO[str]) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _is_held(engine: Path) -> bool:
    try:
        with engine.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _available_mb(memory_file: Path) -> int | None:
    """What the kernel says programs may still take; None where it does not say. On a Jetson the GPU takes of it too."""
    try:
        lines = memory_file.read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) // 1024 if found else None
