"""Prints a depth window as an orthographic canvas around the hand, a little wider than the network's crop.

The same projection as `handmap.geometry.crop`, kept with the hand mask and in one pass because training needs thousands a second.
"""

import math

import numpy as np
from numpy.typing import NDArray

from handmap.types.arrays import Bool, Float64, Uint16

from ..compiled import compiled

CANVAS_PX = 160
CANVAS_MM = 312.5  # 160 px at the pitch of the crop, 250 / 128 mm
CANVAS_UNIT_MM = 1 / 64
EMPTY = 32767

_NOTHING = np.int32(2**30)  # farther than any value


@compiled
def print_canvas(
    raw: Uint16, is_hand: Bool, unit_mm: float, intrinsics: Float64, center_mm: Float64
) -> tuple[NDArray[np.int16], Bool]:
    """Canvas (160, 160) int16 in CANVAS_UNIT_MM about center_mm, EMPTY for nothing, and its mask, of a raw window (H, W).

    lens is (fx, fy, cx - left, cy - top). The nearest point wins; gaps one pixel wide are closed along rows, then columns.
    """
    # value * 2 + (not hand), so that nearest and farther carry the mask along; a hand wins a tie.
    cells = np.full((CANVAS_PX, CANVAS_PX), _NOTHING, np.int32)
    half = CANVAS_MM / 2
    scale = CANVAS_PX / CANVAS_MM
    per_focal = 1 / intrinsics[0]
    lowest = math.floor((center_mm[2] - half) / unit_mm) + 1  # the raw values strictly inside the canvas
    highest = math.ceil((center_mm[2] + half) / unit_mm) - 1
    for i in range(raw.shape[0]):
        y = (i - intrinsics[3]) / intrinsics[1]
        for j in range(raw.shape[1]):
            if raw[i, j] < max(lowest, 1) or raw[i, j] > highest:
                continue
            z = raw[i, j] * unit_mm
            column = math.floor(((j - intrinsics[2]) * per_focal * z - center_mm[0]) * scale + CANVAS_PX / 2)
            row = math.floor((y * z - center_mm[1]) * scale + CANVAS_PX / 2)
            if 0 <= row < CANVAS_PX and 0 <= column < CANVAS_PX:
                value = np.int32(math.floor((z - center_mm[2]) * (1 / CANVAS_UNIT_MM) + 0.5)) * 2 + (
                    0 if is_hand[i, j] else 1
                )
                if value < cells[row, column]:
                    cells[row, column] = value
    return _split(_close(_close(cells).T).T)


@compiled
def _close(cells: NDArray[np.int32]) -> NDArray[np.int32]:
    """Cells with each empty one between two filled neighbors of its row set to the farther of them."""
    closed = cells.copy()
    for i in range(cells.shape[0]):
        for j in range(1, cells.shape[1] - 1):
            if cells[i, j] == _NOTHING:
                closed[i, j] = max(cells[i, j - 1], cells[i, j + 1])
    return closed


@compiled
def _split(cells: NDArray[np.int32]) -> tuple[NDArray[np.int16], Bool]:
    canvas = np.full(cells.shape, EMPTY, np.int16)
    mask = np.zeros(cells.shape, np.bool_)
    for i in range(cells.shape[0]):
        for j in range(cells.shape[1]):
            if cells[i, j] != _NOTHING:
                canvas[i, j] = cells[i, j] >> 1
                mask[i, j] = (cells[i, j] & 1) == 0
    return canvas, mask
