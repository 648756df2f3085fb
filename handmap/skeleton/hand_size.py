"""The user's hand size and bone lengths: learned over the first seconds of a track, then held, until another user is noticed.

What a frame says about shape is the information that is left once the pose has taken its part (the Schur complement), and its
pull. Frames that follow one another say much the same, so each counts only for its share of CORRELATION_S.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from handmap.skeleton.fit import FittedPose
from handmap.skeleton.hand_shape import SEGMENTS, SkeletonModel, load_skeleton_model
from handmap.skeleton.kinematics import RestShape, rest_length_mm, rest_shape, shape_jacobian
from handmap.skeleton.measurement import Measurement
from handmap.types.arrays import Bool, Float64
from handmap.types.joints import JOINT_COUNT

LEARNING_S = 3.0  # of frames in which the hand is seen
CORRELATION_S = 0.4  # errors of frames nearer than that are as good as the same
BIAS_SHARE = 0.027  # of a hand's length that the shipped network gets wrong for a person, however long it looks
MAX_SHAPE = 4.0  # standard deviations from the mean person, over all parameters
MAX_MISFIT = 2.5  # a frame that fits no hand says nothing about its size
RECENT_S = 0.4  # what a held size is compared with
NEW_USER_SHARE = 0.06  # so much longer or shorter than held, and beyond doubt, is another user
NEW_USER_SIGMAS = 3.0
NEW_USER_S = 0.4  # and for so long
MAX_FRAME_S = 0.1  # a gap counts no more than that
_MIDDLE = 2


@dataclass(frozen=True)
class HandSize:
    """Of N hands: shape (N, K) with information (N, K, K); seconds (N,) learned so far; what recent frames say against the held
    shape, as recent_information (N, K, K) and recent_pull (N, K); and for how long another user has been suspected, s (N,)."""

    shape: Float64
    information: Float64
    seconds: Float64
    recent_information: Float64
    recent_pull: Float64
    suspected_s: Float64

    @property
    def is_held(self) -> Bool:
        """Whether (N,) each hand's size has converged."""
        held: Bool = self.seconds >= LEARNING_S
        return held


@dataclass(frozen=True)
class HandLength:
    """Wrist to middle fingertip along the bones, and its standard deviation, (N,) both, mm."""

    length_mm: Float64
    deviation_mm: Float64


def unknown_size(model: SkeletonModel, count: int) -> HandSize:
    """The mean person's hand, as nothing is known yet."""
    k = model.shape_count
    return HandSize(
        np.zeros((count, k)),
        np.tile(np.eye(k), (count, 1, 1)),
        np.zeros(count),
        np.zeros((count, k, k)),
        np.zeros((count, k)),
        np.zeros(count),
    )


def learn_size(
    model: SkeletonModel, size: HandSize, fitted: FittedPose, measured: Measurement, elapsed_s: Float64
) -> HandSize:
    """The size after a frame that came elapsed_s (N,) after the one before; held ones change only with the user."""
    information, pull = _said_by_frame(model, fitted, measured)
    seconds = np.minimum(elapsed_s, MAX_FRAME_S)
    squared_misfit = (fitted.residuals * fitted.residuals).mean(axis=1)
    seconds = np.where(squared_misfit < MAX_MISFIT**2, seconds, 0.0)
    share = (seconds / CORRELATION_S)[:, None, None]
    learned = _learn(size, information * share, pull * share[:, 0], seconds)
    if not size.is_held.any():
        return learned
    watched = _watch(model, size, (information * share, pull * share[:, 0]), seconds)
    return choose_size(size.is_held, watched, learned)


def guess_size(model: SkeletonModel, size: HandSize, fitted: FittedPose, measured: Measurement) -> HandSize:
    """The size nearer to the most likely one by what this frame alone says, for hands of which nothing is known yet."""
    information, pull = _said_by_frame(model, fitted, measured)
    total = information + np.eye(model.shape_count)
    step = np.linalg.solve(total, (pull - size.shape)[..., None])[..., 0]
    return replace(size, shape=_within_people(size.shape + np.clip(step, -1, 1)), information=total)


def hand_length(model: SkeletonModel, size: HandSize) -> HandLength:
    """The length of each hand."""
    slope, length_mm = _length_slope(model, rest_shape(model, size.shape))
    variance = (slope * np.linalg.solve(size.information, slope[..., None])[..., 0]).sum(axis=1)
    return HandLength(length_mm, np.sqrt(variance + (BIAS_SHARE * length_mm) ** 2))


@cache
def mean_length_mm() -> float:
    """The length of the mean person's hand."""
    model = load_skeleton_model()
    return float(rest_length_mm(rest_shape(model, np.zeros((1, model.shape_count))))[0])


def _said_by_frame(model: SkeletonModel, fitted: FittedPose, measured: Measurement) -> tuple[Float64, Float64]:
    """Information (N, K, K) and pull (N, K) of a frame on shape, with the pose free to follow."""
    count, k = len(fitted.residuals), model.shape_count
    slopes = shape_jacobian(model, fitted.posed).reshape(count, JOINT_COUNT, 3 * k)
    slopes = (measured.whitening @ slopes).reshape(count, 3 * JOINT_COUNT, k)
    turned = np.swapaxes(slopes, 1, 2)
    shared = turned @ fitted.jacobian
    information = turned @ slopes - shared @ fitted.covariance @ np.swapaxes(shared, 1, 2)
    return information, (turned @ fitted.residuals[..., None])[..., 0]


def _learn(size: HandSize, information: Float64, pull: Float64, seconds: Float64) -> HandSize:
    total = size.information + information
    step = np.linalg.solve(total, pull[..., None])[..., 0]
    shape = _within_people(size.shape + step)
    return replace(size, shape=shape, information=total, seconds=size.seconds + seconds)


def _within_people(shape: Float64) -> Float64:
    distance = np.sqrt((shape * shape).sum(axis=1, keepdims=True))
    within: Float64 = shape * (MAX_SHAPE / np.maximum(distance, MAX_SHAPE))
    return within


def _watch(model: SkeletonModel, size: HandSize, said: tuple[Float64, Float64], seconds: Float64) -> HandSize:
    """A held size, or that of a new user, unlearned, if recent frames have contradicted it for long enough."""
    kept = np.exp(-seconds / RECENT_S)[:, None, None]
    recent, pull = size.recent_information * kept + said[0], size.recent_pull * kept[:, 0] + said[1]
    certain = recent + np.eye(model.shape_count)
    slope, length_mm = _length_slope(model, rest_shape(model, size.shape))
    longer_mm = (slope * np.linalg.solve(certain, pull[..., None])[..., 0]).sum(axis=1)
    deviation_mm = np.sqrt((slope * np.linalg.solve(certain, slope[..., None])[..., 0]).sum(axis=1))
    is_other = np.abs(longer_mm) > np.maximum(NEW_USER_SHARE * length_mm, NEW_USER_SIGMAS * deviation_mm)
    suspected = np.where(is_other, size.suspected_s + seconds, 0.0)
    watched = replace(size, recent_information=recent, recent_pull=pull, suspected_s=suspected)
    return choose_size(suspected < NEW_USER_S, watched, unknown_size(model, len(suspected)))


def _length_slope(model: SkeletonModel, rest: RestShape) -> tuple[Float64, Float64]:
    """How hand length changes with shape (N, K), mm, and the length (N,)."""
    bones = [rest.base_mm[:, _MIDDLE] + rest.pivot_mm, *(rest.offsets_mm[k, :, _MIDDLE] for k in range(SEGMENTS))]
    slopes = [
        model.base_mm[_MIDDLE, :, :-1] + model.pivot_mm[:, :-1],
        *(model.offsets_mm[k, _MIDDLE, :, :-1] for k in range(SEGMENTS)),
    ]
    lengths = [np.sqrt((bone * bone).sum(axis=1, keepdims=True)) for bone in bones]
    slope = sum(bone / length @ way for bone, length, way in zip(bones, lengths, slopes, strict=True))
    return np.asarray(slope), np.concatenate(lengths, axis=1).sum(axis=1)


def choose_size(is_first: Bool, first: HandSize, second: HandSize) -> HandSize:
    """For each hand one of two sizes."""
    one, two = is_first[:, None], is_first[:, None, None]
    return HandSize(
        np.where(one, first.shape, second.shape),
        np.where(two, first.information, second.information),
        np.where(is_first, first.seconds, second.seconds),
        np.where(two, first.recent_information, second.recent_information),
        np.where(one, first.recent_pull, second.recent_pull),
        np.where(is_first, first.suspected_s, second.suspected_s),
    )
