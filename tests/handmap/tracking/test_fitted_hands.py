"""Tracked poses as bodies: bones keep their lengths through smoothing and extrapolation, the network's joints stay, misfits are doubted."""

from dataclasses import replace

import numpy as np
import pytest

from handmap.metrics.bone_variation import bone_lengths_mm
from handmap.tracking.fitted_hands import NO_FITTED_HANDS, FittedHands, extrapolate_hands, fit_hands, learn_from_fit
from handmap.tracking.hand_presence import KEEP_LOGIT
from handmap.tracking.smooth import UNSMOOTHED, SmoothingConfig
from handmap.tracking.track import NO_TRACKS, PALM_MM, SIZE_FRAMES, palm_length_mm, scaled_cube_mm, start_track
from handmap.types.arrays import Float64
from handmap.types.values import Handedness, HandPose
from tests.handmap.skeleton.sequences import FPS, moving_hands, noisy, random_shape, tracked

SMOOTH, AHEAD = SmoothingConfig(), SmoothingConfig(extrapolate=True)
EXPECTED = np.full(21, 6.0)
FRAME_NS = round(1e9 / FPS)


def hand_poses(frames: int, seed: int = 0, is_still: bool = False) -> tuple[list[HandPose], Float64]:
    """One person's noisy right hand, and the truth (T, 21, 3)."""
    random = np.random.default_rng(seed)
    hands = moving_hands(random_shape(random), 1 if is_still else frames, random) * (frames if is_still else 1)
    measured = noisy(hands, 6.0, random)
    poses = [tracked(joints, EXPECTED, frame) for frame, joints in enumerate(measured)]
    return poses, np.stack([hand.joints_mm[0] for hand in hands])


def follow(poses: list[HandPose], settings: SmoothingConfig) -> tuple[list[HandPose], FittedHands]:
    fitted, shown = NO_FITTED_HANDS, []
    for pose in poses:
        (one,), fitted = fit_hands([pose], fitted, settings)
        shown.append(one)
    return shown, fitted


def joints_of(poses: list[HandPose]) -> Float64:
    return np.stack([pose.xyz_camera_mm for pose in poses]).astype(np.float64)


def test_published_bones_keep_their_lengths_once_the_size_is_held() -> None:
    poses, _ = hand_poses(150)
    fitted, shown = NO_FITTED_HANDS, []
    for pose in poses:
        found, fitted = fit_hands([pose], fitted, AHEAD)
        (one,), _ = extrapolate_hands(found, fitted, pose.capture_ns + FRAME_NS, AHEAD)
        shown.append(one)

    lengths = bone_lengths_mm(joints_of(shown[100:]))

    moving = np.array([9, 10, 11, 12]) - 1  # the palm's arch moves the little finger's knuckle against the wrist
    variation = lengths.std(axis=0) / lengths.mean(axis=0)
    assert variation[moving].max() < 1e-5
    assert variation.max() < 0.005


def test_smoothing_steadies_a_hand_at_rest() -> None:
    poses, _ = hand_poses(120, is_still=True)
    plain, smooth = (
        joints_of(follow(poses, settings)[0])[100:].std(axis=0).mean() for settings in (UNSMOOTHED, SMOOTH)
    )

    assert smooth < 0.9 * plain


def test_smoothing_costs_a_moving_hand_little() -> None:
    poses, truth = hand_poses(150)
    plain, smooth = (
        np.linalg.norm(joints_of(follow(poses, settings)[0]) - truth, axis=-1)[30:].mean()
        for settings in (UNSMOOTHED, SMOOTH)
    )

    assert smooth < 1.1 * plain


def test_extrapolation_moves_a_hand_on_and_marks_it() -> None:
    still, _ = hand_poses(60, is_still=True)
    step_mm = np.array([6.0, -3, 4], np.float32)
    poses = [replace(pose, xyz_camera_mm=still[0].xyz_camera_mm + n * step_mm) for n, pose in enumerate(still)]
    shown, fitted = follow(poses, AHEAD)

    (ahead,), bodies = extrapolate_hands(shown[-1:], fitted, poses[-1].capture_ns + FRAME_NS // 2, AHEAD)

    assert ahead.is_extrapolated and not shown[-1].is_extrapolated
    moved = (ahead.xyz_camera_mm - shown[-1].xyz_camera_mm).mean(axis=0)
    assert moved == pytest.approx(step_mm / 2, rel=0.1, abs=0.2)
    assert bodies.bodies is not None
    assert bodies.bodies.hands.joints_mm[0] == pytest.approx(ahead.xyz_camera_mm, abs=1e-3)


def test_without_extrapolation_nothing_moves() -> None:
    poses, _ = hand_poses(5)
    shown, fitted = follow(poses, SMOOTH)

    assert extrapolate_hands(shown[-1:], fitted, poses[-1].capture_ns + FRAME_NS, SMOOTH) == (shown[-1:], fitted)


def test_a_hand_that_joins_another_or_changes_its_side_starts_where_it_is() -> None:
    poses, _ = hand_poses(40)
    _, fitted = follow(poses[:30], SMOOTH)
    joining = replace(
        tracked(poses[30].xyz_camera_mm.astype(np.float64) + 200, EXPECTED, 30, Handedness.LEFT, track_id=2)
    )
    both, after = fit_hands([poses[30], joining], fitted, SMOOTH)

    alone, _ = fit_hands([joining], NO_FITTED_HANDS, UNSMOOTHED)
    plain, _ = fit_hands([joining], replace(fitted, moving=None), UNSMOOTHED)
    assert both[1].xyz_camera_mm == pytest.approx(plain[0].xyz_camera_mm, abs=1e-3)
    assert np.linalg.norm(both[1].xyz_camera_mm - alone[0].xyz_camera_mm, axis=1).mean() < 10
    other = replace(poses[31], handedness=Handedness.LEFT)
    changed, _ = fit_hands([other], after, SMOOTH)
    unsmoothed, _ = fit_hands([other], after, UNSMOOTHED)
    assert changed[0].xyz_camera_mm == pytest.approx(unsmoothed[0].xyz_camera_mm, abs=1e-3)


def test_a_hand_that_fits_no_body_is_doubted() -> None:
    poses, _ = hand_poses(1)
    scrambled = replace(poses[0], xyz_camera_mm=poses[0].xyz_camera_mm[::-1].copy())
    good, kept = fit_hands(poses, NO_FITTED_HANDS, SMOOTH)
    bad, doubted = fit_hands([scrambled], NO_FITTED_HANDS, SMOOTH)
    track = replace(start_track(1, np.zeros(3, np.float32), 0), presence_logit=0.1)
    tracks = replace(NO_TRACKS, active=(track,))

    assert good[0].confidence == poses[0].confidence
    assert bad[0].confidence < 0.6 * scrambled.confidence
    assert learn_from_fit(tracks, kept).active[0].presence_logit == track.presence_logit
    assert learn_from_fit(tracks, doubted).active[0].presence_logit < KEEP_LOGIT
    assert learn_from_fit(tracks, FittedHands()) == tracks


def test_a_certain_hand_is_not_made_more_certain_by_a_misfit() -> None:
    poses, _ = hand_poses(1)
    _, doubted = fit_hands(
        [replace(poses[0], xyz_camera_mm=poses[0].xyz_camera_mm[::-1].copy())], NO_FITTED_HANDS, SMOOTH
    )
    track = replace(start_track(1, np.zeros(3, np.float32), 0), presence_logit=-5.0)

    assert learn_from_fit(replace(NO_TRACKS, active=(track,)), doubted).active[0].presence_logit == -5.0


def test_the_cube_follows_the_size_of_the_fitted_hand() -> None:
    poses, truth = hand_poses(110, seed=3)
    track = replace(start_track(1, np.zeros(3, np.float32), 0), frames=SIZE_FRAMES)
    true_mm = np.mean([palm_length_mm(one.astype(np.float32)) for one in truth])

    _, fitted = follow(poses, SMOOTH)
    (sized,) = learn_from_fit(replace(NO_TRACKS, active=(track,)), fitted).active

    assert scaled_cube_mm(track, 250.0, (180.0, 293.0)) == 250
    assert scaled_cube_mm(sized, 250.0, (180.0, 293.0)) == pytest.approx(250 * true_mm / PALM_MM, rel=0.03)
    assert scaled_cube_mm(sized, 250.0, (249.0, 251.0)) in (249, 251)
    assert scaled_cube_mm(replace(sized, frames=SIZE_FRAMES - 1), 250.0, (180.0, 293.0)) == 250


def test_sizes_outlive_all_hands() -> None:
    poses, _ = hand_poses(110)
    _, held = follow(poses, SMOOTH)

    (_,), again = fit_hands(
        [replace(poses[0], track_id=9, capture_ns=poses[-1].capture_ns + 10**9)], held.without_hands(), SMOOTH
    )

    assert again.bodies is not None and held.bodies is not None
    assert again.bodies.size.is_held.all()
    assert again.bodies.size.shape == pytest.approx(held.bodies.size.shape)
