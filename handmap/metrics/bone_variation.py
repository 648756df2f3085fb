"""Bone variation: how far published bones are from keeping their length, as the bones of a person do."""

import numpy as np

from handmap.types.arrays import Float32, Float64
from handmap.types.joints import BONES, JOINT_COUNT

PARENT_ENDS, CHILD_ENDS = np.array(BONES).T  # (20,) each


def bone_lengths_mm(joints_mm: Float32 | Float64) -> Float64:
    """Lengths (..., 20) in mm of the bones of joints (..., 21, 3) in mm, in the order of `BONES`.

    Raises ValueError if the joints have another shape.
    """
    if joints_mm.shape[-2:] != (JOINT_COUNT, 3):
        raise ValueError(f"bone lengths: found joints of shape {joints_mm.shape}, wanted (..., {JOINT_COUNT}, 3) in mm")
    joints = np.asarray(joints_mm, np.float64)
    lengths: Float64 = np.linalg.norm(joints[..., CHILD_ENDS, :] - joints[..., PARENT_ENDS, :], axis=-1)
    return lengths


def bone_variation(joints_mm: Float32 | Float64) -> Float64:
    """Coefficient of variation (20,) of each bone's length in T frames of one hand, joints (T, 21, 3) in mm: 0.1 is 10 %.

    It is the standard deviation (divisor T) over the mean; 0 for a bone that has no length in any frame.
    Raises ValueError for fewer than two frames, or a joint that is NaN or infinite.
    """
    if joints_mm.ndim != 3 or len(joints_mm) < 2:
        raise ValueError(
            f"bone variation: found joints of shape {joints_mm.shape}, wanted (T, {JOINT_COUNT}, 3) with at least two frames"
        )
    if not np.isfinite(joints_mm).all():
        raise ValueError(
            "bone variation: found NaN or infinity among the joints, wanted numbers; leave such frames out"
        )
    lengths = bone_lengths_mm(joints_mm)
    mean: Float64 = lengths.mean(axis=0)
    variation: Float64 = np.divide(lengths.std(axis=0), mean, out=np.zeros_like(mean), where=mean > 0)
    return variation
