"""Finds hands in recordings and data sets the way the daemon does, and bins the qualities that a calibration set must cover."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from handmap.engines.engine import Engines
from handmap.geometry.crop import crop_hand, normalize_points
from handmap.recording.datasets import label_center
from handmap.system.progress import track_progress
from handmap.system.timing import StageClock
from handmap.tracking.tracker import TrackerState, track_hands
from handmap.tracking.tracker_settings import TrackerSettings
from handmap.types.arrays import Float32
from handmap.types.joints import FINGERTIPS, JOINT_COUNT, KNUCKLES, MIDDLE_MCP, WRIST
from handmap.types.values import DepthFrame, Handedness, HandPose

from .detector_inputs import DetectorInputs, detector_input_of
from .frame_source import FrameSource, Sample

WRONG_BODY_MM: Final = 125.0  # half a cube from the label: not the labeled hand
DISTANCE_BIN_MM: Final = 100.0
ANGLE_BINS: Final = 8
POSITION_BINS: Final = 3  # across the image's width, and its height
MISSING_EDGES: Final = (0.02, 0.1, 0.3)  # fractions of pixels without depth around the hand
OUTSTRETCHED: Final = (
    1.45  # a finger counts as extended if its tip is this many times as far from the wrist as its knuckle
)


@dataclass(frozen=True)
class Candidate:
    """A crop (128, 128), its true joints (J, 3) in half cube sides or NaN, the detector input of its frame, its source, and
    the bins of its qualities."""

    depth: Float32
    truth: Float32
    picture: DetectorInputs
    source: int
    frame: int
    frame_sha256: str
    distance_mm: float
    bins: dict[str, int]


@dataclass(frozen=True)
class Found:
    """The candidates of one source, the sha256 of all its depth frames in order, and the number of frames without a hand."""

    candidates: list[Candidate]
    sha256: str
    empty: int


def find_candidates(
    frame_source: FrameSource, source: int, engines: Engines, settings: TrackerSettings, stride: int
) -> Found:
    """At most one candidate from every `stride`-th frame: the crop that the tracker gives the network, at the model's size."""
    candidates: list[Candidate] = []
    digest, empty = hashlib.sha256(), 0
    clock, state = StageClock(), TrackerState()
    with track_progress(f"select {frame_source.name}", len(frame_source), "frames") as advance:
        for index, sample in enumerate(frame_source):
            frame_digest = frame_sha256(sample.frame)
            digest.update(frame_digest.encode())
            if index % stride:
                continue
            state = state if frame_source.is_moving else TrackerState()
            poses, state = track_hands(sample.frame, state, engines, settings, clock)
            found = _candidate(sample, poses[0], source, frame_digest, settings) if poses else None
            empty += found is None
            candidates.extend([found] if found is not None else [])
            advance(index + 1, f"{len(candidates)} hands")
    return Found(candidates, digest.hexdigest(), empty)


def frame_sha256(frame: DepthFrame) -> str:
    """The sha256 of a frame's raw depth, which identifies frames used for calibration."""
    return hashlib.sha256(np.ascontiguousarray(frame.depth, "<u2").tobytes()).hexdigest()


def _candidate(
    sample: Sample, pose: HandPose, source: int, frame_digest: str, settings: TrackerSettings
) -> Candidate | None:
    is_mirrored = settings.handedness is Handedness.LEFT
    crop = crop_hand(settings.xp, sample.frame, pose.roi.center_mm, settings.cube_mm, is_mirrored)
    truth = np.full((JOINT_COUNT, 3), np.nan, np.float32)
    if sample.truth_mm is not None:
        if float(np.linalg.norm(label_center(sample.truth_mm) - pose.roi.center_mm)) > WRONG_BODY_MM:
            return None
        truth = normalize_points(np, sample.truth_mm, crop.roi).astype(np.float32)
    bins = dict(_bins(sample.frame, pose, settings.cube_mm))
    distance_mm = round(float(pose.roi.center_mm[2]), 1)
    number = sample.frame.frame_number
    return Candidate(crop.depth, truth, detector_input_of(sample), source, number, frame_digest, distance_mm, bins)


def _bins(frame: DepthFrame, pose: HandPose, cube_mm: float) -> Iterator[tuple[str, int]]:
    """The bin of each quality: distance, place in the image, in-plane angle, extended fingers, missing depth."""
    intrinsics, xyz = frame.intrinsics, pose.xyz_camera_mm
    x, y, z = (float(value) for value in pose.roi.center_mm)
    u, v = x / z * intrinsics.fx_px + intrinsics.cx_px, y / z * intrinsics.fy_px + intrinsics.cy_px
    column = int(np.clip(u / intrinsics.width_px * POSITION_BINS, 0, POSITION_BINS - 1))
    row = int(np.clip(v / intrinsics.height_px * POSITION_BINS, 0, POSITION_BINS - 1))
    along = xyz[MIDDLE_MCP] - xyz[WRIST]
    turn = (np.arctan2(along[1], along[0]) / (2 * np.pi)) % 1.0
    from_wrist = np.linalg.norm(xyz - xyz[WRIST], axis=1)
    is_out = from_wrist[list(FINGERTIPS)] > OUTSTRETCHED * from_wrist[list(KNUCKLES)]
    half_px = cube_mm / 2 / z * intrinsics.fx_px
    left, right = (int(np.clip(edge, 0, intrinsics.width_px)) for edge in (u - half_px, u + half_px))
    top, bottom = (int(np.clip(edge, 0, intrinsics.height_px)) for edge in (v - half_px, v + half_px))
    window = frame.depth[top:bottom, left:right]
    missing = float((window == 0).mean()) if window.size else 1.0
    yield "distance", int(z // DISTANCE_BIN_MM)
    yield "position", row * POSITION_BINS + column
    yield "angle", int(turn * ANGLE_BINS) % ANGLE_BINS
    yield "pose", int(sum(1 << finger for finger, out in enumerate(is_out) if out))
    yield "missing depth", int(np.searchsorted(MISSING_EDGES, missing))
