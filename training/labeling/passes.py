"""Several looks at the hand of each frame: tracked forward, tracked backward, and estimated again in shifted cubes.

A recording is read in chunks that fit into memory. Backward tracking begins a little after each chunk, to be settled within it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

import numpy as np

from handmap.engines.engine import Engines
from handmap.system.timing import StageClock
from handmap.tracking.pose_estimate import estimate_poses
from handmap.tracking.track import cube_center
from handmap.tracking.tracker import TrackerState, track_hands
from handmap.tracking.tracker_settings import TrackerSettings
from handmap.types.arrays import Float32, Float64
from handmap.types.joints import JOINT_COUNT
from handmap.types.values import DepthFrame, HandPose, HandRoi

CHUNK_FRAMES: Final = 240  # 150 MB at 640x480
SETTLING_FRAMES: Final = 30
# Where the hand is estimated again: the cube's center in mm and its side against that of tracking. Crops in training are off by
# as much; farther ones disagree for reasons of their own.
SHIFTS: Final = (
    ((8.0, 5.0, 0.0), 0.95), ((-8.0, -5.0, 0.0), 1.05), ((5.0, -8.0, 6.0), 1.05), ((-5.0, 8.0, -6.0), 0.95),
)  # fmt: skip
PASSES: Final = 2 + len(SHIFTS)


@dataclass(frozen=True)
class Looks:
    """What each pass says of one frame's hand: joints (P, 21, 3) in the camera frame and their expected errors (P, 21), mm; NaN
    where a pass found no hand. confidence is the greater of the two tracks' own."""

    xyz_mm: Float32
    expected_mm: Float32
    confidence: float


def look_through(
    frames: Iterator[DepthFrame], engines: Engines, settings: TrackerSettings
) -> Iterator[tuple[DepthFrame, Looks]]:
    """Every frame of a recording with its looks, in order. settings track one hand."""
    state = TrackerState()
    ahead: list[DepthFrame] = list(islice(frames, CHUNK_FRAMES))
    while ahead:
        ahead += islice(frames, SETTLING_FRAMES)
        chunk, rest = ahead[:CHUNK_FRAMES], ahead[CHUNK_FRAMES:]
        forward, state = _track(chunk, state, engines, settings)
        backward, _ = _track(_reversed(ahead), TrackerState(), engines, settings)
        for frame, one, other in zip(chunk, forward, backward[::-1], strict=False):
            yield frame, _look(frame, (one, other), engines, settings)
        ahead = rest + list(islice(frames, CHUNK_FRAMES - len(rest)))


def _track(
    frames: Sequence[DepthFrame], state: TrackerState, engines: Engines, settings: TrackerSettings
) -> tuple[list[HandPose | None], TrackerState]:
    clock = StageClock()
    found: list[HandPose | None] = []
    for frame in frames:
        poses, state = track_hands(frame, state, engines, settings, clock)
        found.append(poses[0] if poses else None)
    return found, state


def _reversed(frames: Sequence[DepthFrame]) -> list[DepthFrame]:
    """The frames from the last to the first, at times that go on as the tracker needs them to."""
    last_ns = frames[-1].capture_ns
    return [replace(frame, capture_ns=last_ns - frame.capture_ns + 1) for frame in reversed(frames)]


def _look(frame: DepthFrame, tracked: Sequence[HandPose | None], engines: Engines, settings: TrackerSettings) -> Looks:
    xyz_mm = np.full((PASSES, JOINT_COUNT, 3), np.nan, np.float32)
    expected_mm = np.full((PASSES, JOINT_COUNT), np.nan, np.float32)
    found = [pose for pose in tracked if pose is not None]
    for row, pose in enumerate(tracked):
        if pose is not None:
            xyz_mm[row], expected_mm[row] = _raw_of(pose)
    if found:
        surest = max(found, key=lambda pose: pose.confidence)
        for row, seen in enumerate(_in_shifted_cubes(frame, surest, engines, settings), len(tracked)):
            xyz_mm[row], expected_mm[row] = seen
    return Looks(xyz_mm, expected_mm, max((pose.confidence for pose in found), default=0.0))


def _raw_of(pose: HandPose) -> tuple[Float32, Float32]:
    """The network's own joints (21, 3) and their expected errors (21,), mm, before the fit."""
    if pose.raw_xyz_camera_mm is None or pose.raw_expected_error_mm is None:
        return pose.xyz_camera_mm, pose.expected_error_mm
    return pose.raw_xyz_camera_mm, pose.raw_expected_error_mm


def _in_shifted_cubes(
    frame: DepthFrame, pose: HandPose, engines: Engines, settings: TrackerSettings
) -> Iterator[tuple[Float32, Float32]]:
    center: Float64 = cube_center(pose.xyz_camera_mm).astype(np.float64)
    rois = [
        HandRoi((center + shift).astype(np.float32), pose.roi.cube_mm * scale, pose.roi.is_mirrored)
        for shift, scale in SHIFTS
    ]
    for seen in estimate_poses(frame, rois, engines.hand, settings, StageClock()):
        yield seen.xyz_camera_mm, seen.expected_error_mm
