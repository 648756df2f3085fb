"""The tracker on real depth frames, those of the repository and further ones, and how their hands are taken out."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from handmap.tracking.track import cube_center
from handmap.types.intrinsics import Intrinsics, project
from handmap.types.joints import HAND21
from handmap.types.values import DepthFrame, HandPose
from tests.emptied_depth import emptied, in_cube, replaced_by_behind
from tests.noisy_depth import FRAMES
from tests.real_depth import (
    BUNDLE,
    HAND_CENTERS_MM,
    NYU_FRAME,
    NYU_JOINTS,
    finger_tips,
    noise_table,
    nyu_joints_mm,
    poses_of,
    real_frames,
)

SAME_HAND_MM = 80.0
MAX_MEAN_TIP_ERROR_MM = 4.0  # of the network on all twenty marks, across the line of sight; each is good to 3 px, 4 mm
MAX_MEAN_OF_FIVE_MM = 5.0  # of the repository's one marked frame, where this network is off by 4.9
MAX_FITTED_MORE_MM = 0.5  # the fit of a frame by itself, to a hand of a size unknown, may be so much farther off
MAX_TIP_ERROR_MM = 12.0
MAX_NYU_ERROR_MM = 11.3  # mean of ten joints: the weights this network began with reach 10.8, and 0.5 is the margin
INTRINSICS = Intrinsics(320, 240, 240.0, 240.0, 159.5, 119.5)
CENTER_MM = (0.0, 0.0, 500.0)
WALL, HAND = 900, 490


@pytest.fixture(scope="module")
def poses() -> dict[str, HandPose | None]:
    named = list(real_frames())
    return dict(zip((name for name, _ in named), poses_of([frame for _, frame in named]), strict=True))


def test_the_hand_is_found_in_every_frame_despite_torso_elbow_or_head(
    poses: dict[str, HandPose | None],
) -> None:
    found = {
        name: pose is not None
        and bool(np.linalg.norm(cube_center(pose.xyz_camera_mm) - HAND_CENTERS_MM[name]) < SAME_HAND_MM)
        for name, pose in poses.items()
        if name in HAND_CENTERS_MM
    }

    sys.stdout.write(f"hand found in {sum(found.values())} of {len(found)}\n")
    missed = [name for name, is_found in found.items() if not is_found]
    assert len(found) >= 3
    assert not missed


def test_finger_tips_are_where_they_were_marked(poses: dict[str, HandPose | None]) -> None:
    frames = dict(real_frames())
    raw_mm: list[float] = []
    errors_mm: list[float] = []
    for file, tips in finger_tips().items():
        name = f"sr305/{file.removesuffix('.png')}"
        pose = poses[name]
        assert pose is not None, name
        assert pose.raw_xyz_camera_mm is not None
        for joints, found_mm in ((pose.raw_xyz_camera_mm, raw_mm), (pose.xyz_camera_mm, errors_mm)):
            uv = project(np, joints, frames[name].intrinsics)
            for joint, mark in tips.items():
                place = HAND21.index(joint)
                away_px = float(np.linalg.norm(uv[place] - mark))
                found_mm.append(away_px * joints[place, 2] / frames[name].intrinsics.fx_px)

    means = []
    for who, found_mm in (("network", raw_mm), ("fitted", errors_mm)):
        mean, median, largest = (float(of(found_mm)) for of in (np.mean, np.median, np.max))
        sys.stdout.write(
            f"{who}, {len(found_mm)} tips: mean {mean:.1f} mm, median {median:.1f}, largest {largest:.1f}\n"
        )
        assert largest <= MAX_TIP_ERROR_MM
        means.append(mean)
    assert means[0] <= (MAX_MEAN_TIP_ERROR_MM if len(raw_mm) > 5 else MAX_MEAN_OF_FIVE_MM)
    assert means[1] <= means[0] + MAX_FITTED_MORE_MM


def test_joints_of_the_nyu_frame_are_where_they_are_labeled(poses: dict[str, HandPose | None]) -> None:
    if NYU_FRAME not in poses:
        pytest.skip("the NYU frame is in no repository; name its folder in HANDMAP_REAL_DEPTH")
    pose = poses[NYU_FRAME]
    assert pose is not None

    own_mm = pose.xyz_camera_mm[[HAND21.index(joint) for joint in NYU_JOINTS]]
    errors_mm = np.linalg.norm(own_mm - nyu_joints_mm(), axis=1)

    sys.stdout.write(f"NYU frame, {len(errors_mm)} joints in 3D: mean {errors_mm.mean():.1f} mm\n")
    assert float(errors_mm.mean()) <= MAX_NYU_ERROR_MM


def test_hands_are_found_again_in_noise_and_with_holes() -> None:
    for (kind, seed), ones in noise_table(BUNDLE).items():
        again, kept = sum(one.is_found for one in ones), sum(one.kept for one in ones)
        sys.stdout.write(f"{kind}, seed {seed}: {again} of {len(ones)}, kept {kept} of {len(ones) * FRAMES}\n")
        assert len(ones) >= 3
        assert again >= len(ones) * 11 / 13
        assert kept >= len(ones) * FRAMES * 0.9


@pytest.fixture
def hand() -> DepthFrame:
    """A square hand before nothing."""
    depth = np.zeros((240, 320), np.uint16)
    depth[100:140, 120:160] = HAND
    return DepthFrame(depth, 1.0, INTRINSICS, 0, 0)


def before_wall(hand: DepthFrame, columns: slice) -> DepthFrame:
    """The hand before a wall in some columns, on which its shadow falls."""
    depth = hand.depth.copy()
    wall = np.zeros(depth.shape, bool)
    wall[:, columns] = True
    wall[100:140, 110:160] = False
    depth[wall] = WALL
    return replace(hand, depth=depth)


def test_an_emptied_cube_has_no_points_and_nothing_else_changes(hand: DepthFrame) -> None:
    frame = before_wall(hand, slice(0, 320))

    empty = emptied(frame, CENTER_MM)

    assert (empty.depth[frame.depth == HAND] == 0).all()
    assert (empty.depth == frame.depth)[frame.depth != HAND].all()


def test_a_removed_hand_and_its_shadow_are_filled_with_the_wall(hand: DepthFrame) -> None:
    frame = before_wall(hand, slice(0, 320))

    behind = replaced_by_behind(frame, CENTER_MM)

    assert (behind.depth == WALL).all()


def test_a_hand_before_an_empty_room_leaves_nothing_of_its_shape(hand: DepthFrame) -> None:
    frame = before_wall(hand, slice(0, 60))

    behind = replaced_by_behind(frame, CENTER_MM)

    assert not in_cube(behind, CENTER_MM).any()
    assert (behind.depth[:, 60:] == 0).all()
    assert (behind.depth[:, :60] == WALL).all()
