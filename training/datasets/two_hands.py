"""Sequences of two synthetic hands for the benchmark `two-hands`: held-out hand shapes in named scenes at 640x480 and 30 frames a second.

The same scene and number give the same frames.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from handmap.metrics.matching import GroundTruthHand
from handmap.types.arrays import Float32
from handmap.types.intrinsics import Intrinsics, project
from handmap.types.values import DepthFrame, Handedness, TimestampSource

from ..hand.hand_model import load_hand_asset
from ..seed_domains import SeedDomain
from ..synthesis.observe import FRAME_NS
from ..synthesis.palm_scene import SEEN_FLESH_MM
from ..synthesis.render import draw_mesh
from ..synthesis.scene import FOCALS_PX, HEIGHT_PX, WIDTH_PX
from ..synthesis.sensor import DEPTH_UNITS_MM, draw_sensor, sense
from .two_hands_motion import SeenHand, place_at
from .two_hands_scenes import (
    SceneInputs,
    SceneParts,
    make_clutter,
    make_crossing,
    make_empty,
    make_in_and_out,
    make_near_far,
    make_occlusion,
    make_one_hand,
)


@dataclass(frozen=True)
class SceneKind:
    """A scene by name: how many sequences it has and how long they are, whole and for a quick look."""

    name: str
    make: Callable[[SceneInputs], SceneParts]
    sequences: int
    frames: int
    quick_frames: int


@dataclass(frozen=True)
class TwoHandFrame:
    """A depth frame and the hands that are really there, seen or not."""

    frame: DepthFrame
    truth: tuple[GroundTruthHand, ...]


SCENES = (
    SceneKind("crossing", make_crossing, 12, 120, 60),
    SceneKind("occlusion", make_occlusion, 8, 75, 30),
    SceneKind("in-and-out", make_in_and_out, 6, 100, 30),
    SceneKind("clutter", make_clutter, 10, 45, 15),
    SceneKind("near-far", make_near_far, 6, 90, 20),
    SceneKind("one-hand", make_one_hand, 8, 45, 15),
    SceneKind("empty", make_empty, 16, 20, 10),
)


def render_sequence(kind: SceneKind, number: int, frames: int) -> Iterator[TwoHandFrame]:
    """The frames of sequence `number` of a scene."""
    asset = load_hand_asset()
    random = np.random.default_rng([SeedDomain.TWO_HANDS, [one.name for one in SCENES].index(kind.name), number])
    # The widest lens where hands come as near as 300 mm side by side.
    focal = FOCALS_PX[0 if kind.name == "near-far" else int(random.integers(2))] * random.uniform(0.97, 1.03)
    intrinsics = Intrinsics(WIDTH_PX, HEIGHT_PX, focal, focal, *random.uniform((312, 233), (328, 247)))
    cast = kind.make(SceneInputs(asset, intrinsics, number, frames, random))
    sensor = draw_sensor(random, DEPTH_UNITS_MM[number % 2], HEIGHT_PX, WIDTH_PX)
    figures = np.array([intrinsics.fx_px, intrinsics.fy_px, intrinsics.cx_px, intrinsics.cy_px])
    for at in range(frames):
        turn = at / (frames - 1)
        z_mm = cast.background_mm.copy()
        for mover in cast.movers:
            place_mm = mover.start_mm + (mover.end_mm - mover.start_mm) * turn
            mover.draw(z_mm, place_mm, figures, np.random.default_rng(mover.seed))
        is_hand = np.zeros(z_mm.shape, np.bool_)
        hands = [place_at(asset, hand, turn) for hand in cast.hands]
        for hand in hands:
            triangles = asset.triangles if hand.is_right else np.ascontiguousarray(asset.triangles[:, ::-1])
            draw_mesh(z_mm, is_hand, hand.skin_mm, triangles, figures)
        noise = replace(sensor, seed=int(random.integers(0, 2**62)))
        depth, _ = sense(z_mm, is_hand, intrinsics.fx_px, noise)
        frame = DepthFrame(depth, sensor.depth_unit_mm, intrinsics, at, at * FRAME_NS, TimestampSource.RECORDING)
        yield TwoHandFrame(frame, tuple(_true_hand(hand, z_mm, intrinsics) for hand in hands))


def _true_hand(hand: SeenHand, z_mm: Float32, intrinsics: Intrinsics) -> GroundTruthHand:
    side = Handedness.RIGHT if hand.is_right else Handedness.LEFT
    return GroundTruthHand(hand.hand_id, hand.joints_mm.astype(np.float32), side, _count_seen(hand, z_mm, intrinsics))


def _count_seen(hand: SeenHand, z_mm: Float32, intrinsics: Intrinsics) -> int:
    """How many joints lie in the image with nothing but their own flesh before them; judged before noise."""
    joints = hand.joints_mm[hand.joints_mm[:, 2] > 0]
    column, row = np.rint(project(np, joints, intrinsics)).astype(int).T
    inside = (row >= 0) & (row < HEIGHT_PX) & (column >= 0) & (column < WIDTH_PX)
    surface = z_mm[np.where(inside, row, 0), np.where(inside, column, 0)]
    return int((inside & (surface > 0) & (surface > joints[:, 2] - SEEN_FLESH_MM)).sum())
