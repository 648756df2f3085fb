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
    bones = bone_segments(joints_mm)
    mask = _on_flesh(canvas, bones, np.full((len(bones), 2), FLESH_MM))
    along = joints_mm[WRIST] - joints_mm[list(KNUCKLES)].mean(axis=0)
    if np.isfinite(along).all():
        end = joints_mm[WRIST] + along * (FOREARM_MM / max(float(np.linalg.norm(along)), 1.0))
        forearm = np.stack([joints_mm[WRIST], end])[None].astype(np.float64)
        mask |= _on_flesh(canvas, forearm, np.full((1, 2), FOREARM_RADIUS_MM))
    return mask


@compiled
def _on_flesh(canvas: NDArray[np.int16], bones: Float64, radii_mm: Float64) -> Bool:
    size = canvas.shape[0]
    mask = np.zeros((size, size), np.bool_)
    for row in range(size):
        y = ((row + 0.5) / CANVAS_PX - 0.5) * CANVAS_MM
        for column in range(size):
            if canvas[row, column] == EMPTY:
                continue
            x, z = ((column + 0.5) / CANVAS_PX - 0.5) * CANVAS_MM, canvas[row, column] * CANVAS_UNIT_MM
            mask[row, column] = off_flesh_mm(x, y, z, bones, radii_mm) < 0
    return mask


@compiled
def off_flesh_mm(x: float, y: float, z: float, bones: Float64, radii_mm: Float64) -> float:
    """How far a point is outside the flesh around bones (S, 2, 3), as thick at their ends as radii_mm (S, 2); negative inside it."""
    nearest = np.inf
    for bone in range(len(bones)):
        start, end = bones[bone, 0], bones[bone, 1]
        ax, ay, az = end[0] - start[0], end[1] - start[1], end[2] - start[2]
        px, py, pz = x - start[0], y - start[1], z - start[2]
        share = min(max((px * ax + py * ay + pz * az) / max(ax * ax + ay * ay + az * az, 1e-9), 0.0), 1.0)
        away = np.sqrt((px - share * ax) ** 2 + (py - share * ay) ** 2 + (pz - share * az) ** 2)
        nearest = min(nearest, away - (radii_mm[bone, 0] * (1 - share) + radii_mm[bone, 1] * share))
    return float(nearest)
