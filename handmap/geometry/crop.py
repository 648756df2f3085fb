"""From a depth frame to a hand's crop, an orthographic image of the cube around the hand, and back.

The cube is axis-aligned in the camera frame. Points inside it are projected along z; the nearest one by raw integer depth
wins, so neither order nor ties matter. A pixel that is alone in front of all its neighbors is left out (despeckle.py), and gaps
one pixel wide are filled. The original HandMap (Wu et al., ECCV 2018) lets the last point win and leaves the holes.
"""

import math
from dataclasses import dataclass

import numpy as np

from handmap.geometry.despeckle import BORDER, SPECK_MM, prominence
from handmap.types.arrays import Array, ArrayModule
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import CROP_PX, DepthFrame, HandCrop, HandRoi

EMPTY = np.uint32(0xFFFFFFFF)  # deeper than any raw depth, so minimum and maximum need no mask


@dataclass(frozen=True)
class CropProjection:
    """How the points of one cube are projected: the image window they can be in, and the factors that place them.

    The CUDA kernel (kernels/crop.cu) gets the same values, so host and GPU cannot disagree on them. Factors are float32.
    """

    near: int  # smallest and largest raw depth inside
    far: int
    speck: int  # raw steps by which a speck is nearer than its neighbors
    top: int  # rows [top, bottom) and columns [left, right) of the image
    bottom: int
    left: int
    right: int
    unit_mm: np.float32
    u_offset: np.float32  # added to a window column, makes it relative to the optical axis
    v_offset: np.float32
    inverse_fx: np.float32
    inverse_fy: np.float32
    cells_per_mm: np.float32
    half_cells: np.float32

    @property
    def is_empty(self) -> bool:
        """Whether no point of any frame can fall into the cube."""
        return self.near > self.far or self.top >= self.bottom or self.left >= self.right


def crop_hand(
    xp: ArrayModule, frame: DepthFrame, center_mm: Array, cube_mm: float, is_mirrored: bool = False
) -> HandCrop:
    """The crop of the cube with full side cube_mm about center_mm (3,), camera frame, mm; background where there is no point."""
    center = np.asarray(center_mm, np.float32)
    raw = orthographic_raw(xp, frame, center, cube_mm, CROP_PX)
    if is_mirrored:
        raw = raw[:, ::-1]
    half = np.float32(cube_mm / 2)
    z = raw.astype(xp.float32) * np.float32(frame.depth_unit_mm)
    depth = xp.where(raw == EMPTY, np.float32(1), (z - center[2]) / half)
    return HandCrop(depth.astype(xp.float32), HandRoi(center, cube_mm, is_mirrored))


def orthographic_raw(xp: ArrayModule, frame: DepthFrame, center_mm: Array, cube_mm: float, size_px: int) -> Array:
    """Raw depth (size_px, size_px) uint32 of the nearest point in each cell of the cube, EMPTY if there is none."""
    how = crop_projection(frame, center_mm, cube_mm, size_px)
    zbuffer = xp.full(size_px * size_px, EMPTY, dtype=xp.uint32)
    if how.is_empty:
        return zbuffer.reshape(size_px, size_px)
    window = frame.depth[how.top : how.bottom, how.left : how.right]
    # Below `near`, the difference of unsigned numbers is large.
    is_inside = window - xp.uint16(how.near) <= xp.uint16(how.far - how.near)
    is_inside &= prominence(xp, _with_margin(xp, frame.depth, how)) <= xp.uint16(how.speck)
    inside = xp.flatnonzero(is_inside)
    raw = window.reshape(-1)[inside]
    inside, width = inside.astype(xp.int32), np.int32(how.right - how.left)
    v = inside // width
    u = inside - v * width  # a third of divmod's time
    z = raw.astype(xp.float32) * how.unit_mm
    x = (u.astype(xp.float32) + how.u_offset) * how.inverse_fx * z
    y = (v.astype(xp.float32) + how.v_offset) * how.inverse_fy * z
    column = xp.floor((x - center_mm[0]) * how.cells_per_mm + how.half_cells).astype(xp.int32)
    row = xp.floor((y - center_mm[1]) * how.cells_per_mm + how.half_cells).astype(xp.int32)
    # As unsigned numbers, values below 0 are beyond size_px.
    is_kept = (column.view(xp.uint32) < size_px) & (row.view(xp.uint32) < size_px)
    cell = row * np.int32(size_px) + column
    xp.minimum.at(zbuffer, cell[is_kept], raw[is_kept].astype(xp.uint32))
    return fill_holes(xp, zbuffer.reshape(size_px, size_px))


def _with_margin(xp: ArrayModule, depth: Array, how: CropProjection) -> Array:
    """The window with the pixels around it, BORDER where the image ends."""
    height, width = depth.shape
    wide = xp.full((how.bottom - how.top + 2, how.right - how.left + 2), BORDER, dtype=xp.uint16)
    top, left = max(how.top - 1, 0), max(how.left - 1, 0)
    part = depth[top : min(how.bottom + 1, height), left : min(how.right + 1, width)]
    row, column = top - how.top + 1, left - how.left + 1
    wide[row : row + part.shape[0], column : column + part.shape[1]] = part
    return wide


def crop_projection(frame: DepthFrame, center_mm: Array, cube_mm: float, size_px: int) -> CropProjection:
    """How the cube with full side cube_mm about center_mm (3,) is projected onto size_px x size_px cells."""
    intrinsics = frame.intrinsics
    near, far = _raw_range(frame, float(center_mm[2]), cube_mm / 2)
    top, bottom, left, right = _window(frame, center_mm, cube_mm / 2, near)
    return CropProjection(
        near=near,
        far=far,
        speck=min(round(SPECK_MM / frame.depth_unit_mm), 65535),
        top=top,
        bottom=bottom,
        left=left,
        right=right,
        unit_mm=np.float32(frame.depth_unit_mm),
        u_offset=np.float32(left - intrinsics.cx_px),
        v_offset=np.float32(top - intrinsics.cy_px),
        inverse_fx=np.float32(1 / intrinsics.fx_px),
        inverse_fy=np.float32(1 / intrinsics.fy_px),
        cells_per_mm=np.float32(size_px / cube_mm),
        half_cells=np.float32(size_px / 2),
    )


def fill_holes(xp: ArrayModule, raw: Array) -> Array:
    """raw (H, W) uint32 with each empty pixel between two filled ones set to the farther one; along rows, then along columns.

    A sensor of 320x240 leaves such gaps beyond 0.45 m, one of 640x480 beyond 0.9 m.
    """
    closed = raw.copy()
    middle = raw[:, 1:-1]
    closed[:, 1:-1] = xp.where(middle == EMPTY, xp.maximum(raw[:, :-2], raw[:, 2:]), middle)
    across = closed.copy()
    middle = across[1:-1]
    closed[1:-1] = xp.where(middle == EMPTY, xp.maximum(across[:-2], across[2:]), middle)
    return closed


def normalize_points(xp: ArrayModule, xyz_camera_mm: Array, roi: HandRoi) -> Array:
    """Points (..., 3) in half cube sides about the view's center, x negated if it is mirrored."""
    return (xyz_camera_mm - xp.asarray(roi.center_mm)) * _half_cube_sides(xp, roi, inverse=True)


def denormalize_points(xp: ArrayModule, xyz: Array, roi: HandRoi) -> Array:
    """Points (..., 3) in the camera frame, mm; the inverse of `normalize_points` to within float32 rounding."""
    return xyz * _half_cube_sides(xp, roi, inverse=False) + xp.asarray(roi.center_mm)


def _half_cube_sides(xp: ArrayModule, roi: HandRoi, inverse: bool) -> Array:
    half = 2 / roi.cube_mm if inverse else roi.cube_mm / 2
    return xp.asarray([-half if roi.is_mirrored else half, half, half], dtype=xp.float32)


def _raw_range(frame: DepthFrame, z_mm: float, half_mm: float) -> tuple[int, int]:
    """Smallest and largest raw depth strictly inside the cube; 0 means "not measured" and is never inside."""
    near = math.floor((z_mm - half_mm) / frame.depth_unit_mm) + 1
    far = math.ceil((z_mm + half_mm) / frame.depth_unit_mm) - 1
    return max(near, 1), min(far, 65535)


def _window(frame: DepthFrame, center_mm: Array, half_mm: float, near: int) -> tuple[int, int, int, int]:
    """Rows [top, bottom) and columns [left, right) of the image that the cube can project to."""
    intrinsics: Intrinsics = frame.intrinsics
    x, y, z = (float(value) for value in center_mm)
    near_mm = near * frame.depth_unit_mm
    far_mm = max(z + half_mm, near_mm)
    columns = [
        edge / depth * intrinsics.fx_px + intrinsics.cx_px
        for edge in (x - half_mm, x + half_mm)
        for depth in (near_mm, far_mm)
    ]
    rows = [
        edge / depth * intrinsics.fy_px + intrinsics.cy_px
        for edge in (y - half_mm, y + half_mm)
        for depth in (near_mm, far_mm)
    ]
    left, right = _clipped(min(columns), max(columns), intrinsics.width_px)
    top, bottom = _clipped(min(rows), max(rows), intrinsics.height_px)
    return top, bottom, left, right


def _clipped(low: float, high: float, size: int) -> tuple[int, int]:
    return max(math.floor(min(low, size)), 0), min(math.ceil(max(high, -1)) + 1, size)
