"""Pose errors in millimeters (MPJPE, PCK): the one definition shared by evaluation, calibration and reports."""

import itertools
from dataclasses import dataclass, replace

import numpy as np

from handmap.engines.engine import Engines
from handmap.metrics.reliability import reliability
from handmap.recording.datasets import Dataset
from handmap.system.progress import track_progress
from handmap.system.timing import StageClock
from handmap.tracking.pose_estimate import estimate_poses
from handmap.tracking.track import cube_center
from handmap.tracking.tracker import TrackerState, track_hands
from handmap.tracking.tracker_settings import TrackerSettings
from handmap.types.arrays import Bool, Float32, Float64
from handmap.types.values import DepthFrame, Handedness, HandPose, HandRoi

MISSED_MM = 125.0  # half a cube: the error of every joint of a hand that was not found
WITHIN_MM = (20, 30, 40)
PRESENTATION_NS = 33_333_333  # between the presentations of a still frame: 30 a second


@dataclass(frozen=True)
class FrameErrors:
    """Joint errors (N, J) in mm, of the runtime's own detection and with the label's cube; which joints the camera sees.

    raw_error_mm (N, J) are those of the network's own joints, before the skeleton's fit and smoothing.
    expected_error_mm (N, J) is the tracker's own estimate; meaningless where the hand was not found.
    """

    error_mm: Float64
    raw_error_mm: Float64
    oracle_error_mm: Float64
    expected_error_mm: Float64
    is_visible: Bool
    is_found: Bool  # (N,)


def measure_pose_errors(
    dataset: Dataset, engines: Engines, settings: TrackerSettings, max_frames: int | None = None, presentations: int = 1
) -> FrameErrors:
    """Errors on the first `max_frames` frames: each on its own, detected in the frame and re-centered, with nothing taken from the label."""
    clock = StageClock()
    errors, raw, oracle, expected, visible, found = [], [], [], [], [], []
    total = min(len(dataset), max_frames or len(dataset))
    with track_progress("score", total, "frames") as advance:
        for index, labeled in enumerate(itertools.islice(dataset, max_frames)):
            truth = labeled.xyz_camera_mm
            poses, _ = present(labeled.frame, engines, settings, presentations)
            error_mm, is_found = found_errors_mm(poses[0].xyz_camera_mm if poses else None, truth)
            found.append(is_found)
            errors.append(error_mm)
            raw.append(found_errors_mm(poses[0].raw_xyz_camera_mm if is_found else None, truth)[0])
            expected.append(poses[0].expected_error_mm if poses else np.zeros(len(truth)))
            roi = HandRoi(cube_center(truth), settings.cube_mm, labeled.handedness is Handedness.LEFT)
            (seen,) = estimate_poses(labeled.frame, [roi], engines.hand, settings, clock)
            oracle.append(joint_errors_mm(seen.xyz_camera_mm, truth))
            visible.append(labeled.is_visible)
            advance(index + 1, "")
    is_visible, is_found_there = np.array(visible, dtype=bool), np.array(found, dtype=bool)
    return FrameErrors(
        np.array(errors), np.array(raw), np.array(oracle), np.array(expected, np.float64), is_visible, is_found_there
    )


def present(
    frame: DepthFrame, engines: Engines, settings: TrackerSettings, presentations: int
) -> tuple[list[HandPose], TrackerState]:
    """What is published for a still frame shown `presentations` times in a row, at 30 frames per second, and the state after it."""
    clock, state = StageClock(), TrackerState()
    poses: list[HandPose] = []
    for shown in range(presentations):
        again = replace(frame, frame_number=shown, capture_ns=frame.capture_ns + shown * PRESENTATION_NS)
        poses, state = track_hands(again, state, engines, settings, clock)
    return poses, state


def found_errors_mm(xyz_mm: Float32 | None, truth_mm: Float32) -> tuple[Float64, bool]:
    """Joint errors (J,) in mm of the found hand, and whether it is the true one; MISSED_MM for each joint if not, or if none was found."""
    if xyz_mm is None or not _distance_mm(cube_center(xyz_mm), cube_center(truth_mm)) <= MISSED_MM:  # NaN is a miss
        return np.full(len(truth_mm), MISSED_MM), False
    return joint_errors_mm(xyz_mm, truth_mm), True


def joint_errors_mm(xyz_mm: Float32, truth_mm: Float32) -> Float64:
    """Euclidean distance (J,) in mm between joints (J, 3) and their true positions (J, 3)."""
    distances: Float64 = np.linalg.norm(np.asarray(xyz_mm, np.float64) - truth_mm, axis=-1)
    return distances


def mpjpe_mm(xyz_mm: Float32, truth_mm: Float32) -> float:
    """Mean per joint position error of one pose: the mean of `joint_errors_mm`, without any alignment."""
    return float(joint_errors_mm(xyz_mm, truth_mm).mean())


def pose_error_summary(errors: FrameErrors, joint_names: tuple[str, ...]) -> dict[str, object]:
    """The figures of `handmap evaluate --json`.

    `mean_mm` is the MPJPE, `raw_mean_mm` that of the network's joints before the skeleton's fit and smoothing; `within_*` is the
    share of frames whose worst joint is that close; the percentile is over all joints of all frames; figures on expected errors
    cover the joints of the hands that were found.
    """
    error = errors.error_mm
    worst = error.max(axis=1)
    found_error, found_expected = error[errors.is_found].ravel(), errors.expected_error_mm[errors.is_found].ravel()
    return {
        "mean_mm": float(error.mean()),
        "median_mm": float(np.median(error)),
        "p95_mm": float(np.percentile(error, 95)),
        "visible_mean_mm": float(error[errors.is_visible].mean()) if errors.is_visible.any() else None,
        "raw_mean_mm": float(errors.raw_error_mm.mean()),
        "raw_median_mm": float(np.median(errors.raw_error_mm)),
        "oracle_mean_mm": float(errors.oracle_error_mm.mean()),
        "per_joint_mm": dict(zip(joint_names, (float(value) for value in error.mean(axis=0)), strict=True)),
        **{f"within_{limit}mm": float((worst <= limit).mean()) for limit in WITHIN_MM},
        "found": float(errors.is_found.mean()),
        "frames": len(error),
        **reliability(found_expected, found_error),
    }


def _distance_mm(first: Float32, second: Float32) -> float:
    return float(np.linalg.norm(first - second))
