"""Which pixels belong to a labeled hand: those whose surface lies within the thickness of its flesh around its bones.

The forearm counts as hand, as in rendered samples.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from handmap.skeleton.hand_shape import BASES
from handmap.types.arrays import Bool, Float32, Float64
from handmap.types.joints import KNUCKLES, WRIST

from ..compiled import compiled
from ..synthesis.canvas import CANVAS_MM, CANVAS_PX, CANVAS_UNIT_MM, EMPTY

FLESH_MM: Final = (
    27.0  # from the bones to the skin of the ball of the thumb, the thickest flesh of the mean hand; with a margin
)
FOREARM_MM, FOREARM_RADIUS_MM = 170.0, 50.0  # length that a canvas can show; radius with room for a bent wrist
JOINTS_A_FINGER: Final = 4


def bone_segments(joints_mm: Float32) -> Float64:
    """The bones (S, 2, 3) of labeled joints (21, 3), NaN where there is no label.

    Along each finger from one labeled joint to the next, and from the wrist to the first of each; without a label of the wrist,
    from the mean of those first joints.
    """
    fingers = [joints_mm[base : base + JOINTS_A_FINGER] for base in BASES]
    chains = [finger[np.isfinite(finger).all(axis=1)] for finger in fingers]
    firsts = [chain[0] for chain in chains if len(chain)]
    has_wrist = bool(np.isfinite(joints_mm[WRIST]).all())
    root = joints_mm[WRIST] if has_wrist else np.mean(firsts, axis=0)
    rooted = [np.vstack([root, chain]) for chain in chains if len(chain)] or [np.stack([root, root])]
    return np.concatenate([np.stack([chain[:-1], chain[1:]], axis=1) for chain in rooted]).astype(np.float64)


def mask_of_hand(canvas: NDArray[np.int16], joints_mm: Float32) -> Bool:
    """Where a canvas (160, 160) shows the hand with these joints (21, 3) about its center, mm, or its forearm.

    At least one joint is labeled. The forearm is taken to go on from the wrist in the direction of the palm; without a label of
    the wrist or of the knuckles it is left out.
    """
    mask = _near_bones(canvas, bone_segments(joints_mm), FLESH_MM)
    along = joints_mm[WRIST] - joints_mm[list(KNUCKLES)].mean(axis=0)
    if np.isfinite(along).all():
        end = joints_mm[WRIST] + along * (FOREARM_MM / max(float(np.linalg.norm(along)), 1.0))
        forearm = np.stack([joints_mm[WRIST], end])[None].astype(np.float64)
        mask |= _near_bones(canvas, forearm, FOREARM_RADIUS_MM)
    return mask


@compiled
def _near_bones(canvas: NDArray[np.int16], segments: Float64, limit_mm: float) -> Bool:
    size = canvas.shape[0]
    mask = np.zeros((size, size), np.bool_)
    for row in range(size):
        y = ((row + 0.5) / CANVAS_PX - 0.5) * CANVAS_MM
        for column in range(size):
            if canvas[row, column] == EMPTY:
                continue
            x, z = ((column + 0.5) / CANVAS_PX - 0.5) * CANVAS_MM, canvas[row, column] * CANVAS_UNIT_MM
            mask[row, column] = bone_distance_mm(np.array([x, y, z]), segments) < limit_mm
    return mask


@compiled
def bone_distance_mm(point_mm: Float64, segments: Float64) -> float:
    """The distance of a point (3,) from the nearest of segments (S, 2, 3)."""
    nearest = np.inf
    for s in range(len(segments)):
        start, along = segments[s, 0], segments[s, 1] - segments[s, 0]
        length = (along * along).sum()
        share = 0.0 if length == 0.0 else min(max(((point_mm - start) * along).sum() / length, 0.0), 1.0)
        away = point_mm - start - share * along
        nearest = min(nearest, (away * away).sum())
    return float(np.sqrt(nearest))
