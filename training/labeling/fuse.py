"""Looks at a hand fused into one pose a frame: their weighted mean, smoothed over the frames before and after.

Smoothing is a weighted quadratic in time about each frame, so that it neither lags nor cuts corners.
"""

from typing import Final, NamedTuple

import numpy as np

from handmap.types.arrays import Float64

from .passes import Looks

REACH_S: Final = 0.2  # to each side; people bend a finger from one posture to another in about twice that
OUTLIER: Final = 2.0  # standard deviations beyond which a residual's weight falls (Cauchy's weight function)
ROUNDS: Final = 3
# Errors of neighboring frames are much alike, so averaging removes only so much of them.
COMMON_SHARE: Final = 0.5


class FusedTrack(NamedTuple):
    """T frames: joints (T, 21, 3) in the camera frame, NaN where no pass found a hand, and their standard deviation (T, 21), mm."""

    xyz_mm: Float64
    sigma_mm: Float64


def fuse_looks(looks: Looks) -> FusedTrack:
    """The passes of one frame as one pose, (21, 3) and (21,): weighted by expected error, in doubt by that and by disagreement."""
    weight = np.nan_to_num(1 / np.square(np.asarray(looks.expected_mm, np.float64)))
    total = weight.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        xyz_mm = np.einsum("pj,pjk->jk", weight, np.nan_to_num(looks.xyz_mm)) / total[:, None]
        off = np.square(np.nan_to_num(looks.xyz_mm - xyz_mm)).sum(axis=-1)
        disagreement = (weight * off).sum(axis=0) / total
        expected = np.isfinite(looks.expected_mm[:, 0]).sum() / total
    return FusedTrack(xyz_mm, np.sqrt(expected + disagreement))


def smooth_over_time(track: FusedTrack, times_s: Float64) -> FusedTrack:
    """A track of frames at times_s (T,), smoothed in both directions."""
    smoothed = FusedTrack(np.full_like(track.xyz_mm, np.nan), np.full_like(track.sigma_mm, np.nan))
    is_found = np.isfinite(track.xyz_mm[:, 0, 0])
    for index in np.nonzero(is_found)[0]:
        first, end = np.searchsorted(times_s, (times_s[index] - REACH_S, times_s[index] + REACH_S + 1e-6))
        near = np.arange(first, end)[is_found[first:end]]
        away = (times_s[near] - times_s[index]) / (REACH_S + 0.02)
        kernel = (1 - np.abs(away) ** 3) ** 3  # tricube (Cleveland 1979)
        smoothed.xyz_mm[index], smoothed.sigma_mm[index] = _local_quadratic(
            away, kernel, track.xyz_mm[near], track.sigma_mm[near], track.sigma_mm[index]
        )
    return smoothed


def _local_quadratic(
    away: Float64, kernel: Float64, xyz_mm: Float64, sigma_mm: Float64, own_sigma_mm: Float64
) -> tuple[Float64, Float64]:
    """The value at 0 of quadratics (J, 3) through points (T, J, 3), and its standard deviation (J,)."""
    sides = min(int((away < 0).sum()), int((away > 0).sum()))
    bend = 1 if sides >= 2 else 0  # at an end, what lies beyond must not be guessed from a bend
    degree = min(1 + bend, (len(away) - 1) // 2)
    basis = np.stack([away**power for power in range(degree + 1)], axis=-1)  # (T, D)
    weight = kernel[:, None] / np.square(sigma_mm)  # (T, J)
    # Begins at the median, as a quadratic through gross errors takes them for bends.
    residual = np.linalg.norm(xyz_mm - np.median(xyz_mm, axis=0), axis=-1)
    robust = weight / (1 + np.square(residual / np.maximum(OUTLIER * np.median(residual, axis=0), sigma_mm)))
    for _ in range(ROUNDS):
        normal = np.einsum("ta,tb,tj->jab", basis, basis, robust)
        right = np.einsum("ta,tj,tjk->jak", basis, robust, xyz_mm)
        inverse = np.linalg.inv(normal + 1e-9 * np.eye(degree + 1))
        fitted = inverse @ right  # (J, D, 3)
        residual = np.linalg.norm(xyz_mm - np.einsum("ta,jak->tjk", basis, fitted), axis=-1)
        robust = weight / (1 + np.square(residual / (OUTLIER * sigma_mm)))
    own = np.minimum(np.sqrt(inverse[:, 0, 0]), own_sigma_mm)
    spread = np.sqrt((robust * np.square(residual)).sum(axis=0) / robust.sum(axis=0))
    typical = np.sqrt(kernel.sum() / weight.sum(axis=0))
    return fitted[:, 0], np.sqrt(np.square(own) + np.square(COMMON_SHARE * typical) + np.square(spread) / len(away))
