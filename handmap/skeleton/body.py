"""From tracked joints to bodies, frame after frame: the fit of all hands of a frame in one call, and what is kept of each track."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from handmap.skeleton.body_pose import BodyPose, choose_pose
from handmap.skeleton.degrees_of_freedom import ANGLE_COUNT
from handmap.skeleton.fit import (
    COLD_STEPS,
    WARM_STEPS,
    FittedPose,
    PosePrior,
    fit_pose,
    start_pose,
)
from handmap.skeleton.hand_shape import SkeletonModel, load_skeleton_model
from handmap.skeleton.hand_size import MAX_MISFIT, HandSize, choose_size, guess_size, learn_size
from handmap.skeleton.hands import MIRROR, PosedHands, place_hands
from handmap.skeleton.kinematics import ROOT_COUNT, RestShape, rest_shape
from handmap.skeleton.measurement import PER_AXIS, Measurement, measurement
from handmap.skeleton.memory import NEVER_NS, BodyState, Memory, recall, remember
from handmap.types.arrays import Bool, Float64, Int64
from handmap.types.joints import JOINT_COUNT
from handmap.types.values import Handedness, HandPose

MAX_GAP_S = 0.25  # a hand unseen for longer starts from its palm, with its size kept
LOST_MISFIT = 3.0  # a fit so far off starts from its palm
WALK_RAD, WALK_RAD_S = 0.03, 3.0  # deviation of an angle from frame to frame: a constant, and so much for each second
# What neighbors and successive frames err in common does not average out: such a share of a joint's expected error is added to what
# the fit itself leaves. Measured on sequences of the shipped network, the upper end on synthetic:tune, where whole fingers are guessed.
COMMON_SHARES, COMMON_MM = (0.6, 0.9), (8.0, 20.0)  # the share between these expected errors
ANGLE_ERROR_SCALE = 1.6
ENOUGH_RAD = (
    0.15  # once sizes are held, a step that turns nothing farther is the last; learning needs the residuals of a second
)
GUESSES = 4  # rounds in which a hand just met is sized by its first frame
WATCH_S = 0.09  # how often a held size is compared with the measurement


@dataclass(frozen=True)
class Bodies:
    """The N fitted hands of a frame, in the order of its poses, with their sizes as of this frame.

    joint_errors_mm (N, 21) are the errors expected of the joints, angle_errors (N, 22) the standard deviations of the angles in rad.
    misfit (N,) is the rms of the residuals in units of expected errors: 1 if they are right. residual_mm (N,) is the rms distance of the
    measured joints from those of the fitted hand.
    """

    track_ids: tuple[int, ...]
    hands: PosedHands
    joint_errors_mm: Float64
    angle_errors: Float64
    misfit: Float64
    size: HandSize
    residual_mm: Float64


def fit_bodies(poses: Sequence[HandPose], state: BodyState) -> tuple[Bodies | None, BodyState]:
    """The bodies of a frame's poses, all in one call, and the state for the next one; None for a frame without hands.

    Raises ValueError if a joint or an expected error is not finite.
    """
    if not poses:
        return None, state
    model, now_ns = load_skeleton_model(), poses[0].capture_ns
    is_left = np.array([pose.handedness == Handedness.LEFT for pose in poses])
    sides = np.where(is_left[:, None, None], MIRROR, 1.0)
    measured = measurement(
        np.array([pose.xyz_camera_mm for pose in poses], np.float64) * sides,
        np.array([pose.expected_error_mm for pose in poses], np.float64),
    )
    ids = tuple(pose.track_id for pose in poses)
    before = recall(model, state, ids)
    # One that fitted no hand a frame ago is not sized again and again.
    is_met = (before.size.seconds == 0) & ((before.seen_ns == NEVER_NS) | (before.misfit < MAX_MISFIT))
    if is_met.any():
        before = replace(before, size=choose_size(is_met, _guessed(model, before.size, measured), before.size))
    rest = rest_shape(model, before.size.shape)
    start, prior, steps = _start(model, rest, measured, (before, _continued_s(before, now_ns, is_left)))
    enough_rad = ENOUGH_RAD if before.size.is_held.all() else 0.0
    fitted = fit_pose((model, rest, measured, prior), start, steps, enough_rad)
    hands = place_hands(is_left, fitted.pose, fitted.posed, rest)
    bodies = _bodies(ids, hands, (fitted, measured), before.size)
    size, learned_ns = _learned(model, before, (fitted, measured), now_ns)
    seen_ns = np.full(len(ids), now_ns)
    return bodies, remember(state, Memory(ids, is_left, seen_ns, learned_ns, bodies.misfit, fitted.pose, size))


def _guessed(model: SkeletonModel, size: HandSize, measured: Measurement) -> HandSize:
    """Sizes of hands just met by their first frame, which so need not look like the mean hand."""
    unpredicted = PosePrior(np.zeros((len(size.shape), ANGLE_COUNT)), np.zeros((len(size.shape), ANGLE_COUNT)))
    for _ in range(GUESSES):
        rest = rest_shape(model, size.shape)
        start = start_pose(model, rest, measured)
        size = guess_size(model, size, fit_pose((model, rest, measured, unpredicted), start, COLD_STEPS), measured)
    return size


def _continued_s(before: Memory, now_ns: int, is_left: Bool) -> Float64:
    """Seconds (N,) since each hand was last seen; infinite for one whose pose then says nothing about now."""
    elapsed_s: Float64 = (now_ns - before.seen_ns) / 1e9
    is_continued = (elapsed_s > 0) & (elapsed_s <= MAX_GAP_S) & (before.is_left == is_left)
    return np.where(is_continued & (before.misfit < LOST_MISFIT), elapsed_s, np.inf)


def _start(
    model: SkeletonModel, rest: RestShape, measured: Measurement, known: tuple[Memory, Float64]
) -> tuple[BodyPose, PosePrior, int]:
    """Where the fit starts, what is expected of it, and in how many steps it is done."""
    before, elapsed_s = known
    precision = np.repeat((WALK_RAD + WALK_RAD_S * elapsed_s[:, None]) ** -2, len(model.pose_mean), axis=1)
    prior = PosePrior(before.pose.angles, precision)
    is_new = np.isinf(elapsed_s)
    if not is_new.any():
        return before.pose, prior, WARM_STEPS
    cold = start_pose(model, rest, measured)
    return choose_pose(is_new, cold, before.pose), prior, COLD_STEPS


def _learned(
    model: SkeletonModel, before: Memory, seen: tuple[FittedPose, Measurement], now_ns: int
) -> tuple[HandSize, Int64]:
    """Each hand's size, and the time (N,) of the frame that it was last compared with."""
    elapsed_s = np.maximum(now_ns - before.learned_ns, 0) / 1e9
    if before.size.is_held.all() and float(elapsed_s.max()) < WATCH_S:
        return before.size, before.learned_ns
    return learn_size(model, before.size, *seen, elapsed_s), np.full(len(elapsed_s), now_ns)


def _bodies(ids: tuple[int, ...], hands: PosedHands, seen: tuple[FittedPose, Measurement], size: HandSize) -> Bodies:
    fitted, measured = seen
    variance = ((fitted.slopes @ fitted.covariance) * fitted.slopes).sum(axis=-1).reshape(len(ids), JOINT_COUNT, 3)
    in_hand_mm = (measured.joints_mm - fitted.pose.positions_mm[:, None]) @ fitted.pose.rotations
    away_mm = in_hand_mm - fitted.posed.joints_mm
    common_mm = np.interp(measured.expected_mm, COMMON_MM, COMMON_SHARES) * measured.expected_mm
    angle_variance = np.diagonal(fitted.covariance, axis1=1, axis2=2)[:, ROOT_COUNT:]
    return Bodies(
        track_ids=ids,
        hands=hands,
        joint_errors_mm=np.sqrt(PER_AXIS**2 * variance.mean(axis=-1) + common_mm**2),
        angle_errors=ANGLE_ERROR_SCALE * np.sqrt(angle_variance),
        misfit=np.sqrt((fitted.residuals * fitted.residuals).mean(axis=1)),
        size=size,
        residual_mm=np.sqrt((away_mm * away_mm).sum(axis=-1).mean(axis=1)),
    )
