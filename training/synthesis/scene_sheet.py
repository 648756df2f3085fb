"""One labeled picture of every switch of the synthetic scenes: shapes, poses, views, what is about the hand, cameras, faults."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from handmap.recording.datasets import LabeledFrame
from handmap.types.intrinsics import Intrinsics

from ..hand.hand_model import HandShape, load_hand_asset, shape_hand
from ..hand.poses import ALL_KINDS, KINDS, Kind, open_hand, sample_kind
from ..hand.rotations import turn_x, turn_y
from ..hand.shape_variation import ShapeVariation, vary_shape
from .observe import observe
from .placement import WHOLE, Placement
from .scene import HEIGHT_PX, WIDTH_PX, Scene, center_of, draw_scene, skin_of
from .sensor import Sensor, draw_sensor, draw_stereo, draw_time_of_flight

PLAIN = ShapeVariation(np.ones(5), 1.0, 1.0, 1.0, 1.0)
SHAPES = {
    "long fingers": replace(PLAIN, finger_lengths=np.full(5, 1.22)),
    "short fingers": replace(PLAIN, finger_lengths=np.full(5, 0.78)),
    "wide palm": replace(PLAIN, palm_width=1.23, girth=1.12),
    "narrow palm": replace(PLAIN, palm_width=0.77, girth=0.86),
    "long palm": replace(PLAIN, palm_length=1.22),
    "short palm": replace(PLAIN, palm_length=0.78),
    "thick": replace(PLAIN, girth=1.18, palm_width=1.06),
    "thin": replace(PLAIN, girth=0.82, palm_width=0.92),
    "blunt fingers": replace(PLAIN, taper=1.16),
    "pointed fingers": replace(PLAIN, taper=0.85),
}
USUAL = replace(WHOLE, nearest_mm=330.0, farthest_mm=430.0)
PLACEMENTS = {
    "sleeve": replace(USUAL, sleeve_share=1.0),
    "watch": replace(USUAL, watch_share=1.0),
    "company": replace(USUAL, company_share=1.0),
    "cut by the border": replace(USUAL, border_share=1.0),
    "forearm cut": replace(USUAL, cut_share=1.0),
    "edge-on": replace(USUAL, edge_on_share=1.0),
    "pointing away": replace(USUAL, pointing_away_share=1.0),
    "near": replace(USUAL, nearest_mm=200.0, farthest_mm=260.0),
    "far": replace(USUAL, nearest_mm=900.0, farthest_mm=1000.0),
}
SensorDraw = Callable[[np.random.Generator, float, int, int], Sensor]


@dataclass(frozen=True)
class Tile:
    """What one tile shows."""

    title: str
    frame: LabeledFrame


def draw_tiles(seed: int, of_each: int) -> Iterator[Tile]:
    """`of_each` tiles of every switch; shapes and poses are seen from the palm or nearly so."""
    asset = load_hand_asset()
    mean = shape_hand(asset, np.zeros(16))
    streams = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(1000))
    for _ in range(of_each):
        for title, variation in SHAPES.items():
            yield Tile(title, _see_palm(vary_shape(asset, mean, variation), open_hand, 0.0, next(streams)))
        for kind in ALL_KINDS:
            yield Tile(kind.__name__, _see_palm(mean, kind, 0.5, next(streams)))
        for title, placement in PLACEMENTS.items():
            random = next(streams)
            kind = KINDS[int(random.integers(len(KINDS)))]
            yield Tile(title, _see(mean, kind, placement, draw_sensor, random))
        for title, draw in SENSORS.items():
            yield Tile(title, _see(mean, open_hand, USUAL, draw, next(streams)))


def _see(
    shape: HandShape, kind: Kind, placement: Placement, draw: SensorDraw, random: np.random.Generator
) -> LabeledFrame:
    asset = load_hand_asset()
    _, hand = sample_kind(asset, shape.anchors_mm, kind, random)
    scene = draw_scene(asset, shape, hand, placement, random)
    return observe(asset, scene, draw(random, 1.0, HEIGHT_PX, WIDTH_PX), 0, 0)


def _see_palm(shape: HandShape, kind: Kind, turned_rad: float, random: np.random.Generator) -> LabeledFrame:
    """The hand upright, its palm to the camera but for a turn and tilt of about turned_rad."""
    asset = load_hand_asset()
    _, hand = sample_kind(asset, shape.anchors_mm, kind, random)
    yaw, pitch = random.normal(0, turned_rad, 2)
    rotation = turn_x(pitch) @ turn_y(yaw)
    joints = hand.joints_mm @ rotation.T
    joints += np.array([0.0, 0, 380.0]) - center_of(joints)
    intrinsics = Intrinsics(WIDTH_PX, HEIGHT_PX, 475.0, 475.0, 320.0, 240.0)
    scene = Scene(intrinsics, skin_of(asset, shape, hand, rotation, joints[0]), joints, None, None)
    return observe(asset, scene, draw_sensor(random, 1.0, HEIGHT_PX, WIDTH_PX), 0, 0)


def _salted(random: np.random.Generator, unit_mm: float, height_px: int, width_px: int) -> Sensor:
    return replace(draw_sensor(random, unit_mm, height_px, width_px), near_salt=0.01)


def _holed(random: np.random.Generator, unit_mm: float, height_px: int, width_px: int) -> Sensor:
    return replace(draw_sensor(random, unit_mm, height_px, width_px), hole_share=0.25)


SENSORS: dict[str, SensorDraw] = {
    "structured light": draw_sensor,
    "active stereo": draw_stereo,
    "time of flight": draw_time_of_flight,
    "near salt": _salted,
    "holes": _holed,
}
