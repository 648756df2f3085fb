"""An orientation for every joint, as OpenXR's hand tracking has them: 26 joints with palm and metacarpals, and their radii.

The axes of a joint, for either hand: z points from the fingertip to the wrist along the bone that begins at the joint (at a tip, ends
there), y out of the back of the hand or finger, x = y cross z to the right. Wrist and palm have those of the whole hand. Rotations take
them to the camera frame (x right, y down, z away); quaternions are (x, y, z, w) with w >= 0.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from handmap.skeleton.hand_shape import load_skeleton_model
from handmap.skeleton.hand_size import mean_length_mm
from handmap.skeleton.hands import MIRROR, PosedHands
from handmap.skeleton.kinematics import rest_length_mm
from handmap.types.arrays import Bool, Float64
from handmap.types.joints import FINGERS

XR26: Final[tuple[str, ...]] = (
    "palm",
    "wrist",
    *(f"thumb_{part}" for part in ("metacarpal", "proximal", "distal", "tip")),
    *(
        f"{finger}_{part}"
        for finger in FINGERS[1:]
        for part in ("metacarpal", "proximal", "intermediate", "distal", "tip")
    ),
)
PALM = 0
WRIST = 1
METACARPALS: Final = np.array([XR26.index(f"{finger}_metacarpal") for finger in FINGERS[1:]])
IS_DERIVED: Final[Bool] = ~np.isin(np.arange(len(XR26)), METACARPALS)  # the others are placed by proportion alone
METACARPAL_SHARE = 0.3  # of the way from wrist to knuckle: where a metacarpal begins
PALM_SHARE = (1 + METACARPAL_SHARE) / 2  # the middle of the middle finger's metacarpal
# For each of the 26, the hand21 joint that it is; -1 for palm and the four fingers' metacarpals.
HAND21_OF_XR26: Final = np.array(
    [-1, 0, 1, 2, 3, 4, *(k for first in (5, 9, 13, 17) for k in (-1, *range(first, first + 4)))]
)
_OF_HAND = np.array([[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]]).T  # columns: x, y and z of wrist and palm in the hand frame
_OF_BONE = np.array([-1.0, 1, -1])  # the signs that make axes of flexion, of splay and along the bone into those
_TIPS = np.array([0, 1, 2, 2])  # the bone of each joint of a finger


@dataclass(frozen=True)
class OrientedJoints:
    """26 joints of N hands in the order XR26, camera frame: positions_mm (N, 26, 3), quaternions (N, 26, 4) as x, y, z, w, and radii_mm (N, 26).

    IS_DERIVED (26,) marks those that the fit determines; the metacarpals of the four fingers follow by proportion.
    """

    positions_mm: Float64
    quaternions: Float64
    radii_mm: Float64


def orient_joints(hands: PosedHands) -> OrientedJoints:
    """The 26 joints of each hand."""
    rotations = joint_rotations(hands)
    joints = hands.joints_mm
    positions = joints[:, np.maximum(HAND21_OF_XR26, 0)]
    wrist, knuckles = joints[:, :1], joints[:, 5::4]
    positions[:, METACARPALS] = wrist + METACARPAL_SHARE * (knuckles - wrist)
    positions[:, PALM] = wrist[:, 0] + PALM_SHARE * (knuckles[:, 1] - wrist[:, 0])
    return OrientedJoints(positions, quaternions_of(rotations), _radii_mm(hands))


def joint_rotations(hands: PosedHands) -> Float64:
    """Rotations (N, 26, 3, 3) from each joint's axes to the camera frame."""
    count = len(hands.joints_mm)
    rotations = np.empty((count, len(XR26), 3, 3))
    rotations[:, [PALM, WRIST]] = _OF_HAND
    bones = np.moveaxis(hands.posed.bones, 0, 2) * _OF_BONE  # (N, 5, 3, 3, 3)
    rotations[:, 2:6] = bones[:, 0, _TIPS]
    four = rotations[:, 6:].reshape(count, 4, 5, 3, 3)
    four[:, :, 1:] = bones[:, 1:, _TIPS]
    carriers = hands.posed.palm[:, 1:]  # the metacarpals of ring and little finger turn with the palm's arch
    four[:, :, 0] = carriers @ _OF_HAND
    in_camera: Float64 = hands.pose.rotations[:, None] @ rotations
    sides = np.where(hands.is_left[:, None, None, None], np.outer(MIRROR, MIRROR), 1.0)
    oriented: Float64 = in_camera * sides
    return oriented


def quaternions_of(rotations: Float64) -> Float64:
    """Unit quaternions (..., 4) as x, y, z, w, with w >= 0, of rotations (..., 3, 3)."""
    entries = rotations.reshape(*rotations.shape[:-2], 9)
    # Four times the outer product of the quaternion with itself; its row with the largest diagonal is the most exact.
    outer = (entries @ _OUTER + _OUTER_OF_NOTHING).reshape(*entries.shape[:-1], 4, 4)
    largest = np.diagonal(outer, axis1=-2, axis2=-1).argmax(axis=-1)
    row = np.take_along_axis(outer, largest[..., None, None], axis=-2)[..., 0, :]
    row = row * np.where(row[..., 3:] < 0, -1.0, 1.0)
    unit: Float64 = row / np.sqrt((row * row).sum(axis=-1, keepdims=True))
    return unit


def rotations_of(quaternions: Float64) -> Float64:
    """Rotations (..., 3, 3) of quaternions (..., 4) as x, y, z, w; their length does not matter."""
    x, y, z, w = np.moveaxis(quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    rotations: Float64 = np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
    return rotations


def _outer_products() -> Float64:
    """The linear map (9, 16) from a rotation's entries, row by row, to the outer product of x, y, z, w with itself, less its constant."""
    signs = np.zeros((3, 3, 4, 4))
    for axis in range(3):
        signs[axis, axis] = np.diag([1.0 if k in (axis, 3) else -1.0 for k in range(4)])
    for i, j, k in ((1, 0, 2), (0, 2, 1), (2, 1, 0)):
        signs[i, j, [i, j], [j, i]] = signs[j, i, [i, j], [j, i]] = 1
        signs[i, j, [k, 3], [3, k]], signs[j, i, [k, 3], [3, k]] = 1, -1
    return signs.reshape(9, 16)


def _radii_mm(hands: PosedHands) -> Float64:
    """Radii (N, 26): those of the mean hand, larger as the hand is longer; metacarpals and palm as thick as the wrist."""
    model = load_skeleton_model()
    scale = rest_length_mm(hands.rest) / mean_length_mm()
    radii: Float64 = scale[:, None] * model.radii_mm[np.maximum(HAND21_OF_XR26, 0)]
    return radii


_OUTER, _OUTER_OF_NOTHING = _outer_products(), np.eye(4).reshape(16)
