"""The state of one track: predicted position, handedness and size."""

from dataclasses import replace

import numpy as np
import pytest

from handmap.tracking.track import (
    NO_TRACKS,
    PALM_MM,
    Track,
    cube_center,
    palm_length_mm,
    predicted_center,
    scaled_cube_mm,
    start_track,
    update_handedness_and_size,
    update_track,
)
from handmap.types.arrays import Float32
from handmap.types.joints import KNUCKLES
from handmap.types.values import Handedness

FRAME_NS = 33_333_333
CENTER = np.array([0, 0, 500], np.float32)
HAND = np.zeros((21, 3), np.float32)


def at(x_mm: float) -> Float32:
    return np.array([x_mm, 0, 500], np.float32)


def moving(speed_mm_s: float, frames: int) -> Track:
    """A track after `frames` frames of a hand that moves along x."""
    track = start_track(1, at(0), 0)
    for number in range(1, frames):
        track = update_track(track, at(speed_mm_s * number * FRAME_NS / 1e9), number * FRAME_NS)
    return track


def observed(logits: list[float], track: Track | None = None) -> Track:
    """The track after estimates with these log odds of a right hand."""
    track = track or start_track(1, CENTER, 0)
    for logit in logits:
        track = update_handedness_and_size(track, logit, HAND)
    return track


def test_a_hand_is_expected_straight_on_for_a_tenth_of_a_second_and_no_further() -> None:
    track = replace(moving(600, 10), center_mm=at(0), velocity_mm_s=np.array([600, 0, 0], np.float32))

    expected = [predicted_center(track, track.capture_ns + round(s * 1e9))[0] for s in (-0.1, 0.0, 0.05, 0.1, 0.5)]

    np.testing.assert_allclose(expected, (0, 0, 30, 60, 60), atol=1e-3)


def test_the_velocity_is_mostly_that_of_the_newest_step() -> None:
    track = update_track(start_track(1, at(0), 0), at(20), FRAME_NS)
    settled = moving(600, 10)

    assert track.velocity_mm_s[0] == pytest.approx(0.6 * 600, rel=1e-3)
    assert settled.velocity_mm_s[0] == pytest.approx(600, rel=1e-3)


@pytest.mark.parametrize(("speed_mm_s", "is_hand"), [(3900, True), (4100, False)])
def test_a_step_faster_than_a_fast_wave_is_a_jump_not_motion(speed_mm_s: float, is_hand: bool) -> None:
    track = update_track(start_track(1, at(0), 0), at(speed_mm_s * FRAME_NS / 1e9), FRAME_NS)

    assert (track.velocity_mm_s[0] > 0) == is_hand


@pytest.mark.parametrize(("gap_s", "is_known"), [(0.09, True), (0.11, False), (0.0, False), (-0.03, False)])
def test_the_velocity_is_forgotten_after_a_gap_and_where_the_clock_stood_still(gap_s: float, is_known: bool) -> None:
    track = moving(600, 10)

    after = update_track(track, track.center_mm + at(10) - at(0), track.capture_ns + round(gap_s * 1e9))

    assert bool(after.velocity_mm_s.any()) == is_known
    assert after.frames == track.frames + 1


def test_without_evidence_a_hand_is_a_right_hand() -> None:
    assert start_track(1, CENTER, 0).handedness is Handedness.RIGHT
    assert observed([-0.1]).handedness is Handedness.LEFT


def test_a_second_of_evidence_outweighs_a_tenth_of_contrary_evidence() -> None:
    belief = observed([0.5] * 30)

    assert observed([-2.0] * 3, belief).handedness is Handedness.RIGHT
    assert observed([-2.0] * 8, belief).handedness is Handedness.LEFT


def test_old_evidence_fades() -> None:
    belief = observed([2.0] * 3)

    assert observed([0.0] * 60, belief).right_logit == pytest.approx(belief.right_logit * 0.16, rel=0.03)


def test_the_strongest_belief_can_be_reversed_within_a_second() -> None:
    surest = observed([2.0] * 90)

    assert observed([-2.0] * 4, surest).handedness is Handedness.RIGHT
    assert observed([-2.0] * 8, surest).handedness is Handedness.LEFT
    assert observed([-2.0] * 90).right_logit == -surest.right_logit


def test_no_single_estimate_counts_more_than_seven_to_one() -> None:
    assert observed([20.0]).right_logit == pytest.approx(2.0)
    assert observed([-20.0]).right_logit == pytest.approx(-2.0)
    assert observed([1.5]).right_logit == pytest.approx(1.5)


def test_the_size_is_the_mean_of_two_seconds_at_most() -> None:
    large = np.zeros((21, 3), np.float32)
    large[[5, 9, 13, 17], 1] = 120  # the knuckles, mm from the wrist

    first = update_handedness_and_size(replace(start_track(1, CENTER, 0), palm_mm=60.0), 0, large)
    later = update_handedness_and_size(replace(start_track(1, CENTER, 0), palm_mm=60.0, frames=1000), 0, large)

    assert first.palm_mm == pytest.approx(120)
    assert later.palm_mm == pytest.approx(61)


def test_a_new_track_rests_and_believes_nothing() -> None:
    track = start_track(7, CENTER, 5)

    assert (track.track_id, track.capture_ns, track.frames) == (7, 5, 1)
    assert (track.right_logit, track.presence_logit, track.palm_mm) == (0.0, 0.0, PALM_MM)
    assert track.velocity_mm_s.tolist() == [0, 0, 0] and track.velocity_mm_s.dtype == np.float32
    assert NO_TRACKS.next_id == 1 and NO_TRACKS.missing == 0


def test_what_is_computed_stays_in_single_precision() -> None:
    track = update_track(start_track(1, CENTER, 0), CENTER + np.float32(5), FRAME_NS)

    assert track.velocity_mm_s.dtype == predicted_center(track, 2 * FRAME_NS).dtype == np.float32
    assert cube_center(HAND).dtype == np.float32


def test_the_length_of_the_palm_is_the_mean_from_the_wrist_to_the_four_knuckles() -> None:
    joints = np.zeros((21, 3), np.float32)
    for length, knuckle in zip((80, 90, 100, 110), KNUCKLES[1:], strict=True):
        joints[knuckle, 1] = -length
    joints[KNUCKLES[0]] = 500  # the thumb does not count

    assert palm_length_mm(joints) == 95


@pytest.mark.parametrize(("frames", "share"), [(1, 1.0), (2, 0.5), (60, 1 / 60), (600, 1 / 60)])
def test_a_size_is_averaged_over_sixty_frames(frames: int, share: float) -> None:
    track = replace(start_track(1, CENTER, 0), frames=frames, palm_mm=100.0)

    assert update_handedness_and_size(track, 0.0, HAND).palm_mm == pytest.approx(100 * (1 - share))


def test_the_newest_displacement_has_six_tenths_of_the_velocity() -> None:
    track = replace(start_track(1, at(0), 0), velocity_mm_s=np.array([100, 0, 0], np.float32))

    after = update_track(track, at(20), 50_000_000)

    assert after.velocity_mm_s[0] == pytest.approx(0.6 * 400 + 0.4 * 100)
    assert (after.frames, after.capture_ns) == (2, 50_000_000)


@pytest.mark.parametrize(("factor", "cube_mm"), [(0.5, 220.0), (0.9, 225.0), (1.0, 250.0), (1.5, 280.0)])
def test_the_cube_follows_the_size_of_the_hand_within_its_limits(factor: float, cube_mm: float) -> None:
    track = replace(start_track(1, CENTER, 0), frames=60, palm_mm=PALM_MM * factor)

    assert scaled_cube_mm(track, 250.0, (220.0, 280.0)) == pytest.approx(cube_mm)
    assert scaled_cube_mm(replace(track, frames=59), 250.0, (220.0, 280.0)) == 250.0


def test_a_velocity_that_is_forgotten_is_zero_in_single_precision() -> None:
    track = update_track(start_track(1, CENTER, 0), CENTER, 10**9)

    assert track.velocity_mm_s.tolist() == [0, 0, 0] and track.velocity_mm_s.dtype == np.float32
