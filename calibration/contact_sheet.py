"""A contact sheet of a calibration set: its crops side by side, to see its contents at a glance."""

from typing import Final

import numpy as np

from handmap.files.images import encode_png
from handmap.types.arrays import Float32, Uint8

TILE_PX: Final = 64
COLUMNS: Final = 24
MAX_CROPS: Final = 24 * 24
GAP_PX: Final = 2


def draw_contact_sheet(depth: Float32) -> bytes:
    """The bytes of a PNG of up to MOST of the crops (N, 1, 128, 128), evenly spaced, in order."""
    shown = np.linspace(0, len(depth) - 1, min(len(depth), MAX_CROPS)).astype(int)
    rows = -(-len(shown) // COLUMNS)
    pitch = TILE_PX + GAP_PX
    sheet = np.full((rows * pitch, COLUMNS * pitch), 64, np.uint8)
    for place, index in enumerate(shown):
        top, left = place // COLUMNS * pitch, place % COLUMNS * pitch
        sheet[top : top + TILE_PX, left : left + TILE_PX] = shade(depth[index, 0])[::2, ::2]
    return encode_png(sheet)


def shade(depth: Float32) -> Uint8:
    """Gray values (H, W) of a crop in [-1, 1]: near is bright, the background black."""
    gray = np.where(depth >= 1, 0.0, 255 - 100 * (depth + 1))
    return gray.astype(np.uint8)
