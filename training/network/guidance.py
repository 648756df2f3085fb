"""The dense guidance maps that supervise a stage: made on the fly from a crop, its hand mask and its joints, batched.

Lengths are half cube sides (the cube spans [-1, 1] per axis, its full side T is 2) and maps are 32x32. One cell of a map covers
4x4 pixels of the crop: it belongs to the hand if at least half of them do, and its depth is the mean over those.
(The original takes every fourth pixel, which lets one noisy pixel cut a finger in two.)
"""

from typing import NamedTuple

import numpy as np

from handmap.types.arrays import Bool, Float32
from handmap.types.values import GUIDANCE_PX

from ..compiled import IntArray, compiled
from .geodesic import geodesic_closeness
from .network import GuidanceKind

CUBE_SIDE = 2.0
HEATMAP_SIGMA_PX = 0.8
# The original clips distances at 0.01 mm before it divides by them; here in half cube sides of 125 mm.
NEAREST = 0.01 / 125.0


class HandCells(NamedTuple):
    """A batch of hands on the map's grid: is_hand (N, 32, 32), and depth (N, 32, 32) in [-1, 1], +1 off the hand."""

    is_hand: Bool
    depth: Float32


@compiled
def _reduce(depth: Float32, is_hand: Bool, cell_depth: Float32, cell_is_hand: Bool) -> None:
    count, size, _ = cell_depth.shape
    factor = depth.shape[1] // size
    for sample in range(count):
        for row in range(size):
            for column in range(size):
                pixels, total = 0, 0.0
                for r in range(row * factor, (row + 1) * factor):
                    for c in range(column * factor, (column + 1) * factor):
                        if is_hand[sample, r, c]:
                            pixels += 1
                            total += depth[sample, r, c]
                cell_is_hand[sample, row, column] = 2 * pixels >= factor * factor
                cell_depth[sample, row, column] = total / pixels if 2 * pixels >= factor * factor else 1.0


def reduce_to_cells(depth: Float32, is_hand: Bool) -> HandCells:
    """The 32x32 hand of crops: depth (N, 128, 128) in [-1, 1] and is_hand (N, 128, 128)."""
    shape = (depth.shape[0], GUIDANCE_PX, GUIDANCE_PX)
    cells = HandCells(np.empty(shape, np.bool_), np.empty(shape, np.float32))
    _reduce(depth, is_hand, cells.depth, cells.is_hand)
    return cells


def joint_cells(joints: Float32) -> IntArray:
    """The (row, column) of the cell (N, J, 2) that holds each joint of (N, J, 3); outside the cube, the nearest cell of the border."""
    cells = np.floor((joints[..., 1::-1] + 1) * (GUIDANCE_PX / 2)).astype(np.int64)
    inside: IntArray = np.clip(cells, 0, GUIDANCE_PX - 1)
    return inside


def heatmaps(cells: HandCells, joints: Float32) -> Float32:
    """A Gaussian (N, J, 32, 32) of sigma 0.8 cells and peak 1 at the cell of each joint, not masked by the hand.

    The original's amplitude is the joint's depth; ours is 1, so that the map shows only where the joint is.
    """
    axis = np.arange(GUIDANCE_PX)
    center = joint_cells(joints)[..., None]  # (N, J, 2, 1)
    profile = np.exp(-0.5 * ((axis - center) / HEATMAP_SIGMA_PX) ** 2)  # (N, J, 2, 32)
    return (profile[:, :, 0, :, None] * profile[:, :, 1, None, :]).astype(np.float32)


def euclidean_closeness(cells: HandCells, joints: Float32) -> Float32:
    """dist2 (N, J, 32, 32): (T - D) / T with D the 3D distance of each hand cell's surface point to the joint; 0 off the hand."""
    count, size, _ = cells.depth.shape
    closeness = np.zeros((count, joints.shape[1], size, size), np.float32)
    _write_closeness(cells.is_hand, cells.depth, np.ascontiguousarray(joints), closeness)
    return closeness


@compiled
def _write_closeness(is_hand: Bool, depth: Float32, joints: Float32, closeness: Float32) -> None:
    count, size, _ = depth.shape
    for sample in range(count):
        for row in range(size):
            y = (2 * row + 1) / size - 1
            for column in range(size):
                if not is_hand[sample, row, column]:
                    continue
                x, z = (2 * column + 1) / size - 1, depth[sample, row, column]
                for joint in range(joints.shape[1]):
                    xyz = joints[sample, joint]
                    distance = np.sqrt((xyz[0] - x) ** 2 + (xyz[1] - y) ** 2 + (xyz[2] - z) ** 2)
                    closeness[sample, joint, row, column] = (
                        CUBE_SIDE - min(max(distance, NEAREST), CUBE_SIDE)
                    ) / CUBE_SIDE


def offset_maps(cells: HandCells, joints: Float32) -> Float32:
    """udir2 (N, 4 J, 32, 32): the J maps of dist2, then x, y, z of the unit vector from each hand cell to joint 0, to joint 1, ..."""
    count, size, _ = cells.depth.shape
    axis = ((2 * np.arange(size) + 1) / size - 1).astype(np.float32)
    x, y = np.broadcast_to(axis, (count, size, size)), np.broadcast_to(axis[:, None], (count, size, size))
    surface = np.stack([x, y, cells.depth], axis=1)  # (N, 3, 32, 32)
    units = _unit_offsets(surface, joints) * cells.is_hand[:, None, None]  # (N, J, 3, 32, 32)
    return np.concatenate([euclidean_closeness(cells, joints), units.reshape(count, -1, size, size)], axis=1)


def voxel_offset_maps(is_occupied: Bool, joints: Float32) -> Float32:
    """vxudir (N, 4 J, S, S, S): as `offset_maps`, for the centers of the occupied voxels of a grid (N, S, S, S) indexed z, y, x."""
    count, size = is_occupied.shape[:2]
    axis = ((2 * np.arange(size) + 1) / size - 1).astype(np.float32)
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    centers = np.broadcast_to(np.stack([x, y, z]), (count, 3, size, size, size))
    offsets = joints[..., None, None, None] - centers[:, None]  # (N, J, 3, S, S, S)
    distance = np.clip(np.linalg.norm(offsets, axis=2), NEAREST, CUBE_SIDE)
    closeness = (CUBE_SIDE - distance) / CUBE_SIDE * is_occupied[:, None]
    units = _unit_offsets(centers, joints) * is_occupied[:, None, None]
    return np.concatenate([closeness, units.reshape(count, -1, size, size, size)], axis=1).astype(np.float32)


def signed_silhouette_distance(is_hand: Bool) -> Float32:
    """Silhouette EDT (N, 32, 32) in half cube sides: distance to the background inside the hand, minus distance to the hand outside.

    A silhouette that is empty or fills the map has no border: its map is -T or T everywhere.
    """
    from scipy import ndimage  # which a machine that only trains may lack

    scale = CUBE_SIDE / is_hand.shape[-1]
    maps = np.empty(is_hand.shape, np.float32)
    for hand, signed in zip(is_hand, maps, strict=True):
        if hand.all() or not hand.any():
            signed[:] = CUBE_SIDE if hand.all() else -CUBE_SIDE
        else:
            inside, outside = ndimage.distance_transform_edt(hand), ndimage.distance_transform_edt(~hand)
            signed[:] = scale * (inside - outside)
    return maps


def geodesic_maps(cells: HandCells, joints: Float32) -> Float32:
    """edt2 (N, J, 32, 32): closeness to the joint along the silhouette, 1 at the joint; see `geodesic_closeness`."""
    return geodesic_closeness(cells.is_hand, joint_cells(joints))


def weighted_geodesic_maps(cells: HandCells, joints: Float32) -> Float32:
    """edt2m (N, J, 32, 32): edt2 times dist2, which brings depth back in; the default."""
    return geodesic_maps(cells, joints) * euclidean_closeness(cells, joints)


MAKERS = {
    "heatmap": heatmaps,
    "dist2": euclidean_closeness,
    "udir2": offset_maps,
    "edt2": geodesic_maps,
    "edt2m": weighted_geodesic_maps,
}


def make_maps(kind: GuidanceKind, cells: HandCells, joints: Float32) -> Float32:
    """The maps (N, K, 32, 32) of one kind for joints (N, J, 3) in half cube sides."""
    return MAKERS[kind](cells, joints)


def _unit_offsets(points: Float32, joints: Float32) -> Float32:
    """Unit vectors (N, J, 3, ...) from points (N, 3, ...) to joints (N, J, 3)."""
    spread = (...,) + (None,) * (points.ndim - 2)
    offsets = joints[spread] - points[:, None]
    length = np.clip(np.linalg.norm(offsets, axis=2, keepdims=True), NEAREST, None)
    units: Float32 = (offsets / length).astype(np.float32)
    return units
