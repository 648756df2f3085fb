"""Orientations are OpenXR's: axes by what they mean on the hand, for both hands; the golden table; gestures."""

import json

import numpy as np
import pytest

from docs.skeleton_golden import TABLE, golden_angles, golden_hand, golden_table
from handmap.skeleton.hands import PosedHands
from handmap.skeleton.orientation import HAND21_OF_XR26, XR26, joint_rotations, orient_joints, quaternions_of
from handmap.types.arrays import Float64

UPRIGHT = np.zeros(3)  # fingers up, palm to the camera


def flat_hand(is_left: bool) -> PosedHands:
    return golden_hand(golden_angles()["zero"], UPRIGHT, is_left)


def rotation_from(quaternion: Float64) -> Float64:
    """The rotation (3, 3) of x, y, z, w by the textbook's formula."""
    x, y, z, w = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def test_the_golden_table_is_what_the_code_gives() -> None:
    stored, computed = json.loads(TABLE.read_text()), golden_table()

    assert stored["joints26"] == list(computed["joints26"]) and stored["angle_names"] == list(computed["angle_names"])
    assert len(stored["rows"]) == len(computed["rows"]) == 60
    for one, other in zip(stored["rows"], computed["rows"], strict=True):
        assert (one["pose"], one["turn"], one["side"]) == (other["pose"], other["turn"], other["side"])
        for key in ("angles", "hand21_mm", "positions_mm", "radii_mm"):
            assert np.array(one[key]) == pytest.approx(np.array(other[key]), abs=2e-3), key
        alike = np.abs((np.array(one["quaternions"]) * np.array(other["quaternions"])).sum(axis=1))
        assert alike == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("is_left", [False, True])
def test_axes_of_wrist_and_palm_are_those_of_openxr(is_left: bool) -> None:
    wrist = joint_rotations(flat_hand(is_left))[0, XR26.index("wrist")]

    # The camera looks at the palm: its back points away (+z), backwards from the fingers is down (+y).
    assert wrist[:, 1] == pytest.approx([0, 0, 1])
    assert wrist[:, 2] == pytest.approx([0, 1, 0])
    assert wrist[:, 0] == pytest.approx([-1, 0, 0])


@pytest.mark.parametrize("is_left", [False, True])
@pytest.mark.parametrize("pose", ["zero", "fist", "natural"])
def test_z_points_from_the_next_joint_to_this_one(pose: str, is_left: bool) -> None:
    hand = golden_hand(golden_angles()[pose], np.array([0.3, 0.2, -0.5]), is_left)
    rotations, joints = joint_rotations(hand)[0], hand.joints_mm[0]

    for place, joint in enumerate(HAND21_OF_XR26):
        if joint <= 0:
            continue
        begin = joint - 1 if XR26[place].endswith("_tip") else joint
        back = joints[begin] - joints[begin + 1]
        # The bones of the mean person differ from the asset's frames by less than two degrees.
        assert rotations[place][:, 2] @ back / np.linalg.norm(back) > np.cos(np.radians(2)), XR26[place]


def test_rotations_are_right_handed_and_the_left_hand_is_the_mirror_image() -> None:
    angles, vector = golden_angles()["natural"], np.array([0.4, -0.7, 1.1])
    right, left = (joint_rotations(golden_hand(angles, vector, is_left))[0] for is_left in (False, True))

    for rotations in (right, left):
        assert np.linalg.det(rotations) == pytest.approx(1)
        assert rotations @ np.swapaxes(rotations, 1, 2) == pytest.approx(np.tile(np.eye(3), (26, 1, 1)), abs=1e-6)
    mirror = np.diag([-1.0, 1, 1])
    assert mirror @ right[:, :, 1:] == pytest.approx(left[:, :, 1:], abs=1e-4)  # up and back are mirrored
    assert mirror @ right[:, :, 0:1] == pytest.approx(-left[:, :, 0:1], abs=1e-4)  # and right stays right


def test_quaternions_are_the_rotations() -> None:
    random = np.random.default_rng(0)
    quaternions = random.normal(size=(200, 4))
    quaternions[:8] = [np.roll([0, 0, 0, 1.0], k % 4) for k in range(8)]  # half turns too
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    rotations = np.stack([rotation_from(one) for one in quaternions])

    found = quaternions_of(rotations)

    assert np.stack([rotation_from(one) for one in found]) == pytest.approx(rotations, abs=1e-9)
    assert (found[:, 3] >= 0).all()


def test_palm_and_metacarpals_lie_in_the_palm_and_every_joint_has_flesh() -> None:
    hand = flat_hand(False)
    oriented, joints = orient_joints(hand), hand.joints_mm[0]

    middle = oriented.positions_mm[0, XR26.index("middle_metacarpal")]
    palm = oriented.positions_mm[0, XR26.index("palm")]
    assert palm == pytest.approx((middle + joints[9]) / 2)
    assert (oriented.radii_mm > 3).all() and (oriented.radii_mm < 25).all()
