"""The per-frame step on drawn scenes, with an engine that computes joints from the pixels of its crop."""

from dataclasses import replace

import numpy as np
import pytest

from handmap.engines.engine import Engine, EngineOutput, Engines
from handmap.tracking.track import NO_TRACKS, PALM_MM, SIZE_FRAMES, Track, Tracks, cube_center, scaled_cube_mm
from handmap.tracking.tracker import DETECTOR_INTERVAL_FRAMES, update_tracks
from handmap.tracking.tracker_settings import TrackerSettings
from handmap.types.arrays import Array, Float32
from handmap.types.errors import EngineFailed
from handmap.types.values import DepthFrame, Handedness, HandPose
from tests.support.drawn_scenes import (
    DOUBTFUL,
    CentroidEngine,
    CroppingCentroidEngine,
    NoClock,
    PalmsAt,
    scene,
    settings,
)


def step(
    frame: DepthFrame, tracks: Tracks, engine: Engine, how: TrackerSettings
) -> tuple[list[Float32], list[int], Tracks]:
    poses, after = update_tracks(frame, tracks, Engines(engine), how, NoClock())
    return [pose.xyz_camera_mm for pose in poses], [pose.track_id for pose in poses], after


def test_no_hand_is_an_empty_list_and_no_track() -> None:
    hands, _, tracks = step(scene(), NO_TRACKS, CentroidEngine(), settings())

    assert hands == []
    assert tracks.active == ()


def test_a_hand_is_found_and_placed_to_a_few_millimeters() -> None:
    hands, ids, _ = step(scene((80, -30, 500, 50)), NO_TRACKS, CentroidEngine(), settings())

    assert ids == [1]
    assert np.linalg.norm(cube_center(hands[0]) - (80, -30, 500)) < 5


def test_a_left_hand_comes_back_unmirrored() -> None:
    hands, _, _ = step(scene((80, -30, 500, 50)), NO_TRACKS, CentroidEngine(), settings(handedness=Handedness.LEFT))

    assert np.linalg.norm(cube_center(hands[0]) - (80, -30, 500)) < 5
    # The engine puts joint 0 left of joint 1 in its crop; seen from the camera a mirrored hand has it right of it.
    assert hands[0][0, 0] > hands[0][1, 0]


def test_a_nearer_torso_does_not_win() -> None:
    hands, _, _ = step(scene((-200, 100, 400, 180), (200, -80, 600, 50)), NO_TRACKS, CentroidEngine(), settings())

    assert np.linalg.norm(cube_center(hands[0]) - (200, -80, 600)) < 10


def test_a_track_keeps_its_id_without_searching_again() -> None:
    engine = CentroidEngine()
    tracks = NO_TRACKS
    seen = []
    for number in range(10):
        frame = scene((10.0 * number, 0, 500, 50), number=number, capture_ns=number * 33_000_000)
        before = engine.calls
        hands, ids, tracks = step(frame, tracks, engine, settings())
        seen.append((ids, engine.calls - before, float(np.linalg.norm(cube_center(hands[0]) - (10 * number, 0, 500)))))

    assert all(ids == [1] for ids, _, _ in seen)
    assert [calls for _, calls, _ in seen[1:]] == [1] * 9
    assert max(away for _, _, away in seen) < 5


@pytest.mark.parametrize(("back_after_ms", "track_id"), [(66, 1), (400, 2)])
def test_a_lost_hand_is_absent_at_once_and_keeps_its_id_only_if_it_is_soon_back(
    back_after_ms: int, track_id: int
) -> None:
    engine = CentroidEngine()
    _, _, tracks = step(scene((0, 0, 500, 50)), NO_TRACKS, engine, settings())

    gone, _, tracks = step(scene(capture_ns=33_000_000), tracks, engine, settings())
    _, ids, _ = step(scene((0, 0, 500, 50), capture_ns=back_after_ms * 1_000_000), tracks, engine, settings())

    assert gone == []
    assert ids == [track_id]


def test_a_hand_that_jumps_is_found_again_in_the_same_frame() -> None:
    engine = CentroidEngine()
    _, _, tracks = step(scene((-150, 0, 500, 50)), NO_TRACKS, engine, settings())

    hands, _, _ = step(scene((150, 0, 500, 50), capture_ns=33_000_000), tracks, engine, settings())

    assert np.linalg.norm(cube_center(hands[0]) - (150, 0, 500)) < 5


@pytest.mark.parametrize("batch", [1, 2])
def test_two_hands_are_two_tracks_whatever_the_batch(batch: int) -> None:
    engine = CentroidEngine(batch)
    tracks = NO_TRACKS
    for number in range(3):
        frame = scene((-120, 0, 450, 50), (120, 0, 600, 50), number=number, capture_ns=number * 33_000_000)
        hands, ids, tracks = step(frame, tracks, engine, settings(max_hands=2))

    assert sorted(ids) == [1, 2]
    assert {round(float(cube_center(hand)[2])) for hand in hands} == {450, 600}


def test_one_hand_is_never_two_tracks() -> None:
    _, ids, _ = step(scene((0, 0, 500, 60)), NO_TRACKS, CentroidEngine(), settings(max_hands=2))

    assert ids == [1]


def test_joints_that_are_not_finite_are_an_engine_failure() -> None:
    engine = CentroidEngine()
    engine.answer_nan = True

    with pytest.raises(EngineFailed, match="not finite"):
        update_tracks(scene((0, 0, 500, 50)), NO_TRACKS, Engines(engine), settings(), NoClock())


def test_a_clock_that_steps_back_does_no_harm() -> None:
    engine = CentroidEngine()
    _, _, tracks = step(scene((0, 0, 500, 50), capture_ns=10**9), NO_TRACKS, engine, settings())

    hands, ids, _ = step(scene((5, 0, 500, 50), capture_ns=0), tracks, engine, settings())

    assert ids == [1]
    assert np.linalg.norm(cube_center(hands[0]) - (5, 0, 500)) < 5


class SidedEngine(CentroidEngine):
    """Predicts handedness from each crop: the thumb pulls the center to its side, so more pixels are on the other side."""

    def infer(self, depth: Array) -> EngineOutput:
        output = super().infer(depth)
        lean = [float(np.sign((image[:, 64:] < 1).sum() - (image[:, :64] < 1).sum())) for image in depth[:, 0]]
        return EngineOutput(output.joints, output.guidance, np.array(lean, np.float32)[:, None] * 3)


def leaning(x: float, z: float, is_right: bool) -> tuple[tuple[float, float, float, float], ...]:
    """A hand with a thumb: on the left of it as the camera sees a right hand."""
    return ((x, 0, z, 45), (x - 55 if is_right else x + 55, 0, z, 22))


def unknown(max_hands: int = 1) -> TrackerSettings:
    return settings(max_hands, Handedness.UNKNOWN)


def follow_scenes(
    engine: Engine, how: TrackerSettings, scenes: list[DepthFrame], engines: Engines | None = None
) -> list[list[HandPose]]:
    tracks, seen = NO_TRACKS, []
    for frame in scenes:
        poses, tracks = update_tracks(frame, tracks, engines or Engines(engine), how, NoClock())
        seen.append(poses)
    return seen


@pytest.mark.parametrize("is_right", [True, False])
def test_handedness_is_recognized_with_growing_confidence(is_right: bool) -> None:
    frames = [scene(*leaning(0, 500, is_right), number=n, capture_ns=n * 33_000_000) for n in range(12)]

    seen = follow_scenes(SidedEngine(), unknown(), frames)

    sides = {pose.handedness for poses in seen[2:] for pose in poses}
    assert sides == {Handedness.RIGHT if is_right else Handedness.LEFT}
    assert 0 < seen[1][0].handedness_confidence < seen[-1][0].handedness_confidence <= 1


def test_configured_handedness_is_kept_whatever_the_hand_looks_like() -> None:
    frames = [scene(*leaning(0, 500, is_right=False), number=n, capture_ns=n * 33_000_000) for n in range(8)]

    seen = follow_scenes(SidedEngine(), settings(), frames)

    assert {pose.handedness for poses in seen for pose in poses} == {Handedness.RIGHT}
    assert seen[-1][0].handedness_confidence == 0


def test_an_occluded_hand_keeps_its_id() -> None:
    places = [*range(-200, 201, 16)]
    frames = [
        scene((x, 0, 600, 40), (0, 0, 420, 55), number=n, capture_ns=n * 33_000_000) for n, x in enumerate(places)
    ]

    seen = follow_scenes(CentroidEngine(), settings(max_hands=2), frames)

    by_distance = [
        {round(float(pose.xyz_camera_mm[:, 2].mean()) / 100): pose.track_id for pose in poses} for poses in seen
    ]
    assert any(len(poses) == 1 for poses in seen)  # hidden at some time, and then absent
    assert {ids[6] for ids in by_distance if 6 in ids} == {by_distance[0][6]}
    assert {ids[4] for ids in by_distance if 4 in ids} == {by_distance[0][4]}


def test_two_tracks_never_follow_one_hand() -> None:
    apart = scene((-90, 0, 500, 40), (90, 0, 500, 40))
    one_left = scene((-50, 0, 500, 40), capture_ns=33_000_000)

    seen = follow_scenes(CentroidEngine(), settings(max_hands=2), [apart, one_left])

    assert [len(poses) for poses in seen] == [2, 1]


def test_the_cube_grows_with_the_hand_once_its_size_is_known() -> None:
    large = Track(
        1, np.array([0, 0, 500], np.float32), np.zeros(3, np.float32), 0, frames=SIZE_FRAMES, palm_mm=1.06 * PALM_MM
    )

    assert scaled_cube_mm(large, 250.0, (220.0, 280.0)) == pytest.approx(265.0)
    assert scaled_cube_mm(replace(large, frames=SIZE_FRAMES - 1), 250.0, (220.0, 280.0)) == 250.0
    assert scaled_cube_mm(replace(large, palm_mm=2 * PALM_MM), 250.0, (220.0, 280.0)) == 280.0


def test_the_palm_graph_proposes_hands_and_runs_only_until_the_track_is_certain() -> None:
    palms = PalmsAt(11, 16, 95 * 100 / 32 / 500)
    engines = Engines(CentroidEngine(), palms, 0.3)
    frames = [scene((0, 0, 500, 50), number=n, capture_ns=n * 33_000_000) for n in range(5)]

    seen = follow_scenes(CentroidEngine(), settings(), frames, engines)

    assert [len(poses) for poses in seen] == [1] * 5
    assert palms.calls == 2


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_a_cropping_engine_gives_the_same_hands(batch: int) -> None:
    frames = [scene((-120, 5 * n, 450, 50), (120, 0, 600, 50), number=n, capture_ns=n * 33_000_000) for n in range(4)]

    ours = follow_scenes(CentroidEngine(batch), settings(max_hands=2), frames)
    theirs = follow_scenes(CroppingCentroidEngine(batch), settings(max_hands=2), frames)

    for one, other in zip(ours, theirs, strict=True):
        assert [pose.track_id for pose in one] == [pose.track_id for pose in other]
        for pose, twin in zip(one, other, strict=True):
            np.testing.assert_array_equal(pose.xyz_camera_mm, twin.xyz_camera_mm)


@pytest.mark.parametrize(
    ("score", "assume_hand_present", "hands"), [(3.0, False, 1), (-9.0, False, 0), (-9.0, True, 1)]
)
def test_a_hand_missed_by_the_palm_graph_counts_only_if_one_is_assumed_present(
    score: float, assume_hand_present: bool, hands: int
) -> None:
    palms = PalmsAt(11, 16, 95 * 100 / 32 / 500)
    palms.answer[0, 11, 16] = score
    how = replace(settings(), confidence=DOUBTFUL, assume_hand_present=assume_hand_present)

    (poses,) = follow_scenes(CentroidEngine(), how, [scene((0, 0, 500, 50))], Engines(CentroidEngine(), palms, 0.9))

    assert len(poses) == hands


def test_a_side_that_is_not_finite_is_an_engine_failure() -> None:
    class Sideless(CentroidEngine):
        def infer(self, depth: Array) -> EngineOutput:
            output = super().infer(depth)
            return EngineOutput(output.joints, output.guidance, np.full((self.batch, 1), np.nan, np.float32))

    with pytest.raises(EngineFailed, match="not finite"):
        follow_scenes(Sideless(), unknown(), [scene((0, 0, 500, 50))])


@pytest.mark.parametrize("spread", [np.nan, -0.01])
def test_an_invalid_spread_is_an_engine_failure(spread: float) -> None:
    class Unsteady(CentroidEngine):
        def infer(self, depth: Array) -> EngineOutput:
            output = super().infer(depth)
            return replace(output, spread=np.full(output.joints.shape, spread, np.float32))

    with pytest.raises(EngineFailed, match="not finite, or a spread below 0"):
        follow_scenes(Unsteady(), settings(), [scene((0, 0, 500, 50))])


def test_implausible_joints_are_an_engine_failure() -> None:
    class Wild(CentroidEngine):
        def infer(self, depth: Array) -> EngineOutput:
            output = super().infer(depth)
            return EngineOutput(output.joints + np.float32(1e36), output.guidance)

    with pytest.raises(EngineFailed, match="not finite"):
        follow_scenes(Wild(), settings(), [scene((0, 0, 500, 50))])


def test_a_hand_that_flickered_is_not_called_tracked_from_the_frame_before() -> None:
    frames = [scene((0, 0, 500, 50)), scene(capture_ns=33_000_000), scene((0, 0, 500, 50), capture_ns=66_000_000)]

    seen = follow_scenes(CentroidEngine(), settings(), frames)

    assert [[pose.is_tracked for pose in poses] for poses in seen] == [[False], [], [False]]


def test_a_track_that_the_palm_graph_never_confirms_is_dropped() -> None:
    palms = PalmsAt(11, 16, 95 * 100 / 32 / 500)
    how = replace(settings(), confidence=DOUBTFUL)
    frames = [scene((0, 0, 500, 50), number=n, capture_ns=n * 33_000_000) for n in range(60)]
    engines = Engines(CentroidEngine(), palms, 0.3)

    tracks, seen = NO_TRACKS, []
    for frame in frames:
        poses, tracks = update_tracks(frame, tracks, engines, how, NoClock())
        palms.answer[0] = -9  # it was there only in the first frame
        seen.append(len(poses))

    assert seen[0] == 1 and seen[-1] == 0
    assert sum(seen) < DETECTOR_INTERVAL_FRAMES, "a new track is asked about in every frame until it is sure"


@pytest.mark.parametrize(("beside_mm", "is_valid"), [(0, True), (50, True), (65, False)])
def test_a_hand_is_valid_while_half_of_its_joints_are_in_the_image(beside_mm: float, is_valid: bool) -> None:
    class Beside(CentroidEngine):
        """Places the hand to the right of its visible pixels."""

        def infer(self, depth: Array) -> EngineOutput:
            output = super().infer(depth)
            return replace(output, joints=output.joints + np.array([beside_mm / 125, 0, 0], np.float32))

    # Half a meter away the image ends at 337 mm.
    ((pose,),) = follow_scenes(Beside(), settings(), [scene((280, 0, 500, 50))])

    assert pose.is_valid == is_valid
    assert cube_center(pose.xyz_camera_mm)[0] == pytest.approx(280 + beside_mm, abs=5)
