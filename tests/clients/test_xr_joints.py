import json

import numpy as np
import numpy.testing as npt
import pytest

from clients.xr_joints import AXES, axes_of, xr_hand
from clients.xr_lines import xr_line
from handmap.protocol.fields import FrameOfReference
from handmap.skeleton.orientation import XR26, rotations_of
from handmap.types.errors import ConfigError
from tests.support.wire_hands import golden_row, golden_rows, moment, seen, wire_hand

HALF_TURN = np.diag([1.0, -1, -1])
ESTIMATED = [XR26.index("palm"), *(XR26.index(f"{name}_metacarpal") for name in ("index", "middle", "ring", "little"))]


def test_every_golden_hand_becomes_its_26_joints() -> None:
    for row in golden_rows():
        joints = xr_hand(wire_hand(row), is_live=True)

        npt.assert_allclose(joints.positions_m, np.array(row["positions_mm"]) / 1000 @ HALF_TURN, atol=2e-6)
        wanted = HALF_TURN @ rotations_of(np.array(row["quaternions"]))
        npt.assert_allclose(rotations_of(joints.quaternions.astype(float)), wanted, atol=1e-5)
        npt.assert_allclose(joints.radii_m, np.array(row["radii_mm"]) / 1000, atol=1e-6)
        assert (joints.quaternions[:, 3] >= 0).all()


@pytest.mark.parametrize("side", ["left", "right"])
def test_an_upright_hand_in_an_openxr_space(side: str) -> None:
    """Upright before the camera, palm towards it: fingers up (y), and the thumb of a right hand on the right of the image."""
    row = golden_row("zero", "upright", side)

    joints = xr_hand(wire_hand(row), is_live=True)

    wrist, knuckle = joints.positions_m[1], joints.positions_m[XR26.index("middle_proximal")]
    assert wrist[2] == pytest.approx(-0.45, abs=1e-6)
    assert knuckle[1] - wrist[1] > 0.09
    axes = rotations_of(joints.quaternions.astype(float))[1]
    npt.assert_allclose(axes[:, 2], [0, -1, 0], atol=0.05)  # z from the knuckle back to the wrist: down
    to_thumb = joints.positions_m[XR26.index("thumb_tip")] - wrist
    assert (to_thumb @ axes[:, 0] < 0) == (side == "right")  # x is away from the thumb on a right hand


def test_the_five_joints_that_are_placed_by_proportion_are_never_tracked() -> None:
    row = golden_row("natural", "tilted", "left")

    live, held = xr_hand(wire_hand(row), is_live=True), xr_hand(wire_hand(row), is_live=False)

    assert sorted(np.flatnonzero(~live.is_tracked)) == sorted(ESTIMATED)
    assert not held.is_tracked.any()


def test_without_a_skeleton_no_orientation_is_made_up() -> None:
    row = golden_row("natural", "tilted", "left")

    line = json.loads(xr_line(moment(seen(row, has_skeleton=False))))

    left = line["left"]
    assert left["orientations"] is None and left["is_active"] is True
    flags = np.array(left["location_flags"])
    assert not (flags & 0b0101).any()
    assert sorted(np.flatnonzero(flags == 2)) == sorted(ESTIMATED)
    assert (np.delete(flags, ESTIMATED) == 0b1010).all()


def test_a_line_has_both_sides_and_a_lost_hand_has_no_joints() -> None:
    row = golden_row("fist", "edge", "right")

    line = json.loads(xr_line(moment(seen(row))))

    assert line["left"] == {"is_active": False}
    assert set(line["right"]) == {"is_active", "time_ns", "location_flags", "positions_m", "orientations", "radii_m"}
    npt.assert_allclose(line["right"]["positions_m"], np.array(row["positions_mm"]) / 1000 @ HALF_TURN, atol=2e-6)
    assert line["right"]["location_flags"][1] == 15 and line["right"]["location_flags"][0] == 3


def test_a_held_hand_is_valid_and_not_tracked() -> None:
    line = json.loads(xr_line(moment(seen(golden_row("fist", "edge", "left"), is_live=False))))

    assert set(line["left"]["location_flags"]) == {3}


def test_axes_turn_and_do_not_mirror() -> None:
    for turn in AXES.values():
        assert np.linalg.det(turn) == pytest.approx(1)
    npt.assert_allclose(AXES["ros"] @ [0, 0, 1], [0, 1, 0])  # up
    npt.assert_allclose(AXES["ros"] @ [1, 0, 0], [0, 0, -1])  # forward


def test_a_frame_of_the_users_needs_its_axes_stated() -> None:
    assert axes_of(FrameOfReference.CAMERA, "ros") == "camera"
    assert axes_of(FrameOfReference.CONFIGURED, "ros") == "ros"
    with pytest.raises(ConfigError, match=r"publish\.frame.*--axes ros"):
        axes_of(FrameOfReference.CONFIGURED, None)
