"""Samples of the palm graph on disk: shards that are rendered once, each whole or absent, and read into memory together."""

from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handmap.files.arrays import NotArrays, read_arrays
from handmap.files.atomic import write_file
from handmap.files.reading import MAX_MODEL_BYTES, read_bytes
from handmap.system.progress import track_progress
from handmap.tracking.palm_detector import INPUT_COLUMNS, INPUT_ROWS, SPAN_CELLS, SPAN_MM, encode_depth
from handmap.types.arrays import Bool, Float32, Float64
from handmap.types.errors import DatasetError
from handmap.types.intrinsics import Intrinsics, project
from handmap.types.values import DepthFrame

from ..synthesis.palm_scene import UNIT_MM, PalmSample, render_palm_sample

SHARD_SAMPLES = 1024
MAX_HANDS = 2


class PalmSamples(NamedTuple):
    """N samples: pictures (N, 96, 128) float16; hands (N, 2, 3) as column, row in cells of the picture and size, NaN if there is none."""

    pictures: NDArray[np.float16]
    hands: Float32
    is_right: Bool  # (N, 2)
    seen_joints: NDArray[np.int8]  # (N, 2)

    def __len__(self) -> int:
        return len(self.pictures)

    def read(self, rows: NDArray[np.int64]) -> "PalmSamples":
        """Copies of some of them."""
        return PalmSamples(self.pictures[rows], self.hands[rows], self.is_right[rows], self.seen_joints[rows])


def load_samples(folder: Path, domain: int, count: int) -> PalmSamples:
    """The first `count` samples of a domain; what is not on disk yet is rendered first.

    Raises DatasetError where the disk is full.
    """
    shards = -(-count // SHARD_SAMPLES)
    paths = [folder / f"palms-{domain:d}-{shard:04d}.npz" for shard in range(shards)]
    found = [_read_shard(path) for path in paths]
    missing = [shard for shard, arrays in enumerate(found) if arrays is None]
    if missing:
        with track_progress("render", shards, "shards", shards - len(missing)) as advance:
            for done, shard in enumerate(missing, start=shards - len(missing) + 1):
                _write_shard(paths[shard], domain, shard * SHARD_SAMPLES)
                advance(done, "")
    parts = [arrays or _read_shard(path) for path, arrays in zip(paths, found, strict=True)]
    if None in parts:
        raise DatasetError(f"palm samples {str(folder)!r}: a shard cannot be read back; set another `cache`")
    return PalmSamples(*(np.concatenate(arrays)[:count] for arrays in zip(*filter(None, parts), strict=True)))


def _read_shard(path: Path) -> PalmSamples | None:
    """The samples of a shard; None if it is absent or damaged, so that it is rendered again."""
    try:
        return PalmSamples(**read_arrays(read_bytes(path, MAX_MODEL_BYTES), PalmSamples._fields, MAX_MODEL_BYTES))
    except (OSError, NotArrays):
        return None


def as_arrays(sample: PalmSample) -> tuple[Float32, Float32, Bool, NDArray[np.int8]]:
    """Picture (96, 128), hands (2, 3), is_right (2,) and seen joints (2,) of a rendered sample."""
    view = encode_depth(np, DepthFrame(sample.depth, UNIT_MM, sample.intrinsics, 0, 0))
    is_right = np.zeros(MAX_HANDS, bool)
    seen = np.zeros(MAX_HANDS, np.int8)
    count = len(sample.centers_mm)
    is_right[:count], seen[:count] = sample.is_right, sample.seen_joints
    return view.depth_small, place_in_picture(sample.centers_mm, view.intrinsics), is_right, seen


def place_in_picture(centers_mm: Float32 | Float64, intrinsics: Intrinsics) -> Float32:
    """Centers (H, 3) in the camera frame, at most two, as column, row and size (2, 3) in a picture of this lens."""
    hands = np.full((MAX_HANDS, 3), np.nan, np.float32)
    hands[: len(centers_mm), :2] = project(np, centers_mm, intrinsics)
    hands[: len(centers_mm), 2] = intrinsics.fx_px * SPAN_MM / SPAN_CELLS / centers_mm[:, 2]
    return hands


def _write_shard(path: Path, domain: int, first: int) -> None:
    pictures = np.empty((SHARD_SAMPLES, INPUT_ROWS, INPUT_COLUMNS), np.float16)
    hands = np.empty((SHARD_SAMPLES, MAX_HANDS, 3), np.float32)
    is_right = np.empty((SHARD_SAMPLES, MAX_HANDS), bool)
    seen = np.empty((SHARD_SAMPLES, MAX_HANDS), np.int8)
    for index in range(SHARD_SAMPLES):
        pictures[index], hands[index], is_right[index], seen[index] = as_arrays(
            render_palm_sample(domain, first + index)
        )
    buffer = BytesIO()
    np.savez_compressed(buffer, pictures=pictures, hands=hands, is_right=is_right, seen_joints=seen)
    try:
        write_file(path, buffer.getvalue())
    except OSError as error:
        raise DatasetError(
            f"palm samples {str(path)!r} cannot be written: {error.strerror}; free some disk space, or set another `cache`"
        ) from error
