"""Which joints are in sight, by depth at their pixel."""

import numpy as np
import numpy.testing as npt

from handmap.geometry.visibility import FLESH_MM, joints_in_sight
from handmap.types.values import DepthFrame
from tests.support.labeled_pngs import LENS, dotted_hand

DEPTH, JOINTS = dotted_hand(0)


def in_sight(depth: object, joints: object, unit_mm: float = 1.0) -> object:
    frame = DepthFrame(np.asarray(depth, np.uint16), unit_mm, LENS, 0, 0)
    return joints_in_sight(np.asarray(joints, np.float32), frame)


def test_a_joint_is_hidden_by_what_is_farther_in_front_than_its_flesh() -> None:
    npt.assert_array_equal(in_sight(DEPTH, JOINTS), np.ones(21, bool))
    for beyond_mm in (-1, 1):
        depth = DEPTH.copy()
        u, v = np.rint(JOINTS[8, :2] / JOINTS[8, 2] * (LENS.fx_px, LENS.fy_px) + (LENS.cx_px, LENS.cy_px)).astype(int)
        depth[v, u] = np.ceil(JOINTS[8, 2] - FLESH_MM[8]) - beyond_mm
        npt.assert_array_equal(np.flatnonzero(~np.asarray(in_sight(depth, JOINTS))), [8] if beyond_mm > 0 else [])


def test_depth_counts_in_its_unit() -> None:
    npt.assert_array_equal(in_sight(DEPTH * 16, JOINTS, 1 / 16), np.ones(21, bool))
    npt.assert_array_equal(in_sight(DEPTH, JOINTS, 0.5), np.zeros(21, bool))


def test_a_joint_without_depth_label_or_pixel_is_not_in_sight() -> None:
    joints = JOINTS.copy()
    joints[3] = np.nan
    joints[4] = (2000, 0, 400)
    joints[5] = (0, 0, -400)
    npt.assert_array_equal(np.flatnonzero(~np.asarray(in_sight(DEPTH, joints))), [3, 4, 5])
    npt.assert_array_equal(in_sight(DEPTH * 0, JOINTS), np.zeros(21, bool))
