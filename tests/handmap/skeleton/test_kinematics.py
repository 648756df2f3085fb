"""The kinematic hand's Jacobians against finite differences, and its bones, which keep their lengths."""

import numpy as np
import pytest

from handmap.skeleton.degrees_of_freedom import ANGLE_COUNT, ANGLE_NAMES, MAX_ANGLES, MIN_ANGLES
from handmap.skeleton.hand_shape import load_skeleton_model
from handmap.skeleton.kinematics import joint_jacobian, pose_bones, rest_shape, shape_jacobian

MODEL = load_skeleton_model()


def test_jacobians_are_the_slopes() -> None:
    random, step = np.random.default_rng(1), 1e-6
    shape = random.normal(size=(3, MODEL.shape_count))
    angles = random.uniform(MIN_ANGLES, MAX_ANGLES, (3, ANGLE_COUNT))
    rest = rest_shape(MODEL, shape)
    posed = pose_bones(MODEL, rest, angles)
    of_joints, of_shape = joint_jacobian(MODEL, rest, posed), shape_jacobian(MODEL, posed)

    for k in range(ANGLE_COUNT):
        moved = pose_bones(MODEL, rest, angles + step * np.eye(ANGLE_COUNT)[k])
        slope = (moved.joints_mm - posed.joints_mm).reshape(3, 63) / step
        assert of_joints[:, :, 6 + k] == pytest.approx(slope, abs=1e-3), ANGLE_NAMES[k]
    for k in range(MODEL.shape_count):
        moved = pose_bones(MODEL, rest_shape(MODEL, shape + step * np.eye(MODEL.shape_count)[k]), angles)
        slope = (moved.joints_mm - posed.joints_mm).reshape(3, 63) / step
        assert of_shape[:, :, k] == pytest.approx(slope, abs=1e-3)
    for axis in np.eye(3):
        turned = np.cross(axis, posed.joints_mm).reshape(3, 63)
        assert of_joints[:, :, 3:6] @ axis == pytest.approx(turned)
        assert (of_joints[:, :, :3] @ axis).reshape(3, 21, 3) == pytest.approx(np.broadcast_to(axis, (3, 21, 3)))


def test_bones_keep_their_length_in_every_pose() -> None:
    random = np.random.default_rng(2)
    rest = rest_shape(MODEL, np.repeat(random.normal(size=(1, MODEL.shape_count)), 50, axis=0))
    joints = pose_bones(MODEL, rest, random.uniform(MIN_ANGLES, MAX_ANGLES, (50, ANGLE_COUNT))).joints_mm
    fingers = joints[:, 1:].reshape(50, 5, 4, 3)
    phalanges = np.linalg.norm(np.diff(fingers, axis=2), axis=-1)
    palm = np.linalg.norm(fingers[:, :, 0], axis=-1)

    assert np.ptp(phalanges, axis=0).max() < 1e-6
    # The arch moves the knuckles of ring and little finger about a pivot beside the wrist.
    assert (palm.std(axis=0) / palm.mean(axis=0)).max() < 0.005
