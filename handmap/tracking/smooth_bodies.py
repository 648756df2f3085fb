"""The One-Euro filter on fitted hands: wrist pose and joint angles in the place of points, so bones keep their lengths; extrapolation.

As in `handmap.tracking.smooth`, cutoffs rise with speed in mm/s. A rotation's is that of the joint that it moves fastest: its rate
times that joint's distance from its axis.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from handmap.skeleton.body import Bodies
from handmap.skeleton.body_pose import BodyPose, choose_pose, motion_between, move_pose
from handmap.skeleton.hand_shape import load_skeleton_model
from handmap.skeleton.hands import place_hands
from handmap.skeleton.kinematics import PARAMETER_COUNT, ROOT_COUNT, joint_jacobian, pose_bones, rest_shape
from handmap.tracking.smooth import SmoothingConfig, newest_share
from handmap.types.arrays import Float64
from handmap.types.joints import JOINT_COUNT

_SHIFT, _TURN = slice(0, 3), slice(3, ROOT_COUNT)


@dataclass(frozen=True)
class BodyFilter:
    """The N hands of the newest frame as right hands, raw and smoothed, and their smoothed velocities (N, 28): that of the wrist in
    the hand frame, mm/s and rad/s, then of the angles, rad/s."""

    track_ids: tuple[int, ...]
    is_left: tuple[bool, ...]
    capture_ns: int
    raw: BodyPose
    smoothed: BodyPose
    velocity: Float64


def smooth_bodies(
    bodies: Bodies, capture_ns: int, before: BodyFilter | None, settings: SmoothingConfig
) -> tuple[Bodies, BodyFilter]:
    """The bodies with smoothed poses, as they are if smoothing is off, and the filter for the next frame."""
    hands = bodies.hands
    raw, is_left = hands.pose, tuple(bool(one) for one in hands.is_left)
    filtered = BodyFilter(bodies.track_ids, is_left, capture_ns, raw, raw, np.zeros((len(is_left), PARAMETER_COUNT)))
    elapsed_s = 0.0 if before is None else (capture_ns - before.capture_ns) / 1e9
    if before is not None and elapsed_s > 0:
        filtered = _filtered(_followed(filtered, before), filtered, elapsed_s, settings)
    return (_posed(bodies, filtered.smoothed) if settings.enabled else bodies), filtered


def extrapolate_bodies(bodies: Bodies, moving: BodyFilter, publish_ns: int, settings: SmoothingConfig) -> Bodies:
    """The bodies predicted for publish_ns (CLOCK_MONOTONIC); unchanged if extrapolation is off. `moving` is what `smooth_bodies` gave."""
    ahead_s = min((publish_ns - moving.capture_ns) / 1e9, settings.max_extrapolation_ms / 1e3)
    if not settings.extrapolate or ahead_s <= 0:
        return bodies
    return _posed(bodies, move_pose(bodies.hands.pose, moving.velocity * ahead_s))


def _followed(newest: BodyFilter, before: BodyFilter) -> BodyFilter:
    """The filter of the frame before with the hands of this one; one that is new or has changed its side was where it is."""
    if (before.track_ids, before.is_left) == (newest.track_ids, newest.is_left):
        return before
    known = {key: row for row, key in enumerate(zip(before.track_ids, before.is_left, strict=True))}
    rows = np.array([known.get(key, -1) for key in zip(newest.track_ids, newest.is_left, strict=True)])
    is_new = rows < 0
    return replace(
        newest,
        raw=choose_pose(is_new, newest.raw, before.raw.rows(rows)),
        smoothed=choose_pose(is_new, newest.raw, before.smoothed.rows(rows)),
        velocity=np.where(is_new[:, None], 0.0, before.velocity[rows]),
    )


def _filtered(before: BodyFilter, newest: BodyFilter, elapsed_s: float, settings: SmoothingConfig) -> BodyFilter:
    rates = motion_between(before.raw, newest.raw) / elapsed_s
    velocity = before.velocity + newest_share(settings.derivative_cutoff_hz, elapsed_s) * (rates - before.velocity)
    cutoffs_hz = settings.min_cutoff_hz + settings.beta * _speeds_mm_s(velocity)
    step = newest_share(cutoffs_hz, elapsed_s) * motion_between(before.smoothed, newest.raw)
    return replace(newest, smoothed=move_pose(before.smoothed, step), velocity=velocity)


def _speeds_mm_s(velocity: Float64) -> Float64:
    """How fast (N, 28) each part of a motion moves joints; the axes of the wrist's shift have one speed, those of its turn another."""
    speeds = np.abs(velocity) * _levers_mm()
    for axes in (_SHIFT, _TURN):
        speeds[:, axes] = np.sqrt((speeds[:, axes] ** 2).sum(axis=1, keepdims=True))
    return speeds


@cache
def _levers_mm() -> Float64:
    """The farthest (28,) that a unit of each part of a motion moves any joint of the mean hand."""
    model = load_skeleton_model()
    rest = rest_shape(model, np.zeros((1, model.shape_count)))
    slopes = joint_jacobian(model, rest, pose_bones(model, rest, model.pose_mean[None]))
    squares = (slopes.reshape(JOINT_COUNT, 3, PARAMETER_COUNT) ** 2).sum(axis=1)
    levers: Float64 = np.sqrt(squares.max(axis=0))
    return levers


def _posed(bodies: Bodies, pose: BodyPose) -> Bodies:
    """The same bodies in another pose."""
    hands = bodies.hands
    posed = pose_bones(load_skeleton_model(), hands.rest, pose.angles)
    return replace(bodies, hands=place_hands(hands.is_left, pose, posed, hands.rest))
