"""Ground truth and tracker output for a frame, and the matching of reported hands to true ones."""

from dataclasses import dataclass

import numpy as np

from handmap.metrics.pose_error import mpjpe_mm
from handmap.tracking.track import cube_center
from handmap.types.arrays import Float32
from handmap.types.values import Handedness, HandPose

MUST_DETECT_JOINTS = (
    7  # a hand with this many visible joints must be found; the palm graph is trained with the same two limits
)
WELL_SEEN_JOINTS = 14  # two thirds
MIN_IGNORED_JOINTS = 3  # with fewer, the hand counts as invisible: reporting it is a false positive
MATCH_MM = 80.0  # largest distance between cube centers of a match


@dataclass(frozen=True)
class GroundTruthHand:
    """A true hand: joints (21, 3) in the camera frame, mm, and how many of them the camera sees."""

    hand_id: int
    xyz_camera_mm: Float32
    handedness: Handedness
    seen_joints: int

    @property
    def must_detect(self) -> bool:
        """Whether enough of it is visible that it must be found."""
        return self.seen_joints >= MUST_DETECT_JOINTS

    @property
    def is_well_seen(self) -> bool:
        """Whether most of it is visible."""
        return self.seen_joints >= WELL_SEEN_JOINTS

    @property
    def is_ignored(self) -> bool:
        """Whether so little of it is visible that it counts neither way."""
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
    """The pose of each true hand, by its id: greedy by mean joint distance, cube centers within MATCH_MM."""
    ways = sorted(
        (mpjpe_mm(pose.xyz_camera_mm, hand.xyz_camera_mm), at, hand.hand_id)
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
