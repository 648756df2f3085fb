"""The hand's skeleton fitted to a fused track: constant bones, human joint limits, and its size learned on the way."""

from typing import NamedTuple

import numpy as np

from handmap.skeleton.body import fit_bodies
from handmap.skeleton.memory import BodyState
from handmap.types.arrays import Float64
from handmap.types.values import Handedness, HandPose, HandRoi

from .fuse import FusedTrack


class FittedTrack(NamedTuple):
    """T frames: fitted joints (T, 21, 3) in the camera frame, NaN without a hand, and their standard deviation (T, 21), mm."""

    xyz_mm: Float64
    sigma_mm: Float64


def fit_track(track: FusedTrack, times_s: Float64, is_left: bool) -> FittedTrack:
    """The fitted hands of a track at times_s (T,)."""
    fitted = FittedTrack(np.full_like(track.xyz_mm, np.nan), np.full_like(track.sigma_mm, np.nan))
    state = BodyState()
    for index in np.nonzero(np.isfinite(track.xyz_mm[:, 0, 0]))[0].tolist():
        pose = _as_pose(track, index, times_s[index], is_left)
        bodies, state = fit_bodies([pose], state)
        assert bodies is not None
        fitted.xyz_mm[index] = bodies.hands.joints_mm[0]
        fitted.sigma_mm[index] = bodies.joint_errors_mm[0]
    return fitted


def _as_pose(track: FusedTrack, index: int, time_s: float, is_left: bool) -> HandPose:
    xyz_mm = track.xyz_mm[index].astype(np.float32)
    return HandPose(
        xyz_camera_mm=xyz_mm,
        expected_error_mm=track.sigma_mm[index].astype(np.float32),
        roi=HandRoi(xyz_mm.mean(axis=0), 0.0, is_left),
        track_id=1,
        handedness=Handedness.LEFT if is_left else Handedness.RIGHT,
        handedness_confidence=1.0,
        confidence=1.0,
        is_valid=True,
        is_tracked=True,
        is_extrapolated=False,
        frame_number=index,
        capture_ns=round(time_s * 1e9),
    )
