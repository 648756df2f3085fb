"""What each guidance map shows, on hands small enough to reason about."""

import numpy as np
import pytest

from handmap.types.arrays import Float32
from training.network.guidance import (
    CUBE_SIDE,
    HandCells,
    euclidean_closeness,
    geodesic_maps,
    heatmaps,
    joint_cells,
    make_maps,
    offset_maps,
    reduce_to_cells,
    signed_silhouette_distance,
    voxel_offset_maps,
    weighted_geodesic_maps,
)
from training.network.network import GUIDANCE_CHANNELS

SIZE = 32


def center_of(row: int, column: int, z: float = 0.0) -> Float32:
    """The joint (1, 1, 3) at the center of a cell."""
    return np.array([[[(2 * column + 1) / SIZE - 1, (2 * row + 1) / SIZE - 1, z]]], np.float32)


@pytest.fixture
def fingers() -> HandCells:
    """A palm with two parallel fingers, three cells wide and three apart, all at depth 0."""
    is_hand = np.zeros((1, SIZE, SIZE), np.bool_)
    is_hand[0, 20:28, 8:20] = True
    is_hand[0, 4:20, 9:12] = is_hand[0, 4:20, 15:18] = True
    return HandCells(is_hand, np.where(is_hand, 0, 1).astype(np.float32))


@pytest.mark.parametrize("kind", ["dist2", "edt2", "edt2m", "heatmap"])
def test_a_map_is_one_at_its_joint(fingers: HandCells, kind: str) -> None:
    maps = make_maps(kind, fingers, center_of(5, 10))  # type: ignore[arg-type]  # a literal from the list above

    assert maps[0, 0, 5, 10] == pytest.approx(1, abs=1e-4)
    assert maps[0, 0].argmax() == 5 * SIZE + 10


def test_neighboring_fingertips_are_far_along_the_silhouette_and_near_in_space(fingers: HandCells) -> None:
    geodesic = geodesic_maps(fingers, center_of(5, 10))[0, 0]
    euclidean = euclidean_closeness(fingers, center_of(5, 10))[0, 0]

    assert euclidean[5, 16] > 0.75
    assert geodesic[5, 16] < 0.2


def test_the_geodesic_ignores_depth_and_the_weighted_one_does_not(fingers: HandCells) -> None:
    rng = np.random.default_rng(0)
    moved = HandCells(fingers.is_hand, rng.uniform(-1, 1, fingers.depth.shape).astype(np.float32))
    joint = center_of(5, 10)

    assert np.array_equal(geodesic_maps(fingers, joint), geodesic_maps(moved, joint))
    assert not np.array_equal(weighted_geodesic_maps(fingers, joint), weighted_geodesic_maps(moved, joint))


def test_islands_are_zero(fingers: HandCells) -> None:
    fingers.is_hand[0, 10, 28:30] = True

    maps = geodesic_maps(fingers, center_of(5, 10))

    assert not maps[0, 0, 10, 28:30].any()
    assert euclidean_closeness(fingers, center_of(5, 10))[0, 0, 10, 28:30].all()


@pytest.mark.parametrize("column", [2, 5, 7])
def test_a_joint_off_the_silhouette_has_a_map_below_one(fingers: HandCells, column: int) -> None:
    maps = geodesic_maps(fingers, center_of(24, column))

    assert 0.3 < maps.max() < 1


def test_a_joint_outside_the_cube_starts_at_the_border(fingers: HandCells) -> None:
    joint = np.array([[[-1.3, 0.2, 0.0]]], np.float32)

    assert joint_cells(joint).tolist() == [[[19, 0]]]
    assert 0 < geodesic_maps(fingers, joint).max() < 1


def test_the_weighted_geodesic_is_the_product(fingers: HandCells) -> None:
    joint = center_of(9, 16, 0.3)

    expected = geodesic_maps(fingers, joint) * euclidean_closeness(fingers, joint)

    assert np.array_equal(weighted_geodesic_maps(fingers, joint), expected)


def test_euclidean_closeness_is_linear_in_the_3d_distance(fingers: HandCells) -> None:
    joint = center_of(5, 10, 0.5)

    found = euclidean_closeness(fingers, joint)[0, 0, 25, 10]

    distance = np.hypot(20 * 2 / SIZE, 0.5)
    assert found == pytest.approx((CUBE_SIDE - distance) / CUBE_SIDE, abs=1e-6)


def test_offsets_point_from_the_surface_to_the_joint(fingers: HandCells) -> None:
    joint = center_of(5, 10, -0.4)
    maps = offset_maps(fingers, joint)
    distance = CUBE_SIDE * (1 - maps[:, 0])
    surface = np.array([(2 * 10 + 1) / SIZE - 1, (2 * 22 + 1) / SIZE - 1, 0])

    reached = surface + distance[0, 22, 10] * maps[0, 1:4, 22, 10]

    np.testing.assert_allclose(reached, joint[0, 0], atol=1e-5)
    assert not maps[0, :, 0, 0].any()


def test_voxel_offsets_point_from_the_voxel_to_the_joint() -> None:
    is_occupied = np.zeros((1, 8, 8, 8), np.bool_)
    is_occupied[0, 2, 3, 4] = True
    joint = np.array([[[0.1, -0.2, 0.3]]], np.float32)

    maps = voxel_offset_maps(is_occupied, joint)[0]

    voxel = (2 * np.array([4, 3, 2]) + 1) / 8 - 1
    reached = voxel + CUBE_SIDE * (1 - maps[0, 2, 3, 4]) * maps[1:4, 2, 3, 4]
    np.testing.assert_allclose(reached, joint[0, 0], atol=1e-5)
    assert np.count_nonzero(maps.any(axis=0)) == 1


def test_signed_silhouette_distance_is_positive_inside_and_negative_outside(fingers: HandCells) -> None:
    signed = signed_silhouette_distance(fingers.is_hand)[0]

    assert ((signed > 0) == fingers.is_hand[0]).all()
    assert signed[5, 10] == pytest.approx(2 * CUBE_SIDE / SIZE)
    assert signed[24, 5] == pytest.approx(-3 * CUBE_SIDE / SIZE)


def test_a_heatmap_does_not_leak_depth(fingers: HandCells) -> None:
    assert np.array_equal(heatmaps(fingers, center_of(5, 10, -0.8)), heatmaps(fingers, center_of(5, 10, 0.8)))


def test_a_cell_belongs_to_the_hand_if_half_its_pixels_do() -> None:
    depth = np.ones((1, 128, 128), np.float32)
    is_hand = np.zeros((1, 128, 128), np.bool_)
    is_hand[0, 0:2, 0:4] = True  # half of cell (0, 0)
    is_hand[0, 0, 4:8] = is_hand[0, 1, 4:7] = True  # 7 of 16 of cell (0, 1)
    depth[is_hand] = 0.25

    cells = reduce_to_cells(depth, is_hand)

    assert cells.is_hand[0, 0, :3].tolist() == [True, False, False]
    assert cells.depth[0, 0, :3].tolist() == [0.25, 1, 1]


@pytest.mark.parametrize("kind", list(GUIDANCE_CHANNELS))
def test_every_kind_fills_the_channels_that_the_network_predicts(fingers: HandCells, kind: str) -> None:
    joints = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 21, 3)).astype(np.float32)

    maps = make_maps(kind, fingers, joints)  # type: ignore[arg-type]  # the keys are the kinds

    assert maps.shape == (1, GUIDANCE_CHANNELS[kind], SIZE, SIZE)  # type: ignore[index]
    assert maps.dtype == np.float32 and np.isfinite(maps).all()
