"""The step that the daemon, bench, evaluation and calibration share: track, smooth, extrapolate, and reset on new intrinsics."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from handmap.engines.engine import Engines
from handmap.tracking.fitted_hands import DEFAULT_SKELETON, UNFITTED, SkeletonConfig
from handmap.tracking.smooth import UNSMOOTHED, SmoothingConfig
from handmap.tracking.track import NO_TRACKS, cube_center
from handmap.tracking.tracker import MAX_FRAME_GAP_S, TrackerState, track_hands, update_tracks
from handmap.types.values import DepthFrame, HandPose
from tests.support.drawn_scenes import INTRINSICS, CentroidEngine, NoClock, scene, settings

FRAME_NS = 33_333_333
STEP_MM = 20.0


@dataclass
class ClockAt(NoClock):
    """A stopped clock."""

    time_ns: int

    def now_ns(self) -> int:
        return self.time_ns


def moving(count: int = 6) -> list[DepthFrame]:
    """A hand that moves to the right, 20 mm a frame."""
    return [scene((STEP_MM * n, 0, 500, 50), number=n, capture_ns=n * FRAME_NS) for n in range(count)]


def last_of(frames: list[DepthFrame], smoothing: SmoothingConfig, clock: NoClock | None = None) -> HandPose:
    state, engines, how = TrackerState(), Engines(CentroidEngine()), replace(settings(), smoothing=smoothing)
    for frame in frames:
        (pose,), state = track_hands(frame, state, engines, how, clock or NoClock())
    return pose


def test_without_smoothing_the_joints_are_those_of_the_network() -> None:
    tracks, engines = NO_TRACKS, Engines(CentroidEngine())
    for frame in moving():
        (raw,), tracks = update_tracks(frame, tracks, engines, settings(), NoClock())

    np.testing.assert_array_equal(last_of(moving(), UNSMOOTHED).xyz_camera_mm, raw.xyz_camera_mm)


@pytest.mark.parametrize("skeleton", [DEFAULT_SKELETON, UNFITTED])
def test_the_networks_own_joints_stay_available(skeleton: SkeletonConfig) -> None:
    (frame,) = moving(1)
    raw = last_of([frame], UNSMOOTHED)
    how = replace(settings(), skeleton=skeleton)
    (pose,), state = track_hands(frame, TrackerState(), Engines(CentroidEngine()), how, NoClock())

    np.testing.assert_array_equal(pose.raw_xyz_camera_mm, raw.xyz_camera_mm)
    np.testing.assert_array_equal(pose.raw_expected_error_mm, raw.expected_error_mm)
    assert (np.abs(pose.xyz_camera_mm - raw.xyz_camera_mm).max() > 0.1) == skeleton.enabled
    assert (state.fitted.bodies is not None) == skeleton.enabled


def test_sizes_are_kept_when_the_camera_is_opened_again() -> None:
    state, engines, how = TrackerState(), Engines(CentroidEngine()), replace(settings(), skeleton=DEFAULT_SKELETON)
    (_,), state = track_hands(moving()[0], state, engines, how, NoClock())

    forgotten = state.without_hands()

    assert forgotten.fitted.bodies is None and forgotten.fitted.moving is None
    assert forgotten.fitted.memory is state.fitted.memory and forgotten.tracks.next_id == 2


def test_smoothed_joints_of_a_moving_hand_lag() -> None:
    raw, smoothed = (cube_center(last_of(moving(), how).xyz_camera_mm) for how in (UNSMOOTHED, SmoothingConfig()))

    assert 0.1 < raw[0] - smoothed[0] < STEP_MM


def test_joints_are_moved_on_to_the_time_of_the_clock() -> None:
    now_ns = 5 * FRAME_NS + 20_000_000
    smoothed = last_of(moving(), SmoothingConfig())
    ahead = last_of(moving(), SmoothingConfig(extrapolate=True), ClockAt(now_ns))

    assert ahead.is_extrapolated and not smoothed.is_extrapolated
    moved_mm = (ahead.xyz_camera_mm - smoothed.xyz_camera_mm)[:, 0].mean()
    np.testing.assert_allclose(moved_mm, STEP_MM * 20 / 33.3, rtol=0.3)


def test_new_intrinsics_drop_all_tracks_and_never_reuse_an_id() -> None:
    frames = moving(2)
    wider = replace(frames[1], intrinsics=replace(INTRINSICS, fx_px=300.0, fy_px=300.0))
    state, engines = TrackerState(), Engines(CentroidEngine())
    (first,), state = track_hands(frames[0], state, engines, settings(), NoClock())

    (other,), state = track_hands(wider, state, engines, settings(), NoClock())

    assert (first.track_id, other.track_id) == (1, 2)
    assert not other.is_tracked and [one.track_id for one in state.filters] == [2]


@pytest.mark.parametrize(("gap_s", "track_id"), [(MAX_FRAME_GAP_S, 1), (MAX_FRAME_GAP_S + 0.01, 2)])
def test_a_hand_in_the_same_place_after_a_second_without_frames_may_be_another(gap_s: float, track_id: int) -> None:
    (frame,) = moving(1)
    later = replace(frame, frame_number=1, capture_ns=frame.capture_ns + round(gap_s * 1e9))
    state, engines = TrackerState(), Engines(CentroidEngine())
    _, state = track_hands(frame, state, engines, settings(), NoClock())

    (pose,), state = track_hands(later, state, engines, settings(), NoClock())

    assert pose.track_id == track_id
    assert pose.is_tracked == (track_id == 1)


def test_a_pose_carries_the_cube_of_its_crop() -> None:
    pose = last_of(moving(2), UNSMOOTHED)

    assert np.linalg.norm(np.asarray(pose.roi.center_mm) - (STEP_MM, 0, 500)) < 25
