"""Depth frames of many kinds with cubes to crop from them: what every implementation of the crop is compared on."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from handmap.types.arrays import Float32
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import CROP_PX, DepthFrame, HandRoi

LENSES = (
    Intrinsics(320, 240, 237.5, 238.1, 158.9, 121.3),
    Intrinsics(640, 480, 475.0, 480.0, 318.5, 241.5),
    Intrinsics(640, 480, 588.036865, 587.075073, 320.0, 240.0),
    Intrinsics(848, 480, 425.19, 425.19, 423.36, 239.95),
    Intrinsics(97, 61, 60.0, 61.0, 47.5, 31.5),
)
UNITS_MM = (0.1, 0.125, 0.25, 1.0)
CUBES_MM = (180.0, 250.0, 300.0)


@dataclass(frozen=True)
class Scene:
    """A frame and the cubes to crop from it."""

    frame: DepthFrame
    rois: tuple[HandRoi, ...]


def scenes(count: int, seed: int) -> Iterator[Scene]:
    """`count` scenes, the same for the same seed: noise, planes, spheres, points on the edges of cells; cubes at, across and
    beyond every border.
    """
    rng = np.random.default_rng(seed)
    for number in range(count):
        if number % 4 == 3:
            yield _on_edges(rng, number)
            continue
        intrinsics = LENSES[rng.integers(len(LENSES))]
        unit_mm = UNITS_MM[rng.integers(len(UNITS_MM))]
        depth_mm = (_noise, _plane, _sphere)[number % 4](rng, intrinsics)
        raw = np.clip(depth_mm / unit_mm, 0, 65535).astype(np.uint16)
        raw[rng.random(raw.shape) < rng.choice([0, 0.05, 0.5])] = 0
        frame = DepthFrame(raw, unit_mm, intrinsics, number, 0)
        cubes_mm = rng.choice(CUBES_MM, rng.integers(1, 4)).tolist()
        yield Scene(frame, tuple(HandRoi(_center(rng, frame), cube_mm, bool(rng.integers(2))) for cube_mm in cubes_mm))


def two_hands(distance_mm: float = 300.0) -> Scene:
    """Two hand-sized ellipsoids side by side before a wall, 640x480.

    Each shows 20,000 mm2, as an open hand of 220 mm with its wrist does.
    """
    intrinsics = LENSES[1]
    v, u = _pixels(intrinsics)
    depth = np.full((intrinsics.height_px, intrinsics.width_px), 900, np.uint16)
    rois = []
    for x in (-75.0, 75.0):
        off_x, off_y = (
            (u - intrinsics.cx_px) * distance_mm / intrinsics.fx_px - x,
            (v - intrinsics.cy_px) * distance_mm / intrinsics.fy_px,
        )
        inside = 1 - (off_x / 60) ** 2 - (off_y / 105) ** 2
        depth[inside > 0] = (distance_mm + 15 - 30 * np.sqrt(inside[inside > 0])).astype(np.uint16)
        rois.append(HandRoi(np.array([x, 0, distance_mm], np.float32), 250.0, False))
    return Scene(DepthFrame(depth, 1.0, intrinsics, 0, 0), tuple(rois))


def _on_edges(rng: np.random.Generator, number: int) -> Scene:
    """A plane whose pixels are one cell apart and, but for rounding, on the edges of cells: any other rounding moves points."""
    cube_mm, z_mm = CUBES_MM[rng.integers(len(CUBES_MM))], int(rng.integers(200, 1000))
    pitch_px = z_mm * CROP_PX / cube_mm
    intrinsics = Intrinsics(160, 150, pitch_px, pitch_px, float(rng.integers(60, 100)), float(rng.integers(60, 90)))
    frame = DepthFrame(np.full((150, 160), z_mm, np.uint16), 1.0, intrinsics, number, 0)
    cells = rng.integers(-9, 10, 2) * (cube_mm / CROP_PX)
    center = np.array([*cells, z_mm + rng.integers(-50, 50)], np.float32)
    return Scene(frame, (HandRoi(center, cube_mm, False), HandRoi(center, cube_mm, True)))


def _noise(rng: np.random.Generator, intrinsics: Intrinsics) -> Float32:
    near_mm = rng.uniform(20, 900)
    noise: Float32 = rng.uniform(
        near_mm, near_mm + rng.uniform(5, 400), (intrinsics.height_px, intrinsics.width_px)
    ).astype(np.float32)
    return noise


def _plane(rng: np.random.Generator, intrinsics: Intrinsics) -> Float32:
    """A tilted plane: z = d / (1 + a x/z + b y/z)."""
    v, u = _pixels(intrinsics)
    a, b = rng.uniform(-0.8, 0.8, 2)
    slope = 1 + a * (u - intrinsics.cx_px) / intrinsics.fx_px + b * (v - intrinsics.cy_px) / intrinsics.fy_px
    plane: Float32 = (rng.uniform(120, 1200) / np.maximum(slope, 0.1)).astype(np.float32)
    return plane


def _sphere(rng: np.random.Generator, intrinsics: Intrinsics) -> Float32:
    """The front of a sphere, 30 to 120 mm in radius, before nothing."""
    v, u = _pixels(intrinsics)
    center = _spot(rng, intrinsics, rng.uniform(250, 1000))
    off_x = (u - intrinsics.cx_px) / intrinsics.fx_px * center[2] - center[0]
    off_y = (v - intrinsics.cy_px) / intrinsics.fy_px * center[2] - center[1]
    inside = rng.uniform(30, 120) ** 2 - off_x**2 - off_y**2
    sphere: Float32 = np.where(inside > 0, center[2] - np.sqrt(np.maximum(inside, 0)), 0).astype(np.float32)
    return sphere


def _center(rng: np.random.Generator, frame: DepthFrame) -> Float32:
    """Mostly about a measured point; else anywhere in sight, at the camera, behind it, or out of reach."""
    kind = rng.integers(10)
    intrinsics = frame.intrinsics
    if kind < 7 and frame.depth.any():
        v, u = (int(rng.choice(axis)) for axis in np.nonzero(frame.depth))
        z = float(frame.depth[v, u]) * frame.depth_unit_mm
        point = np.array(
            [(u - intrinsics.cx_px) / intrinsics.fx_px * z, (v - intrinsics.cy_px) / intrinsics.fy_px * z, z]
        )
        return (point + rng.uniform(-90, 90, 3)).astype(np.float32)
    if kind == 7:
        return _spot(rng, intrinsics, rng.uniform(0, 150))
    if kind == 8:
        return (rng.uniform(-300, 300, 3) - [0, 0, 200]).astype(np.float32)
    return _spot(rng, intrinsics, rng.uniform(150, 9000))


def _spot(rng: np.random.Generator, intrinsics: Intrinsics, z_mm: float) -> Float32:
    u, v = rng.uniform(0, intrinsics.width_px), rng.uniform(0, intrinsics.height_px)
    return np.array(
        [(u - intrinsics.cx_px) / intrinsics.fx_px * z_mm, (v - intrinsics.cy_px) / intrinsics.fy_px * z_mm, z_mm],
        np.float32,
    )


def _pixels(intrinsics: Intrinsics) -> tuple[Float32, Float32]:
    v, u = np.mgrid[: intrinsics.height_px, : intrinsics.width_px].astype(np.float32)
    return v, u
