"""Tracking metrics on constructed sequences that can be counted by hand."""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from handmap.metrics.matching import GroundTruthHand, TrackedFrame
from handmap.metrics.tracking_metrics import TrackCounts, score_tracks, sum_counts, track_summary
from handmap.types.arrays import Float32
from handmap.types.joints import JOINT_COUNT
from handmap.types.values import Handedness, HandPose
from tests.support.drawn_scenes import SOMEWHERE

LEFT, RIGHT, UNKNOWN = Handedness.LEFT, Handedness.RIGHT, Handedness.UNKNOWN
SHAPE = np.random.default_rng(0).uniform(-60, 60, (JOINT_COUNT, 3))


def joints_at(x_mm: float, z_mm: float = 450.0) -> Float32:
    joints: Float32 = (SHAPE + np.array([x_mm, 0, z_mm])).astype(np.float32)
    return joints


def hand(hand_id: int, x_mm: float, seen: int = 21, side: Handedness = RIGHT, z_mm: float = 450.0) -> GroundTruthHand:
    return GroundTruthHand(hand_id, joints_at(x_mm, z_mm), side, seen)


def pose(track_id: int, x_mm: float, side: Handedness = RIGHT, z_mm: float = 450.0) -> HandPose:
    return HandPose(
        joints_at(x_mm, z_mm),
        np.full(JOINT_COUNT, 5, np.float32),
        SOMEWHERE,
        track_id,
        side,
        1.0,
        1.0,
        True,
        True,
        False,
        0,
        0,
    )


def frame(truth: list[GroundTruthHand], poses: list[HandPose]) -> TrackedFrame:
    return TrackedFrame(tuple(truth), tuple(poses))


def test_hands_found_and_missed_and_false_ones_are_counted() -> None:
    frames = [
        frame([hand(1, -100), hand(2, 100)], [pose(1, -97), pose(2, 106)]),
        frame([hand(1, -100), hand(2, 100)], [pose(1, -100), pose(3, 300)]),
    ]

    figures = track_summary(score_tracks(frames, 2))

    assert figures["detection_rate"] == pytest.approx(3 / 4)
    assert figures["false_hands"] == pytest.approx(1 / 4)
    assert figures["false_hands_per_frame"] == pytest.approx(1 / 2)
    assert figures["mean_mm"] == pytest.approx(3, abs=1e-3)  # 3, 6 and 0 mm
    assert figures["median_mm"] == pytest.approx(3, abs=1e-3)


def test_a_second_report_of_one_hand_is_false() -> None:
    figures = track_summary(score_tracks([frame([hand(1, 0)], [pose(1, 3), pose(2, -5)])], 2))

    assert (figures["detection_rate"], figures["false_hands"]) == (1, 0.5)
    assert figures["mean_mm"] == pytest.approx(3, abs=1e-3)


def test_a_report_too_far_from_every_hand_matches_none() -> None:
    near, far = (score_tracks([frame([hand(1, 0)], [pose(1, away)])], 2) for away in (79, 81))

    assert (near.found, near.false, far.found, far.false) == (1, 0, 0, 1)


@pytest.mark.parametrize(("seen", "demanded", "false"), [(7, 1, 0), (6, 0, 0), (3, 0, 0), (2, 0, 1)])
def test_a_barely_visible_hand_is_ignored_and_an_invisible_one_is_absent(seen: int, demanded: int, false: int) -> None:
    counts = score_tracks([frame([hand(1, 0, seen)], [pose(1, 0)])], 2)

    assert (counts.demanded, counts.false, counts.found) == (demanded, false, demanded)


def test_well_seen_hands_are_also_counted_separately() -> None:
    frames = [frame([hand(1, -100, 14), hand(2, 100, 13)], said) for said in ([pose(1, -100)], [pose(2, 100)])]

    figures = track_summary(score_tracks(frames, 2))

    assert figures["detection_rate"] == figures["found_of_well_seen"] == 0.5
    assert track_summary(score_tracks(frames[:1], 2))["found_of_well_seen"] == 1


def test_a_single_hand_tracker_must_find_one_and_is_credited_for_either() -> None:
    frames = [frame([hand(1, -100), hand(2, 100)], [pose(1, x)]) for x in (-100, 100, 300)]

    figures = track_summary(score_tracks(frames, 1))

    assert figures["detection_rate"] == pytest.approx(2 / 3)
    assert figures["found_of_all"] == pytest.approx(2 / 6)
    assert figures["frames_to_entry"] is None


def test_an_id_change_in_full_view_is_a_switch_but_not_after_an_absence() -> None:
    def story(middle: int) -> TrackCounts:
        seen = [hand(1, 0)] * 2 + [hand(1, 0, middle)] + [hand(1, 0)] * 2
        poses = [[pose(1, 0)]] * 2 + [[]] + [[pose(2, 0)]] * 2
        return score_tracks([frame([one], said) for one, said in zip(seen, poses, strict=True)], 2)

    assert story(21).switches == 1
    assert story(0).switches == 0


def test_ids_that_change_hands_are_two_switches_counted_once() -> None:
    before = frame([hand(1, -100), hand(2, 100)], [pose(1, -100), pose(2, 100)])
    after = frame([hand(1, -100), hand(2, 100)], [pose(2, -100), pose(1, 100)])

    assert score_tracks([before, before, after, after, after], 2).switches == 2


def test_taking_the_id_of_the_other_hand_is_a_switch_even_after_an_absence() -> None:
    both = frame([hand(1, -100), hand(2, 100)], [pose(1, -100), pose(2, 100)])
    occluded = frame([hand(1, -100), hand(2, 100, seen=0)], [])
    stolen = frame([hand(1, -100), hand(2, 100)], [pose(1, 100)])

    assert score_tracks([both, occluded, stolen, stolen], 2).switches == 1


def test_handedness_is_scored_once_a_track_is_ten_frames_old() -> None:
    said = [UNKNOWN] * 10 + [LEFT] * 2 + [RIGHT] * 4
    frames = [frame([hand(1, 0)], [pose(1, 0, side)]) for side in said]

    figures = track_summary(score_tracks(frames, 2))

    assert figures["handedness_accuracy"] == pytest.approx(4 / 6)
    assert figures["handedness_accuracy_tracks"] == 1
    assert track_summary(score_tracks(frames[:10], 2))["handedness_accuracy"] is None


def bone_story(scales: Sequence[float], track_ids: Iterable[int] = itertools.repeat(1), seen: int = 21) -> TrackCounts:
    """One hand in place, published larger or smaller than it is."""
    said = [
        dataclasses.replace(pose(track_id, 0), xyz_camera_mm=(SHAPE * scale + np.array([0, 0, 450])).astype(np.float32))
        for scale, track_id in zip(scales, track_ids, strict=False)
    ]
    return score_tracks([frame([hand(1, 0, seen)], [one]) for one in said], 2)


def test_bones_vary_as_the_published_hand_does() -> None:
    small = dataclasses.replace(pose(1, 0), xyz_camera_mm=joints_at(0))
    small.xyz_camera_mm[4] = small.xyz_camera_mm[3] + [30, 0, 0]
    large = dataclasses.replace(pose(1, 0), xyz_camera_mm=small.xyz_camera_mm.copy())
    large.xyz_camera_mm[4] = large.xyz_camera_mm[3] + [50, 0, 0]

    figures = track_summary(score_tracks([frame([hand(1, 0)], [one]) for one in [small, large] * 15], 2))

    assert figures["bone_variation"] == pytest.approx(0.25 / 20, abs=1e-6)  # one of twenty bones: 40 mm, 10 up and down
    assert figures["bone_variation_max"] == pytest.approx(0.25, abs=1e-6)


def test_bones_are_those_of_tracks_of_a_second_and_more() -> None:
    steady, trembling = bone_story([1.0] * 30), bone_story([0.9, 1.1] * 20)

    figures = track_summary(sum_counts([steady, trembling]))

    assert figures["bone_variation"] == pytest.approx(0.05, abs=1e-6)
    assert figures["bone_variation_max"] == pytest.approx(0.05, abs=1e-6)
    assert track_summary(bone_story([0.9, 1.1] * 14 + [0.9]))["bone_variation"] is None


def test_bones_are_not_compared_across_tracks_nor_where_the_hand_is_hardly_visible() -> None:
    """A new track may be another person's; that hands differ is not variation."""
    figures = track_summary(bone_story([0.9] * 30 + [1.1] * 30, [1] * 30 + [2] * 30))

    assert figures["bone_variation"] == pytest.approx(0, abs=1e-6)
    assert track_summary(bone_story([0.9, 1.1] * 20, seen=6))["bone_variation_max"] is None


def test_counts_of_sequences_add_up_and_nothing_has_no_share() -> None:
    first = score_tracks([frame([hand(1, 0)], [pose(1, 0)])], 2)
    second = score_tracks([frame([hand(1, 0)], [])], 2)

    together = track_summary(sum_counts([first, second]))

    assert (together["detection_rate"], together["frames"]) == (0.5, 2)
    assert track_summary(TrackCounts())["detection_rate"] is None
    assert track_summary(TrackCounts())["false_hands"] == 0
