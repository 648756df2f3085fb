"""The z-buffer against slow and simple reference drawings."""

import math

import numpy as np
import pytest

from handmap.types.arrays import Bool, Float32, Float64
from training.compiled import IntArray
from training.hand.hand_model import load_hand_asset, pose_hand, shape_hand
from training.hand.poses import sample_pose
from training.synthesis.render import cut_forearm, draw_ellipsoid, draw_mesh, draw_plane, skin

INTRINSICS = np.array([150.0, 152.0, 47.3, 35.8])
HEIGHT, WIDTH = 72, 96


def empty() -> tuple[Float32, Bool]:
    """A z-buffer and its mask with nothing in them."""
    return np.zeros((HEIGHT, WIDTH), np.float32), np.zeros((HEIGHT, WIDTH), np.bool_)


def rays() -> Float64:
    """Points (H, W, 3) at z = 1 that the pixels look through."""
    row, column = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack(
        [(column - INTRINSICS[2]) / INTRINSICS[0], (row - INTRINSICS[3]) / INTRINSICS[1], np.ones((HEIGHT, WIDTH))],
        axis=-1,
    )


def slow_mesh(xyz: Float64, triangles: IntArray) -> Float64:
    """Nearest hit (H, W) of every pixel's ray with every triangle (Moeller-Trumbore), inf where there is none."""
    nearest = np.full((HEIGHT, WIDTH), np.inf)
    direction = rays()
    for a, b, c in xyz[triangles]:
        across = np.cross(direction, c - a)
        determinant = across @ (b - a)
        with np.errstate(divide="ignore", invalid="ignore"):
            u = (across @ -a) / determinant
            along = np.cross(-a, b - a)
            v = (direction @ along) / determinant
            z = ((c - a) @ along) / determinant
        hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (z > 0)
        nearest = np.where(hit & (z < nearest), z, nearest)
    return nearest


def hand_vertices(seed: int) -> Float32:
    """Skin of a random hand 400 mm before the camera, palm to it."""
    asset = load_hand_asset()
    random = np.random.default_rng(seed)
    shape = shape_hand(asset, asset.coefficients[seed])
    hand = sample_pose(asset, shape.anchors_mm, random)[1]
    offsets = hand.offsets_mm + np.array([0.0, 40.0, 400.0])
    return skin(shape.vertices_mm, asset.weight_bones, asset.weights, hand.rotations, offsets)


@pytest.mark.parametrize("seed", [0, 1])
def test_mesh_agrees_with_ray_casting(seed: int) -> None:
    triangles = load_hand_asset().triangles
    xyz = hand_vertices(seed)
    z_mm, is_hand = empty()

    draw_mesh(z_mm, is_hand, xyz, triangles, INTRINSICS)

    expected = slow_mesh(xyz.astype(np.float64), triangles)
    both = np.isfinite(expected) & is_hand
    assert np.mean(np.isfinite(expected) != is_hand) < 0.002  # pixels cut exactly by an outline
    assert np.mean(np.abs(expected[both] - z_mm[both]) < 0.01) > 0.995  # mm


def test_nearest_surface_wins_in_either_order() -> None:
    asset = load_hand_asset()
    near, far = hand_vertices(2), hand_vertices(2) + np.array([0, 0, 60], np.float32)
    first, first_mask = empty()
    second, second_mask = empty()
    alone = [empty(), empty()]

    draw_mesh(first, first_mask, near, asset.triangles, INTRINSICS)
    draw_mesh(first, first_mask, far, asset.triangles, INTRINSICS)
    draw_mesh(second, second_mask, far, asset.triangles, INTRINSICS)
    draw_mesh(second, second_mask, near, asset.triangles, INTRINSICS)
    for xyz, (z_mm, is_hand) in zip((near, far), alone, strict=True):
        draw_mesh(z_mm, is_hand, xyz, asset.triangles, INTRINSICS)

    nearest = np.min([np.where(is_hand, z_mm, np.inf) for z_mm, is_hand in alone], axis=0)
    assert np.array_equal(first, second) and np.array_equal(first_mask, second_mask)
    assert np.array_equal(first, np.where(np.isfinite(nearest), nearest, 0))


def test_ellipsoid_agrees_with_its_equation() -> None:
    center, radii = np.array([20.0, -10.0, 300.0]), np.array([40.0, 60.0, 30.0])
    z_mm, is_hand = empty()

    draw_ellipsoid(z_mm, is_hand, center, radii, INTRINSICS)

    points = (rays() * z_mm[..., None])[z_mm > 0]
    assert len(points) > 500
    assert (((points - center) / radii) ** 2).sum(axis=1) == pytest.approx(1, abs=1e-3)
    assert np.all((points - center) @ np.array([0, 0, 1.0]) < 12)  # the near half
    assert not is_hand.any()


def test_plane_lies_behind_what_was_drawn() -> None:
    normal = np.array([math.sin(0.3), 0.0, math.cos(0.3)])
    z_mm, is_hand = empty()
    z_mm[10, 10], is_hand[10, 10] = 200, True

    draw_plane(z_mm, is_hand, normal, 500.0, INTRINSICS)

    points = rays() * z_mm[..., None]
    others = np.ones((HEIGHT, WIDTH), bool)
    others[10, 10] = False
    assert points[others] @ normal == pytest.approx(500, abs=0.01)
    assert z_mm[10, 10] == 200 and is_hand[10, 10]


def test_forearm_is_cut_and_the_hand_left_alone() -> None:
    shape = shape_hand(load_hand_asset(), np.zeros(16))
    elbow = shape.anchors_mm[-1]
    along = elbow / np.linalg.norm(elbow)

    cut = cut_forearm(shape.vertices_mm, elbow, 60.0)

    before = shape.vertices_mm @ along
    assert (cut @ along).max() == pytest.approx(60, abs=0.01)  # mm
    assert np.array_equal(cut[before < 60], shape.vertices_mm[before < 60])


def test_skin_follows_rigid_motion() -> None:
    asset = load_hand_asset()
    shape = shape_hand(asset, np.zeros(16))
    angles = np.zeros((19, 3))
    angles[:, 0] = asset.rest_flexion  # rest

    hand = pose_hand(asset, shape.anchors_mm, angles)

    moved = skin(shape.vertices_mm, asset.weight_bones, asset.weights, hand.rotations, hand.offsets_mm)
    assert moved == pytest.approx(shape.vertices_mm, abs=1e-3)  # mm
