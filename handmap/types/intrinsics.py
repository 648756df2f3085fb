"""The pinhole camera model: pixels with depth to points and back, in the camera frame (x right, y down, z away, mm)."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from handmap.types.arrays import Array, ArrayModule

FOCAL_PX: Final = (1.0, 100_000.0)  # of any lens; more than the largest is no principal point either


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole intrinsics in pixels; pixel (u, v) is (column, row) and integer values are pixel centers."""

    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float

    def __post_init__(self) -> None:
        if self.width_px <= 0 or self.height_px <= 0:
            raise ValueError(f"intrinsics: image size must be positive, found {self.width_px}x{self.height_px}")
        focal_px = (self.fx_px, self.fy_px)
        if not all(np.isfinite(value) and value > 0 for value in focal_px):
            raise ValueError(f"intrinsics: focal lengths must be finite and positive, found {focal_px}")
        if not (np.isfinite(self.cx_px) and np.isfinite(self.cy_px)):
            raise ValueError(f"intrinsics: center must be finite, found ({self.cx_px}, {self.cy_px})")


def project(xp: ArrayModule, xyz_camera_mm: Array, intrinsics: Intrinsics) -> Array:
    """Pixels (..., 2) as (u, v) of points (..., 3) in the camera frame with z > 0."""
    z = xyz_camera_mm[..., 2]
    u = xyz_camera_mm[..., 0] / z * intrinsics.fx_px + intrinsics.cx_px
    v = xyz_camera_mm[..., 1] / z * intrinsics.fy_px + intrinsics.cy_px
    return xp.stack([u, v], axis=-1)


def unproject(xp: ArrayModule, uv_px: Array, z_mm: Array, intrinsics: Intrinsics) -> Array:
    """Points (..., 3) in the camera frame of pixels (..., 2) at depth z_mm (...)."""
    x = (uv_px[..., 0] - intrinsics.cx_px) / intrinsics.fx_px * z_mm
    y = (uv_px[..., 1] - intrinsics.cy_px) / intrinsics.fy_px * z_mm
    return xp.stack([x, y, z_mm], axis=-1)
