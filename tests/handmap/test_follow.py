"""The per-frame step on drawn scenes, with an engine that answers from the pixels of its crop."""

from contextlib import AbstractContextManager, nullcontext

import numpy as np
import pytest

from handmap.arrays import Array, Float32, Uint16
from handmap.bundle import ConfidenceTable
from handmap.engine import Engine, EngineOutput, Engines
from handmap.errors import EngineFailed
from handmap.follow import FollowSettings, follow
from handmap.intrinsics import Intrinsics
from handmap.joints import JOINT_COUNT
from handmap.tensors import Tensors
from handmap.track import NO_TRACKS, Tracks, cube_centre
from handmap.values import GUIDANCE_PX, DepthFrame, Handedness

LENS = Intrinsics(640, 480, 475.0, 475.0, 319.5, 239.5)
CUBE_MM = 250.0
TABLE = ConfidenceTable((0.0, 1.0), (60.0, 5.0), (0.0, 1.0), (0.0, 1.0))


class NoClock:
    def stage(self, name: str) -> AbstractContextManager[None]:
        return nullcontext()


class CentroidEngine:
    """Puts all joints on a small square around the middle of what its crop shows; is sure of small things only.

    A hand fills part of a cube, a torso fills all of it: that is enough of a judge for these scenes.
    """

    precision = "fp32"
    tensors = Tensors((), ())

    def __init__(self, batch: int = 1) -> None:
        self.batch = batch
        self.calls = 0
        self.answer_nan = False

    def infer(self, depth: Array) -> EngineOutput:
        assert depth.shape == (self.batch, 1, 128, 128)
        self.calls += 1
        joints = np.zeros((self.batch, JOINT_COUNT, 3), np.float32)
        guidance = np.zeros((self.batch, JOINT_COUNT, GUIDANCE_PX, GUIDANCE_PX), np.float32)
        for index, image in enumerate(depth[:, 0]):
            rows, columns = np.nonzero(image < 1)
            if len(rows):
                corner = np.array([columns.mean(), rows.mean()]) / 64 - 1
                joints[index, :, :2] = corner
                joints[index, 0, :2] -= 0.1
                joints[index, 1, :2] += 0.1
                joints[index, :, 2] = np.median(image[rows, columns])
                guidance[index] = 1.0 if len(rows) < 128 * 128 * 0.6 else 0.0
        if self.answer_nan:
            joints[:] = np.nan
        return EngineOutput(joints, guidance)

    def close(self) -> None:
        pass


def settings(max_hands: int = 1, handedness: Handedness = Handedness.RIGHT) -> FollowSettings:
    return FollowSettings(np, CUBE_MM, TABLE, handedness, max_hands, (150.0, 1000.0), 5, 0.5)


def scene(*balls: tuple[float, float, float, float], number: int = 0, capture_ns: int = 0) -> DepthFrame:
    depth: Uint16 = np.zeros((480, 640), np.uint16)
    v, u = np.mgrid[:480, :640]
    for x, y, z, radius in sorted(balls, key=lambda ball: -ball[2]):
        disc = (u - LENS.cx_px - x / z * 475) ** 2 + (v - LENS.cy_px - y / z * 475) ** 2 < (radius / z * 475) ** 2
        depth[disc] = int(z)
    return DepthFrame(depth, 1.0, LENS, number, capture_ns)


def step(
    frame: DepthFrame, tracks: Tracks, engine: Engine, how: FollowSettings
) -> tuple[list[Float32], list[int], Tracks]:
    poses, after = follow(frame, tracks, Engines(engine), how, NoClock())
    return [pose.xyz_camera_mm for pose in poses], [pose.track_id for pose in poses], after


def test_no_hand_is_an_empty_list_and_no_track() -> None:
    hands, _, tracks = step(scene(), NO_TRACKS, CentroidEngine(), settings())

    assert hands == []
    assert tracks.active == ()


def test_a_hand_is_found_and_placed_to_a_few_millimetres() -> None:
    hands, ids, _ = step(scene((80, -30, 500, 50)), NO_TRACKS, CentroidEngine(), settings())

    assert ids == [1]
    assert np.linalg.norm(cube_centre(hands[0]) - (80, -30, 500)) < 5


def test_a_left_hand_comes_back_unmirrored() -> None:
    hands, _, _ = step(scene((80, -30, 500, 50)), NO_TRACKS, CentroidEngine(), settings(handedness=Handedness.LEFT))

    assert np.linalg.norm(cube_centre(hands[0]) - (80, -30, 500)) < 5
    # The engine puts joint 0 left of joint 1 in its crop; seen from the camera a mirrored hand has it right of it.
    assert hands[0][0, 0] > hands[0][1, 0]


def test_a_nearer_torso_does_not_win() -> None:
    hands, _, _ = step(scene((-200, 100, 400, 180), (200, -80, 600, 50)), NO_TRACKS, CentroidEngine(), settings())

    assert np.linalg.norm(cube_centre(hands[0]) - (200, -80, 600)) < 10


def test_a_track_keeps_its_id_without_searching_again() -> None:
    engine = CentroidEngine()
    tracks = NO_TRACKS
    seen = []
    for number in range(10):
        frame = scene((10.0 * number, 0, 500, 50), number=number, capture_ns=number * 33_000_000)
        before = engine.calls
        hands, ids, tracks = step(frame, tracks, engine, settings())
        seen.append((ids, engine.calls - before, float(np.linalg.norm(cube_centre(hands[0]) - (10 * number, 0, 500)))))

    assert all(ids == [1] for ids, _, _ in seen)
    assert [calls for _, calls, _ in seen[1:]] == [1] * 9
    assert max(away for _, _, away in seen) < 5


def test_a_lost_hand_is_absent_in_the_same_frame_and_comes_back_with_a_new_id() -> None:
    engine = CentroidEngine()
    _, _, tracks = step(scene((0, 0, 500, 50)), NO_TRACKS, engine, settings())

    gone, _, tracks = step(scene(capture_ns=33_000_000), tracks, engine, settings())
    _, ids, _ = step(scene((0, 0, 500, 50), capture_ns=66_000_000), tracks, engine, settings())

    assert gone == []
    assert ids == [2]


def test_a_hand_that_jumps_is_found_again_in_the_same_frame() -> None:
    engine = CentroidEngine()
    _, _, tracks = step(scene((-150, 0, 500, 50)), NO_TRACKS, engine, settings())

    hands, _, _ = step(scene((150, 0, 500, 50), capture_ns=33_000_000), tracks, engine, settings())

    assert np.linalg.norm(cube_centre(hands[0]) - (150, 0, 500)) < 5


@pytest.mark.parametrize("batch", [1, 2])
def test_two_hands_are_two_tracks_whatever_the_batch(batch: int) -> None:
    engine = CentroidEngine(batch)
    tracks = NO_TRACKS
    for number in range(3):
        frame = scene((-120, 0, 450, 50), (120, 0, 600, 50), number=number, capture_ns=number * 33_000_000)
        hands, ids, tracks = step(frame, tracks, engine, settings(max_hands=2))

    assert sorted(ids) == [1, 2]
    assert {round(float(cube_centre(hand)[2])) for hand in hands} == {450, 600}


def test_one_hand_is_never_two_tracks() -> None:
    _, ids, _ = step(scene((0, 0, 500, 60)), NO_TRACKS, CentroidEngine(), settings(max_hands=2))

    assert ids == [1]


def test_joints_that_are_not_finite_are_an_engine_failure() -> None:
    engine = CentroidEngine()
    engine.answer_nan = True

    with pytest.raises(EngineFailed, match="not finite"):
        follow(scene((0, 0, 500, 50)), NO_TRACKS, Engines(engine), settings(), NoClock())


def test_a_clock_that_steps_back_does_no_harm() -> None:
    engine = CentroidEngine()
    _, _, tracks = step(scene((0, 0, 500, 50), capture_ns=10**9), NO_TRACKS, engine, settings())

    hands, ids, _ = step(scene((5, 0, 500, 50), capture_ns=0), tracks, engine, settings())

    assert ids == [1]
    assert np.linalg.norm(cube_centre(hands[0]) - (5, 0, 500)) < 5
