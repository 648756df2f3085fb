"""pyopenxr, which is made from Khronos' header, has the joints, flags and structures that `handmap bridge openxr` writes by."""

import json

import numpy as np
import numpy.testing as npt
import pytest

from clients.xr_lines import xr_line
from handmap.skeleton.orientation import XR26
from tests.support.wire_hands import golden_rows, moment, seen

xr = pytest.importorskip("xr", reason="pyopenxr is not installed")


def test_our_order_of_joints_is_that_of_the_header() -> None:
    names = [joint.name.lower() for joint in sorted(xr.HandJointEXT, key=int)]

    assert names == list(XR26) and len(XR26) == xr.HAND_JOINT_COUNT_EXT


def test_lines_fill_its_structures() -> None:
    """Every joint of every golden hand, left and right, as XrHandJointLocationEXT."""
    flags = xr.SpaceLocationFlags
    valid = flags.ORIENTATION_VALID_BIT | flags.POSITION_VALID_BIT
    tracked = flags.ORIENTATION_TRACKED_BIT | flags.POSITION_TRACKED_BIT
    for row in golden_rows():
        hand = json.loads(xr_line(moment(seen(row))))[row["side"]]
        columns = (hand[name] for name in ("positions_m", "orientations", "radii_m", "location_flags"))
        joints = [
            xr.HandJointLocationEXT(
                location_flags=bits, pose=xr.Posef(xr.Quaternionf(*turn), xr.Vector3f(*at)), radius=radius
            )
            for at, turn, radius, bits in zip(*columns, strict=True)
        ]
        for place, joint in enumerate(joints):
            is_estimated = place in (
                xr.HandJointEXT.PALM, xr.HandJointEXT.INDEX_METACARPAL, xr.HandJointEXT.MIDDLE_METACARPAL,
                xr.HandJointEXT.RING_METACARPAL, xr.HandJointEXT.LITTLE_METACARPAL,
            )  # fmt: skip
            assert joint.location_flags == (valid if is_estimated else valid | tracked)
            assert joint.radius > 0
        wanted = np.array(row["positions_mm"]) / 1000 * [1, -1, -1]
        npt.assert_allclose([list(joint.pose.position) for joint in joints], wanted, atol=2e-6)
        norms = np.linalg.norm([list(joint.pose.orientation) for joint in joints], axis=1)
        npt.assert_allclose(norms, 1, atol=1e-5)
