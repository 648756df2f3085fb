"""A hand as the 26 joints of OpenXR's hand tracking (XR_EXT_hand_tracking): its order, its axes, its spaces, its flags.

OpenXR spaces are right-handed: x right, y up, z backward, meters. Five joints are placed by proportion and are never marked as tracked.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from handmap.protocol.fields import FrameOfReference
from handmap.protocol.packet import PacketHand
from handmap.skeleton.degrees_of_freedom import ANGLE_COUNT
from handmap.skeleton.hand_shape import load_skeleton_model
from handmap.skeleton.hand_size import mean_length_mm
from handmap.skeleton.kinematics import pose_bones, rest_shape
from handmap.skeleton.orientation import (
    HAND21_OF_XR26,
    METACARPAL_SHARE,
    METACARPALS,
    PALM,
    PALM_SHARE,
    WRIST,
    XR26,
    quaternions_of,
    rotations_of,
)
from handmap.types.arrays import Bool, Float32, Float64
from handmap.types.errors import ConfigError
from handmap.types.values import Handedness

# Rotations from the axes that joints come in to those of OpenXR; or to none, which leaves them in the frame of the packet.
AXES: Final[dict[str, Float64]] = {
    "camera": np.diag([1.0, -1.0, -1.0]),  # x right, y down, z away: half a turn about x
    "ros": np.array([[0.0, -1, 0], [0, 0, 1], [-1, 0, 0]]),  # x forward, y left, z up, as in REP 103
    "as_sent": np.eye(3),
}
MIN_SCALE, MAX_SCALE = 0.5, 2.0  # of the mean hand's radii: wrong joints must not give balloons
_ESTIMATED = HAND21_OF_XR26 < 0
_MIDDLE_FINGER = [0, 9, 10, 11, 12]
_OF_HAND = np.array([[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]]).T  # columns: x, y and z of the wrist in the hand frame
_MIRROR_X = np.diag([-1.0, 1, 1])  # mirrors a right hand's turn into a left one's


@dataclass(frozen=True)
class XrHand:
    """26 joints in the order XR26, in an OpenXR space.

    positions_m (26, 3), quaternions (26, 4) as x, y, z, w with w >= 0, radii_m (26,). has_orientation is false without a skeleton: the
    quaternions are then all no turn, and mean nothing. is_tracked (26,) is false for a hand that is held, and for the palm and the four
    fingers' metacarpals always.
    """

    positions_m: Float32
    quaternions: Float32
    radii_m: Float32
    has_orientation: bool
    is_tracked: Bool


def xr_hand(hand: PacketHand, is_live: bool, axes: str = "camera") -> XrHand:
    """The 26 joints of a hand whose joints come in these axes (a key of AXES)."""
    joints = hand.xyz_m.astype(np.float64)
    positions = joints[np.maximum(HAND21_OF_XR26, 0)]
    wrist, knuckles = joints[0], joints[5::4]
    positions[METACARPALS] = wrist + METACARPAL_SHARE * (knuckles - wrist)
    positions[PALM] = wrist + PALM_SHARE * (knuckles[1] - wrist)
    turn = AXES[axes]
    quaternions = np.tile([0.0, 0, 0, 1], (len(XR26), 1))
    if hand.skeleton is not None:
        quaternions = quaternions_of(turn @ _rotations(hand, hand.skeleton.joint_quaternions, hand.skeleton.angles))
    return XrHand(
        (positions @ turn.T).astype(np.float32),
        quaternions.astype(np.float32),
        _radii_m(joints).astype(np.float32),
        hand.skeleton is not None,
        ~_ESTIMATED if is_live else np.zeros(len(XR26), bool),
    )


def axes_of(frame: FrameOfReference, stated: str | None) -> str:
    """The axes of the joints: the camera's own, or those stated for a frame of the user's.

    Raises ConfigError if nothing says what the frame's axes are.
    """
    if frame is FrameOfReference.CAMERA:
        return "camera"
    if stated is None:
        raise ConfigError(
            "bridge: the joints come in the frame of publish.frame, whose axes are not known here; state them with --axes ros (x forward, "
            "y left, z up) or --axes camera (x right, y down, z away)"
        )
    return stated


def _rotations(hand: PacketHand, joint_quaternions: Float32, angles: Float32) -> Float64:
    """Rotations (26, 3, 3) from each joint's axes to the frame of the packet; the palm has those of the wrist."""
    of_joints = rotations_of(joint_quaternions.astype(np.float64))
    rotations: Float64 = of_joints[np.maximum(HAND21_OF_XR26, 0)]
    carried = _OF_HAND.T @ _palm_turns(float(angles[0])) @ _OF_HAND
    if hand.handedness is Handedness.LEFT:
        carried = _MIRROR_X @ carried @ _MIRROR_X
    rotations[METACARPALS] = rotations[WRIST] @ carried
    return rotations


def _palm_turns(arch: float) -> Float64:
    """Turns (4, 3, 3) of the four fingers' metacarpals in the hand frame: the palm's arch carries those of ring and little finger."""
    model = load_skeleton_model()
    angles = np.zeros((1, ANGLE_COUNT))
    angles[0, 0] = arch
    posed = pose_bones(model, rest_shape(model, np.zeros((1, model.shape_count))), angles)
    turns: Float64 = posed.palm[0, 1:]
    return turns


def _radii_m(joints: Float64) -> Float64:
    """Radii (26,): those of the mean hand, in proportion to this hand's length along its middle finger."""
    mean_radii_m, mean_length_m = _mean_hand_m()
    length_m = float(np.linalg.norm(np.diff(joints[_MIDDLE_FINGER], axis=0), axis=1).sum())
    radii: Float64 = mean_radii_m * np.clip(length_m / mean_length_m, MIN_SCALE, MAX_SCALE)
    return radii


@cache
def _mean_hand_m() -> tuple[Float64, float]:
    radii_m = load_skeleton_model().radii_mm[np.maximum(HAND21_OF_XR26, 0)] / 1000
    return radii_m, mean_length_mm() / 1000
