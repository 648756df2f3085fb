"""Lens distortion after OpenCV, as ROS and camera makers state it, and how a depth image is freed of it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from handmap.types.arrays import Uint16
from handmap.types.intrinsics import Intrinsics

BROWN: Final = ("plumb_bob", "rational_polynomial", "brown_conrady")
FISHEYE: Final = ("equidistant", "kannala_brandt4", "fisheye")
_RADII: Final = 2048


@dataclass(frozen=True)
class Distortion:
    """Model, by its name in ROS, and coefficients in OpenCV's order: k1 k2 p1 p2 k3 k4 k5 k6 s1 s2 s3 s4, or fisheye k1 k2 k3 k4."""

    model: str
    coefficients: tuple[float, ...]

    def __post_init__(self) -> None:
        name = self.model.strip().lower().replace(" ", "_")
        object.__setattr__(self, "model", name)
        if not all(np.isfinite(self.coefficients)):
            raise ValueError(f"distortion: coefficients must be finite, found {self.coefficients}")
        most = 4 if name in FISHEYE else 12
        if name not in BROWN + FISHEYE or any(self.coefficients[most:]):
            raise ValueError(
                f"distortion: found the model {self.model!r} with {len(self.coefficients)} coefficients, wanted "
                "plumb_bob, rational_polynomial without tilt, or equidistant"
            )


def distort(xy: NDArray[np.float64], distortion: Distortion) -> NDArray[np.float64]:
    """Where points (..., 2) of the plane z = 1 appear through the lens; NaN where its model is turned back on itself."""
    if distortion.model in FISHEYE:
        return _fisheye(xy, distortion.coefficients)
    k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4 = (*distortion.coefficients, *[0.0] * 12)[:12]
    x, y = xy[..., 0], xy[..., 1]
    squared = x * x + y * y

    def radial(r2: NDArray[np.float64]) -> NDArray[np.float64]:
        scale = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
        return np.asarray(scale)

    scale = radial(squared)
    bent_x = x * scale + 2 * p1 * x * y + p2 * (squared + 2 * x * x) + s1 * squared + s2 * squared**2
    bent_y = y * scale + p1 * (squared + 2 * y * y) + 2 * p2 * x * y + s3 * squared + s4 * squared**2
    radii = np.linspace(0, float(np.sqrt(squared.max())), _RADII, dtype=np.float64)
    is_rising: NDArray[np.bool_] = np.diff(radii * radial(radii**2)) > 0
    reach = np.inf if is_rising.all() else radii[int(np.argmin(is_rising))]
    return np.where((squared > reach**2)[..., None], np.nan, np.stack([bent_x, bent_y], axis=-1))


@dataclass(frozen=True)
class Undistortion:
    """For each pixel of the image without distortion, the pixel (H * W,) it is taken from, and whether there is one.

    The nearest pixel is taken, as depths on both sides of an edge have no mean. z does not change along a ray.
    """

    source: NDArray[np.int64]
    is_seen: NDArray[np.bool_]

    def apply(self, depth: Uint16) -> Uint16:
        """The depth (H, W) as a pinhole camera with the same intrinsics sees it; 0 where the lens saw nothing."""
        taken = np.where(self.is_seen, depth.reshape(-1)[self.source], np.uint16(0))
        return np.ascontiguousarray(taken.reshape(depth.shape))


def undistortion(intrinsics: Intrinsics, distortion: Distortion) -> Undistortion:
    """The way to free images of these intrinsics of distortion."""
    rows, columns = np.mgrid[: intrinsics.height_px, : intrinsics.width_px].astype(np.float64)
    center, focal = (intrinsics.cx_px, intrinsics.cy_px), (intrinsics.fx_px, intrinsics.fy_px)
    bent = distort((np.stack([columns, rows], axis=-1) - center) / focal, distortion) * focal + center
    is_known: NDArray[np.bool_] = np.asarray(np.isfinite(bent).all(axis=-1))
    nearest = np.rint(np.where(is_known[..., None], bent, -1)).clip(-1, 2**31)
    column, row = nearest[..., 0], nearest[..., 1]
    is_seen = is_known & (column >= 0) & (column < intrinsics.width_px) & (row >= 0) & (row < intrinsics.height_px)
    source = np.where(is_seen, row * intrinsics.width_px + column, 0).astype(np.int64)
    return Undistortion(source.reshape(-1), is_seen.reshape(-1))


def _fisheye(xy: NDArray[np.float64], coefficients: tuple[float, ...]) -> NDArray[np.float64]:
    k1, k2, k3, k4 = (*coefficients, *[0.0] * 4)[:4]
    radius = np.hypot(xy[..., 0], xy[..., 1])
    angle = np.arctan(radius)

    def bend(theta: NDArray[np.float64]) -> NDArray[np.float64]:
        t2 = theta * theta
        return np.asarray(theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4)))))

    angles = np.linspace(0, float(angle.max()), _RADII, dtype=np.float64)
    is_rising: NDArray[np.bool_] = np.diff(bend(angles)) > 0
    reach = np.inf if is_rising.all() else angles[int(np.argmin(is_rising))]
    scale = np.where(angle > reach, np.nan, bend(angle) / np.maximum(radius, 1e-12))
    bent: NDArray[np.float64] = xy * np.where(radius < 1e-12, 1.0, scale)[..., None]
    return bent
