"""The steps from a depth frame to region proposals, each against what it is meant to compute."""

import heapq
import math
from dataclasses import replace

import numpy as np
import pytest

from handmap.tracking import region_proposals as steps
from handmap.tracking.region_proposals import Grid, pool, propose_regions, remove_dominant_plane
from handmap.types.arrays import Bool, Float32, Uint16
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame
from tests.support.drawn_scenes import scene

INTRINSICS = Intrinsics(640, 480, 475.0, 450.0, 311.0, 243.0)
RANGE_MM = (150.0, 1000.0)
FAR = steps.FAR


def frame_of(depth: Uint16, unit_mm: float = 1.0) -> DepthFrame:
    return DepthFrame(depth, unit_mm, INTRINSICS, 0, 0)


def flat_grid(rows: int, columns: int, pitch_mm: float = 10.0, z_mm: float = 500.0) -> Grid:
    """A plane across the line of sight."""
    v, u = np.mgrid[:rows, :columns].astype(np.float32) * np.float32(pitch_mm)
    xyz_mm = np.stack([u, v, np.full_like(u, z_mm)], axis=-1)
    return Grid(xyz_mm, np.ones((rows, columns), bool), np.full((rows, columns), pitch_mm, np.float32))


def only(grid: Grid, is_filled: Bool) -> Grid:
    return replace(grid, is_filled=grid.is_filled & is_filled)


# ---- pooling


def test_a_cell_is_the_nearest_depth_of_its_block_as_a_point_in_the_camera_frame() -> None:
    depth: Uint16 = np.zeros((480, 640), np.uint16)
    depth[80:88, 400:408] = 2400
    depth[82:86, 402:406] = 2000  # as large as a patch must be that is no speck

    grid = pool(np, frame_of(depth, 0.25), RANGE_MM)

    assert np.argwhere(grid.is_filled).tolist() == [[10, 50]]
    u, v = 403.5, 83.5
    wanted = ((u - 311) / 475 * 500, (v - 243) / 450 * 500, 500)
    np.testing.assert_allclose(grid.xyz_mm[10, 50], wanted, rtol=1e-5)
    assert grid.pitch_mm[10, 50] == pytest.approx(8 / 475 * 500)


@pytest.mark.parametrize(("z_mm", "is_seen"), [(149, False), (151, True), (999, True), (1001, False), (0, False)])
def test_only_depth_in_range_fills_cells(z_mm: int, is_seen: bool) -> None:
    grid = pool(np, frame_of(np.full((480, 640), z_mm, np.uint16)), RANGE_MM)

    assert grid.is_filled.all() == grid.is_filled.any() == is_seen
    assert grid.is_filled.shape == (60, 80)


def test_what_is_too_near_does_not_hide_what_is_in_range() -> None:
    depth: Uint16 = np.full((480, 640), 500, np.uint16)
    depth[80:84, 400:408] = 100

    assert pool(np, frame_of(depth), RANGE_MM).xyz_mm[10, 50, 2] == 500


# ---- the dominant plane


def wall_and_box(wall_side_cells: int, box_before_mm: float, tilt: float = 0.0) -> Grid:
    """A square of wall and, right of it, a small box nearer to the camera."""
    grid = flat_grid(40, 60)
    is_wall, is_box = np.zeros((2, 40, 60), bool)
    is_wall[:wall_side_cells, :wall_side_cells] = True
    is_box[5:8, 45:48] = True
    grid.xyz_mm[..., 2] += tilt * grid.xyz_mm[..., 0]
    grid.xyz_mm[is_box, 2] -= box_before_mm
    return only(grid, is_wall | is_box)


@pytest.mark.parametrize("tilt", [0.0, 0.5])
def test_the_largest_plane_is_removed_and_what_stands_before_it_stays(tilt: float) -> None:
    grid = wall_and_box(wall_side_cells=30, box_before_mm=200, tilt=tilt)

    left = remove_dominant_plane(grid)

    assert left.is_filled[5:8, 45:48].all() and left.is_filled.sum() == 9


def test_a_plane_no_larger_than_a_hand_with_its_forearm_stays() -> None:
    grid = wall_and_box(wall_side_cells=23, box_before_mm=200)  # 52,900 mm2; all that is filled is below the limit

    np.testing.assert_array_equal(remove_dominant_plane(grid).is_filled, grid.is_filled)


def test_a_plane_below_the_limit_stays_even_where_much_else_is_filled() -> None:
    grid = flat_grid(40, 60)
    random = np.random.default_rng(1)
    grid.xyz_mm[..., 2] += random.uniform(0, 900, (40, 60)).astype(np.float32)  # no plane holds a fifth of this

    np.testing.assert_array_equal(remove_dominant_plane(grid).is_filled, grid.is_filled)


@pytest.mark.parametrize(("before_mm", "stays"), [(14.0, False), (25.0, True)])
def test_what_lies_on_a_table_no_thicker_than_a_finger_goes_with_it(before_mm: float, stays: bool) -> None:
    grid = wall_and_box(wall_side_cells=30, box_before_mm=before_mm)

    assert remove_dominant_plane(grid).is_filled[5:8, 45:48].any() == stays


# ---- distances along the surface


def dijkstra(grid: Grid, seeds: Bool) -> Float32:
    """Shortest ways over links of neighboring cells, as a textbook does it."""
    height, width = grid.is_filled.shape
    distance = np.full((height, width), math.inf)
    queue = [(0.0, int(r), int(c)) for r, c in np.argwhere(seeds)]
    while queue:
        so_far, row, column = heapq.heappop(queue)
        if so_far >= distance[row, column]:
            continue
        distance[row, column] = so_far
        for r in range(max(row - 1, 0), min(row + 2, height)):
            for c in range(max(column - 1, 0), min(column + 2, width)):
                if (r, c) != (row, column) and is_linked(grid, (row, column), (r, c)):
                    step = float(np.linalg.norm(grid.xyz_mm[row, column] - grid.xyz_mm[r, c]))
                    heapq.heappush(queue, (so_far + step, r, c))
    return np.where(np.isinf(distance), FAR, distance).astype(np.float32)


def is_linked(grid: Grid, one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Both filled, and no farther apart in depth than a gap beyond the surface's own pitch."""
    jump_mm = abs(float(grid.xyz_mm[one][2] - grid.xyz_mm[other][2]))
    first = min(one, other)
    return bool(grid.is_filled[one] and grid.is_filled[other] and jump_mm < steps.GAP_MM + grid.pitch_mm[first])


@pytest.mark.parametrize("seed", range(4))
def test_distances_are_those_of_the_shortest_ways_along_the_surface(seed: int) -> None:
    random = np.random.default_rng(seed)
    grid = flat_grid(14, 18)
    grid.xyz_mm[..., 2] += random.uniform(0, 70, (14, 18)).astype(np.float32)
    grid = only(grid, random.uniform(size=(14, 18)) < 0.7)
    seeds = np.zeros((14, 18), bool)
    seeds[tuple(np.argwhere(grid.is_filled)[0])] = True

    found = steps._spread(steps._link_lengths(grid), seeds, steps.MAX_ROUNDS)

    np.testing.assert_allclose(found, dijkstra(grid, seeds), rtol=1e-5)


def test_a_way_longer_than_the_rounds_is_not_walked_to_its_end() -> None:
    grid = flat_grid(1, 40)
    seeds = np.zeros((1, 40), bool)
    seeds[0, 39] = True

    distance = steps._spread(steps._link_lengths(grid), seeds, 5)

    assert distance[0, 34] == 50 and distance[0, 33] == FAR


@pytest.mark.parametrize(("jump_mm", "is_one_body"), [(40.0, True), (50.0, False)])
def test_a_jump_in_depth_beyond_gap_and_pitch_parts_two_bodies(jump_mm: float, is_one_body: bool) -> None:
    grid = flat_grid(4, 8, pitch_mm=10)  # 35 mm of gap and 10 mm of pitch
    grid.xyz_mm[:, 4:, 2] += np.float32(jump_mm)
    seeds = np.zeros((4, 8), bool)
    seeds[0, 0] = True

    distance = steps._spread(steps._link_lengths(grid), seeds, steps.MAX_ROUNDS)

    assert (distance[:, 4:] < FAR).all() == is_one_body


# ---- where distances start, which end is next, what belongs to it


def test_distances_start_at_the_image_border_and_at_the_farthest_cell() -> None:
    grid = flat_grid(12, 16)
    grid.xyz_mm[5, 7, 2] = 800
    is_filled = np.ones((12, 16), bool)
    is_filled[0, 3] = False
    roots = steps._roots(only(grid, is_filled))

    border = np.ones((12, 16), bool)
    border[1:-1, 1:-1] = False
    border[0, 3] = False
    border[5, 7] = True
    np.testing.assert_array_equal(roots, border)


def test_cells_with_fewer_than_two_neighbors_are_dropped_with_their_links() -> None:
    grid = flat_grid(6, 10)
    is_filled = np.zeros((6, 10), bool)
    is_filled[1:3, 1:3] = True  # a body: each cell has three neighbors
    is_filled[3, 3] = True  # touches it at one corner only
    is_filled[0, 8] = is_filled[1, 8] = True  # a pair: one neighbor each
    grid = only(grid, is_filled)

    kept, links = steps._without_specks(grid, steps._link_lengths(grid))

    assert np.argwhere(kept.is_filled).tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]
    assert sum(int((link < FAR).sum()) for link in links) == 6  # two along, two down, one of each diagonal


def test_the_next_end_is_the_nearest_cell_of_a_body_that_nothing_reached() -> None:
    grid = flat_grid(6, 8)
    distance = np.full((6, 8), 100, np.float32)
    distance[:, 5:] = FAR
    grid.xyz_mm[4, 6, 2] = 400
    grid.xyz_mm[2, 1, 2] = 300
    distance[2, 1] = 900

    assert steps._farthest(grid, distance) == (4, 6)

    distance[:, 5:] = 100
    assert steps._farthest(grid, distance) == (2, 1)


def test_what_lies_within_half_a_hand_of_an_end_is_no_end() -> None:
    grid = flat_grid(6, 8)
    half_mm = steps.HAND_REACH_MM / 2

    assert steps._farthest(grid, np.full((6, 8), half_mm, np.float32)) is None
    assert steps._farthest(grid, np.full((6, 8), half_mm + 1, np.float32)) is not None
    assert steps._farthest(only(grid, np.zeros((6, 8), bool)), np.full((6, 8), FAR)) is None


def test_a_piece_is_what_lies_within_a_hand_of_the_end_and_its_center_the_middle_of_its_box() -> None:
    grid = flat_grid(20, 40)
    from_tip = np.broadcast_to(np.arange(40, dtype=np.float32) * 10, (20, 40)).copy()

    piece = steps._piece(grid, from_tip)

    assert piece is not None
    assert piece.area_mm2 == 16 * 20 * 100  # columns 0 to 150 mm
    np.testing.assert_allclose(piece.center_mm, (75, 95, 500))


@pytest.mark.parametrize(("cells", "is_large_enough"), [(11, False), (12, True)])
def test_a_piece_smaller_than_a_child_s_fist_is_dropped(cells: int, is_large_enough: bool) -> None:
    grid = flat_grid(1, 40)
    from_tip = np.where(np.arange(40) < cells, 0, FAR).astype(np.float32)[None]

    assert (steps._piece(grid, from_tip) is not None) == is_large_enough


def test_ends_are_walked_as_far_as_tips_are_told_apart() -> None:
    grid = flat_grid(4, 4, pitch_mm=7.0)

    assert steps._rounds_within_reach(grid, (0, 0)) == int(220 / 7) + 1
    assert steps._rounds_within_reach(replace(grid, pitch_mm=grid.pitch_mm / np.float32(10)), (0, 0)) == 96


# ---- all of it


def test_small_ends_come_before_pieces_of_large_bodies_and_near_ones_first() -> None:
    hand, other, torso = (-250, -150, 650, 45), (200, -150, 550, 45), (0, 120, 800, 170)

    found = propose_regions(np, before_a_wall(scene(hand, other, torso), 950), RANGE_MM, 6)

    assert [_of(one.center_mm, (other, hand)) for one in found[:2]] == [0, 1]
    thick = [one.area_mm2 >= 26_000 for one in found]
    assert thick == sorted(thick) and any(thick)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_there_are_never_more_proposals_than_asked_for(count: int) -> None:
    balls = [(x, y, 500.0 + abs(x), 45.0) for x in (-220, -70, 80, 230) for y in (-120, 60)]

    assert len(propose_regions(np, scene(*balls), RANGE_MM, count)) == count


def test_no_two_proposals_are_the_same_place() -> None:
    found = propose_regions(np, scene((0, 0, 500, 60), (40, 300, 500, 200)), RANGE_MM, 6)

    apart = [
        float(np.linalg.norm(one.center_mm - other.center_mm))
        for index, one in enumerate(found)
        for other in found[:index]
    ]
    assert len(found) > 1 and min(apart) > 50


def before_a_wall(frame: DepthFrame, z_mm: int) -> DepthFrame:
    """The frame with a wall behind what is in it, larger than anything else: the plane that is removed."""
    return replace(frame, depth=np.where(frame.depth == 0, z_mm, frame.depth).astype(np.uint16))


def _of(center_mm: Float32, balls: tuple[tuple[float, float, float, float], ...]) -> int:
    """Which ball a place is on."""
    return int(np.argmin([np.linalg.norm(center_mm - ball[:3]) for ball in balls]))


def test_a_range_beyond_sixteen_bits_of_a_fine_unit_is_no_limit() -> None:
    grid = pool(np, frame_of(np.full((480, 640), 60_000, np.uint16), 0.01), RANGE_MM)

    assert grid.is_filled.all() and grid.xyz_mm[0, 0, 2] == pytest.approx(600)
