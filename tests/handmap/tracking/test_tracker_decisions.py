"""The tracker's decisions one by one: which hand is whose, who is occluded, who came back, when the detector is asked."""

import math
from dataclasses import replace

import numpy as np
import pytest

from handmap.engines.engine import Engines
from handmap.tracking import detector, tracker
from handmap.tracking.detector import Search
from handmap.tracking.hand_presence import hand_presence_logit, logit
from handmap.tracking.palm_detector import DetectionMap
from handmap.tracking.pose_estimate import PoseEstimate
from handmap.tracking.track import NO_TRACKS, Track, Tracks, start_track
from handmap.tracking.tracker import TrackedEstimate, update_tracks
from handmap.types.arrays import Float32
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame, Handedness, HandRoi
from tests.support.drawn_scenes import CUBE_MM, INTRINSICS, CentroidEngine, NoClock, PalmsAt, scene, settings

MS = 1_000_000
SMALL = Intrinsics(128, 96, 95.0, 95.0, 63.9, 47.9)


def at(x: float, y: float = 0.0, z: float = 500.0) -> Float32:
    return np.array([x, y, z], np.float32)


def seen_at(
    center_mm: Float32, confidence: float = 0.9, right_logit: float = 0.0, is_empty: bool = False
) -> PoseEstimate:
    """An estimate of a hand about a place, in a cube about that place."""
    joints = np.tile(center_mm, (21, 1))
    joints[0] -= 10
    joints[1] += 10
    return PoseEstimate(
        joints, np.full(21, 5, np.float32), HandRoi(center_mm, CUBE_MM, False), confidence, right_logit, is_empty
    )


def track_at(
    track_id: int, center_mm: Float32, capture_ns: int = 0, velocity: tuple[float, float, float] = (0, 0, 0)
) -> Track:
    return replace(start_track(track_id, center_mm, capture_ns), velocity_mm_s=np.array(velocity, np.float32))


def frame_at(capture_ns: int, number: int = 1) -> DepthFrame:
    return scene(number=number, capture_ns=capture_ns)


# ---- one hand, one track


def test_of_two_tracks_that_see_one_hand_the_nearer_prediction_keeps_it() -> None:
    pairs = [TrackedEstimate(track_at(1, at(60)), seen_at(at(10))), TrackedEstimate(track_at(2, at(0)), seen_at(at(0)))]

    assert [one.track.track_id for one in tracker._without_duplicates(pairs, frame_at(0))] == [2]


@pytest.mark.parametrize(("apart_mm", "count"), [(44, 1), (46, 2)])
def test_hands_within_45_mm_are_one(apart_mm: float, count: int) -> None:
    pairs = [TrackedEstimate(track_at(n, at(x)), seen_at(at(x))) for n, x in ((1, 0.0), (2, apart_mm))]

    assert len(tracker._without_duplicates(pairs, frame_at(0))) == count


def test_a_prediction_counts_motion() -> None:
    moving = track_at(1, at(0), velocity=(1000, 0, 0))

    pair = TrackedEstimate(moving, seen_at(at(50)))

    assert tracker._prediction_error_mm(pair, frame_at(50 * MS)) == pytest.approx(0, abs=1e-3)
    assert tracker._prediction_error_mm(pair, frame_at(0)) == pytest.approx(50)


# ---- occlusion


@pytest.mark.parametrize(
    ("lost_ms", "beside_mm", "is_remembered"),
    [
        (199, None, True),
        (201, None, False),
        (201, 299, True),
        (201, 301, False),
        (799, 299, True),
        (801, 299, False),
        (-1, 10, False),
    ],
)
def test_a_lost_track_is_remembered_for_a_moment_and_longer_beside_another_hand(
    lost_ms: int, beside_mm: float | None, is_remembered: bool
) -> None:
    now_ns = 10_000 * MS
    lost = track_at(1, at(0), now_ns - lost_ms * MS)
    kept = [] if beside_mm is None else [TrackedEstimate(track_at(2, at(beside_mm)), seen_at(at(beside_mm)))]

    found = tracker._occluded(Tracks((lost,), 3), kept, frame_at(now_ns))

    assert [one.track_id for one in found] == ([1] if is_remembered else [])


def test_a_track_that_is_followed_is_not_occluded_and_one_that_was_stays_remembered() -> None:
    followed, long_lost = track_at(1, at(0)), track_at(2, at(50))

    found = tracker._occluded(
        Tracks((followed,), 3, (long_lost,)), [TrackedEstimate(followed, seen_at(at(0)))], frame_at(100 * MS)
    )

    assert [one.track_id for one in found] == [2]


@pytest.mark.parametrize(
    ("away_mm", "speed_mm_s", "is_back"), [(159, 0, True), (161, 0, False), (425, 600, True), (435, 600, False)]
)
def test_a_hand_comes_back_near_where_it_was_or_was_heading(away_mm: float, speed_mm_s: float, is_back: bool) -> None:
    lost = track_at(1, at(0), velocity=(speed_mm_s, 0, 0))  # in 300 ms it heads 180 mm on, and the reach grows by 90

    found = tracker._reidentified(seen_at(at(away_mm)), [lost], frame_at(300 * MS))

    assert (found is not None) == is_back


def test_it_may_also_have_stopped_where_it_was() -> None:
    lost = track_at(1, at(0), velocity=(2000, 0, 0))

    assert tracker._reidentified(seen_at(at(-100)), [lost], frame_at(100 * MS)) is not None


def test_the_nearest_of_several_lost_hands_came_back() -> None:
    lost = [track_at(1, at(100)), track_at(2, at(20)), track_at(3, at(-80))]

    found = tracker._reidentified(seen_at(at(0)), lost, frame_at(100 * MS))

    assert found is not None and found.track_id == 2


@pytest.mark.parametrize(
    ("belief", "seen", "is_back"),
    [(3, -3, False), (3, 3, True), (3, -0.9, True), (0.9, -3, True), (-3, 3, False), (-1.1, 1.1, False)],
)
def test_a_surely_other_hand_did_not_come_back(belief: float, seen: float, is_back: bool) -> None:
    lost = replace(track_at(1, at(0)), right_logit=float(belief))

    assert (tracker._reidentified(seen_at(at(0), right_logit=seen), [lost], frame_at(100 * MS)) is not None) == is_back


# ---- when the detector is asked, and what its answer does


@pytest.mark.parametrize(
    ("number", "presence", "assumed", "is_due"),
    [
        (15, 9.0, False, True),
        (30, 9.0, False, True),
        (16, 9.0, False, False),
        (16, 3.0, False, False),
        (16, 2.9, False, True),
        (15, 0.0, True, False),
    ],
)  # fmt: skip
def test_the_detector_is_due_twice_a_second_and_while_a_track_is_not_sure(
    number: int, presence: float, assumed: bool, is_due: bool
) -> None:
    track = replace(track_at(1, at(0)), presence_logit=presence)
    kept = [TrackedEstimate(track, seen_at(at(0)))]

    found = tracker._detector_is_due(kept, frame_at(0, number), replace(settings(), assume_hand_present=assumed))

    assert found == is_due


def test_presence_is_a_running_mean_with_a_quarter_for_the_newest() -> None:
    one = TrackedEstimate(replace(track_at(1, at(0)), presence_logit=4.0), seen_at(at(0), confidence=0.5))
    maps = DetectionMap(np.zeros((3, 24, 32), np.float32), SMALL)

    assert tracker._with_presence(one, maps).track.presence_logit == pytest.approx(4.0 + 0.25 * (-1.05 - 4.0))


def test_hand_presence_is_the_weighted_sum_of_both_networks_logits() -> None:
    maps = DetectionMap(np.full((3, 24, 32), 1.5, np.float32), SMALL)

    assert hand_presence_logit(seen_at(at(0), confidence=0.8), None) == pytest.approx(-1.05 + 0.75 * math.log(4))
    assert hand_presence_logit(seen_at(at(0), confidence=0.5), maps) == pytest.approx(-1.05 + 2.0 * 1.5, abs=1e-4)


def test_a_logit_is_bounded_at_one_in_a_thousand() -> None:
    assert [logit(0.0), -logit(1.0)] == pytest.approx([math.log(0.001 / 0.999)] * 2)
    assert logit(0.5) == 0.0 and logit(0.9) == pytest.approx(math.log(9))


# ---- in the image


@pytest.mark.parametrize("inside", [10, 11])
def test_a_pose_is_in_the_image_with_half_of_its_joints(inside: int) -> None:
    joints = np.tile(at(0), (21, 1))
    joints[inside:] = at(5000)

    assert tracker._is_in_image(replace(seen_at(at(0)), xyz_camera_mm=joints), frame_at(0)) == (inside == 11)


@pytest.mark.parametrize(
    ("u", "v", "is_inside"),
    [
        (-0.4, 100, True), (-0.6, 100, False), (639.4, 100, True), (639.6, 100, False),
        (100, -0.4, True), (100, -0.6, False), (100, 479.4, True), (100, 479.6, False),
    ],
)  # fmt: skip
def test_the_image_ends_half_a_pixel_beyond_the_middle_of_its_last_one(u: float, v: float, is_inside: bool) -> None:
    place = at((u - INTRINSICS.cx_px) / 475 * 500, (v - INTRINSICS.cy_px) / 475 * 500)

    assert (
        tracker._is_in_image(replace(seen_at(place), xyz_camera_mm=np.tile(place, (21, 1))), frame_at(0)) == is_inside
    )


def test_joints_behind_the_camera_are_not_in_the_image() -> None:
    assert not tracker._is_in_image(
        replace(seen_at(at(0)), xyz_camera_mm=np.tile(at(0, 0, -500), (21, 1))), frame_at(0)
    )


# ---- the detector's choice


def test_a_hand_passes_the_gate_by_its_confidence_and_range() -> None:
    how = settings()  # from 0.5 on, 150 to 1000 mm and half a cube of 250 mm beyond

    assert detector.passes_presence_gate(seen_at(at(0), confidence=0.5), how)
    assert not detector.passes_presence_gate(seen_at(at(0), confidence=0.49), how)
    assert not detector.passes_presence_gate(seen_at(at(0), is_empty=True), how)
    assert [detector.passes_presence_gate(seen_at(at(0, 0, z)), how) for z in (26, 24, 1124, 1126)] == [
        True,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(("apart_mm", "count"), [(79, 1), (81, 2)])
def test_two_new_hands_are_at_least_80_mm_apart(apart_mm: float, count: int) -> None:
    candidates = [seen_at(at(0), 0.9), seen_at(at(apart_mm), 0.8)]

    found = detector._select(candidates, [], None, replace(settings(2), assume_hand_present=True))

    assert len(found) == count and found[0] is candidates[0]


def test_no_more_hands_are_chosen_than_are_missing_and_none_beside_one_that_is_tracked() -> None:
    candidates = [seen_at(at(x), 0.9) for x in (0, 200, 400)]
    how = replace(settings(2), assume_hand_present=True)

    assert len(detector._select(candidates, [], None, how)) == 2
    assert [one.center_mm[0] for one in detector._select(candidates, [at(10)], None, how)] == [200]


@pytest.mark.parametrize(("detector_logit", "is_started"), [(0.05, False), (0.2, False), (0.5, True)])
def test_a_track_starts_at_the_start_logit(detector_logit: float, is_started: bool) -> None:
    maps = DetectionMap(np.full((3, 24, 32), detector_logit, np.float32), SMALL)
    sure = seen_at(at(0), confidence=0.8)  # -1.05 + 0.75 * 1.386 = -0.01, and twice the detector's logit

    assert bool(detector._select([sure], [], maps, settings())) == is_started


def test_candidates_at_one_place_are_one_and_spare_ones_are_kept_until_the_last_look() -> None:
    class Counting(CentroidEngine):
        shown = 0

        def infer(self, depth: Float32):  # type: ignore[no-untyped-def]
            type(self).shown += 1
            return super().infer(depth)

    engine = Counting()
    frame = scene(*((x, 0, 500 + abs(x), 45) for x in (-260, -130, 0, 130, 260)))
    centers = [at(x, 0, 500 + abs(x)) for x in (-260, -130, 0, 130, 260)] + [at(8)]

    best = detector.refine_candidates(Search(frame, None, Engines(engine), settings(), NoClock()), centers)

    assert len(best) == 3  # the one hand that is looked for, and two to spare
    assert engine.shown == 6 + 6 + 2 * 3  # all once, all again about what was seen, the best twice more


def test_at_most_four_detections_are_examined() -> None:
    maps = np.full((3, 24, 32), -9, np.float32)
    maps[1] = 0.6
    for column in (3, 8, 13, 18, 23, 28):
        maps[0, 12, column] = 4.0

    assert len(detector._detected_centers(DetectionMap(maps, SMALL), 0.5, settings())) == 4


@pytest.mark.parametrize(("size", "is_in_range"), [(0.6, True), (2.5, False), (0.2, False)])
def test_a_detection_out_of_range_is_passed_over(size: float, is_in_range: bool) -> None:
    maps = np.full((3, 24, 32), -9, np.float32)
    maps[1] = size  # 495, 119 and 1484 mm away
    maps[0, 12, 16] = 4.0

    assert bool(detector._detected_centers(DetectionMap(maps, SMALL), 0.5, settings())) == is_in_range


# ---- what is searched for, and what it costs


def test_while_no_hand_is_missing_nothing_else_is_looked_into() -> None:
    engine = CentroidEngine()
    frames = [scene((0, 0, 500, 50), (220, 0, 600, 50), number=n, capture_ns=n * 33 * MS) for n in range(1, 4)]
    tracks, calls = NO_TRACKS, []
    for frame in frames:
        before = engine.calls
        _, tracks = update_tracks(frame, tracks, Engines(engine), settings(), NoClock())
        calls.append(engine.calls - before)

    assert calls[1:] == [1, 1]


def test_a_sure_detection_saves_the_search_by_geometry() -> None:
    palms, engine = PalmsAt(11, 16, 95 * 100 / 32 / 500), CentroidEngine()
    frame = scene((0, 0, 500, 50), (220, 0, 600, 50))

    update_tracks(frame, NO_TRACKS, Engines(engine, palms, 0.5), settings(), NoClock())

    assert engine.calls == 4  # one place: first look, second look, two refinements


def test_the_stated_hand_decides_how_a_place_is_first_looked_at() -> None:
    for handedness, is_mirrored in ((Handedness.LEFT, True), (Handedness.RIGHT, False), (Handedness.UNKNOWN, False)):
        best = detector.refine_candidates(
            Search(scene((0, 0, 500, 50)), None, Engines(CentroidEngine()), settings(handedness=handedness), NoClock()),
            [at(0)],
        )
        assert best[0].roi.is_mirrored == is_mirrored


def test_an_unknown_hand_is_mirrored_as_its_logit_says() -> None:
    unknown = settings(handedness=Handedness.UNKNOWN)

    for right_logit, is_mirrored in ((-0.1, True), (0.0, False), (2.0, False)):
        assert detector.with_handedness(seen_at(at(0), right_logit=right_logit), unknown).roi.is_mirrored == is_mirrored
    assert not detector.with_handedness(seen_at(at(0), right_logit=-5), settings()).roi.is_mirrored


@pytest.mark.parametrize(("apart_mm", "count"), [(20, 1), (60, 2)])
def test_candidates_within_25_mm_are_one_place(apart_mm: float, count: int) -> None:
    class Fixed(CentroidEngine):
        """Finds the hand in the middle of every cube."""

        def infer(self, depth: Float32):  # type: ignore[no-untyped-def]
            output = super().infer(depth)
            return replace(
                output, joints=(output.joints - output.joints.mean(axis=1, keepdims=True)).astype(np.float32)
            )

    places = [at(0), at(apart_mm)]

    best = detector.refine_candidates(
        Search(scene((0, 0, 500, 60)), None, Engines(Fixed()), settings(), NoClock()), places
    )

    assert len(best) == count


def test_a_hand_that_comes_back_is_no_longer_occluded_and_the_others_still_are() -> None:
    lost = (track_at(1, at(0)), track_at(2, at(-220)))

    poses, tracks = update_tracks(
        scene((0, 0, 500, 50), capture_ns=100 * MS),
        Tracks((), 3, lost),
        Engines(CentroidEngine()),
        settings(),
        NoClock(),
    )

    assert [pose.track_id for pose in poses] == [1]
    assert [track.track_id for track in tracks.occluded] == [2]


@pytest.mark.parametrize(
    ("expected", "right_logit", "is_mirrored"),
    [
        (Handedness.LEFT, 5.0, True), (Handedness.RIGHT, -5.0, False),
        (Handedness.UNKNOWN, -0.1, True), (Handedness.UNKNOWN, 0.1, False),
    ],
)  # fmt: skip
def test_the_roi_of_a_left_hand_is_mirrored(expected: Handedness, right_logit: float, is_mirrored: bool) -> None:
    track = replace(track_at(1, at(0)), right_logit=right_logit)

    found = tracker._predicted_roi(track, frame_at(0), settings(handedness=expected))

    assert found.is_mirrored == is_mirrored and found.cube_mm == CUBE_MM
