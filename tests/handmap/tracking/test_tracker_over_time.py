"""Tracks over many frames: how often the detectors run, and when a hand is lost, re-identified or dropped."""

from dataclasses import replace

import numpy as np
import pytest

from handmap.engines.engine import EngineOutput, Engines
from handmap.tracking.track import NO_TRACKS, Tracks, cube_center
from handmap.tracking.tracker import update_tracks
from handmap.tracking.tracker_settings import TrackerSettings
from handmap.types.arrays import Array
from handmap.types.values import DepthFrame, HandPose
from tests.support.drawn_scenes import DOUBTFUL, CentroidEngine, NoClock, PalmsAt, scene, settings

FRAME_NS = 33_333_333
NO_PALM = -9.0
MIDDLE_SIZE = 95 * 100 / 32 / 500  # of a hand half a meter away, in the palm graph's measure


def at(number: int, *balls: tuple[float, float, float, float]) -> DepthFrame:
    """Balls (x, y, z, radius in mm) in frame `number` of thirty a second."""
    return scene(*balls, number=number, capture_ns=number * FRAME_NS)


def run(
    frames: list[DepthFrame], engines: Engines, how: TrackerSettings, tracks: Tracks = NO_TRACKS
) -> tuple[list[list[HandPose]], Tracks]:
    """The poses of each frame, and the tracks after the last."""
    seen = []
    for frame in frames:
        poses, tracks = update_tracks(frame, tracks, engines, how, NoClock())
        seen.append(poses)
    return seen, tracks


class ShortSighted(CentroidEngine):
    """Estimates an off-center hand nearer to the center of its cube than it is, as networks do."""

    def infer(self, depth: Array) -> EngineOutput:
        output = super().infer(depth)
        middle = output.joints.mean(axis=1, keepdims=True)
        return replace(output, joints=(output.joints - 0.4 * middle).astype(np.float32))


def middle_palms(score: float = 5.0) -> PalmsAt:
    palms = PalmsAt(11, 16, MIDDLE_SIZE)
    palms.answer[0, 11, 16] = score
    return palms


def off_by_mm(pose: HandPose, x: float, y: float) -> float:
    """How far a pose lies from a place, across the line of sight."""
    return float(np.linalg.norm(cube_center(pose.xyz_camera_mm)[:2] - (x, y)))


def test_a_certain_track_is_checked_twice_a_second() -> None:
    palms = middle_palms()
    frames = [at(n, (0, 0, 500, 50)) for n in range(91)]

    seen, _ = run(frames[:10], Engines(CentroidEngine(), palms, 0.3), settings())
    asked = palms.calls
    run(frames, Engines(CentroidEngine(), palms, 0.3), settings())

    assert all(len(poses) == 1 for poses in seen)
    assert palms.calls - 2 * asked == 90 // 15


def test_a_track_without_palm_detections_is_dropped_within_two_seconds() -> None:
    palms = middle_palms()
    engines = Engines(CentroidEngine(), palms, 0.3)
    doubtful = replace(settings(), confidence=DOUBTFUL)
    _, tracks = run([at(n, (0, 0, 500, 50)) for n in range(31)], engines, doubtful)
    palms.answer[0] = NO_PALM

    seen, _ = run([at(n, (0, 0, 500, 50)) for n in range(31, 91)], engines, doubtful, tracks)

    followed = sum(len(poses) for poses in seen)
    assert 14 < followed < 25 and not seen[-1]


@pytest.mark.parametrize("first", [0, 7])
def test_with_a_palm_graph_geometry_searches_only_every_fourth_frame(first: int) -> None:
    palms, engine = middle_palms(NO_PALM), CentroidEngine()
    engines, tracks, looked = Engines(engine, palms, 0.3), NO_TRACKS, []
    for number in range(first, first + 40):
        before = engine.calls
        _, tracks = update_tracks(at(number, (0, 0, 500, 50)), tracks, engines, settings(), NoClock())
        looked.append(engine.calls > before)

    assert looked == [True, False, False, False] * 10
    assert palms.calls == 40


def test_frames_without_a_wanted_hand_are_counted_until_it_is_there() -> None:
    engines = Engines(CentroidEngine())

    _, alone = run([at(0), at(1), at(2)], engines, settings())
    _, found = run([at(3, (0, 0, 500, 50))], engines, settings(), alone)
    _, one_of_two = run([at(4, (0, 0, 500, 50))], engines, settings(max_hands=2), found)

    assert [alone.missing, found.missing, one_of_two.missing] == [3, 0, 1]


@pytest.mark.parametrize(("hidden_frames", "is_the_same"), [(18, True), (30, False)])
def test_a_hand_beside_another_is_remembered_for_less_than_a_second(hidden_frames: int, is_the_same: bool) -> None:
    both = ((0, 0, 500, 50), (200, 0, 500, 50))
    frames = [at(0, *both), at(1, *both)]
    frames += [at(n, both[0]) for n in range(2, 2 + hidden_frames)]
    frames += [at(2 + hidden_frames, *both)]

    seen, _ = run(frames, Engines(CentroidEngine()), settings(max_hands=2))

    assert all(len(poses) == 1 for poses in seen[2:-1])
    assert len(seen[-1]) == 2
    assert {pose.track_id for poses in seen for pose in poses} == ({1, 2} if is_the_same else {1, 2, 3})


@pytest.mark.parametrize(("apart_mm", "is_the_same"), [(250, True), (350, False)])
def test_a_hand_lost_away_from_others_does_not_count_as_occluded(apart_mm: float, is_the_same: bool) -> None:
    both = ((-apart_mm / 2, 0, 500, 50), (apart_mm / 2, 0, 500, 50))
    frames = [at(0, *both), at(1, *both), *(at(n, both[0]) for n in range(2, 15)), at(15, *both)]

    seen, _ = run(frames, Engines(CentroidEngine()), settings(max_hands=2))

    assert len({pose.track_id for poses in seen for pose in poses}) == (2 if is_the_same else 3)


@pytest.mark.parametrize(("away_mm", "is_the_same"), [(140, True), (180, False)])
def test_a_hand_that_comes_back_elsewhere_gets_a_new_id(away_mm: float, is_the_same: bool) -> None:
    frames = [at(0, (0, 0, 500, 50)), at(1, (0, 0, 500, 50)), at(2), at(3), at(4, (away_mm, 0, 500, 50))]

    seen, _ = run(frames, Engines(CentroidEngine()), settings())

    assert [pose.track_id for pose in seen[-1]] == [1 if is_the_same else 2]


@pytest.mark.parametrize(("z_mm", "is_followed"), [(815, True), (830, False), (185, True), (170, False)])
def test_a_hand_is_tracked_half_a_cube_beyond_the_range_and_no_further(z_mm: float, is_followed: bool) -> None:
    how = replace(settings(), range_mm=(300.0, 700.0))
    step_mm = 15 if z_mm > 500 else -15
    places = [*np.arange(500, z_mm, step_mm), z_mm]
    frames = [at(n, (0, 0, z, 40)) for n, z in enumerate(places)]

    seen, _ = run(frames, Engines(CentroidEngine()), how)

    assert seen[-2] and bool(seen[-1]) == is_followed


def test_an_off_center_hand_is_estimated_again() -> None:
    engine = ShortSighted()
    _, tracks = run([at(0, (0, 0, 500, 50))], Engines(engine), settings())
    calls = []
    seen = []
    for x in (60, 15):
        before = engine.calls
        (poses,), _ = run([at(1, (x, 0, 500, 50))], Engines(engine), settings(), tracks)
        calls.append(engine.calls - before)
        seen += poses

    assert calls == [2, 1]
    assert off_by_mm(seen[0], 60, 0) < 12  # a single look would be off by 24


def test_a_new_hand_is_re_estimated_until_it_is_centered() -> None:
    engine = ShortSighted()

    ((pose,),), _ = run([at(0, (60, 0, 500, 50))], Engines(engine, middle_palms(), 0.3), settings())

    assert off_by_mm(pose, 60, 0) < 4
    assert engine.calls == 4  # no more than that: each takes time
