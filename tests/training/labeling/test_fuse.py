"""Looks fused into poses: outliers lose, smoothing neither lags nor cuts corners, and doubt follows the error."""

import numpy as np
import pytest

from handmap.types.arrays import Float64
from training.labeling.fuse import FusedTrack, fuse_looks, smooth_over_time
from training.labeling.passes import PASSES, Looks

FRAMES, FPS = 120, 30.0
TIMES_S = np.arange(FRAMES) / FPS


def motion() -> Float64:
    """Joints (T, 21, 3) that swing by 60 mm at 1 Hz, each out of step with the others, mm."""
    phases = np.random.default_rng(1).uniform(0, 2 * np.pi, (21, 3))
    xyz_mm: Float64 = 60 * np.sin(2 * np.pi * TIMES_S[:, None, None] + phases) + np.array([0, 0, 400.0])
    return xyz_mm


def error_mm(found: Float64, wanted: Float64) -> Float64:
    error: Float64 = np.linalg.norm(found - wanted, axis=-1)
    return error


def test_the_surer_passes_decide() -> None:
    joints = np.zeros((PASSES, 21, 3), np.float32)
    joints[0, :, 0] = 100
    expected = np.full((PASSES, 21), 4.0, np.float32)
    expected[0] = 80

    fused = fuse_looks(Looks(joints, expected, 0.9))

    assert fused.xyz_mm.shape == (21, 3) and np.abs(fused.xyz_mm).max() < 0.1
    assert (fused.sigma_mm > 4).all() and (fused.sigma_mm < 10).all()


def test_passes_that_disagree_leave_doubt() -> None:
    joints = np.zeros((PASSES, 21, 3), np.float32)
    joints[::2, 7, 0] = 40
    expected = np.full((PASSES, 21), 4.0, np.float32)

    fused = fuse_looks(Looks(joints, expected, 0.9))

    assert fused.sigma_mm[7] == pytest.approx(np.hypot(4, 20)) and np.delete(fused.sigma_mm, 7) == pytest.approx(4)


def test_a_pass_without_a_hand_is_left_out_and_none_at_all_is_no_hand() -> None:
    joints = np.ones((PASSES, 21, 3), np.float32)
    expected = np.full((PASSES, 21), 5.0, np.float32)
    joints[1], expected[1] = np.nan, np.nan

    some = fuse_looks(Looks(joints, expected, 0.9))
    none = fuse_looks(Looks(np.full_like(joints, np.nan), np.full_like(expected, np.nan), 0.0))

    assert some.xyz_mm == pytest.approx(1) and some.sigma_mm == pytest.approx(5)
    assert np.isnan(none.xyz_mm).all()


def test_motion_without_noise_stays_where_it_is() -> None:
    truth = motion()

    smoothed = smooth_over_time(FusedTrack(truth, np.full((FRAMES, 21), 5.0)), TIMES_S)

    assert error_mm(smoothed.xyz_mm, truth)[5:-5].max() < 3  # a moving mean of that reach is 10 mm off


def test_noise_and_outliers_are_averaged_out_and_doubt_says_where_they_are_not() -> None:
    random, truth = np.random.default_rng(2), motion()
    sigma_mm = np.where(random.uniform(size=(FRAMES, 21)) < 0.3, 25.0, 5.0)
    noisy = truth + random.normal(size=truth.shape) * sigma_mm[..., None] / np.sqrt(3)
    noisy[random.uniform(size=(FRAMES, 21)) < 0.05] += 80  # gross errors that no pass was in doubt of
    noisy[60:66] = np.nan

    smoothed = smooth_over_time(FusedTrack(noisy, sigma_mm), TIMES_S)

    is_found = np.isfinite(noisy[:, 0, 0])
    before, after = error_mm(noisy, truth)[is_found], error_mm(smoothed.xyz_mm, truth)[is_found]
    assert np.isnan(smoothed.xyz_mm[~is_found]).all()
    assert after.mean() < 0.35 * before.mean() and np.percentile(after, 99) < 0.4 * np.percentile(before, 99)
    surest = smoothed.sigma_mm[is_found] < np.median(smoothed.sigma_mm[is_found])
    assert after[surest].mean() < 0.9 * after[~surest].mean()


def test_single_frames_and_gaps_are_left_as_they_are() -> None:
    truth = motion()[:3]

    smoothed = smooth_over_time(FusedTrack(truth, np.full((3, 21), 5.0)), np.array([0.0, 4.0, 9.0]))

    np.testing.assert_allclose(smoothed.xyz_mm, truth, atol=1e-6)
