"""Measured joints with what is known of their errors: how large each is expected to be, and how alike those of neighbors are."""

from dataclasses import dataclass

import numpy as np

from handmap.types.arrays import Float64
from handmap.types.joints import JOINT_COUNT

PER_AXIS = 1.6  # mean length of a normal error in space, in standard deviations along one axis
MIN_ERROR_MM = 1.0
MAX_ERROR_MM = 500.0
# The network errs alike at neighboring joints: the correlation with the joint named, half of that measured on synthetic:val, where
# half served hands of unknown shape better than all of it or none.
_LIKE_JOINT = np.array([-1, 0, 1, 2, 3, 1, 5, 6, 7, 5, 9, 10, 11, 9, 13, 14, 15, 13, 17, 18, 19])
_CORRELATION = 0.5 * np.array([0, 0.6, 0.4, 0.6, 0.65, *(0.45, 0.4, 0.6, 0.7), *(0.8, 0.4, 0.65, 0.7) * 3])
# What the network's errors were on hands in motion, over those that it expected: docs/measured/skeleton.md. The thumb, seen most of
# the time, is better than it says, and the palm worse. Only the fit weighs joints by it.
_TRUE_SHARE = np.array(
    [
        1.16,
        0.73,
        0.63,
        0.66,
        0.68,
        1.12,
        1.0,
        1.0,
        1.0,
        1.18,
        1.08,
        0.91,
        0.89,
        1.03,
        1.06,
        1.0,
        0.94,
        0.79,
        0.81,
        0.83,
        0.97,
    ]
)


@dataclass(frozen=True)
class Measurement:
    """N hands as measured, right or mirrored to be: joints_mm (N, 21, 3), camera frame, expected_mm (N, 21), whitening (N, 21, 21), per mm."""

    joints_mm: Float64
    expected_mm: Float64
    whitening: Float64


def measurement(joints_mm: Float64, expected_error_mm: Float64) -> Measurement:
    """Joints (N, 21, 3) with expected errors (N, 21), both mm. Raises ValueError if any of them is not finite."""
    if not (np.isfinite(joints_mm).all() and np.isfinite(expected_error_mm).all()):
        raise ValueError(
            "fitting the hand's bones: found NaN or infinity among joints or expected errors, wanted numbers; drop the frame"
        )
    expected_mm = np.clip(expected_error_mm, MIN_ERROR_MM, MAX_ERROR_MM)
    return Measurement(joints_mm, expected_mm, _WHITENING * (PER_AXIS / (_TRUE_SHARE * expected_mm)[:, None, :]))


def _whitening() -> Float64:
    """The matrix (21, 21) that makes errors in units of their standard deviations independent."""
    matrix = np.eye(JOINT_COUNT)
    for joint in range(1, JOINT_COUNT):
        matrix[joint, _LIKE_JOINT[joint]] = -_CORRELATION[joint]
        matrix[joint] /= np.sqrt(1 - _CORRELATION[joint] ** 2)
    return matrix


_WHITENING = _whitening()
