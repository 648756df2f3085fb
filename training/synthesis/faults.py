"""Faults that a camera adds to a finished depth image now and then: salt before the hand, and holes in it."""

import math

import numpy as np

from handmap.types.arrays import Bool, Float64, Uint16

from ..compiled import compiled

SALT_MM = (20.0, 200.0)  # how far before the nearest point of the target a grain stands
NEAREST_SALT_MM = 100.0
HOLES = 7  # approximate number of blobs per hole share
WAVES = 3  # around a blob's edge


def add_salt(raw: Uint16, mask: Bool, unit_mm: float, share: float, seed: int) -> tuple[Uint16, Bool]:
    """Depth (H, W) with a share of all its pixels replaced by grains nearer than the mask's (H, W) nearest point, or than anything
    where the mask is empty; the grains are taken from the mask."""
    random = np.random.default_rng([seed, 1])
    target = raw[mask & (raw > 0)] if mask.any() else raw[raw > 0]
    count = int(random.binomial(raw.size, share))
    if target.size == 0 or count == 0:
        return raw, mask
    at = random.choice(raw.size, count, replace=False)
    nearest_mm = float(target.min()) * unit_mm
    grains_mm = np.maximum(nearest_mm - random.uniform(*SALT_MM, count), NEAREST_SALT_MM)
    salted, kept = raw.copy(), mask.copy()
    salted.ravel()[at] = np.rint(grains_mm / unit_mm).astype(np.uint16)
    kept.ravel()[at] = False
    return salted, kept


def punch_holes(raw: Uint16, mask: Bool, share: float, seed: int) -> tuple[Uint16, Bool]:
    """Depth (H, W) with about a share of the mask's (H, W) pixels emptied in ragged blobs, and the mask without them."""
    random = np.random.default_rng([seed, 2])
    holed, kept = raw.copy(), mask.copy()
    area = int(mask.sum())
    missing = share * area
    while missing > 0.02 * area:
        rows, columns = np.nonzero(kept)
        pick = int(random.integers(len(rows)))
        radius = min(math.sqrt(missing / math.pi), math.sqrt(share * area / HOLES / math.pi) * random.uniform(0.7, 1.6))
        blob = np.array([rows[pick], columns[pick], radius])
        _punch_blob(holed, kept, blob, random.uniform(0, 2 * math.pi, WAVES))
        missing = share * area - (area - int(kept.sum()))
    return holed, kept


@compiled
def _punch_blob(raw: Uint16, mask: Bool, blob: Float64, phases: Float64) -> None:
    """Empties a round spot (row, column, radius in pixels) with a wavy edge."""
    center_row, center_column, radius = blob
    height, width = raw.shape
    reach = radius * 1.4
    for row in range(max(int(center_row - reach), 0), min(int(center_row + reach) + 1, height)):
        for column in range(max(int(center_column - reach), 0), min(int(center_column + reach) + 1, width)):
            angle = math.atan2(row - center_row, column - center_column)
            edge = 1.0
            for k in range(len(phases)):
                edge += 0.13 * math.sin((k + 2) * angle + phases[k])
            if math.hypot(row - center_row, column - center_column) < radius * edge:
                raw[row, column] = 0
                mask[row, column] = False
