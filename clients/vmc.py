"""`handmap bridge vmc`: hands by the Virtual Motion Capture protocol, for avatars: OSC messages about bones, in Unity's axes.

A hand's fifteen finger bones are local poses of Unity's HumanBodyBones. The avatar's T-pose is our zero pose: straight fingers, each on
one line with its metacarpal. The wrist itself is a tracker, `handmap-left` or `handmap-right`: where the arm is, nobody knows here.
"""

from functools import cache
from typing import Final

import numpy as np

from handmap.skeleton.body_pose import BodyPose
from handmap.skeleton.degrees_of_freedom import ANGLE_COUNT
from handmap.skeleton.hand_shape import load_skeleton_model
from handmap.skeleton.hands import pose_hands
from handmap.skeleton.orientation import WRIST, joint_rotations, quaternions_of
from handmap.types.arrays import Float64
from handmap.types.values import Handedness

from .hand_watch import SIDES, Moment, SeenHand
from .osc import osc_bundle, osc_message
from .unity_space import mirrored, unity_positions_m, unity_rotations
from .xr_joints import axes_of, xr_hand

VMC_PORT: Final = 39539  # of the program that draws the avatar
CALIBRATED: Final = 3
FINGERS: Final = ("Thumb", "Index", "Middle", "Ring", "Little")
BONES: Final = tuple(f"{finger}{part}" for finger in FINGERS for part in ("Proximal", "Intermediate", "Distal"))
# The joint of XR26 at which each bone begins. A thumb's bones are metacarpal, proximal and distal, but Unity names them as a finger's.
JOINTS: Final = np.array([first + part for first in (2, 7, 12, 17, 22) for part in range(3)])
_PARENTS: Final = np.array([WRIST if place % 3 == 0 else JOINTS[place - 1] for place in range(len(JOINTS))])
# Columns: x, y, z of a hand in T-pose, palm down, in the avatar's axes (it looks along z): fingers to its left, or to its right.
_T_POSE: Final = {
    Handedness.LEFT: np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]]),
    Handedness.RIGHT: np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]),
}


def vmc_datagrams(moment: Moment, axes: str | None = None) -> list[bytes]:
    """What to send about this moment: the state and the time, then a bundle for each hand that is not lost, each in one datagram."""
    shown = [
        (side, seen) for side in SIDES if (seen := moment.hands[side]) is not None and seen.hand.skeleton is not None
    ]
    is_tracking = any(seen.is_live for _, seen in shown)
    status = [
        osc_message("/VMC/Ext/OK", int(bool(shown)), CALIBRATED, 0, int(is_tracking)),
        osc_message("/VMC/Ext/T", moment.now_ns / 1e9),
    ]
    return [osc_bundle(status), *(osc_bundle(_hand_messages(side, seen, axes)) for side, seen in shown)]


def _hand_messages(side: Handedness, seen: SeenHand, axes: str | None) -> list[bytes]:
    joints = xr_hand(seen.hand, seen.is_live, axes_of(seen.frame, axes))
    positions, rotations = unity_positions_m(joints), unity_rotations(joints)
    name = side.name.capitalize()
    wrist = osc_message(
        "/VMC/Ext/Tra/Pos", f"handmap-{name.lower()}", *positions[WRIST].tolist(), *_quaternion(rotations[WRIST])
    )
    bones = rotations @ np.swapaxes(_at_rest(side), -1, -2)  # turns from the T-pose, in the avatar's axes
    messages = [wrist]
    for bone, joint, parent in zip(BONES, JOINTS, _PARENTS, strict=True):
        to_parent = bones[parent].T
        at = to_parent @ (positions[joint] - positions[parent])
        turn = _quaternion(to_parent @ bones[joint])
        messages.append(osc_message("/VMC/Ext/Bone/Pos", name + bone, *at.tolist(), *turn))
    return messages


@cache
def _at_rest(side: Handedness) -> Float64:
    """Rotations (26, 3, 3) of the joints of a hand in T-pose, from their axes to the avatar's."""
    model = load_skeleton_model()
    pose = BodyPose(np.eye(3)[None], np.zeros((1, 3)), np.zeros((1, ANGLE_COUNT)))
    hand = pose_hands(model, np.zeros((1, model.shape_count)), np.array([side is Handedness.LEFT]), pose)
    rotations = joint_rotations(hand)[0]
    to_wrist = mirrored(rotations[WRIST].T @ rotations)
    at_rest: Float64 = _T_POSE[side] @ to_wrist
    return at_rest


def _quaternion(rotation: Float64) -> list[float]:
    numbers: list[float] = quaternions_of(rotation).tolist()
    return numbers
