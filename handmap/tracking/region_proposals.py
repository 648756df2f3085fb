"""Region proposals from geometry alone: the ends of bodies, each cut off at about the wrist.

A body is a connected surface on a min-pooled grid. Its ends (finger tips or a fist, but also an elbow or a head) are found
by farthest-point sampling (Eldar et al. 1997) along the surface, starting where it enters the image; each end proposes the
surface within a hand's length of it. Proposals are many and cheap on purpose: the network judges them
(`handmap.tracking.detector`), so a nearer elbow or torso does not win. The original HandMap (Wu et al., ECCV 2018) takes
the nearest object within 48 cm.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from handmap.geometry.despeckle import without_specks
from handmap.types.arrays import Array, ArrayModule, Bool, Float32
from handmap.types.values import DepthFrame

POOL_PX = 8
RANSAC_INLIER_MM = 15.0  # cells this close to a wall or table belong to it; a finger lying on it is about this thick
PLANE_AREA_MM2 = 60_000.0  # a large hand with its forearm shows 40,000, so it is never taken for a wall
RANSAC_ITERATIONS = 48
TIP_SEPARATION_MM = (
    220.0  # two ends of a body are at least this far apart; beyond it, distances from the roots are exact enough
)
GAP_MM = 35.0  # neighboring cells further apart than this (beyond the surface's own pitch) belong to different bodies
HAND_REACH_MM = 150.0  # from a finger tip back to just above the wrist, along the surface
MIN_PIECE_MM2 = 1200.0  # a child's fist seen end-on shows about 2,500 mm2
THICK_PIECE_MM2 = 26_000.0  # an open hand of 220 mm with its wrist shows 20,000; a torso's corner 35,000
MAX_ROUNDS = 96  # relaxation steps; a path of 96 cells crosses the whole grid
CONVERGENCE_CHECK_ROUNDS = 8  # checking for convergence costs as much as a step
FAR = np.float32(1e9)


@dataclass(frozen=True)
class RegionProposal:
    """A candidate region: center (3,) in the camera frame, mm, of a possible hand."""

    center_mm: Float32
    area_mm2: float


@dataclass(frozen=True)
class Grid:
    """The min-pooled frame on the host: points (H, W, 3) mm, which cells have one, and each cell's side in mm."""

    xyz_mm: Float32
    is_filled: Bool
    pitch_mm: Float32


def propose_regions(
    xp: ArrayModule, frame: DepthFrame, range_mm: tuple[float, float], max_count: int
) -> list[RegionProposal]:
    """At most `max_count` proposals, most likely first: small separate bodies before parts of large ones, near before far."""
    grid = remove_dominant_plane(pool(xp, frame, range_mm))
    if not grid.is_filled.any():
        return []
    grid, links = _without_specks(grid, _link_lengths(grid))
    distance = _spread(links, _roots(grid), MAX_ROUNDS)
    thin: list[RegionProposal] = []
    thick: list[RegionProposal] = []
    for _ in range(2 * max_count):  # half of the ends can be specks, repeats of an earlier one, or corners of a torso
        tip = _farthest(grid, distance)
        if tip is None or len(thin) == max_count:
            break
        seeds = np.zeros(grid.is_filled.shape, bool)
        seeds[tip] = True
        is_new_body = (
            distance[tip] >= FAR
        )  # then all of it must be reached, or its far parts would count as separate bodies
        from_tip = _spread(links, seeds, MAX_ROUNDS if is_new_body else _rounds_within_reach(grid, tip))
        proposal = _piece(grid, from_tip)
        if proposal is not None and all(_apart_mm(proposal, other) > HAND_REACH_MM / 3 for other in (*thin, *thick)):
            (thin if proposal.area_mm2 < THICK_PIECE_MM2 else thick).append(proposal)
        distance = np.minimum(distance, from_tip)
        distance[from_tip <= HAND_REACH_MM / 2] = 0
    return [*thin, *thick][:max_count]


def pool(xp: ArrayModule, frame: DepthFrame, range_mm: tuple[float, float]) -> Grid:
    """The nearest depth inside range_mm of each 8x8 block, as points in the camera frame."""
    intrinsics = frame.intrinsics
    rows, columns = intrinsics.height_px // POOL_PX, intrinsics.width_px // POOL_PX
    low, high = (np.uint16(min(limit / frame.depth_unit_mm, 65535)) for limit in range_mm)
    blocks = frame.depth[: rows * POOL_PX, : columns * POOL_PX]
    # 0 (not measured) and everything nearer than the range become the farthest value by unsigned wrap-around.
    wrapped = without_specks(xp, blocks - low)
    pooled = wrapped.reshape(rows, POOL_PX, columns * POOL_PX).min(axis=1).reshape(rows, columns, POOL_PX).min(axis=2)
    host = _to_host(pooled).astype(np.float32) + np.float32(low)
    is_filled = host < high
    z = np.where(is_filled, host * np.float32(frame.depth_unit_mm), np.float32(0)).astype(np.float32)
    v, u = np.mgrid[:rows, :columns].astype(np.float32) * POOL_PX + (POOL_PX - 1) / 2
    x = (u - intrinsics.cx_px) / intrinsics.fx_px * z
    y = (v - intrinsics.cy_px) / intrinsics.fy_px * z
    pitch = z * np.float32(POOL_PX / intrinsics.fx_px)
    return Grid(np.stack([x, y, z], axis=-1).astype(np.float32), is_filled, pitch.astype(np.float32))


class _Plane(NamedTuple):
    """The points p with normal . p = offset_mm, and the area of the cells near it."""

    normal: Float32
    offset_mm: np.float32
    inlier_area_mm2: float


def remove_dominant_plane(grid: Grid) -> Grid:
    """The grid without its largest plane, a wall or table, if there is one; this detaches whatever is in front of it."""
    points, areas = grid.xyz_mm[grid.is_filled], grid.pitch_mm[grid.is_filled] ** 2
    if areas.sum() < PLANE_AREA_MM2:
        return grid
    plane = _ransac_plane(points, areas)
    if plane.inlier_area_mm2 < PLANE_AREA_MM2:
        return grid
    is_plane = np.abs(grid.xyz_mm @ plane.normal - plane.offset_mm) < RANSAC_INLIER_MM
    return Grid(grid.xyz_mm, grid.is_filled & ~is_plane, grid.pitch_mm)


def _ransac_plane(points: Float32, areas: Float32) -> _Plane:
    """The dominant plane of points (N, 3) in mm that stand for these areas (N,) in mm^2.

    RANSAC (Fischler and Bolles 1981): of planes through random triples of points, the one with the largest inlier area wins.
    The random seed is fixed.
    """
    corners = points[np.random.default_rng(0).integers(0, len(points), (RANSAC_ITERATIONS, 3))]  # (K, 3, xyz)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    offsets = (normals * corners[:, 0]).sum(axis=1)
    near_areas = (np.abs(points @ normals.T - offsets) < RANSAC_INLIER_MM).T @ areas  # (K,)
    best = int(np.argmax(near_areas))
    return _Plane(normals[best], offsets[best], float(near_areas[best]))


def _roots(grid: Grid) -> Bool:
    """Where distances start: cells on the image border, where a forearm enters, and the farthest cell of all."""
    roots = np.zeros(grid.is_filled.shape, bool)
    roots[[0, -1], :] = True
    roots[:, [0, -1]] = True
    roots &= grid.is_filled
    farthest = np.unravel_index(np.argmax(np.where(grid.is_filled, grid.xyz_mm[..., 2], 0)), roots.shape)
    roots[farthest] = True
    return roots


_STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))


def _link_lengths(grid: Grid) -> list[Float32]:
    """For each of four directions, the length (H, W) in mm of the link from a cell to its neighbor, FAR if there is none."""
    height, width = grid.is_filled.shape
    lengths: list[Float32] = []
    for down, right in _STEPS:
        length = np.full((height, width), FAR, np.float32)
        here, there = _overlap(height, width, down, right)
        both = grid.is_filled[here] & grid.is_filled[there]
        away = np.sqrt(((grid.xyz_mm[here] - grid.xyz_mm[there]) ** 2).sum(axis=-1))
        jump = np.abs(grid.xyz_mm[here][..., 2] - grid.xyz_mm[there][..., 2])
        length[here] = np.where(both & (jump < GAP_MM + grid.pitch_mm[here]), away, FAR)
        lengths.append(length)
    return lengths


def _without_specks(grid: Grid, links: list[Float32]) -> tuple[Grid, list[Float32]]:
    """The grid without cells that have fewer than two linked neighbors: flying pixels and stray returns."""
    height, width = grid.is_filled.shape
    neighbors = np.zeros((height, width), np.uint8)
    for step, link in zip(_STEPS, links, strict=True):
        here, there = _overlap(height, width, *step)
        is_linked = link[here] < FAR
        neighbors[here] += is_linked
        neighbors[there] += is_linked
    is_kept = grid.is_filled & (neighbors >= 2)
    kept_links: list[Float32] = []
    for step, link in zip(_STEPS, links, strict=True):
        here, there = _overlap(height, width, *step)
        kept = np.full((height, width), FAR, np.float32)
        kept[here] = np.where(is_kept[here] & is_kept[there], link[here], FAR)
        kept_links.append(kept)
    return Grid(grid.xyz_mm, is_kept, grid.pitch_mm), kept_links


def _rounds_within_reach(grid: Grid, tip: tuple[int, int]) -> int:
    """Relaxation steps needed to get TIP_SEPARATION_MM away from a cell."""
    return min(int(TIP_SEPARATION_MM / float(grid.pitch_mm[tip])) + 1, MAX_ROUNDS)


def _spread(links: list[Float32], seeds: Bool, rounds: int) -> Float32:
    """Length (H, W) in mm of the shortest path along the surface from any seed; FAR if none is found within `rounds` steps."""
    height, width = seeds.shape
    distance = np.where(seeds, np.float32(0), FAR)
    spans = [(_overlap(height, width, *step), link) for step, link in zip(_STEPS, links, strict=True)]
    steps = [(distance[here], distance[there], link[here]) for (here, there), link in spans]
    before = distance.copy()
    for number in range(1, rounds + 1):
        for here_mm, there_mm, step_mm in steps:
            np.minimum(there_mm, here_mm + step_mm, out=there_mm)
            np.minimum(here_mm, there_mm + step_mm, out=here_mm)
        if number % CONVERGENCE_CHECK_ROUNDS == 0:
            if np.array_equal(before, distance):
                break
            np.copyto(before, distance)
    return distance


def _farthest(grid: Grid, distance: Float32) -> tuple[int, int] | None:
    """The next end: the cell farthest from all roots and ends so far; unreached bodies come first."""
    open_cells = grid.is_filled & (distance > HAND_REACH_MM / 2)
    if not open_cells.any():
        return None
    # An unreached body starts at its nearest cell: a hand held out ends toward the camera.
    nearness = 2000 - grid.xyz_mm[..., 2]
    score = np.where(open_cells, np.where(distance >= FAR, 10000 + nearness, distance), -1)
    row, column = np.unravel_index(int(np.argmax(score)), score.shape)
    return int(row), int(column)


def _piece(grid: Grid, from_tip: Float32) -> RegionProposal | None:
    """The surface within a hand's length of an end, if large enough to be a hand."""
    piece = (from_tip <= HAND_REACH_MM) & grid.is_filled
    area_mm2 = float((grid.pitch_mm[piece] ** 2).sum())
    if area_mm2 < MIN_PIECE_MM2:
        return None
    points = grid.xyz_mm[piece]
    center = (points.min(axis=0) + points.max(axis=0)) / 2
    return RegionProposal(center.astype(np.float32), area_mm2)


def _apart_mm(first: RegionProposal, second: RegionProposal) -> float:
    return float(np.linalg.norm(first.center_mm - second.center_mm))


def _overlap(height: int, width: int, down: int, right: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Slices of the cells that have a neighbor `down` rows and `right` columns away, and of those neighbors."""
    rows, below = slice(0, height - down), slice(down, height)
    left, shifted = slice(max(0, -right), width - max(0, right)), slice(max(0, right), width - max(0, -right))
    return (rows, left), (below, shifted)


def _to_host(array: Array) -> Array:
    return array.get() if hasattr(array, "get") else array
