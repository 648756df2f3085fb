"""Writes the engine cache: one builder at a time, free space checked first, atomic writes, old engines deleted."""

import errno
import fcntl
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from handmap.engines.cache import engine_file, list_sidecars
from handmap.engines.engine_keys import Platform, key_name
from handmap.files.atomic import make_folder, write_file
from handmap.files.reading import open_regular, read_bytes
from handmap.types.errors import BuildError

LOCK_FILE: Final = "build.lock"
LOCK_POLL_S: Final = 0.2
KEPT_ENGINES: Final = (
    16  # per bundle: both graphs in several precisions and batch sizes, and those from before an update
)
MIB: Final = 1 << 20
# Libraries, a CUDA context and copies of the graph during tactic selection. An estimate, not measured on a board.
BUILDER_MB: Final = 1024
# The engine, its copy during the swap, the layers' JSON and the timing cache, in multiples of the graph's size.
GRAPHS_ON_DISK: Final = 6
MEMORY_FILE: Final = Path("/proc/meminfo")
MAX_TIMING_BYTES: Final = 256 << 20
_SHA256_BYTES: Final = 32

LOG = logging.getLogger("handmap.export")


@contextmanager
def locked(cache_dir: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Holds the cache's lock, after waiting for any other builder; on_wait is called during the wait.

    The kernel releases the lock when its holder dies, so a stale lock cannot occur.
    Raises BuildError if the cache cannot be written.
    """
    try:
        make_folder(cache_dir)
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
    """Raises BuildError if there is too little disk space or memory for a build."""
    free_mb, wanted_mb = shutil.disk_usage(cache_dir).free // MIB, GRAPHS_ON_DISK * graph_bytes // MIB + 1
    if free_mb < wanted_mb:
        raise BuildError(
            f"engine cache {str(cache_dir)!r}: a build needs {wanted_mb} MB of disk space, found {free_mb} MB free; "
            "free some space, or name another cache with --cache-dir"
        )
    available_mb, needed_mb = _available_mb(memory_file), BUILDER_MB + workspace_mb
    if available_mb is not None and available_mb < needed_mb:
        raise BuildError(
            f"engine build: a workspace of {workspace_mb} MB needs {needed_mb} MB of memory, found {available_mb} MB available; "
            "stop other programs, or try a smaller --workspace-mb"
        )


def sweep_half_written(cache_dir: Path) -> None:
    """Deletes the leftovers of killed builds; the caller must hold the lock."""
    for path in cache_dir.glob(".*.tmp"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def sweep_old(cache_dir: Path, bundle: str, kept: int = KEPT_ENGINES) -> list[Path]:
    """Deletes all but the newest engines of a bundle, except those in use; returns the deleted folders."""
    mine = [
        folder / engine_file(sidecar.graph)
        for folder, sidecar in list_sidecars(cache_dir).items()
        if sidecar.bundle == bundle
    ]
    gone = [engine.parent for engine in mine[kept:] if not _is_held(engine)]
    for folder in gone:
        # Renamed first: after a kill in between, only a name remains that nothing opens and the next sweep deletes.
        shutil.rmtree(folder.rename(cache_dir / f".{folder.name}.tmp"), ignore_errors=True)
    return gone


def timing_file(cache_dir: Path, platform: Platform) -> Path:
    """The path of a platform's timing cache; TensorRT rejects one from another platform."""
    return cache_dir / f"timing-{key_name(platform)[:16]}.cache"


def read_timing(path: Path) -> bytes:
    """The timing cache that `write_timing` wrote; empty if it is missing or corrupt."""
    try:
        content = read_bytes(path, MAX_TIMING_BYTES)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return b""
        LOG.warning("timing cache ignored path=%s reason=%r", path, error.strerror)
        return b""
    sha256, timing = content[:_SHA256_BYTES], content[_SHA256_BYTES:]
    if hashlib.sha256(timing).digest() != sha256:
        LOG.warning("timing cache ignored path=%s reason=corrupt", path)
        return b""
    return timing


def write_timing(path: Path, timing: bytes) -> None:
    """Writes a timing cache, preceded by its sha256, so that TensorRT never reads a corrupt one."""
    write_file(path, hashlib.sha256(timing).digest() + timing)


def _try_lock(file: IO[str]) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _is_held(engine: Path) -> bool:
    try:
        with os.fdopen(open_regular(engine), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _available_mb(memory_file: Path) -> int | None:
    """The kernel's MemAvailable; None if it does not report it. On a Jetson the GPU shares this memory."""
    try:
        lines = memory_file.read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) // 1024 if found else None
