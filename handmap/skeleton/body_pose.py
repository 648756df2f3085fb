"""Where hands are and how they are bent, and motion from one such pose to another."""

from dataclasses import dataclass

import numpy as np

from handmap.skeleton.degrees_of_freedom import MAX_ANGLES, MIN_ANGLES
from handmap.skeleton.kinematics import ROOT_COUNT
from handmap.types.arrays import Bool, Float64, Int64

_EYE = np.eye(3)
_CROSS = np.array(
    [[0, 0, 0, 0, 0, -1, 0, 1, 0], [0, 0, 1, 0, 0, 0, -1, 0, 0], [0, -1, 0, 1, 0, 0, 0, 0, 0]], np.float64
)


@dataclass(frozen=True)
class BodyPose:
    """Where N right hands are: rotations (N, 3, 3) and positions_mm (N, 3) of the hand frame in the camera frame, angles (N, 22)."""

    rotations: Float64
    positions_mm: Float64
    angles: Float64

    def rows(self, rows: list[int] | Int64) -> "BodyPose":
        """Those hands, in that order."""
        return BodyPose(self.rotations[rows], self.positions_mm[rows], self.angles[rows])


def choose_pose(is_first: Bool, first: BodyPose, second: BodyPose) -> BodyPose:
    """For each hand one of two poses."""
    one, two = is_first[:, None], is_first[:, None, None]
    return BodyPose(
        np.where(two, first.rotations, second.rotations),
        np.where(one, first.positions_mm, second.positions_mm),
        np.where(one, first.angles, second.angles),
    )


def move_pose(pose: BodyPose, motion: Float64) -> BodyPose:
    """The pose after a motion (N, 28): shift and rotation vector in the hand frame (mm, rad), then change of the angles, within limits."""
    position = pose.positions_mm + (pose.rotations @ motion[:, :3, None])[..., 0]
    rotations = pose.rotations @ rotation_of(motion[:, 3:ROOT_COUNT])
    angles = np.minimum(np.maximum(pose.angles + motion[:, ROOT_COUNT:], MIN_ANGLES), MAX_ANGLES)
    return BodyPose(rotations, position, angles)


def motion_between(before: BodyPose, after: BodyPose) -> Float64:
    """The motion (N, 28) by which `move_pose` takes one pose to another."""
    back = np.swapaxes(before.rotations, 1, 2)
    shift = (back @ (after.positions_mm - before.positions_mm)[..., None])[..., 0]
    return np.concatenate([shift, rotation_vector(back @ after.rotations), after.angles - before.angles], axis=1)


def rotation_of(vectors: Float64) -> Float64:
    """Rotations (N, 3, 3) of rotation vectors (N, 3) in rad."""
    angle = np.maximum(np.sqrt((vectors * vectors).sum(axis=1)), 1e-12)[:, None, None]
    cross = (vectors @ _CROSS).reshape(-1, 3, 3)
    rotation: Float64 = _EYE + np.sin(angle) / angle * cross + (1 - np.cos(angle)) / (angle * angle) * (cross @ cross)
    return rotation


def rotation_vector(rotations: Float64) -> Float64:
    """Rotation vectors (N, 3), rad, of rotations (N, 3, 3); one of half a turn is as good as none, and gives a zero vector."""
    turned = rotations - np.swapaxes(rotations, 1, 2)
    twice = np.stack([turned[:, 2, 1], turned[:, 0, 2], turned[:, 1, 0]], axis=1)  # 2 sin(angle) times the axis
    sine = 0.5 * np.sqrt((twice * twice).sum(axis=1))
    angle = np.arctan2(sine, 0.5 * (np.trace(rotations, axis1=1, axis2=2) - 1))
    vectors: Float64 = twice * (0.5 * np.where(sine > 1e-9, angle / np.maximum(sine, 1e-9), 1.0))[:, None]
    return vectors
