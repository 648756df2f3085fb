"""Pose errors in millimeters (MPJPE, PCK): the one definition shared by evaluation, calibration and reports."""

import itertools
from dataclasses import dataclass, replace

import numpy as np

from handmap.engines.engine import Engines
from handmap.metrics.error_figures import error_summary
from handmap.metrics.reliability import reliability
from handmap.recording.datasets import Dataset, LabeledFrame, label_center, labeled_joints
from handmap.system.progress import track_progress
from handmap.system.timing import StageClock
from handmap.tracking.pose_estimate import estimate_poses
from handmap.tracking.track import cube_center
from handmap.tracking.tracker import TrackerState, track_hands
from handmap.tracking.tracker_settings import TrackerSettings
from handmap.types.arrays import Bool, Float32, Float64
from handmap.types.errors import DatasetError
from handmap.types.values import DepthFrame, Handedness, HandPose, HandRoi

MISSED_MM = 125.0  # half a cube: the error of every joint of a hand that was not found
PRESENTATION_NS = 33_333_333  # between the presentations of a still frame: 30 a second


@dataclass(frozen=True)
class FrameErrors:
    """Joint errors (N, J) in mm, of the runtime's own detection and with the label's cube; which joints the camera sees.

    raw_error_mm (N, J) are those of the network's own joints, before the skeleton's fit and smoothing. Errors of joints without a
    label are NaN.
    expected_error_mm (N, J) is the tracker's own estimate; meaningless where the hand was not found.
    oracle_cube_mm (N, 2) are the sides of the cubes that the network saw and that the labels state, NaN if they do not.
    """

    error_mm: Float64
    raw_error_mm: Float64
    oracle_error_mm: Float64
    expected_error_mm: Float64
    is_visible: Bool
    is_found: Bool  # (N,)
    oracle_cube_mm: Float64


def measure_pose_errors(
    dataset: Dataset, engines: Engines, settings: TrackerSettings, max_frames: int | None = None, presentations: int = 1
) -> FrameErrors:
    """Errors on the first `max_frames` frames: each on its own, detected in the frame and re-centered, with nothing taken from the label.

    Raises DatasetError where a frame has no label.
    """
    clock = StageClock()
    errors, raw, oracle, expected, visible, found, cubes_mm = [], [], [], [], [], [], []
    total = min(len(dataset), max_frames or len(dataset))
    with track_progress("score", total, "frames") as advance:
        for index, labeled in enumerate(itertools.islice(dataset, max_frames)):
            truth = labeled.xyz_camera_mm
            if not labeled.is_labeled.any():
                raise DatasetError(
                    f"data set {dataset.name!r}, frame {index + 1}: no joint has a label; leave the frame out of the set"
                )
            poses, _ = present(labeled.frame, engines, settings, presentations)
            error_mm, is_found = found_errors_mm(poses[0].xyz_camera_mm if poses else None, truth)
            found.append(is_found)
            errors.append(error_mm)
            raw.append(found_errors_mm(poses[0].raw_xyz_camera_mm if is_found else None, truth)[0])
            expected.append(poses[0].expected_error_mm if poses else np.zeros(len(truth)))
            roi = oracle_roi(labeled, settings)
            cubes_mm.append((roi.cube_mm, np.nan if labeled.cube is None else labeled.cube.side_mm))
            (seen,) = estimate_poses(labeled.frame, [roi], engines.hand, settings, clock)
            oracle.append(joint_errors_mm(seen.xyz_camera_mm, truth))
            visible.append(labeled.is_visible)
            advance(index + 1, "")
    is_visible, is_found_there = np.array(visible, dtype=bool), np.array(found, dtype=bool)
    return FrameErrors(
        np.array(errors), np.array(raw), np.array(oracle), np.array(expected, np.float64), is_visible, is_found_there,
        np.array(cubes_mm, np.float64),
    )  # fmt: skip


def oracle_roi(labeled: LabeledFrame, settings: TrackerSettings) -> HandRoi:
    """The cube that a label states, its side kept within what the network was trained for; else the network's own about the labels."""
    is_mirrored = labeled.handedness is Handedness.LEFT
    if labeled.cube is None:
        return HandRoi(label_center(labeled.xyz_camera_mm), settings.cube_mm, is_mirrored)
    low_mm, high_mm = settings.cube_mm_range
    return HandRoi(labeled.cube.center_mm, min(max(labeled.cube.side_mm, low_mm), high_mm), is_mirrored)


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
    """Joint errors (J,) in mm of the found hand, and whether it is the true one; MISSED_MM for each joint if not, or if none was found.

    A joint without a label has the error NaN, and says nothing about whether the hand is the true one.
    """
    labeled = labeled_joints(truth_mm)
    missed_mm = np.where(labeled, MISSED_MM, np.nan)
    if xyz_mm is None or not labeled.any():
        return missed_mm, False
    away_mm = _distance_mm(cube_center(xyz_mm[labeled]), cube_center(truth_mm[labeled]))
    if not away_mm <= MISSED_MM:  # NaN is a miss
        return missed_mm, False
    return joint_errors_mm(xyz_mm, truth_mm), True


def joint_errors_mm(xyz_mm: Float32, truth_mm: Float32) -> Float64:
    """Euclidean distance (J,) in mm between joints (J, 3) and their true positions (J, 3); NaN without a label."""
    distances: Float64 = np.linalg.norm(np.asarray(xyz_mm, np.float64) - truth_mm, axis=-1)
    return distances


def mpjpe_mm(xyz_mm: Float32, truth_mm: Float32) -> float:
    """Mean per joint position error of one pose: the mean of `joint_errors_mm` over the labeled joints, without any alignment."""
    return float(joint_errors_mm(xyz_mm, truth_mm)[labeled_joints(truth_mm)].mean())


def pose_error_summary(errors: FrameErrors, joint_names: tuple[str, ...]) -> dict[str, object]:
    """The figures of `handmap evaluate --json`: those of `error_summary`, and what only a run of the tracker has.

    `raw_mean_mm` is the MPJPE of the network's joints before the skeleton's fit and smoothing; figures on expected errors cover
    the joints of the hands that were found. `joints` is how many joints have a label in some frame.
    """
    figures = error_summary(errors.error_mm, joint_names)
    seen = errors.error_mm[errors.is_visible & np.isfinite(errors.error_mm)]
    found_error, found_expected = errors.error_mm[errors.is_found], errors.expected_error_mm[errors.is_found]
    labeled = np.isfinite(found_error)
    return {
        **figures,
        "joints": int(np.isfinite(errors.error_mm).any(axis=0).sum()),
        "visible_mean_mm": float(seen.mean()) if len(seen) else None,
        "raw_mean_mm": float(np.nanmean(errors.raw_error_mm)),
        "raw_median_mm": float(np.nanmedian(errors.raw_error_mm)),
        "oracle_mean_mm": float(np.nanmean(errors.oracle_error_mm)),
        "found": float(errors.is_found.mean()),
        **reliability(found_expected[labeled], found_error[labeled]),
    }


def _distance_mm(first: Float32, second: Float32) -> float:
    return float(np.linalg.norm(first - second))
