"""The original's locator and tracker, each rule on points or frames where its outcome can be worked out."""

from dataclasses import dataclass

import numpy as np
import pytest

from handmap.bundle.confidence import ConfidenceTable
from handmap.bundle.tensors import Tensors
from handmap.engines.engine import EngineOutput
from handmap.system.timing import StageClock
from handmap.types.arrays import Array, ArrayModule, Float64, Uint16
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame, Handedness, HandPose
from training.evaluation.baseline import (
    NO_BASELINE_TRACK,
    STEP_LIMIT_MM,
    BaselineTrack,
    baseline_pose,
    cut_wrist,
    follow_baseline,
    locate_nearest,
    stabilize,
)

INTRINSICS = Intrinsics(640, 480, 475.0, 475.0, 319.5, 239.5)


def frame_of(*patches: tuple[int, int, int, int, int]) -> DepthFrame:
    """A frame with patches (left, top, width, height, z in mm)."""
    depth: Uint16 = np.zeros((480, 640), np.uint16)
    for left, top, width, height, z in patches:
        depth[top : top + height, left : left + width] = z
    return DepthFrame(depth, 1.0, INTRINSICS, 0, 0)


def cylinder(radius_mm: float, near_mm: float, far_mm: float, count: int) -> Float64:
    """Points on a cylinder along the camera's axis, evenly by layers."""
    z = np.repeat(np.linspace(near_mm, far_mm, count // 40), 40)
    about = np.tile(np.linspace(0, 2 * np.pi, 40, endpoint=False), count // 40)
    return np.stack([radius_mm * np.cos(about), radius_mm * np.sin(about), z], axis=-1)


def test_a_patch_within_range_is_found_in_its_middle() -> None:
    center = locate_nearest(frame_of((300, 200, 40, 40, 400)))

    assert center is not None
    np.testing.assert_allclose(center, [0, (219.5 - 239.5) / 475 * 400, 400], atol=0.5)


@pytest.mark.parametrize(("z_mm", "is_found"), [(470, True), (490, False)])
def test_nothing_beyond_480_mm_is_looked_at(z_mm: int, is_found: bool) -> None:
    assert (locate_nearest(frame_of((300, 200, 40, 40, z_mm))) is not None) is is_found


def test_the_nearest_object_wins() -> None:
    center = locate_nearest(frame_of((100, 200, 60, 60, 440), (500, 100, 20, 20, 300)))

    assert center is not None
    assert center[0] > 100 and center[2] == pytest.approx(300, abs=1)


def test_points_120_mm_behind_the_nearest_are_cut_off() -> None:
    depth: Uint16 = np.zeros((480, 640), np.uint16)
    depth[100:340, 300:340] = 300 + np.arange(240)[:, None]  # a ramp to 539 mm, narrowing toward the camera

    center = locate_nearest(DepthFrame(depth, 1.0, INTRINSICS, 0, 0))

    assert center is not None
    # Kept are 300 to 419 mm, their mean 359.5; the wrist is the farthest slab, 410 to 419 mm.
    assert center[2] == pytest.approx(359.5 + 0.2 * (359.5 - 414.5), abs=1)


def test_a_few_specks_are_no_hand() -> None:
    assert locate_nearest(frame_of((300, 200, 2, 5, 300))) is None


def test_the_arm_is_cut_where_a_slab_is_wider_than_the_one_before() -> None:
    # An arm that stays as it is, then a palm twice as wide: the middle of the palm, pushed on from its first slab.
    arm, palm = cylinder(20, 360, 420, 4800), cylinder(40, 300, 359.9, 4800)

    center = cut_wrist(np.concatenate([arm, palm]))

    # Slabs are 10 mm; the palm's first is 350 to 360, its mean 355; of the palm 330.
    np.testing.assert_allclose(center, [0, 0, 330 + 0.2 * (330 - 355)], atol=1.0)


def test_an_empty_slab_ends_the_walk_as_the_rules_have_it() -> None:
    # Nothing between 330 and 350: the slab after the gap counts as the wrist although it is no wider.
    far, near = cylinder(30, 350, 420, 5600), cylinder(30, 300, 330, 2400)

    center = cut_wrist(np.concatenate([far, near]))

    assert center[2] < 320


def test_without_an_end_of_the_arm_the_middle_of_all_is_pushed_from_the_farthest_slab() -> None:
    points = cylinder(30, 300, 420, 9600)

    center = cut_wrist(points)

    np.testing.assert_allclose(center, [0, 0, 360 + 0.2 * (360 - 415)], atol=1.0)


def test_too_few_points_for_slabs_give_their_plain_mean() -> None:
    points = np.array([[0.0, 0, 300], [10, 0, 320], [20, 0, 340]])

    np.testing.assert_allclose(cut_wrist(points), [10, 0, 320])


def test_the_first_center_is_taken_and_a_constant_speed_is_not_damped() -> None:
    track = stabilize(NO_BASELINE_TRACK, np.array([0.0, 0, 400]))
    assert track.track_id == 1
    for step in range(1, 30):
        track = stabilize(track, np.array([10.0 * step, 0, 400]))

    assert track.center_mm is not None
    np.testing.assert_allclose(track.center_mm, [290, 0, 400], atol=0.5)


def test_a_sudden_step_is_damped_by_its_difference_from_the_last() -> None:
    still = BaselineTrack(np.array([0.0, 0, 400]), 0.0, 1)

    track = stabilize(still, np.array([100.0, 0, 400]))

    assert track.center_mm is not None
    # exp(-ln(100) * (100 / 120)^2)
    np.testing.assert_allclose(track.center_mm[0], 100 * 100 ** -((100 / 120) ** 2), rtol=1e-6)


def test_a_jump_beyond_the_limit_loses_the_hand_for_a_frame_and_its_id_for_good() -> None:
    still = BaselineTrack(np.array([0.0, 0, 400]), 0.0, 1)
    far = np.array([STEP_LIMIT_MM + 1, 0, 400])

    lost = stabilize(still, far)
    again = stabilize(lost, far)

    assert lost.center_mm is None
    assert again.center_mm is not None and again.track_id == 2


def test_nothing_located_resets_the_tracker() -> None:
    track = stabilize(BaselineTrack(np.array([0.0, 0, 400]), 5.0, 1), None)

    assert track == BaselineTrack(None, 0.0, 1)


TABLE = ConfidenceTable((0.0, 1.0), (60.0, 5.0), (0.0, 1.0), (0.0, 1.0))


@dataclass(frozen=True)
class Settings:
    xp: ArrayModule = np
    confidence: ConfidenceTable = TABLE


class ColumnEngine:
    """Puts every joint at the mean column of what its crop shows."""

    batch = 2
    precision = "fp32"
    tensors = Tensors((), ())

    def infer(self, depth: Array) -> EngineOutput:
        joints = np.zeros((self.batch, 21, 3), np.float32)
        for index, image in enumerate(depth[:, 0]):
            if (image < 1).any():
                joints[index, :, 0] = (np.nonzero(image < 1)[1].mean() + 0.5) / 64 - 1
        return EngineOutput(joints, None)

    def close(self) -> None:
        pass


def seen(frame: DepthFrame, track: BaselineTrack, is_mirrored: bool) -> HandPose | None:
    return baseline_pose(frame, track, is_mirrored, ColumnEngine(), Settings(), 250.0, StageClock())


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_every_located_hand_is_published_as_left(is_mirrored: bool) -> None:
    frame = frame_of((300, 200, 40, 40, 400), (340, 200, 20, 40, 410))
    track = follow_baseline(frame, NO_BASELINE_TRACK)

    pose = seen(frame, track, is_mirrored)

    assert pose is not None
    assert (pose.handedness, pose.track_id, pose.is_valid) == (Handedness.LEFT, 1, True)
    # Both patches together lie to the right of the axis, whichever way the crop was mirrored.
    assert pose.xyz_camera_mm[:, 0].mean() == pytest.approx(8.5, abs=2.5)


def test_without_a_center_there_is_no_pose() -> None:
    frame = frame_of((300, 200, 40, 40, 600))

    assert seen(frame, follow_baseline(frame, NO_BASELINE_TRACK), True) is None
