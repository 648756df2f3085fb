"""Rendered hands on disk: shards of memory-mapped arrays, made by a process of low priority while training runs.

Shard k holds seeds [k * size, (k + 1) * size), so it can be deleted and made again at any time. A shard is a folder that is
renamed into place when whole. Which samples a step uses is in `sample_stream`.
"""

import errno
import hashlib
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from handmap.files.atomic import make_folder
from handmap.types.arrays import Bool, Float32
from handmap.types.errors import DatasetError

from ..synthesis.synthetic import CANVAS_PX, render_samples
from .disk_array import create_array

SLICE_SAMPLES = 256
POLL_S = 0.2
# One rendered hand: canvas int16, mask of one bit a pixel, 21 joints float32.
SAMPLE_BYTES = CANVAS_PX * CANVAS_PX * 2 + CANVAS_PX * CANVAS_PX // 8 + 21 * 3 * 4


class CacheConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where shards lie, how many hands each holds, how many shards a round of training mixes, and how much disk they may take."""

    folder: Path = Path(".cache/synthetic")
    shard_samples: Annotated[int, msgspec.Meta(ge=1)] = 2048
    window_shards: Annotated[int, msgspec.Meta(ge=1)] = 4
    ahead_shards: Annotated[int, msgspec.Meta(ge=0)] = 2
    limit_gb: Annotated[float, msgspec.Meta(gt=0, le=1e6)] = 24.0


class RenderedHands(NamedTuple):
    """Hands as `synthetic.render_samples` gives them: canvas (N, 160, 160) int16, is_hand likewise bool, joints_mm (N, 21, 3).

    weight (N, 21) in [0, 1] is how much each label counts; None if all of them count in full.
    """

    canvas: NDArray[np.int16]
    is_hand: Bool
    joints_mm: Float32
    weight: Float32 | None = None


def open_cache(config: CacheConfig) -> Path:
    """The folder of this renderer's shards: named by what it draws for the first seeds, so that two renderers never mix."""
    drawn = render_samples(0, 4)
    digest = hashlib.sha256(drawn.canvas.tobytes() + drawn.is_hand.tobytes() + drawn.joints_mm.tobytes())
    digest.update(str(config.shard_samples).encode())
    folder = config.folder / digest.hexdigest()[:12]
    try:
        make_folder(folder)
    except OSError as error:
        raise DatasetError(
            f"sample cache {str(folder)!r} cannot be created ({error.strerror}); set `cache` to a writable folder"
        ) from error
    return folder


def shard_path(folder: Path, shard: int) -> Path:
    """The path of a finished shard."""
    return folder / f"shard-{shard:06d}"


def is_whole(folder: Path, shard: int, size: int) -> bool:
    """Whether a shard is on disk and its files have the arrays of `size` hands; one that is damaged is rendered again."""
    wanted = {
        "canvas": ((size, CANVAS_PX, CANVAS_PX), np.int16),
        "is_hand": ((size, CANVAS_PX, CANVAS_PX // 8), np.uint8),
        "joints_mm": ((size, 21, 3), np.float32),
    }
    try:
        found = {name: np.load(shard_path(folder, shard) / f"{name}.npy", mmap_mode="r") for name in wanted}
    except (OSError, EOFError, ValueError):
        return False
    return all((found[name].shape, found[name].dtype) == one for name, one in wanted.items())


def read_hands(folder: Path, shard: int, rows: NDArray[np.int64]) -> RenderedHands:
    """Copies of some hands of a shard that is on disk."""
    path = shard_path(folder, shard)
    canvas, packed, joints_mm = (
        np.load(path / f"{name}.npy", mmap_mode="r")[rows] for name in ("canvas", "is_hand", "joints_mm")
    )
    return RenderedHands(canvas, np.unpackbits(packed, axis=-1).view(np.bool_), joints_mm)


def write_shard(folder: Path, shard: int, config: CacheConfig) -> None:
    """Renders a shard and puts it in place; nothing is left behind where that fails.

    Raises DatasetError where the disk is full.
    """
    size = config.shard_samples
    partial = folder / f"partial-{shard:06d}-{os.getpid()}"
    need = size * SAMPLE_BYTES
    try:
        if shutil.disk_usage(folder).free < 2 * need:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        partial.mkdir()
        canvas = create_array(partial / "canvas.npy", np.int16, (size, CANVAS_PX, CANVAS_PX))
        packed = np.empty((size, CANVAS_PX, CANVAS_PX // 8), np.uint8)
        joints_mm = np.empty((size, 21, 3), np.float32)
        for start in range(0, size, SLICE_SAMPLES):
            part = slice(start, min(start + SLICE_SAMPLES, size))
            drawn = render_samples(shard * size + start, part.stop - start)
            canvas[part], packed[part], joints_mm[part] = (
                drawn.canvas,
                np.packbits(drawn.is_hand, axis=-1),
                drawn.joints_mm,
            )
        canvas.flush()
        np.save(partial / "is_hand.npy", packed)
        np.save(partial / "joints_mm.npy", joints_mm)
        if not is_whole(folder, shard, size):
            shutil.rmtree(shard_path(folder, shard), ignore_errors=True)
        os.replace(partial, shard_path(folder, shard))
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        # Another trainer on the same cache has put the same bytes there first.
        if not is_whole(folder, shard, size):
            raise DatasetError(
                f"sample cache {str(folder)!r}: shard {shard} of {need / 1e6:.0f} MB cannot be written: {error.strerror or error}; "
                f"free some disk space, or lower `cache.shard_samples` or `cache.limit_gb`"
            ) from error


class ShardMaker:
    """The process that keeps shards ahead of training; use it as a context manager."""

    def __init__(self, folder: Path, config: CacheConfig, last_shard: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._first: Synchronized[int] = context.Value("q", 0)
        self._errors, sender = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_keep_ahead, args=(folder, config, last_shard, self._first, sender), daemon=True
        )

    def __enter__(self) -> "ShardMaker":
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()

    def move_to(self, first_shard: int) -> None:
        """Tells the renderer that shards before first_shard are no longer needed."""
        self._first.value = first_shard

    def check(self) -> None:
        """Raises DatasetError with the maker's own sentence where it has failed."""
        if self._errors.poll():
            with suppress(EOFError):  # it died without sending anything
                raise DatasetError(str(self._errors.recv()))
            self._process.join()
        if self._process.exitcode is not None:
            raise DatasetError(
                f"the process that renders samples ended with code {self._process.exitcode}; start the training again"
            )


def wait_for_shard(folder: Path, shard: int, size: int, check: Callable[[], None]) -> None:
    """Returns when a shard of `size` hands is on disk; `check` is called meanwhile and raises if it cannot come any more."""
    while not is_whole(folder, shard, size):
        check()
        time.sleep(POLL_S)


def _keep_ahead(
    folder: Path, config: CacheConfig, last_shard: int, first: "Synchronized[int]", errors: Connection
) -> None:
    """Renders whatever is missing from the window on, deletes the oldest shards over the limit, ends with its parent."""
    os.nice(5)
    # Not the parent's id: it may have died, and this process been adopted, before the first line ran.
    parent = multiprocessing.parent_process()
    _sweep_partials(folder)
    try:
        while parent is not None and parent.is_alive():
            start = first.value
            wanted = range(start, min(start + config.window_shards + config.ahead_shards, last_shard + 1))
            missing = [shard for shard in wanted if not is_whole(folder, shard, config.shard_samples)]
            if missing:
                _delete_oldest(folder, config, start)
                write_shard(folder, missing[0], config)
            else:
                time.sleep(POLL_S)
    except DatasetError as error:
        errors.send(str(error))


def _sweep_partials(folder: Path) -> None:
    """Deletes what processes that were killed have left half-written."""
    for partial in folder.glob("partial-*"):
        if not Path("/proc", partial.name.rpartition("-")[2]).exists():
            shutil.rmtree(partial, ignore_errors=True)


def _delete_oldest(folder: Path, config: CacheConfig, first_needed: int) -> None:
    allowed = max(
        config.window_shards + config.ahead_shards, int(config.limit_gb * 1e9 / (config.shard_samples * SAMPLE_BYTES))
    )
    present = sorted(folder.glob("shard-*"))
    unneeded = [path for path in present if int(path.name.rpartition("-")[2]) < first_needed]
    for path in unneeded[: max(0, len(present) + 1 - allowed)]:
        shutil.rmtree(path, ignore_errors=True)
