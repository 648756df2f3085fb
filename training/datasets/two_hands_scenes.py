"""The named scenes of the two-hand benchmark: where hands go in each, and what stands around them.

Each maker draws one sequence from its own generator. Lengths are mm in the camera frame. In half of the sequences the camera faces a
person, fingers leaning to it; in the other half it looks along with them, arms coming from its side.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from handmap.types.arrays import Float32, Float64
from handmap.types.intrinsics import Intrinsics

from ..hand.hand_model import HandAsset
from ..synthesis.negatives import draw_bodies, draw_furniture, draw_head, draw_limb, wear
from ..synthesis.render import draw_ellipsoid, draw_plane
from ..synthesis.scene import HEIGHT_PX, WIDTH_PX
from .two_hands_motion import MovingHand, draw_moving_hand

FACING, ALONG = (0.0, 50.0), (-45.0, -5.0)  # degrees of lean
CROSS_FRAMES = 30  # from one side to the other
REACH_MM = 190.0  # beyond the image's edge a hand is out of it, fingers and all

DrawThing: TypeAlias = Callable[[Float32, Float64, Float64, np.random.Generator], None]


@dataclass(frozen=True)
class MovingThing:
    """A thing that goes from start to end (3,) mm, drawn alike each time."""

    draw: DrawThing
    seed: int
    start_mm: Float64
    end_mm: Float64


class SceneParts(NamedTuple):
    """What one sequence shows: a z-buffer (480, 640) of what stands still, near or far, and what moves."""

    background_mm: Float32
    hands: tuple[MovingHand, ...]
    movers: tuple[MovingThing, ...]


class SceneInputs(NamedTuple):
    """What a maker draws with."""

    asset: HandAsset
    intrinsics: Intrinsics
    number: int  # of the sequence in its scene
    frames: int
    random: np.random.Generator


def make_crossing(stage: SceneInputs) -> SceneParts:
    """Hands swap sides every second at different depths: past one another above and below, or straight before one another."""
    random = stage.random
    near = random.uniform(360, 470)
    far = near + random.uniform(120, 210)
    is_before = stage.number % 2 == 1
    low, high = (random.uniform(-10, 30), random.uniform(-10, 30)) if is_before else (60.0, -80.0)
    count = stage.frames // CROSS_FRAMES + 1
    swing = np.where(np.arange(count) % 2 == 0, 1.0, -1.0) * random.choice((-1.0, 1.0))
    if stage.number % 4 >= 2:  # only one moves
        still, moving = 0.25 * random.uniform(-1, 1) * np.ones(count), swing
    else:
        still, moving = -swing, swing
    paths = [
        np.stack([x * wide, np.full(count, y), np.full(count, z)], axis=-1)
        for x, wide, y, z in (
            (moving, random.uniform(120, 150), high, far),
            (still, random.uniform(120, 150), low, near),
        )
    ]
    hands = _two_hands(stage, paths)
    return SceneParts(_background(stage, paths, random.uniform() < 0.6), hands, ())


def make_occlusion(stage: SceneInputs) -> SceneParts:
    """A hand goes behind the other, or behind a thing, and comes back to where it was."""
    random = stage.random
    near, side = random.uniform(350, 420), random.choice((-1.0, 1.0))
    far = near + random.uniform(140, 200)
    beside, behind = side * random.uniform(180, 205), side * random.uniform(0, 20)
    moving = np.array([[beside, 10, far], [behind, 0, far], [beside, 10, far]])
    is_by_thing = stage.number % 2 == 1
    still = np.array([[-side * 190.0, 10, far]]) if is_by_thing else np.array([[-side * 15.0, 0, near]])
    hands = _two_hands(stage, [moving, still])
    background = _background(stage, [moving, still], random.uniform() < 0.6)
    if is_by_thing:
        _ellipsoid(
            background, np.array([0.0, 10.0, near]), random.uniform((70, 90, 40), (90, 120, 70)), stage.intrinsics
        )
    return SceneParts(background, hands, ())


def make_in_and_out(stage: SceneInputs) -> SceneParts:
    """Hands leave the image to the sides or below, and come back."""
    random, intrinsics = stage.random, stage.intrinsics
    paths = []
    for which, side in enumerate((-1.0, 1.0)):
        z = random.uniform(380, 560)
        inside = np.array([side * 110.0, random.uniform(-20, 30), z])
        outside = inside.copy()
        if random.uniform() < 0.6:
            outside[0] = side * (WIDTH_PX / 2 / intrinsics.fx_px * z + REACH_MM)
        else:
            outside[1] = HEIGHT_PX / 2 / intrinsics.fy_px * z + REACH_MM
        leaves = (inside, outside, inside, outside, inside)
        stays = (inside, inside + random.normal(0, 25, 3), inside)
        paths.append(np.array(leaves if which == stage.number % 2 or stage.number % 3 == 2 else stays))
    return SceneParts(_background(stage, paths, random.uniform() < 0.6), _two_hands(stage, paths), ())


def make_clutter(stage: SceneInputs) -> SceneParts:
    """Hands that move a little among people and furniture, with an elbow and other things nearer to the camera than they are."""
    random = stage.random
    paths = [_gentle(side * random.uniform(80, 120), random.uniform(430, 650), random) for side in (-1.0, 1.0)]
    background = _background(stage, paths, True)
    for side in (-1.0, 1.0):
        near = random.uniform(260, 380)
        at = np.array([side * random.uniform(0.75, 0.95) * WIDTH_PX / 2 / stage.intrinsics.fx_px * near, 40.0, near])
        (draw_limb, draw_bodies)[int(random.integers(2))](background, at, _figures(stage.intrinsics), random)
    return SceneParts(background, _two_hands(stage, paths), ())


def make_near_far(stage: SceneInputs) -> SceneParts:
    """Hands that go from 300 mm to 900 mm and back, one against the other."""
    paths = []
    for side, depths in ((-1.0, (300.0, 900.0, 300.0)), (1.0, (900.0, 300.0, 900.0))):
        paths.append(np.array([[side * (60 + z / 6), 5 + z / 60, z] for z in depths]))
    return SceneParts(_background(stage, paths, stage.number % 2 == 1), _two_hands(stage, paths), ())


def make_one_hand(stage: SceneInputs) -> SceneParts:
    """One hand where two are asked for; in every other sequence nothing is nearer than it, as the original HandMap wants it."""
    random = stage.random
    is_nearest = stage.number % 2 == 0
    path = _gentle(
        random.uniform(-60, 60), random.uniform(300, 400) if is_nearest else random.uniform(400, 600), random
    )
    is_right = stage.number % 4 < 2
    hand = draw_moving_hand(stage.asset, 1, is_right, path, (20.0, 55.0) if is_nearest else ALONG, random)
    return SceneParts(_background(stage, [path], True), (hand,), ())


def make_empty(stage: SceneInputs) -> SceneParts:
    """People and furniture, things that move, and no hand."""
    random = stage.random
    movers = []
    for _ in range(int(random.integers(1, 4))):
        start, end = random.uniform((-250, -150, 350), (250, 200, 900), (2, 3))
        draw = (draw_limb, draw_bodies, draw_head)[int(random.integers(3))]
        movers.append(MovingThing(draw, int(random.integers(2**31)), start, start + 0.4 * (end - start)))
    return SceneParts(_background(stage, [np.array([[0.0, 0.0, random.uniform(300, 600)]])], True), (), tuple(movers))


def _two_hands(stage: SceneInputs, paths: list[Float64]) -> tuple[MovingHand, ...]:
    """A right and a left hand, now and then two of a side, along the paths."""
    random = stage.random
    lean = (FACING, ALONG)[stage.number // 2 % 2]
    first = bool(random.uniform() < 0.5)
    second = first if random.uniform() < 0.1 else not first
    return tuple(
        draw_moving_hand(stage.asset, hand_id, is_right, path, lean, random)
        for hand_id, (is_right, path) in enumerate(zip((first, second), paths, strict=True), start=1)
    )


def _gentle(x_mm: float, z_mm: float, random: np.random.Generator) -> Float64:
    middle = np.array([x_mm, random.uniform(-20, 30), z_mm])
    path: Float64 = middle + random.normal(0, 18, (3, 3))
    return path


def _background(stage: SceneInputs, paths: list[Float64], has_person: bool) -> Float32:
    """A table or wall behind all that hands do, furniture, and a person behind that; worn as cloth and hair are."""
    random, figures = stage.random, _figures(stage.intrinsics)
    z_mm = np.zeros((HEIGHT_PX, WIDTH_PX), np.float32)
    points = np.concatenate(paths)
    deepest = float(points[:, 2].max())
    kind = random.uniform()
    if kind < 0.5:
        tilt, about = math.radians(random.uniform(0, 50)), random.uniform(0, 2 * math.pi)
        normal = np.array([math.sin(tilt) * math.cos(about), math.sin(tilt) * math.sin(about), math.cos(tilt)])
        gap_mm = 130 + 400 * random.uniform() ** 2  # half a hand, and some
        draw_plane(z_mm, np.zeros(z_mm.shape, np.bool_), normal, float((points @ normal).max()) + gap_mm, figures)
    elif kind < 0.75:
        draw_furniture(z_mm, np.array([0.0, 0.0, deepest + random.uniform(350, 700)]), figures, random)
    if has_person:
        at = np.array([random.normal(0, 100), random.uniform(-250, 0), deepest + random.uniform(230, 420)])
        draw_head(z_mm, at, figures, random)
    wear(z_mm, random)
    return z_mm


def _ellipsoid(z_mm: Float32, center_mm: Float64, radii_mm: Float64, intrinsics: Intrinsics) -> None:
    draw_ellipsoid(z_mm, np.zeros(z_mm.shape, np.bool_), center_mm, radii_mm, _figures(intrinsics))


def _figures(intrinsics: Intrinsics) -> Float64:
    return np.array([intrinsics.fx_px, intrinsics.fy_px, intrinsics.cx_px, intrinsics.cy_px])
