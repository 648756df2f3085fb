"""Levenberg-Marquardt on N right hands at once: the hand pose that best explains measured joints and their expected errors.

The cost is that of the measurement, of a prior on natural poses and of one on the angles of the frame before. Angles never leave their
limits: one that is at a limit and pulled beyond it takes no part in a step, and steps are clipped.
"""

from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np

from handmap.skeleton.body_pose import BodyPose, choose_pose, move_pose
from handmap.skeleton.degrees_of_freedom import ANGLE_COUNT, MAX_ANGLES, MIN_ANGLES
from handmap.skeleton.hand_shape import SkeletonModel
from handmap.skeleton.kinematics import (
    PARAMETER_COUNT,
    ROOT_COUNT,
    PosedBones,
    RestShape,
    joint_jacobian,
    pose_bones,
)
from handmap.skeleton.measurement import Measurement
from handmap.types.arrays import Bool, Float64
from handmap.types.joints import JOINT_COUNT

COLD_STEPS = 8
WARM_STEPS = 2
PALM_JOINTS = np.array([0, 1, 5, 9, 13, 17])
MAX_TURN = 0.5  # rad of a step: linear enough
_DAMPING = 1e-3  # of the first step, as a share of the diagonal


@dataclass(frozen=True)
class PosePrior:
    """What is known before measuring: predicted angles (N, 22) with precision (N, 22), 1/rad^2; zero for a hand not seen before."""

    angles: Float64
    precision: Float64


@dataclass(frozen=True)
class FittedPose:
    """The best pose, its bones, and the covariance (N, 28, 28) of motion in the hand frame (mm, rad), then of angles (rad).

    residuals (N, 63) are white, of unit variance if expected errors are right. slopes (N, 63, 28) is the Jacobian of the joints, and
    jacobian the same in units of the residuals, zero for angles held at a limit; both are those before the last step.
    """

    pose: BodyPose
    posed: PosedBones
    covariance: Float64
    residuals: Float64
    slopes: Float64
    jacobian: Float64


@dataclass(frozen=True)
class _Point:
    """A pose that was tried: its bones, white residuals (N, 63) in the hand frame, pull (N, 22) of the priors, and cost (N,)."""

    pose: BodyPose
    posed: PosedBones
    residuals: Float64
    pull: Float64
    cost: Float64


@dataclass(frozen=True)
class _Normal:
    """The normal equations at a pose: hessian (N, 28, 28), gradient (N, 28), and the Jacobians of `FittedPose`."""

    hessian: Float64
    gradient: Float64
    slopes: Float64
    jacobian: Float64


Problem: TypeAlias = tuple[SkeletonModel, RestShape, Measurement, PosePrior]


def start_pose(model: SkeletonModel, rest: RestShape, measured: Measurement) -> BodyPose:
    """Hands whose palms lie best on the measured ones (Kabsch), in the natural pose."""
    count = len(measured.joints_mm)
    angles = np.broadcast_to(model.pose_mean, (count, ANGLE_COUNT))
    palm = pose_bones(model, rest, angles).joints_mm[:, PALM_JOINTS]
    seen = measured.joints_mm[:, PALM_JOINTS]
    palm_center, seen_center = palm.mean(axis=1, keepdims=True), seen.mean(axis=1, keepdims=True)
    left, _, right = np.linalg.svd(np.swapaxes(seen - seen_center, 1, 2) @ (palm - palm_center))
    left[:, :, 2] *= np.linalg.det(left @ right)[:, None]
    rotations = left @ right
    positions = (seen_center - palm_center @ np.swapaxes(rotations, 1, 2))[:, 0]
    return BodyPose(rotations, positions, angles.copy())


def fit_pose(problem: Problem, start: BodyPose, steps: int, enough_rad: float = 0.0) -> FittedPose:
    """The pose of least cost after at most so many steps, of which one that turns nothing by enough_rad is the last.

    Never one that costs more than `start`, nor one beyond limits.
    """
    within = np.minimum(np.maximum(start.angles, MIN_ANGLES), MAX_ANGLES)
    turned = np.swapaxes(start.rotations, 1, 2) @ start.rotations
    rotations = start.rotations @ (1.5 * _EYE - 0.5 * turned)  # as orthonormal as ever, however many frames have passed
    best = _try(problem, BodyPose(rotations, start.positions_mm, within))
    damping: Float64 = np.full(len(best.cost), _DAMPING)
    for _ in range(steps):
        normal = _normal(problem, best)
        hessian, gradient, is_held = _free(normal, best.pose, damping)
        step = cast(Float64, np.linalg.solve(hessian, gradient[..., None])[..., 0])
        trial = _try(problem, _moved(best.pose, step))
        is_better = trial.cost < best.cost
        damping = np.where(is_better, damping * 0.1, damping * 10)
        best = _chosen(is_better, trial, best)
        if is_better.all() and float(np.abs(step[:, 3:]).max()) < enough_rad:
            break
    covariance = cast(Float64, np.linalg.inv(hessian))
    jacobian = normal.jacobian
    if is_held.any():
        jacobian[:, :, ROOT_COUNT:] *= ~is_held[:, None]
    return FittedPose(best.pose, best.posed, covariance, best.residuals, normal.slopes, jacobian)


def _try(problem: Problem, pose: BodyPose) -> _Point:
    model, rest, measured, prior = problem
    posed = pose_bones(model, rest, pose.angles)
    seen = (measured.joints_mm - pose.positions_mm[:, None]) @ pose.rotations
    residuals = (measured.whitening @ (seen - posed.joints_mm)).reshape(len(seen), -1)
    natural, predicted = pose.angles - model.pose_mean, pose.angles - prior.angles
    natural_pull, predicted_pull = natural @ model.pose_precision, prior.precision * predicted
    strain = natural_pull * natural + predicted_pull * predicted
    cost = (residuals * residuals).sum(axis=1) + strain.sum(axis=1)
    return _Point(pose, posed, residuals, -(natural_pull + predicted_pull), cost)


def _normal(problem: Problem, point: _Point) -> _Normal:
    model, rest, measured, prior = problem
    count = len(point.cost)
    slopes = joint_jacobian(model, rest, point.posed)
    white = measured.whitening @ slopes.reshape(count, JOINT_COUNT, 3 * PARAMETER_COUNT)
    jacobian = white.reshape(count, 3 * JOINT_COUNT, PARAMETER_COUNT)
    turned = np.swapaxes(jacobian, 1, 2)
    hessian = turned @ jacobian
    gradient = (turned @ point.residuals[..., None])[..., 0]
    hessian[:, ROOT_COUNT:, ROOT_COUNT:] += model.pose_precision
    hessian[:, _ANGLES, _ANGLES] += prior.precision
    gradient[:, ROOT_COUNT:] += point.pull
    return _Normal(hessian, gradient, slopes, jacobian)


def _free(normal: _Normal, pose: BodyPose, damping: Float64) -> tuple[Float64, Float64, Bool]:
    """The damped equations (N, 28, 28) and (N, 28) without the angles that are at a limit and pulled beyond it, and which (N, 22) are."""
    pull = normal.gradient[:, ROOT_COUNT:]
    is_held = ((pose.angles <= MIN_ANGLES) & (pull < 0)) | ((pose.angles >= MAX_ANGLES) & (pull > 0))
    hessian, gradient = normal.hessian, normal.gradient
    diagonal = hessian[:, _ALL, _ALL] * (1 + damping[:, None])
    if is_held.any():
        free = np.ones_like(gradient)
        free[:, ROOT_COUNT:] = ~is_held
        hessian, gradient = hessian * (free[:, :, None] * free[:, None, :]), gradient * free
    hessian[:, _ALL, _ALL] = diagonal
    return hessian, gradient, is_held


def _moved(pose: BodyPose, step: Float64) -> BodyPose:
    """The pose after a step (N, 28), shortened where it turns too far, within limits."""
    longest = np.abs(step[:, 3:]).max(axis=1, keepdims=True)
    step = step * np.minimum(1, MAX_TURN / np.maximum(longest, 1e-12))
    return move_pose(pose, step)


def _chosen(is_first: Bool, first: _Point, second: _Point) -> _Point:
    """For each hand one of two points."""
    if is_first.all():
        return first
    if not is_first.any():
        return second

    def pick(one: Float64, other: Float64, axis: int = 0) -> Float64:
        shape = [1] * one.ndim
        shape[axis] = -1
        return np.where(is_first.reshape(shape), one, other)

    posed, other = first.posed, second.posed
    return _Point(
        choose_pose(is_first, first.pose, second.pose),
        PosedBones(
            pick(posed.joints_mm, other.joints_mm),
            pick(posed.bones, other.bones, axis=1),
            pick(posed.points_mm, other.points_mm, axis=1),
            pick(posed.palm, other.palm),
            pick(posed.splayed, other.splayed),
        ),
        pick(first.residuals, second.residuals),
        pick(first.pull, second.pull),
        pick(first.cost, second.cost),
    )


_ALL, _ANGLES = np.arange(PARAMETER_COUNT), np.arange(ROOT_COUNT, PARAMETER_COUNT)
_EYE = np.eye(3)
