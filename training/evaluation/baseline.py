"""A baseline: the original HandMap's real-time locator and tracker, re-implemented from a description of its rules.

One hand, taken to be the nearest thing within 480 mm; a slab 120 mm deep behind its nearest point, cut at the wrist where the arm
narrows; a tracker with momentum. The author's shortcuts are kept where the rules state them, the unexplained factor of 0.8 on depth is
not. What the network sees and says is ours: the same graph and the same cube, looked into once per frame.
"""

import math
from dataclasses import dataclass

import numpy as np

from handmap.engines.engine import Engine
from handmap.tracking.pose_estimate import EstimatorSettings, StageTimer, estimate_poses
from handmap.types.arrays import Float32, Float64
from handmap.types.intrinsics import unproject
from handmap.types.values import DepthFrame, Handedness, HandPose, HandRoi

from ..compiled import compiled

CLAMP_MM = (100.0, 1060.0)  # what was not measured becomes 100
MEASURED_MM = 100.01
SIGMA_DEPTH_MM, SIGMA_PX, RADIUS_PX = 30.0, 30.0, 2  # of the bilateral filter; its diameter is 5
BEYOND_MM = 120.0  # four sigmas: a neighbor so much deeper weighs nothing
NEAREST_RANK = 10
RANGE_MM, SLAB_MM = 480.0, 120.0
MIN_PIXELS, MIN_POINTS = 10, 4
SLABS, WIDER, PUSH = 12, 1.1, 0.2
STEP_LIMIT_MM = 120.0
MOMENTUM = math.log(100) / STEP_LIMIT_MM**2


@dataclass(frozen=True)
class BaselineTrack:
    """The original's state: its smoothed center (3,) mm, if any, the length of its last step, and our running id."""

    center_mm: Float64 | None
    step_mm: float
    track_id: int


NO_BASELINE_TRACK = BaselineTrack(None, 0.0, 0)


def follow_baseline(frame: DepthFrame, track: BaselineTrack) -> BaselineTrack:
    """The track for the next call: the original's search center in this frame, None if it has none."""
    return stabilize(track, locate_nearest(frame))


def baseline_pose(
    frame: DepthFrame, track: BaselineTrack, is_mirrored: bool, engine: Engine, settings: EstimatorSettings, cube_mm: float,
    clock: StageTimer,
) -> HandPose | None:  # fmt: skip
    """The pose estimated in the cube at the track's center; always published, and always as a left hand, as in the original.

    None if the track has no center. The caller provides is_mirrored, because the original cannot determine it.
    """
    if track.center_mm is None:
        return None
    roi = HandRoi(track.center_mm.astype(np.float32), cube_mm, is_mirrored)
    (seen,) = estimate_poses(frame, [roi], engine, settings, clock)
    return HandPose(
        xyz_camera_mm=seen.xyz_camera_mm,
        expected_error_mm=seen.expected_error_mm,
        roi=roi,
        track_id=track.track_id,
        handedness=Handedness.LEFT,
        handedness_confidence=0.0,
        confidence=1.0,
        is_valid=True,
        is_tracked=True,
        is_extrapolated=False,
        frame_number=frame.frame_number,
        capture_ns=frame.capture_ns,
    )


def locate_nearest(frame: DepthFrame) -> Float64 | None:
    """The center (3,) in mm of the nearest object, cut at the wrist; None if nothing is within RANGE_MM."""
    z_mm = np.where(frame.depth > 0, frame.depth * np.float32(frame.depth_unit_mm), np.float32(CLAMP_MM[0]))
    filtered = _bilateral(np.clip(z_mm, *CLAMP_MM).astype(np.float32))
    measured = filtered[filtered > MEASURED_MM]
    if measured.size <= NEAREST_RANK:
        return None
    nearest_mm = float(np.partition(measured, NEAREST_RANK - 1)[NEAREST_RANK - 1])
    if nearest_mm > RANGE_MM:
        return None
    rows, columns = np.nonzero((filtered >= nearest_mm) & (filtered < nearest_mm + SLAB_MM))
    if len(rows) < MIN_PIXELS:
        return None
    uv = np.stack([columns, rows], axis=-1).astype(np.float64)
    return cut_wrist(unproject(np, uv, filtered[rows, columns].astype(np.float64), frame.intrinsics))


def cut_wrist(points_mm: Float64) -> Float64:
    """The center (3,) of points (N, 3) without the forearm: slabs from far to near, the first that is wider than the last is the wrist.

    A slab's width is the first singular value of its centered points, not divided by their number; one of too few points counts as
    0 wide, so that the next ends the walk: both as the rules have it.
    """
    z = points_mm[:, 2]
    edges = np.linspace(z.max(), z.min(), SLABS + 1)  # far to near
    slab = np.clip(np.searchsorted(-edges, -z, side="right") - 1, 0, SLABS - 1)
    wrist, width_before = 0, math.inf
    for index in range(SLABS):
        inside = points_mm[slab == index]
        width = _first_singular_value(inside) if len(inside) >= MIN_POINTS else 0.0
        if width > WIDER * width_before:
            wrist = index
            break
        width_before = width
    upper, cut = points_mm[slab >= wrist], points_mm[slab == wrist]
    if min(len(upper), len(cut)) < MIN_POINTS:
        return _mean(points_mm)
    middle = _mean(upper)
    return middle + PUSH * (middle - _mean(cut))


def stabilize(track: BaselineTrack, center_mm: Float64 | None) -> BaselineTrack:
    """The momentum tracker: the first center is taken, a jump beyond STEP_LIMIT_MM loses the track, else a step is damped by how
    much longer or shorter than the last it is."""
    if center_mm is None:
        return BaselineTrack(None, 0.0, track.track_id)
    if track.center_mm is None:
        return BaselineTrack(center_mm, 0.0, track.track_id + 1)
    away_mm = float(np.linalg.norm(center_mm - track.center_mm))
    if away_mm > STEP_LIMIT_MM:
        return BaselineTrack(None, 0.0, track.track_id)
    share = math.exp(-MOMENTUM * (away_mm - track.step_mm) ** 2)
    moved = (1 - share) * track.center_mm + share * center_mm
    return BaselineTrack(moved, float(np.linalg.norm(moved - track.center_mm)), track.track_id)


def _mean(points_mm: Float64) -> Float64:
    mean: Float64 = points_mm.mean(axis=0)
    return mean


def _first_singular_value(points_mm: Float64) -> float:
    centered = points_mm - points_mm.mean(axis=0)
    return math.sqrt(max(float(np.linalg.eigvalsh(centered.T @ centered)[-1]), 0.0))


@compiled
def _bilateral(z_mm: Float32) -> Float32:
    """Bilateral filter of diameter 5 (Tomasi and Manduchi 1998) with the disc that OpenCV takes; the rim of two pixels stays as it is."""
    height, width = z_mm.shape
    weights = np.empty(int(BEYOND_MM) + 2, np.float32)
    for step in range(len(weights)):
        weights[step] = math.exp(-(step**2) / (2 * SIGMA_DEPTH_MM**2))
    result = z_mm.copy()
    for row in range(RADIUS_PX, height - RADIUS_PX):
        for column in range(RADIUS_PX, width - RADIUS_PX):
            middle = z_mm[row, column]
            if middle > RANGE_MM + SLAB_MM + BEYOND_MM or middle < MEASURED_MM:
                continue  # too far to be kept whatever its neighbors are, or not measured
            total = np.float32(0.0)
            weighted = np.float32(0.0)
            for down in range(-RADIUS_PX, RADIUS_PX + 1):
                for right in range(-RADIUS_PX, RADIUS_PX + 1):
                    reach = down * down + right * right
                    off = abs(z_mm[row + down, column + right] - middle)
                    if reach > RADIUS_PX * RADIUS_PX or off > BEYOND_MM:
                        continue
                    weight = weights[int(off + 0.5)] * (1.0 - reach / (2 * SIGMA_PX**2))
                    total += weight
                    weighted += weight * z_mm[row + down, column + right]
            result[row, column] = weighted / total
    return result
