"""Encodes a frame as the palm graph's input, a small image of apparent size, and decodes its output into detections.

Each cell of the small image holds how many cells 100 mm span at its depth, so the same hand gives the same image
whatever the camera's focal length and resolution.
"""

import math
from dataclasses import dataclass

import numpy as np

from handmap.bundle.tensors import PALM_COLUMNS, PALM_MAP_COLUMNS, PALM_MAP_ROWS, PALM_ROWS
from handmap.geometry.despeckle import without_specks
from handmap.types.arrays import Array, ArrayModule, Float32
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame

INPUT_ROWS, INPUT_COLUMNS = PALM_ROWS, PALM_COLUMNS
MAP_ROWS, MAP_COLUMNS = PALM_MAP_ROWS, PALM_MAP_COLUMNS
STRIDE = INPUT_ROWS // MAP_ROWS
SPAN_MM = 100.0
SPAN_CELLS = 32.0  # scale: 100 mm seen at 300 mm with a focal length of 475 px at 640x480 gives about 1.0
NEAR_CELLS = 2  # a score this near counts for a position: the hand center is off by about a cell
MAX_SPAN = 2.0  # anything nearer than half that distance looks as if it were there


@dataclass(frozen=True)
class DetectorInput:
    """depth_small (96, 128) float32 in [0, 2], 0 where nothing was measured, and the intrinsics of that small image."""

    depth_small: Array
    intrinsics: Intrinsics


@dataclass(frozen=True)
class PalmDetection:
    """A hand detected by the palm graph: cube center (3,) in the camera frame, mm; score, and probability of a right hand."""

    center_mm: Float32
    score: float
    right_probability: float


@dataclass(frozen=True)
class DetectionMap:
    """The palm graph's output (3, 24, 32) on the host, and the intrinsics of its input image."""

    palms: Float32
    intrinsics: Intrinsics

    def score_at(self, center_mm: Float32) -> float:
        """The highest score near the projection of a position (3,) in the camera frame, mm; 0 outside the image."""
        x, y, z = (float(value) for value in center_mm)
        if z <= 0:
            return 0.0
        column = (x / z * self.intrinsics.fx_px + self.intrinsics.cx_px - (STRIDE - 1) / 2) / STRIDE
        row = (y / z * self.intrinsics.fy_px + self.intrinsics.cy_px - (STRIDE - 1) / 2) / STRIDE
        top, left = max(round(row) - NEAR_CELLS, 0), max(round(column) - NEAR_CELLS, 0)
        near = self.palms[0, top : max(round(row) + NEAR_CELLS + 1, 0), left : max(round(column) + NEAR_CELLS + 1, 0)]
        return float(_sigmoid(near.max())) if near.size else 0.0


def scaled_intrinsics(intrinsics: Intrinsics) -> tuple[float, Intrinsics]:
    """Frame pixels per cell, the same along both axes, and the intrinsics in cells."""
    scale = max(intrinsics.width_px / INPUT_COLUMNS, intrinsics.height_px / INPUT_ROWS)
    return scale, Intrinsics(
        INPUT_COLUMNS,
        INPUT_ROWS,
        intrinsics.fx_px / scale,
        intrinsics.fy_px / scale,
        (intrinsics.cx_px + 0.5) / scale - 0.5,
        (intrinsics.cy_px + 0.5) / scale - 0.5,
    )


def encode_depth(xp: ArrayModule, frame: DepthFrame) -> DetectorInput:
    """The palm graph's input for a frame: the nearest depth of each block; left empty where aspect ratios differ."""
    scale, intrinsics = scaled_intrinsics(frame.intrinsics)
    # 0 (not measured) becomes the farthest value by unsigned wrap-around.
    wrapped = without_specks(xp, frame.depth - np.uint16(1))
    rows = _blocks(xp, frame.intrinsics.height_px, scale)
    columns = _blocks(xp, frame.intrinsics.width_px, scale)
    nearest = wrapped[rows].min(axis=1)[:, columns].min(axis=2).astype(xp.float32)
    z_mm = (nearest + np.float32(1)) * np.float32(frame.depth_unit_mm)
    spans = np.float32(intrinsics.fx_px * SPAN_MM / SPAN_CELLS) / z_mm
    seen = xp.where(nearest < 65535, xp.minimum(spans, np.float32(MAX_SPAN)), np.float32(0))
    depth_small = xp.zeros((INPUT_ROWS, INPUT_COLUMNS), xp.float32)
    depth_small[: seen.shape[0], : seen.shape[1]] = seen
    return DetectorInput(depth_small, intrinsics)


def decode_detections(palms: Float32, intrinsics: Intrinsics, min_score: float, max_count: int) -> list[PalmDetection]:
    """At most `max_count` hands, highest score first, from the palm graph's output (3, 24, 32) on the host: score, size, side.

    A hand is a local maximum of the score (`non_maximum_suppression`); its position is the center of mass of the scores around it.
    """
    score = _sigmoid(palms[0])
    around = _neighborhoods(score)
    found: list[PalmDetection] = []
    for row, column in non_maximum_suppression(score, min_score):
        size = float(palms[1, row, column])
        if size <= 0 or len(found) == max_count:
            continue
        weights = around[row, column] / around[row, column].sum()
        down = float(weights @ np.repeat((-1, 0, 1), 3))
        right = float(weights @ np.tile((-1, 0, 1), 3))
        z = intrinsics.fx_px * SPAN_MM / SPAN_CELLS / size
        u = (column + right) * STRIDE + (STRIDE - 1) / 2
        v = (row + down) * STRIDE + (STRIDE - 1) / 2
        x, y = (u - intrinsics.cx_px) / intrinsics.fx_px * z, (v - intrinsics.cy_px) / intrinsics.fy_px * z
        center = np.array([x, y, z], np.float32)
        found.append(PalmDetection(center, float(score[row, column]), float(_sigmoid(palms[2, row, column]))))
    return found


def non_maximum_suppression(score: Float32, min_score: float) -> list[tuple[int, int]]:
    """NMS: rows and columns of the cells (H, W) that no neighbor surpasses and that reach the threshold, the highest score first."""
    peaks = np.argwhere((score >= _neighborhoods(score).max(axis=-1)) & (score >= min_score))
    return sorted(((int(row), int(column)) for row, column in peaks), key=lambda at: -float(score[at]))


def _neighborhoods(score: Float32) -> Float32:
    """Each cell of (H, W) with its eight neighbors (H, W, 9), row by row; 0 beyond the border."""
    height, width = score.shape
    padded = np.pad(score, 1)
    return np.stack([padded[r : r + height, c : c + width] for r in range(3) for c in range(3)], axis=-1)


def _blocks(xp: ArrayModule, size_px: int, scale: float) -> Array:
    """Indices (cells, k) of the pixels of each cell along an axis; cells overlap by a pixel if the scale is not an integer."""
    cells = math.ceil(size_px / scale - 1e-9)
    first = np.floor(np.arange(cells) * scale + 1e-9).astype(np.int64)
    width = math.ceil(scale - 1e-9)
    return xp.asarray(np.minimum(first[:, None] + np.arange(width), size_px - 1))


def _sigmoid(logits: Float32) -> Float32:
    value: Float32 = (1 / (1 + np.exp(-np.clip(logits, -30, 30)))).astype(np.float32)
    return value
