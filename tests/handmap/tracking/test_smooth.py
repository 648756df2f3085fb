"""The One-Euro filter: steady at rest, little lag in motion, one state per track, and extrapolation that is flagged."""

from dataclasses import replace
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from handmap.tracking.smooth import NO_FILTERS, Filters, SmoothingConfig, extrapolate, smooth
from handmap.types.arrays import Float32, Float64
from handmap.types.joints import JOINT_COUNT
from handmap.types.values import Handedness, HandPose
from tests.support.drawn_scenes import SOMEWHERE

FRAME_NS = 33_333_333
SETTINGS = SmoothingConfig()
PREDICTING = SmoothingConfig(extrapolate=True)


def pose_at(xyz_mm: Float32 | Float64, capture_ns: int, track_id: int = 1) -> HandPose:
    return HandPose(
        xyz_mm.astype(np.float32), np.full(JOINT_COUNT, 5, np.float32), SOMEWHERE, track_id, Handedness.RIGHT, 0.9, 0.8,
        True, True, False, capture_ns // FRAME_NS, capture_ns,
    )  # fmt: skip


def hand_at(x_mm: float) -> Float32:
    rest = np.random.default_rng(0).normal(0, 40, (JOINT_COUNT, 3))
    hand: Float32 = (rest + np.array([x_mm, 0, 450])).astype(np.float32)
    return hand


def run(raw: list[HandPose], settings: SmoothingConfig = SETTINGS) -> tuple[list[HandPose], Filters]:
    filters, smoothed = NO_FILTERS, []
    for pose in raw:
        (one,), filters = smooth([pose], filters, settings)
        smoothed.append(one)
    return smoothed, filters


def test_a_resting_hand_jitters_a_third_less() -> None:
    random = np.random.default_rng(1)
    raw = [pose_at(hand_at(0) + random.normal(0, 0.7, (JOINT_COUNT, 3)), i * FRAME_NS) for i in range(200)]

    smoothed, _ = run(raw)

    before, after = (np.std([one.xyz_camera_mm for one in poses[30:]], axis=0).mean() for poses in (raw, smoothed))
    assert after < 0.67 * before


def test_at_one_meter_per_second_the_added_lag_is_that_of_the_cutoff() -> None:
    # A first-order filter follows a ramp behind by its time constant, 1 / (2 pi cutoff).
    raw = [pose_at(hand_at(i * 1000 / 30), i * FRAME_NS) for i in range(120)]

    smoothed, _ = run(raw)

    behind_mm = raw[-1].xyz_camera_mm[:, 0] - smoothed[-1].xyz_camera_mm[:, 0]
    cutoff_hz = SETTINGS.min_cutoff_hz + SETTINGS.beta * 1000
    np.testing.assert_allclose(behind_mm, 1000 / (2 * np.pi * cutoff_hz), rtol=0.02)
    assert behind_mm.max() < 1.5  # mm at 1 mm/ms: milliseconds


def test_the_filter_does_not_depend_on_how_the_camera_is_turned() -> None:
    random = np.random.default_rng(2)
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    moving = [hand_at(3.0 * i) + random.normal(0, 1, (JOINT_COUNT, 3)) for i in range(20)]

    straight, _ = run([pose_at(xyz, i * FRAME_NS) for i, xyz in enumerate(moving)])
    turned, _ = run([pose_at(xyz @ turn.T, i * FRAME_NS) for i, xyz in enumerate(moving)])

    np.testing.assert_allclose(turned[-1].xyz_camera_mm, straight[-1].xyz_camera_mm @ turn.T, atol=0.01)


def test_the_first_pose_of_a_track_is_raw_and_a_lost_hand_is_forgotten() -> None:
    _, filters = run([pose_at(hand_at(0), i * FRAME_NS) for i in range(10)])
    nobody, filters = smooth([], filters, SETTINGS)

    (back,), _ = smooth([pose_at(hand_at(200), 11 * FRAME_NS)], filters, SETTINGS)

    assert nobody == []
    np.testing.assert_array_equal(back.xyz_camera_mm, hand_at(200))


def test_two_hands_are_filtered_separately_whatever_their_order() -> None:
    first, second = pose_at(hand_at(-100), 0, 1), pose_at(hand_at(100), 0, 2)
    _, filters = smooth([first, second], NO_FILTERS, SETTINGS)

    later = [replace(second, capture_ns=FRAME_NS), replace(first, capture_ns=FRAME_NS)]
    swapped, _ = smooth(later, filters, SETTINGS)

    assert [pose.track_id for pose in swapped] == [2, 1]
    np.testing.assert_allclose(swapped[0].xyz_camera_mm, second.xyz_camera_mm, atol=1e-3)
    np.testing.assert_allclose(swapped[1].xyz_camera_mm, first.xyz_camera_mm, atol=1e-3)


@pytest.mark.parametrize("step_ns", [0, -FRAME_NS])
def test_where_the_clock_stands_still_or_goes_back_the_raw_joints_pass(step_ns: int) -> None:
    _, filters = run([pose_at(hand_at(5.0 * i), i * FRAME_NS) for i in range(10)])

    (pose,), after = smooth([pose_at(hand_at(300), 9 * FRAME_NS + step_ns)], filters, SETTINGS)

    np.testing.assert_array_equal(pose.xyz_camera_mm, hand_at(300))
    assert not after[0].velocity_mm_s.any()


def test_irregular_steps_lead_to_the_velocity_that_the_hand_has() -> None:
    random = np.random.default_rng(3)
    times_ns = np.cumsum(random.integers(5_000_000, 80_000_000, 200))
    raw = [pose_at(hand_at(0.4 * at / 1e6), int(at)) for at in times_ns]  # 400 mm/s

    smoothed, filters = run(raw)

    # Of the same speed, the filtered joint lags by a constant, so its differences have the raw one's velocity.
    np.testing.assert_allclose(filters[0].velocity_mm_s[:, 0], 400, rtol=0.12)
    assert all(one.xyz_camera_mm[0, 0] < other.xyz_camera_mm[0, 0] for one, other in pairwise(smoothed))


def test_the_raw_poses_are_left_as_they_are_and_off_means_off() -> None:
    raw = [pose_at(hand_at(10.0 * i), i * FRAME_NS) for i in range(3)]
    kept = [pose.xyz_camera_mm.copy() for pose in raw]

    _, filters = run(raw)
    same, none = smooth([raw[2]], filters, SmoothingConfig(enabled=False))

    assert all(np.array_equal(pose.xyz_camera_mm, xyz) for pose, xyz in zip(raw, kept, strict=True))
    assert same == [raw[2]] and none == NO_FILTERS


def test_extrapolation_moves_a_steady_hand_to_the_publish_time_and_flags_it() -> None:
    raw = [pose_at(hand_at(20.0 * i), i * FRAME_NS) for i in range(60)]  # 600 mm/s
    smoothed, filters = run(raw, PREDICTING)

    (moved,) = extrapolate(smoothed[-1:], filters, raw[-1].capture_ns + 20_000_000, PREDICTING)

    ahead_mm = (moved.xyz_camera_mm - smoothed[-1].xyz_camera_mm)[:, 0]
    np.testing.assert_allclose(ahead_mm, 12, atol=0.6)  # 600 mm/s for 20 ms
    assert moved.is_extrapolated and not smoothed[-1].is_extrapolated
    assert moved.capture_ns == raw[-1].capture_ns


def test_extrapolation_stops_at_its_horizon() -> None:
    smoothed, filters = run([pose_at(hand_at(20.0 * i), i * FRAME_NS) for i in range(60)], PREDICTING)
    capture_ns = smoothed[-1].capture_ns

    (at_horizon,) = extrapolate(smoothed[-1:], filters, capture_ns + 30_000_000, PREDICTING)
    (late,) = extrapolate(smoothed[-1:], filters, capture_ns + 500_000_000, PREDICTING)

    np.testing.assert_allclose(late.xyz_camera_mm, at_horizon.xyz_camera_mm)


@pytest.mark.parametrize("publish_ns", [0, 59 * FRAME_NS])
def test_nothing_is_extrapolated_to_a_time_that_is_not_ahead(publish_ns: int) -> None:
    smoothed, filters = run([pose_at(hand_at(20.0 * i), i * FRAME_NS) for i in range(60)], PREDICTING)

    assert extrapolate(smoothed[-1:], filters, publish_ns, PREDICTING) == smoothed[-1:]


def test_extrapolation_is_off_by_default() -> None:
    smoothed, filters = run([pose_at(hand_at(20.0 * i), i * FRAME_NS) for i in range(60)])

    assert extrapolate(smoothed[-1:], filters, 60 * FRAME_NS, SETTINGS) == smoothed[-1:]


@pytest.mark.parametrize(
    "text", ["{enabled: false, extrapolate: true}", "{min_cutoff_hz: 0}", "{beta: -1}", "{cutoff: 1}"]
)
def test_invalid_settings_are_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.yaml.decode(text, type=SmoothingConfig)
