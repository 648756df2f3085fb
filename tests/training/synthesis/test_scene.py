"""Every switch of a placement does what it says; off, it draws nothing."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from handmap.types.intrinsics import project
from training.hand.hand_model import load_hand_asset, shape_hand
from training.hand.poses import sample_any_pose
from training.synthesis.observe import observe
from training.synthesis.placement import WHOLE, Placement
from training.synthesis.scene import (
    CUBE_MM,
    FULL_IMAGE,
    HEIGHT_PX,
    MIN_JOINT_MM,
    WIDTH_PX,
    Scene,
    center_of,
    draw_scene,
    render_scene,
)
from training.synthesis.sensor import draw_sensor
from training.synthesis.worn import draw_clothes

ASSET = load_hand_asset()
MEAN = shape_hand(ASSET, np.zeros(16))
COUNT = 24


def scenes(placement: Placement, count: int = COUNT) -> Iterator[Scene]:
    """The first scenes of a placement."""
    for seed in range(count):
        random = np.random.default_rng(seed)
        _, hand = sample_any_pose(ASSET, MEAN.anchors_mm, random)
        yield draw_scene(ASSET, MEAN, hand, placement, random)


def joints_inside(scene: Scene) -> int:
    """How many joints lie in the image."""
    u, v = project(np, scene.joints_mm, scene.intrinsics).T
    return int(((u > 0) & (u < WIDTH_PX) & (v > 0) & (v < HEIGHT_PX)).sum())


def test_switches_that_are_off_change_no_draw() -> None:
    off = replace(WHOLE, watch_share=0.0, company_share=0.0, edge_on_share=0.0, pointing_away_share=0.0)
    on = replace(WHOLE, company_share=1e-12)  # drawn, never taken

    for first, second, last in zip(scenes(WHOLE, 4), scenes(off, 4), scenes(on, 4), strict=True):
        assert np.array_equal(first.skin_mm, second.skin_mm) and np.array_equal(first.skin_mm, last.skin_mm)
        assert first.worn == first.company == last.company == ()


def test_hands_are_put_between_the_depths_asked() -> None:
    far = replace(WHOLE, nearest_mm=700.0, farthest_mm=1000.0)
    wide = replace(WHOLE, nearest_mm=200.0, farthest_mm=1000.0, is_log_depth=True)

    z = [center_of(scene.joints_mm)[2] for scene in scenes(far, 60)]
    z_wide = np.array([center_of(scene.joints_mm)[2] for scene in scenes(wide, 200)])

    assert min(z) >= 700 and max(z) < 1080  # mm; a little farther where the hand does not fit
    assert np.mean(z_wide < 450) == pytest.approx(0.5, abs=0.12)  # the geometric mean of the range


def test_hands_cut_by_the_border_are_cut() -> None:
    inside = [joints_inside(scene) for scene in scenes(replace(WHOLE, border_share=1.0), 60)]

    assert all(count >= 11 for count in inside)
    assert np.mean([count < 21 for count in inside]) > 0.75  # the others lose flesh only


def test_edge_on_hands_turn_their_edge_and_pointing_hands_their_fingers() -> None:
    for scene in scenes(replace(WHOLE, edge_on_share=1.0)):
        across, along = scene.joints_mm[5] - scene.joints_mm[17], scene.joints_mm[9] - scene.joints_mm[0]
        normal = np.cross(across, along)
        assert abs(normal[2]) / np.linalg.norm(normal) < 0.62  # the back's normal leans off the camera's axis
    for scene in scenes(replace(WHOLE, pointing_away_share=1.0)):
        along = scene.joints_mm[9] - scene.joints_mm[0]
        assert along[2] / np.linalg.norm(along) > 0.7


@pytest.mark.parametrize("placement", [replace(WHOLE, sleeve_share=1.0), replace(WHOLE, watch_share=1.0)])
def test_what_is_worn_is_drawn_about_the_arm_and_counts_as_arm(placement: Placement) -> None:
    more = 0
    for dressed in scenes(placement):
        assert dressed.worn
        z_mm, is_hand = render_scene(ASSET, replace(dressed, ellipsoid=None, plane=None), FULL_IMAGE)
        bare_mm, _ = render_scene(ASSET, replace(dressed, worn=(), ellipsoid=None, plane=None), FULL_IMAGE)
        assert np.array_equal(is_hand, z_mm > 0)
        assert np.all((z_mm > 0) >= (bare_mm > 0))
        more += int((z_mm > 0).sum() - (bare_mm > 0).sum())
    assert more > 100 * COUNT  # pixels


def test_a_large_hand_whose_mesh_is_coarse_for_its_sleeve_wears_one() -> None:
    large = replace(MEAN, vertices_mm=3 * MEAN.vertices_mm, anchors_mm=3 * MEAN.anchors_mm)

    _, worn = draw_clothes(large, 0.0, 1.0, 0.0, np.random.default_rng(1))

    assert len(worn) == 1 and np.isfinite(worn[0].xyz_mm).all()


def test_company_is_in_the_cube_and_no_hand_and_leaves_half_of_it() -> None:
    shares = []
    for scene in scenes(replace(WHOLE, company_share=1.0)):
        alone = replace(scene, ellipsoid=None, plane=None, company=())
        joined = replace(scene, ellipsoid=None, plane=None)
        _, mask = render_scene(ASSET, alone, FULL_IMAGE)
        z_mm, joined_mask = render_scene(ASSET, joined, FULL_IMAGE)
        (mesh,) = scene.company
        assert mesh.xyz_mm[:, 2].min() > MIN_JOINT_MM
        assert not np.any(joined_mask & ~mask)
        assert ((z_mm > 0) & ~joined_mask).sum() > 20
        assert (np.abs(mesh.xyz_mm - center_of(scene.joints_mm)) < CUBE_MM / 2).all(axis=1).any()
        shares.append(joined_mask.sum() / mask.sum())
    assert min(shares) > 0.4 and np.mean(shares) < 0.99


def test_company_hides_joints_in_a_whole_frame() -> None:
    seen, alone = 0, 0
    for scene in scenes(replace(WHOLE, company_share=1.0), 12):
        sensor = draw_sensor(np.random.default_rng(0), 1.0, HEIGHT_PX, WIDTH_PX)
        seen += int(observe(ASSET, scene, sensor, 0, 0).is_visible.sum())
        alone += int(observe(ASSET, replace(scene, company=()), sensor, 0, 0).is_visible.sum())

    assert 0.5 * alone < seen < alone
