"""Geometric region proposals on scenes drawn from spheres and slabs."""

import numpy as np
import pytest

from handmap.tracking.region_proposals import propose_regions
from handmap.types.arrays import Float32, Uint16
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame

INTRINSICS = Intrinsics(640, 480, 475.0, 475.0, 319.5, 239.5)
RANGE_MM = (150.0, 1000.0)


def empty_image() -> Uint16:
    return np.zeros((480, 640), np.uint16)


def draw_ball(depth: Uint16, center_mm: tuple[float, float, float], radius_mm: float) -> None:
    """Draws a disc of constant depth with a ball's outline; nearer things win."""
    x, y, z = center_mm
    v, u = np.mgrid[:480, :640]
    inside = (u - INTRINSICS.cx_px - x / z * INTRINSICS.fx_px) ** 2 + (
        v - INTRINSICS.cy_px - y / z * INTRINSICS.fy_px
    ) ** 2 < (radius_mm / z * INTRINSICS.fx_px) ** 2
    depth[inside & ((depth == 0) | (depth > z))] = int(z)


def draw_arm(depth: Uint16, start_mm: Float32, end_mm: Float32, radius_mm: float) -> None:
    for share in np.linspace(0, 1, 60):
        x, y, z = (1 - share) * start_mm + share * end_mm
        draw_ball(depth, (float(x), float(y), float(z)), radius_mm)


def nearest_proposal_mm(depth: Uint16, place_mm: tuple[float, float, float]) -> float:
    max_proposals = propose_regions(np, DepthFrame(depth, 1.0, INTRINSICS, 0, 0), RANGE_MM, 5)
    return min((float(np.linalg.norm(p.center_mm - np.array(place_mm))) for p in max_proposals), default=float("inf"))


def test_nothing_in_range_gives_no_proposal() -> None:
    depth = empty_image()
    draw_ball(depth, (0, 0, 1400), 300)

    max_proposals = propose_regions(np, DepthFrame(depth, 1.0, INTRINSICS, 0, 0), RANGE_MM, 5)

    assert max_proposals == []


def test_an_empty_frame_gives_no_proposal() -> None:
    assert propose_regions(np, DepthFrame(empty_image(), 1.0, INTRINSICS, 0, 0), RANGE_MM, 5) == []


def test_specks_are_not_proposed() -> None:
    depth = empty_image()
    rng = np.random.default_rng(0)
    depth[rng.integers(0, 480, 40), rng.integers(0, 640, 40)] = 500

    assert propose_regions(np, DepthFrame(depth, 1.0, INTRINSICS, 0, 0), RANGE_MM, 5) == []


@pytest.mark.parametrize("unit_mm", [1.0, 0.125])
def test_a_hand_alone_is_proposed(unit_mm: float) -> None:
    depth = empty_image()
    draw_ball(depth, (50, -20, 450), 60)
    raw = (depth / unit_mm).astype(np.uint16)

    max_proposals = propose_regions(np, DepthFrame(raw, unit_mm, INTRINSICS, 0, 0), RANGE_MM, 5)

    assert np.linalg.norm(max_proposals[0].center_mm - (50, -20, 450)) < 60


def test_the_end_of_an_arm_that_enters_the_image_is_proposed() -> None:
    depth = empty_image()
    draw_arm(depth, np.array([300.0, 350, 600]), np.array([0.0, 0, 420]), 32)

    assert nearest_proposal_mm(depth, (15, 20, 430)) < 80


def test_a_nearer_torso_does_not_hide_the_hand() -> None:
    depth = empty_image()
    draw_ball(depth, (-250, 150, 380), 160)
    draw_arm(depth, np.array([350.0, 350, 700]), np.array([150.0, -50, 600]), 35)

    assert nearest_proposal_mm(depth, (165, -20, 610)) < 90


def test_a_hand_in_front_of_a_wall_is_proposed() -> None:
    depth = np.full((480, 640), 800, np.uint16)
    draw_arm(depth, np.array([0.0, 400, 600]), np.array([0.0, 0, 500]), 35)

    assert nearest_proposal_mm(depth, (0, 30, 510)) < 90


def test_a_large_body_does_not_use_up_all_proposals() -> None:
    depth = empty_image()
    draw_ball(depth, (-60, 0, 500), 240)
    draw_ball(depth, (280, 150, 600), 45)

    assert nearest_proposal_mm(depth, (280, 150, 600)) < 50


def test_a_wall_close_behind_does_not_swallow_the_hand() -> None:
    v, u = np.mgrid[:480, :640]
    depth = (560 + 0.2 * u + 0.1 * v).astype(np.uint16)
    draw_arm(depth, np.array([30.0, 400, 600]), np.array([30.0, 20, 560]), 32)

    assert nearest_proposal_mm(depth, (30, 60, 565)) < 60


def test_a_flat_hand_alone_is_not_removed_as_a_wall() -> None:
    depth = empty_image()
    draw_arm(depth, np.array([0.0, 120, 400]), np.array([0.0, -60, 400]), 45)

    assert nearest_proposal_mm(depth, (0, -20, 400)) < 80
