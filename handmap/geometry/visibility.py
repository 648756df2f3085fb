"""Which joints of a labeled hand a depth camera sees, for labels that do not say so themselves."""

from typing import Final

import numpy as np

from handmap.types.arrays import Bool, Float32, Float64
from handmap.types.intrinsics import project
from handmap.types.values import DepthFrame

# A joint is seen where the first surface along its ray is no farther before it than its own flesh. Measured on the mean hand of
# training, flat, from palm and back: wrist 21, thumb 29/23/10/10, knuckles 24, then 14, 11 and 8 mm; here with a margin.
FLESH_MM: Final[Float64] = np.array([26.0, 32, 27, 15, 14, *[28.0, 18, 15, 12] * 4])


def joints_in_sight(joints_mm: Float32, frame: DepthFrame) -> Bool:
    """For each joint (21, 3) in the camera frame whether depth was measured at its pixel, and not far in front of it.

    A joint without a label, NaN, is not in sight. Depth that is missing at the joint hides it.
    """
    is_labeled: Bool = np.isfinite(joints_mm).all(axis=1) & (joints_mm[:, 2] > 0)
    uv = project(np, np.where(is_labeled[:, None], joints_mm, np.float32(1)), frame.intrinsics)
    height, width = frame.depth.shape
    inside: Bool = is_labeled & (uv > -0.5).all(axis=1) & (uv[:, 0] < width - 0.5) & (uv[:, 1] < height - 0.5)
    column, row = np.rint(np.where(inside[:, None], uv, 0)).astype(int).T
    raw = frame.depth[row, column]
    is_near: Bool = (raw > 0) & (raw * np.float64(frame.depth_unit_mm) > joints_mm[:, 2] - FLESH_MM)
    return inside & is_near
