"""Tracked joints as bodies: the skeleton's fit, the smoothing of its angles, and what both mean for the published pose."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np

from handmap.skeleton.body import Bodies, fit_bodies
from handmap.skeleton.hand_size import MAX_MISFIT
from handmap.skeleton.memory import BodyState
from handmap.tracking.hand_presence import MISFIT_LOGIT, PRESENCE_EMA_ALPHA
from handmap.tracking.smooth import SmoothingConfig
from handmap.tracking.smooth_bodies import BodyFilter, extrapolate_bodies, smooth_bodies
from handmap.tracking.track import Track, Tracks
from handmap.types.arrays import Float64
from handmap.types.values import HandPose


class SkeletonConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether joints are fitted with a hand of constant bones, sized for its user and bent within human limits; docs/skeleton.md."""

    enabled: bool = True  # false: publish the network's joints, each smoothed by itself


DEFAULT_SKELETON = SkeletonConfig()
UNFITTED = SkeletonConfig(enabled=False)


@dataclass(frozen=True)
class FittedHands:
    """The newest frame's bodies as published, None without hands; what the fit remembers of each track; and the filter."""

    bodies: Bodies | None = None
    memory: BodyState = field(default_factory=BodyState)
    moving: BodyFilter | None = None

    def without_hands(self) -> "FittedHands":
        """Without any hand; sizes are kept, as the next hand is most likely the same person's."""
        return FittedHands(memory=self.memory)


NO_FITTED_HANDS = FittedHands()


def fit_hands(
    poses: Sequence[HandPose], before: FittedHands, settings: SmoothingConfig
) -> tuple[list[HandPose], FittedHands]:
    """The poses with the joints, expected errors and confidence of their fitted hands, smoothed; and the state for the next frame."""
    bodies, memory = fit_bodies(poses, before.memory)
    if bodies is None:
        return [], FittedHands(None, memory)
    smoothed, moving = smooth_bodies(bodies, poses[0].capture_ns, before.moving, settings)
    return _shown(poses, smoothed), FittedHands(smoothed, memory, moving)


def extrapolate_hands(
    poses: Sequence[HandPose], fitted: FittedHands, publish_ns: int, settings: SmoothingConfig
) -> tuple[list[HandPose], FittedHands]:
    """Poses and bodies predicted for publish_ns and marked as extrapolated; unchanged if extrapolation is off."""
    if fitted.bodies is None or fitted.moving is None:
        return list(poses), fitted
    ahead = extrapolate_bodies(fitted.bodies, fitted.moving, publish_ns, settings)
    if ahead is fitted.bodies:
        return list(poses), fitted
    moved = [
        replace(pose, xyz_camera_mm=joints.astype(np.float32), is_extrapolated=True)
        for pose, joints in zip(poses, ahead.hands.joints_mm, strict=True)
    ]
    return moved, replace(fitted, bodies=ahead)


def fitted_palms_mm(bodies: Bodies) -> Float64:
    """The palm length (N,) of each hand, as `handmap.tracking.track.palm_length_mm` has it."""
    rest = bodies.hands.rest
    palms: Float64 = np.linalg.norm(rest.base_mm[:, 1:] + rest.pivot_mm[:, None], axis=-1).mean(axis=1)
    return palms


def learn_from_fit(tracks: Tracks, fitted: FittedHands) -> Tracks:
    """The tracks with the sizes of their fitted hands, and less certain of hands that fit no body."""
    if fitted.bodies is None:
        return tracks
    rows = zip(tracks.active, fitted.bodies.misfit, fitted_palms_mm(fitted.bodies), strict=True)
    return replace(
        tracks, active=tuple(_fitted(track, float(misfit), float(palm_mm)) for track, misfit, palm_mm in rows)
    )


def _fitted(track: Track, misfit: float, palm_mm: float) -> Track:
    doubt = PRESENCE_EMA_ALPHA * (track.presence_logit - MISFIT_LOGIT) if misfit > MAX_MISFIT else 0.0
    return replace(track, fitted_palm_mm=palm_mm, presence_logit=track.presence_logit - max(doubt, 0.0))


def _shown(poses: Sequence[HandPose], bodies: Bodies) -> list[HandPose]:
    """The poses as fitted; one whose fit is off by more than its errors explain is as much less certain."""
    return [
        replace(
            pose,
            xyz_camera_mm=joints.astype(np.float32),
            expected_error_mm=errors.astype(np.float32),
            confidence=pose.confidence * (MAX_MISFIT / max(float(misfit), MAX_MISFIT)),
        )
        for pose, joints, errors, misfit in zip(
            poses, bodies.hands.joints_mm, bodies.joint_errors_mm, bodies.misfit, strict=True
        )
    ]
