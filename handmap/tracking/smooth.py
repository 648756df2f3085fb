"""The One-Euro filter on joints in the camera frame, steady for a hand at rest and quick for one in motion; extrapolation.

Casiez, Roussel and Vogel, "1 € Filter", CHI 2012: exponential smoothing with a cutoff that rises with speed. Here the
speed of a joint is the norm of its velocity, so the result does not depend on the camera's orientation. The velocity is
that of the raw joints, as in the authors' later code; computed against the smoothed ones, as in the paper, it would be too
high by their lag. Only published joints are filtered: tracking continues from the raw ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, TypeAlias

import msgspec
import numpy as np

from handmap.types.arrays import Array, Float32
from handmap.types.values import HandPose


class SmoothingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How joints are smoothed and extrapolated; the defaults come from measurements in docs/measured/smoothing.md.

    A higher min_cutoff_hz means less lag but more jitter at rest; beta adds that many Hz of cutoff per mm/s of a joint's
    speed. With extrapolate, joints are predicted for the time of publication, at most max_extrapolation_ms ahead.
    """

    enabled: bool = True  # false: publish joints as they are fitted, or as the network predicts them
    min_cutoff_hz: Annotated[float, msgspec.Meta(gt=0, le=100)] = (
        0.5  # cutoff for a joint at rest; higher: less lag, more jitter
    )
    beta: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.3  # Hz of cutoff added per mm/s of a joint's speed
    derivative_cutoff_hz: Annotated[float, msgspec.Meta(gt=0, le=100)] = 4.0  # cutoff for the speed itself
    extrapolate: bool = False  # true: predict joints for the time of publication, and mark them as extrapolated
    max_extrapolation_ms: Annotated[float, msgspec.Meta(ge=0, le=100)] = 30.0  # furthest to extrapolate

    def __post_init__(self) -> None:
        if self.extrapolate and not self.enabled:
            raise ValueError(
                "extrapolate needs the velocity of the smoothed joints, found enabled: false; set enabled: true"
            )


DEFAULT_SMOOTHING = SmoothingConfig()
UNSMOOTHED = SmoothingConfig(enabled=False)


@dataclass(frozen=True)
class JointFilter:
    """The filter state of one track at capture_ns: joints (J, 3) raw and smoothed, mm, and their smoothed
    velocities (J, 3) mm/s, all in the camera frame."""

    track_id: int
    capture_ns: int
    raw_mm: Float32
    xyz_camera_mm: Float32
    velocity_mm_s: Float32


Filters: TypeAlias = tuple[JointFilter, ...]

NO_FILTERS: Filters = ()


def smooth(poses: Sequence[HandPose], filters: Filters, settings: SmoothingConfig) -> tuple[list[HandPose], Filters]:
    """The poses with smoothed joints, and the filters for the next call; tracks without a pose are dropped."""
    if not settings.enabled:
        return list(poses), NO_FILTERS
    known = {one.track_id: one for one in filters}
    after = tuple(_filtered(pose, known.get(pose.track_id), settings) for pose in poses)
    smoothed = [replace(pose, xyz_camera_mm=one.xyz_camera_mm) for pose, one in zip(poses, after, strict=True)]
    return smoothed, after


def extrapolate(
    poses: Sequence[HandPose], filters: Filters, publish_ns: int, settings: SmoothingConfig
) -> list[HandPose]:
    """The poses predicted for publish_ns (CLOCK_MONOTONIC) and marked as extrapolated; unchanged if extrapolation is off.

    `filters` are those returned by `smooth` with the poses. capture_ns remains the time of the frame the poses come from.
    """
    if not settings.extrapolate:
        return list(poses)
    velocities = {one.track_id: one.velocity_mm_s for one in filters}
    return [_moved_on(pose, velocities.get(pose.track_id), publish_ns, settings) for pose in poses]


def _filtered(pose: HandPose, before: JointFilter | None, settings: SmoothingConfig) -> JointFilter:
    """The filter after this pose; a new one if there was none, or if the clock stood still or went backward."""
    raw_mm = pose.xyz_camera_mm
    if before is None or pose.capture_ns <= before.capture_ns:
        return JointFilter(pose.track_id, pose.capture_ns, raw_mm, raw_mm, np.zeros_like(raw_mm))
    elapsed_s = (pose.capture_ns - before.capture_ns) / 1e9
    newest = (raw_mm - before.raw_mm) / np.float32(elapsed_s)
    share = newest_share(settings.derivative_cutoff_hz, elapsed_s)
    velocity = before.velocity_mm_s + share * (newest - before.velocity_mm_s)
    speed_mm_s = np.linalg.norm(velocity, axis=-1, keepdims=True)  # (J, 1)
    cutoff_hz = settings.min_cutoff_hz + settings.beta * speed_mm_s
    xyz_mm = before.xyz_camera_mm + newest_share(cutoff_hz, elapsed_s) * (raw_mm - before.xyz_camera_mm)
    return JointFilter(pose.track_id, pose.capture_ns, raw_mm, xyz_mm.astype(np.float32), velocity.astype(np.float32))


def newest_share(cutoff_hz: float | Array, elapsed_s: float) -> Array:
    """The weight of the newest value in exponential smoothing, for each cutoff: 1 / (1 + tau / T) with tau = 1 / (2 pi cutoff)."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff_hz * elapsed_s))


def _moved_on(pose: HandPose, velocity_mm_s: Float32 | None, publish_ns: int, settings: SmoothingConfig) -> HandPose:
    ahead_s = min((publish_ns - pose.capture_ns) / 1e9, settings.max_extrapolation_ms / 1e3)
    if velocity_mm_s is None or ahead_s <= 0:
        return pose
    xyz_mm = (pose.xyz_camera_mm + velocity_mm_s * np.float32(ahead_s)).astype(np.float32)
    return replace(pose, xyz_camera_mm=xyz_mm, is_extrapolated=True)
