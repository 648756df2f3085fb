"""How far joints are from the truth, in millimetres: the one definition that evaluation, calibration and reports share."""

from dataclasses import dataclass

import numpy as np

from handmap.arrays import Bool, Float32, Float64
from handmap.datasets import Dataset
from handmap.engine import Engines
from handmap.follow import FollowSettings, follow
from handmap.look import look
from handmap.timing import StageClock
from handmap.track import NO_TRACKS, cube_centre
from handmap.values import Handedness, View

MISSED_MM = 125.0  # half a cube: the error of every joint of a hand that was not found
WITHIN_MM = (20, 30, 40)


@dataclass(frozen=True)
class FrameErrors:
    """Joint errors in mm: found by the runtime's own way and with the cube put by the label (N, J); which joints the camera sees."""

    error_mm: Float64
    oracle_error_mm: Float64
    is_visible: Bool
    is_found: Bool  # (N,)


def measure(dataset: Dataset, engines: Engines, settings: FollowSettings, most: int | None = None) -> FrameErrors:
    """Errors on the first `most` frames: each alone, located on the frame and re-centred, nothing taken from the label."""
    clock = StageClock()
    errors, oracle, visible, found = [], [], [], []
    for index, labelled in enumerate(dataset):
        if index == most:
            break
        truth = labelled.xyz_camera_mm
        poses, _ = follow(labelled.frame, NO_TRACKS, engines, settings, clock)
        error_mm, is_found = found_errors_mm(poses[0].xyz_camera_mm if poses else None, truth)
        found.append(is_found)
        errors.append(error_mm)
        view = View(cube_centre(truth), settings.cube_mm, labelled.handedness is Handedness.LEFT)
        (seen,) = look(labelled.frame, [view], engines.hand, settings, clock)
        oracle.append(joint_errors_mm(seen.xyz_camera_mm, truth))
        visible.append(labelled.is_visible)
    return FrameErrors(np.array(errors), np.array(oracle), np.array(visible, dtype=bool), np.array(found, dtype=bool))


def found_errors_mm(xyz_mm: Float32 | None, truth_mm: Float32) -> tuple[Float64, bool]:
    """Joint errors (J,) in mm of the hand that was found, and whether it is the true one; MISSED_MM each where it is not, or none was."""
    if xyz_mm is None or _distance_mm(cube_centre(xyz_mm), cube_centre(truth_mm)) > MISSED_MM:
        return np.full(len(truth_mm), MISSED_MM), False
    return joint_errors_mm(xyz_mm, truth_mm), True


def joint_errors_mm(xyz_mm: Float32, truth_mm: Float32) -> Float64:
    """Euclidean distance (J,) in mm between joints (J, 3) and their true places (J, 3)."""
    distances: Float64 = np.linalg.norm(np.asarray(xyz_mm, np.float64) - truth_mm, axis=-1)
    return distances


def summary(errors: FrameErrors, joint_names: tuple[str, ...]) -> dict[str, object]:
    """The figures of `handmap evaluate --json`.

    `within_*` is the share of frames whose worst joint is that close; the percentile is over all joints of all frames.
    """
    error = errors.error_mm
    worst = error.max(axis=1)
    return {
        "mean_mm": float(error.mean()),
        "median_mm": float(np.median(error)),
        "p95_mm": float(np.percentile(error, 95)),
        "visible_mean_mm": float(error[errors.is_visible].mean()) if errors.is_visible.any() else None,
        "oracle_mean_mm": float(errors.oracle_error_mm.mean()),
        "per_joint_mm": dict(zip(joint_names, (float(value) for value in error.mean(axis=0)), strict=True)),
        **{f"within_{limit}mm": float((worst <= limit).mean()) for limit in WITHIN_MM},
        "found": float(errors.is_found.mean()),
        "frames": len(error),
    }


def _distance_mm(first: Float32, second: Float32) -> float:
    return float(np.linalg.norm(first - second))
