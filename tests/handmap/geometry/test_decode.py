"""Joints come out where the view says."""

import numpy as np

from handmap.geometry.decode import decode
from handmap.types.values import JointsNormalised, View


def test_joints_come_out_in_the_camera_frame() -> None:
    view = View(np.array([10, 20, 400], np.float32), 250.0, False)
    joints = JointsNormalised(np.array([[0.0, 0.5, -1.0]], np.float32), None)

    xyz_mm = decode(np, joints, view)

    np.testing.assert_allclose(xyz_mm, [[10, 82.5, 275]], atol=1e-4)
