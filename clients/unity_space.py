"""Positions and orientations in Unity's axes, which are left-handed: x right, y up, z forward. VMC and the hand-tracking-sdk use them."""

from typing import Final

import numpy as np

from handmap.skeleton.orientation import rotations_of
from handmap.types.arrays import Float64

from .xr_joints import XrHand

_MIRROR_Z: Final = np.diag([1.0, 1, -1])


def unity_positions_m(joints: XrHand) -> Float64:
    """Positions (26, 3): OpenXR's with z the other way."""
    mirrored: Float64 = joints.positions_m.astype(np.float64) @ _MIRROR_Z
    return mirrored


def unity_rotations(joints: XrHand) -> Float64:
    """Rotations (26, 3, 3); the joints' own z is mirrored too, so it points from the wrist to the fingertips.

    Raises ValueError for a hand without orientations.
    """
    if not joints.has_orientation:
        raise ValueError("a hand without a skeleton has no orientations")
    return mirrored(rotations_of(joints.quaternions.astype(np.float64)))


def mirrored(rotations: Float64) -> Float64:
    """Rotations (..., 3, 3) between axes of a right-handed space as those between the same axes with z mirrored, and back."""
    seen_in_mirror: Float64 = _MIRROR_Z @ rotations @ _MIRROR_Z
    return seen_in_mirror
