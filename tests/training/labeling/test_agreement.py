"""A labeled hand against the depth it was labeled on: the truth agrees, what is shifted, bent or floating does not."""

from dataclasses import replace

import numpy as np
import pytest

from handmap.recording.datasets import LabeledFrame
from handmap.types.arrays import Float64
from training.labeling.agreement import agree_with_depth
from training.synthesis.motion import synthesize_frames


@pytest.fixture(scope="module")
def moving() -> list[LabeledFrame]:
    return list(synthesize_frames(9, 12, 4))


def joints_of(labeled: LabeledFrame) -> Float64:
    return labeled.xyz_camera_mm.astype(np.float64)


def test_the_truth_agrees(moving: list[LabeledFrame]) -> None:
    found = [agree_with_depth(one.frame, joints_of(one)) for one in moving]

    assert min(one.explained for one in found) > 0.9 and min(one.supported for one in found) > 0.95


@pytest.mark.parametrize("shift_mm", [(45.0, 0, 0), (0, 45.0, 0), (0, 0, -60.0), (0, 0, 45.0)])
def test_a_hand_elsewhere_does_not(moving: list[LabeledFrame], shift_mm: tuple[float, float, float]) -> None:
    shares = [agree_with_depth(one.frame, joints_of(one) + np.array(shift_mm)).share for one in moving]

    assert max(shares) < 0.8


def test_a_finger_in_the_air_floats(moving: list[LabeledFrame]) -> None:
    flat = moving[0]
    joints = joints_of(flat)
    joints[5:9] = joints[5] + np.outer(np.arange(4), [60.0, 0, -20])

    assert agree_with_depth(flat.frame, joints).share < agree_with_depth(flat.frame, joints_of(flat)).share - 0.03


def test_what_was_not_measured_speaks_for_nothing(moving: list[LabeledFrame]) -> None:
    one = moving[0]
    depth = one.frame.depth.copy()
    depth[::2] = 0

    holed = agree_with_depth(replace(one.frame, depth=depth), joints_of(one))
    blind = agree_with_depth(replace(one.frame, depth=np.zeros_like(depth)), joints_of(one))

    assert holed.share == pytest.approx(agree_with_depth(one.frame, joints_of(one)).share, abs=0.06)
    assert np.isnan(blind.share) and not blind.share >= 0.5
