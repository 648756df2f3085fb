"""Hands in a pose, left and right, in the camera frame: what orientations, radii and gestures are read from."""

from dataclasses import dataclass

import numpy as np

from handmap.skeleton.body_pose import BodyPose
from handmap.skeleton.hand_shape import SkeletonModel
from handmap.skeleton.kinematics import PosedBones, RestShape, pose_bones, rest_shape
from handmap.types.arrays import Bool, Float64

MIRROR = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class PosedHands:
    """N hands with joints_mm (N, 21, 3) in the camera frame; pose, posed and rest are those of right hands, of which a left one
    (is_left, (N,)) is the mirror image: x negated."""

    is_left: Bool
    joints_mm: Float64
    pose: BodyPose
    posed: PosedBones
    rest: RestShape

    @property
    def angles(self) -> Float64:
        """The angles (N, 22), rad, in the order of `degrees_of_freedom.ANGLE_NAMES`; the same for a left hand as for its mirror image."""
        return self.pose.angles


def place_hands(is_left: Bool, pose: BodyPose, posed: PosedBones, rest: RestShape) -> PosedHands:
    """The hands with their joints in the camera frame."""
    joints = posed.joints_mm @ np.swapaxes(pose.rotations, 1, 2) + pose.positions_mm[:, None]
    return PosedHands(is_left, joints * np.where(is_left[:, None, None], MIRROR, 1.0), pose, posed, rest)


def pose_hands(model: SkeletonModel, shape: Float64, is_left: Bool, pose: BodyPose) -> PosedHands:
    """Hands of people of these shape parameters (N, K) in a pose, without measuring them."""
    rest = rest_shape(model, shape)
    return place_hands(is_left, pose, pose_bones(model, rest, pose.angles), rest)
