"""What the optics of a family of depth cameras do to an ideal z-buffer before noise: shadows, fat edges, round corners, grain.

All work on z-buffers (H, W) float32 mm, 0 for nothing, and the mask (H, W) that belongs to them, and give new ones.
"""

import math
from dataclasses import dataclass

import numpy as np

from handmap.types.arrays import Bool, Float32

from ..compiled import compiled

EDGE_MM = 15.0  # a step between neighbors that makes both an edge
ROUND_PX = 3  # how far light that bounces about a corner is smeared, in pixels
ROUND_MM = 40.0  # steps larger than this are edges, not corners
GRAIN_FROM_MM = 500.0  # the distance that `grain_mm` is given for
MIN_COSINE = 0.25  # of the angle of incidence; a time of flight camera loses what is seen flatter


@dataclass(frozen=True)
class Optics:
    """Stereo: shadow_mm, the second camera's distance, > 0 where it stands to the right, and fat_px, by how much near things grow.

    Time of flight: roundness, the share [0, 1] of the light that came by way of the neighbors, and grain_mm, the noise of
    a surface that faces the camera at GRAIN_FROM_MM. It grows with distance squared and as less light comes back.
    """

    shadow_mm: float = 0.0
    fat_px: int = 0
    roundness: float = 0.0
    grain_mm: float = 0.0


def pass_optics(z_mm: Float32, is_hand: Bool, focal_px: float, optics: Optics, seed: int) -> tuple[Float32, Bool]:
    """The z-buffer and mask as they reach the sensor's noise."""
    if optics.fat_px > 0:
        z_mm, is_hand = _fatten(z_mm, is_hand, optics.fat_px)
        down, mask = _fatten(np.ascontiguousarray(z_mm.T), np.ascontiguousarray(is_hand.T), optics.fat_px)
        z_mm, is_hand = np.ascontiguousarray(down.T), np.ascontiguousarray(mask.T)
    if optics.shadow_mm != 0:
        # Mirrored for a camera to the left, so that one scan serves both.
        step = 1 if optics.shadow_mm > 0 else -1
        shaded, kept = _shade(
            np.ascontiguousarray(z_mm[:, ::step]),
            np.ascontiguousarray(is_hand[:, ::step]),
            focal_px * abs(optics.shadow_mm),
        )
        z_mm, is_hand = np.ascontiguousarray(shaded[:, ::step]), np.ascontiguousarray(kept[:, ::step])
    if optics.roundness > 0 or optics.grain_mm > 0:
        grain = np.random.default_rng(seed).standard_normal(z_mm.shape, np.float32)
        z_mm, is_hand = _bounce(z_mm, is_hand, grain, focal_px, (optics.roundness, optics.grain_mm))
    return z_mm, is_hand


@compiled
def _fatten(z_mm: Float32, is_hand: Bool, reach_px: int) -> tuple[Float32, Bool]:
    """Near surfaces grown along rows over what lies behind them, like the window of a stereo matcher; empty pixels are filled."""
    height, width = z_mm.shape
    fat, mask = z_mm.copy(), is_hand.copy()
    for row in range(height):
        for column in range(width):
            z = z_mm[row, column]
            if z == 0:
                continue
            for j in range(max(column - reach_px, 0), min(column + reach_px + 1, width)):
                if fat[row, j] == 0 or z < fat[row, j] - EDGE_MM:
                    fat[row, j], mask[row, j] = z, is_hand[row, column]
    return fat, mask


@compiled
def _shade(z_mm: Float32, is_hand: Bool, focal_baseline: float) -> tuple[Float32, Bool]:
    """Emptied where a second camera to the right cannot see: something to the right of the pixel covers it there."""
    height, width = z_mm.shape
    seen, mask = z_mm.copy(), is_hand.copy()
    for row in range(height):
        least = math.inf  # the leftmost column that the second camera sees covered so far
        for column in range(width - 1, -1, -1):
            z = z_mm[row, column]
            if z == 0:
                continue
            there = column - focal_baseline / z
            if there > least:
                seen[row, column], mask[row, column] = 0, False
            least = min(least, there)
    return seen, mask


@compiled
def _bounce(
    z_mm: Float32, is_hand: Bool, grain: Float32, focal_px: float, figures: tuple[float, float]
) -> tuple[Float32, Bool]:
    """Corners rounded and ranges grained, the more so the flatter a surface is seen; the flattest is lost."""
    height, width = z_mm.shape
    roundness, grain_mm = figures
    result, mask = z_mm.copy(), is_hand.copy()
    for row in range(ROUND_PX, height - ROUND_PX):
        for column in range(ROUND_PX, width - ROUND_PX):
            z = z_mm[row, column]
            if z == 0:
                continue
            left, right = z_mm[row, column - ROUND_PX], z_mm[row, column + ROUND_PX]
            up, down = z_mm[row - ROUND_PX, column], z_mm[row + ROUND_PX, column]
            if max(abs(left - z), abs(right - z), abs(up - z), abs(down - z)) > ROUND_MM:
                # An edge: how flat the surface is seen cannot be told from it.
                result[row, column] = z + grain_mm * (z / GRAIN_FROM_MM) ** 2 * grain[row, column] / MIN_COSINE
                continue
            across = 2 * ROUND_PX * z / focal_px  # mm between the neighbors
            cosine = 1 / math.sqrt(1 + ((right - left) / across) ** 2 + ((down - up) / across) ** 2)
            if cosine < MIN_COSINE:
                result[row, column], mask[row, column] = 0, False
                continue
            rounded = z + roundness * ((left + right + up + down) / 4 - z)
            result[row, column] = rounded + grain_mm * (z / GRAIN_FROM_MM) ** 2 * grain[row, column] / cosine
    return result, mask
