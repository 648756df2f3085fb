"""Closed meshes of things that are round, lofted or boxes, each in a frame of its own."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handmap.types.arrays import Float32, Float64

from ..compiled import IntArray

AROUND = 24  # points on a ring


@dataclass(frozen=True)
class Mesh:
    """A closed surface: xyz_mm (V, 3) and triangles (T, 3) whose normals point out."""

    xyz_mm: Float32
    triangles: IntArray


def moved(mesh: Mesh, rotation: Float64, offset_mm: Float64) -> Mesh:
    """The mesh turned by rotation (3, 3), then shifted by offset_mm (3,)."""
    return Mesh((mesh.xyz_mm @ rotation.T + offset_mm).astype(np.float32), mesh.triangles)


def loft(rings_mm: Float64) -> Mesh:
    """The surface over rings (R, M, 3) that turn from x to y as seen against z, in the order of rising z; the ends should be points."""
    count, around = rings_mm.shape[:2]
    i, j = np.meshgrid(np.arange(count - 1), np.arange(around), indexing="ij")
    here, beside = i * around + j, i * around + (j + 1) % around
    above, above_beside = here + around, beside + around
    triangles = np.stack([here, beside, above_beside, here, above_beside, above], axis=-1).reshape(-1, 3)
    return Mesh(rings_mm.reshape(-1, 3).astype(np.float32), triangles.astype(np.int64))


def circle() -> Float64:
    """Points (M, 2) of the unit circle."""
    angle = np.arange(AROUND) * (2 * math.pi / AROUND)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def revolve(profile_mm: NDArray[np.float64] | list[tuple[float, float]]) -> Mesh:
    """The body of revolution about z through rows (radius, z) of a profile (R, 2) that goes round it from below."""
    profile = np.asarray(profile_mm, np.float64)
    rings = np.empty((len(profile), AROUND, 3))
    rings[..., :2] = profile[:, :1, None] * circle()
    rings[..., 2] = profile[:, 1:]
    return loft(rings)


def ball(radii_mm: Float64) -> Mesh:
    """An ellipsoid with half axes (3,) about the origin."""
    angle = np.linspace(-math.pi / 2, math.pi / 2, 14)
    unit = revolve(np.stack([np.cos(angle), np.sin(angle)], axis=1))
    return Mesh((unit.xyz_mm * radii_mm).astype(np.float32), unit.triangles)


def cylinder(radius_mm: float, length_mm: float) -> Mesh:
    """A cylinder about z, the origin in its middle."""
    half = length_mm / 2
    return revolve([(0, -half), (radius_mm, -half), (radius_mm, half), (0, half)])


def cup(radius_mm: float, height_mm: float, flare: float) -> Mesh:
    """An open cup about z, `flare` times as wide at its rim as at its foot."""
    half, wall = height_mm / 2, 3.0
    foot, rim = radius_mm / flare**0.5, radius_mm * flare**0.5
    return revolve([
        (0, -half), (foot, -half), (rim, half), (rim - wall, half), (foot - wall, wall - half), (0, wall - half)
    ])  # fmt: skip


def box(sides_mm: Float64) -> Mesh:
    """A box with sides (3,) about the origin."""
    x, y, z = np.asarray(sides_mm) / 2
    square = np.array([[-x, -y], [x, -y], [x, y], [-x, y]])
    rings = np.zeros((4, 4, 3))
    rings[1:3, :, :2] = square
    rings[:2, :, 2], rings[2:, :, 2] = -z, z
    return loft(rings)
