"""What stood before the camera beside what a tracker said of it, and which reported hand is which true one."""

from dataclasses import dataclass

import numpy as np

from handmap.metrics.pose_error import joint_errors_mm
from handmap.tracking.track import cube_center
from handmap.types.arrays import Float32
from handmap.types.values import Handedness, HandPose

MUST_DETECT_JOINTS = (
    7  # a hand with so many joints seen must be found; these two limits are those the palm graph is trained by
)
WELL_SEEN_JOINTS = 14  # two thirds
MIN_IGNORED_JOINTS = 3  # with fewer there is nothing to be seen: a hand reported there is false
MATCH_MM = 80.0  # a reported hand is a true one where their cube centers are no farther apart


@dataclass(frozen=True)
class GroundTruthHand:
    """A hand that is there: joints (21, 3) in the camera frame, mm, and how many of them the camera sees."""

    hand_id: int
    xyz_camera_mm: Float32
    handedness: Handedness
    seen_joints: int

    @property
    def must_detect(self) -> bool:
        """Whether so much of it is seen that it must be found."""
        return self.seen_joints >= MUST_DETECT_JOINTS

    @property
    def is_well_seen(self) -> bool:
        """Whether most of it is seen."""
        return self.seen_joints >= WELL_SEEN_JOINTS

    @property
    def is_ignored(self) -> bool:
        """Whether so little of it is seen that it counts neither way."""
        return MIN_IGNORED_JOINTS <= self.seen_joints < MUST_DETECT_JOINTS


@dataclass(frozen=True)
class TrackedFrame:
    """The true hands of one frame and the poses that were published for it."""

    truth: tuple[GroundTruthHand, ...]
    poses: tuple[HandPose, ...]

    def requires(self, hand_id: int) -> bool:
        """Whether this hand must be found in this frame."""
        return any(hand.hand_id == hand_id and hand.must_detect for hand in self.truth)


def match_hands(frame: TrackedFrame) -> dict[int, HandPose]:
    """The pose of each true hand, by its id: the nearest by mean joint distance first, cube centers within SAME_HAND_MM."""
    ways = sorted(
        (float(joint_errors_mm(pose.xyz_camera_mm, hand.xyz_camera_mm).mean()), at, hand.hand_id)
        for at, pose in enumerate(frame.poses)
        for hand in frame.truth
        if _apart_mm(pose.xyz_camera_mm, hand.xyz_camera_mm) <= MATCH_MM
    )
    pairs: dict[int, HandPose] = {}
    taken: set[int] = set()
    for _, at, hand_id in ways:
        if at not in taken and hand_id not in pairs:
            taken.add(at)
            pairs[hand_id] = frame.poses[at]
    return pairs


def _apart_mm(first: Float32, second: Float32) -> float:
    return float(np.linalg.norm(cube_center(first) - cube_center(second)))
