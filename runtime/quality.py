"""How good the published hands are: distributions and counts since the start, and the newest frame's hands.

The main loop calls it once a frame has been published; it is constant work for each hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from handmap.skeleton.body import Bodies
from handmap.types.arrays import Array, Bool, Float32, Int64
from handmap.types.intrinsics import Intrinsics, project
from handmap.types.joints import PARENTS
from handmap.types.values import DepthFrame, Handedness, HandPose

from .distribution import Distribution

ERRORS_M: Final = (0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.05)
DISTANCES_M: Final = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.5)
CONFIDENCES: Final = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
SHARES: Final = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
BONE_STARTS: Final = np.array(PARENTS[1:])
FAR_PX: Final = 100_000.0  # beyond any image
_IN_FRONT: Final = np.array([0.0, 0.0, 1.0], np.float32)
REMEMBERED_SIDES: Final = 8  # tracks: more than can be in view or occluded


class HandQuality(msgspec.Struct, frozen=True):
    """A published hand: its mean expected error, the distance of its center along z, and how far its joints are from a body's.

    missing_depth is the share of its joints and middles of bones, as far as they are inside the image, where no depth was measured;
    None if none is. residual_mm is the rms distance of the network's joints from the fitted hand's, None without one.
    """

    track_id: int
    side: str
    confidence: float
    expected_error_mm: float
    distance_mm: float
    is_valid: bool
    joints_in_image: int
    missing_depth: float | None
    residual_mm: float | None


@dataclass
class QualityCounts:
    """Totals since the start."""

    frames_with_hand: int = 0
    left: int = 0
    right: int = 0
    valid: int = 0  # hands with at least half of their joints inside the image
    joints: int = 0
    joints_in_image: int = 0
    tracks_started: int = 0
    tracks_lost: int = 0
    tracks_found_again: int = 0
    side_flips: int = 0  # tracks whose side differs from that of their last frame


class Quality:
    """Written by the main loop; any thread can read it."""

    def __init__(self) -> None:
        self.counts = QualityCounts()
        self.hands: tuple[HandQuality, ...] = ()  # of the newest frame
        self.confidence = Distribution(CONFIDENCES)
        self.expected_error_m = Distribution(ERRORS_M)
        self.distance_m = Distribution(DISTANCES_M)
        self.missing_depth = Distribution(SHARES)
        self.residual_m = Distribution(ERRORS_M)
        self._tracks: frozenset[int] = frozenset()
        self._newest_track = 0
        self._sides: dict[int, Handedness] = {}

    def see(self, frame: DepthFrame, poses: Sequence[HandPose], bodies: Bodies | None) -> None:
        """Takes a published frame's poses and, in the same order, its fitted hands."""
        self.hands = tuple(
            hand_quality(frame, pose, None if bodies is None else float(bodies.residual_mm[row]))
            for row, pose in enumerate(poses)
        )
        for hand in self.hands:
            self._add(hand)
        self.counts.frames_with_hand += bool(poses)
        self._follow(poses)

    def forget(self) -> None:
        """Clears the newest frame's hands once no frame arrives."""
        self.hands = ()
        self.counts.tracks_lost += len(self._tracks)
        self._tracks = frozenset()

    def _add(self, hand: HandQuality) -> None:
        counts = self.counts
        counts.left += hand.side == "left"
        counts.right += hand.side == "right"
        counts.valid += hand.is_valid
        counts.joints_in_image += hand.joints_in_image
        self.confidence.add(hand.confidence)
        self.expected_error_m.add(hand.expected_error_mm / 1e3)
        self.distance_m.add(hand.distance_mm / 1e3)
        if hand.missing_depth is not None:
            self.missing_depth.add(hand.missing_depth)
        if hand.residual_mm is not None:
            self.residual_m.add(hand.residual_mm / 1e3)

    def _follow(self, poses: Sequence[HandPose]) -> None:
        counts, newest = self.counts, self._newest_track
        for pose in poses:
            counts.joints += len(pose.xyz_camera_mm)
            counts.tracks_started += pose.track_id > newest
            counts.tracks_found_again += pose.track_id <= newest and pose.track_id not in self._tracks
            before = self._sides.pop(pose.track_id, pose.handedness)
            counts.side_flips += before is not pose.handedness
            self._sides[pose.track_id] = pose.handedness
            self._newest_track = max(self._newest_track, pose.track_id)
        while len(self._sides) > REMEMBERED_SIDES:
            del self._sides[next(iter(self._sides))]
        tracks = frozenset(pose.track_id for pose in poses)
        counts.tracks_lost += len(self._tracks - tracks)
        self._tracks = tracks


def hand_quality(frame: DepthFrame, pose: HandPose, residual_mm: float | None) -> HandQuality:
    """The quality of one published hand."""
    joints = pose.xyz_camera_mm
    pixels, is_inside = _in_image(joints, frame.intrinsics)
    return HandQuality(
        track_id=pose.track_id,
        side=pose.handedness.name.lower(),
        confidence=pose.confidence,
        expected_error_mm=float(pose.expected_error_mm.mean()),
        distance_mm=float(joints[:, 2].mean()),
        is_valid=pose.is_valid,
        joints_in_image=int(np.count_nonzero(is_inside[: len(joints)])),
        missing_depth=_missing_depth(frame.depth, pixels[is_inside]),
        residual_mm=residual_mm,
    )


def _in_image(joints: Float32, intrinsics: Intrinsics) -> tuple[Int64, Bool]:
    """Joints (21, 3) and then the middles of their bones as pixels (41, 2), column and row, and which (41,) are inside the image."""
    points = np.concatenate([joints, (joints[1:] + joints[BONE_STARTS]) / 2])
    is_in_front = points[:, 2] > 0
    if not is_in_front.all():
        points = np.where(is_in_front[:, None], points, _IN_FRONT)
    near = np.rint(np.clip(project(np, points, intrinsics), -1, FAR_PX)).astype(np.int64)
    is_inside = (near >= 0).all(axis=1) & (near < (intrinsics.width_px, intrinsics.height_px)).all(axis=1) & is_in_front
    return near, is_inside


def _missing_depth(depth: Array, pixels: Int64) -> float | None:
    """The share of pixels (N, 2) of a depth image (height, width) that have no depth; None for no pixel."""
    if not len(pixels):
        return None
    return 1 - float(np.count_nonzero(depth[pixels[:, 1], pixels[:, 0]])) / len(pixels)
