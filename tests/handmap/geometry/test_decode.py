"""Joints come out where the view says."""

import numpy as np

from handmap.geometry.decode_joints import decode_joints
from handmap.types.values import HandRoi, NormalizedJoints


def test_joints_come_out_in_the_camera_frame() -> None:
    roi = HandRoi(np.array([10, 20, 400], np.float32), 250.0, False)
    joints = NormalizedJoints(np.array([[0.0, 0.5, -1.0]], np.float32), None)

    xyz_mm = decode_joints(np, joints, roi)

    np.testing.assert_allclose(xyz_mm, [[10, 82.5, 275]], atol=1e-4)
