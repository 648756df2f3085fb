"""Negatives: crops without a hand, showing limbs, people, furniture and objects that the locator also proposes.

A network trained only on hands detects one in every elbow.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from handmap.types.arrays import Bool, Float32, Float64

from .canvas import CANVAS_MM, print_canvas
from .forearms import draw_forearm, draw_hidden_hand, draw_stump
from .people import draw_person
from .render import draw_ellipsoid, draw_plane
from .scene import HEIGHT_PX, WIDTH_PX, draw_lens
from .sensor import DEPTH_UNITS_MM, Sensor, draw_any_sensor, sense
from .things import draw_chair, draw_held, draw_room, draw_table

# Draws something about a center (3,) mm into a z-buffer: z_mm, center, lens as for `render.draw_mesh`, generator.
Draw: TypeAlias = Callable[[Float32, Float64, Float64, np.random.Generator], None]

MIN_CELLS = 400  # of the canvas; less than this the locator does not propose
ATTEMPTS = 10
BEADS = 14  # ellipsoids that make a limb
MAX_SALT = 0.02  # of the pixels


def render_negative(random: np.random.Generator) -> tuple[NDArray[np.int16], Bool]:
    """Canvas (160, 160) of negatives about a point on their surface, and its all-false mask."""
    for _ in range(ATTEMPTS):
        intrinsics = draw_lens(random)
        center = _center(random)
        figures = np.array([intrinsics.fx_px, intrinsics.fy_px, intrinsics.cx_px, intrinsics.cy_px])
        left, right, top, bottom = _window(center, figures)
        figures[2:] -= (left, top)
        z_mm = np.zeros((bottom - top, right - left), np.float32)
        mask = np.zeros(z_mm.shape, np.bool_)
        draw_scene = SCENES[int(random.choice(len(SCENES), p=SHARES))][0]
        draw_scene(z_mm, center, figures, random)
        _stand_behind(z_mm, center, figures, random)
        wear(z_mm, random)
        unit_mm = DEPTH_UNITS_MM[int(random.integers(len(DEPTH_UNITS_MM)))]
        raw, mask = sense(z_mm, mask, float(figures[0]), _sensor(random, unit_mm, z_mm))
        canvas, is_hand = print_canvas(raw, mask, unit_mm, figures, center)
        if int((canvas != np.iinfo(np.int16).max).sum()) >= MIN_CELLS:
            break
    return canvas, np.zeros_like(is_hand)


def _center(random: np.random.Generator) -> Float64:
    """A point (3,) mm before the camera where the locator may look."""
    z_mm = random.uniform(300, 1000)
    return np.array([random.uniform(-0.5, 0.5) * z_mm, random.uniform(-0.4, 0.4) * z_mm, z_mm])


def _sensor(random: np.random.Generator, unit_mm: float, z_mm: Float32) -> Sensor:
    """Any sensor, at times with salt before everything."""
    sensor = draw_any_sensor(random, unit_mm, *z_mm.shape)
    salt = random.uniform(-9 * MAX_SALT, MAX_SALT)  # one in ten has some
    return replace(sensor, near_salt=max(salt, 0.0))


def _stand_behind(z_mm: Float32, center: Float64, intrinsics: Float64, random: np.random.Generator) -> None:
    """At times a wall or a person some way behind."""
    kind = random.uniform()
    behind = center + np.array([0, 0, random.uniform(60, 500)])
    if kind < 0.12:
        draw_furniture(z_mm, behind, intrinsics, random)
    elif kind < 0.2:
        draw_person(z_mm, behind, intrinsics, random, "chest")


def _window(center_mm: Float64, intrinsics: Float64) -> tuple[int, int, int, int]:
    """Left, right, top, bottom in pixels of what the canvas about a point can show; clipped to the image or, off it, one pixel."""
    half = CANVAS_MM / 2
    near = max(float(center_mm[2]) - half / 2, 150.0)
    spans = []
    for axis, size in ((0, WIDTH_PX), (1, HEIGHT_PX)):
        low = (center_mm[axis] - half) / near * intrinsics[axis] + intrinsics[axis + 2]
        high = (center_mm[axis] + half) / near * intrinsics[axis] + intrinsics[axis + 2]
        first = min(max(math.floor(low), 0), size - 8)
        spans += [first, max(min(math.ceil(high), size), first + 8)]
    return spans[0], spans[1], spans[2], spans[3]


def draw_limb(z_mm: Float32, center: Float64, intrinsics: Float64, random: np.random.Generator) -> None:
    """An arm or leg, straight or bent at the center, or a stick."""
    thick = math.exp(random.uniform(math.log(12), math.log(75)))
    first = _direction(random)
    second = _direction(random) if random.uniform() < 0.6 else -first
    start = center + random.normal(0, 15, 3)
    for direction, length in ((first, random.uniform(60, 350)), (second, random.uniform(0, 350))):
        widening = random.uniform(0.6, 1.5)
        for share in np.linspace(0, 1, BEADS):
            _ball(
                z_mm, start + direction * length * share, thick * (1 + (widening - 1) * share) * np.ones(3), intrinsics
            )


def draw_bodies(z_mm: Float32, center: Float64, intrinsics: Float64, random: np.random.Generator) -> None:
    """A few rounded bodies, one of them with its surface at the center: torso, head, shoulder, knee, ball, cup."""
    radii = np.exp(random.uniform(math.log(25), math.log(230), 3))
    x, y = random.normal(0, 40, 2)
    _ball(z_mm, center + np.array([x, y, radii[2]]), radii, intrinsics)
    for _ in range(int(random.integers(0, 4))):
        radii = np.exp(random.uniform(math.log(15), math.log(160), 3))
        _ball(z_mm, center + random.normal(0, 100, 3), radii, intrinsics)


def draw_head(z_mm: Float32, center: Float64, intrinsics: Float64, random: np.random.Generator) -> None:
    """Head with nose on a neck between shoulders, of any size from a child's to a man's, seen from the front or side."""
    size = random.uniform(0.7, 1.15)
    turn = random.uniform(0.8, 1.25)
    x, y = (0.0, 0.0) if random.uniform() < 0.7 else random.normal(0, 120, 2)
    head = center + np.array([x, y, 60.0])
    parts = (
        ((0, 0, 0), (75 * turn, 108, 95)),
        ((random.uniform(-70, 70), 10, -85 * turn), (13, 24, 22)),
        ((0, 120, 15), (55, 75, 55)),
        ((0, 250, 30), (215, 95, 100)),
        ((0, 400, 30), (165, 250, 110)),
    )
    for offset, radii in parts:
        _ball(z_mm, head + size * np.array(offset, np.float64), size * np.array(radii, np.float64), intrinsics)


def draw_furniture(z_mm: Float32, center: Float64, intrinsics: Float64, random: np.random.Generator) -> None:
    """A tilted plane, at times cut off along an image edge, and perhaps a body before it."""
    tilt, about = math.radians(random.uniform(0, 65)), random.uniform(0, 2 * math.pi)
    normal = np.array([math.sin(tilt) * math.cos(about), math.sin(tilt) * math.sin(about), math.cos(tilt)])
    draw_plane(z_mm, np.zeros(z_mm.shape, np.bool_), normal, float(normal @ center), intrinsics)
    if random.uniform() < 0.5:
        rows, columns = np.indices(z_mm.shape)
        angle = random.uniform(0, 2 * math.pi)
        along = (rows / z_mm.shape[0] - 0.5) * math.sin(angle) + (columns / z_mm.shape[1] - 0.5) * math.cos(angle)
        z_mm[along > random.uniform(-0.2, 0.3)] = 0
    if random.uniform() < 0.4:
        draw_bodies(z_mm, center - np.array([0, 0, random.uniform(0, 80)]), intrinsics, random)


def _part(spot: str) -> Draw:
    """Draws a person with a part of it at the center."""
    return partial(draw_person, spot=spot)


# What is drawn, and how often: what was published as a hand most comes most.
SCENES: tuple[tuple[Draw, float], ...] = (
    (draw_limb, 0.08), (draw_bodies, 0.06), (draw_head, 0.03), (draw_furniture, 0.04),
    (_part("shoulder"), 0.09), (_part("upper_arm"), 0.10), (_part("elbow"), 0.08), (_part("head"), 0.05),
    (_part("chest"), 0.02), (_part("knee"), 0.04), (_part("foot"), 0.04),
    (draw_forearm, 0.06), (draw_hidden_hand, 0.09), (draw_stump, 0.07),
    (draw_held, 0.08), (draw_chair, 0.04), (draw_table, 0.02), (draw_room, 0.01),
)  # fmt: skip
SHARES = np.array([share for _, share in SCENES])


def _ball(z_mm: Float32, center: Float64, radii: Float64, intrinsics: Float64) -> None:
    """Draws an ellipsoid if all of it is in front of the camera."""
    if center[2] - radii[2] > 120:
        draw_ellipsoid(z_mm, np.zeros(z_mm.shape, np.bool_), np.asarray(center, np.float64), radii, intrinsics)


def _direction(random: np.random.Generator) -> Float64:
    direction = random.normal(size=3)
    unit: Float64 = direction / np.linalg.norm(direction)
    return unit


def wear(z_mm: Float32, random: np.random.Generator, reduced: float = 1.0) -> None:
    """Folds of cloth, and the ragged holes that dark cloth, hair and far things have in depth images.

    `reduced` says how many pixels of the usual image one of this spans, so that folds and holes keep their size.
    """
    fold_mm = random.uniform(0, 7) if random.uniform() < 0.75 else random.uniform(7, 25)
    z_mm += np.where(z_mm > 0, fold_mm * _waves(z_mm.shape, random, reduced), 0).astype(np.float32)
    if random.uniform() < 0.35:
        z_mm[_waves(z_mm.shape, random, reduced) + random.normal(0, 0.15, z_mm.shape) > random.uniform(0.2, 1.0)] = 0
    for _ in range(int(random.integers(-2, 3))):
        z_mm[_beyond(z_mm.shape, random, reduced)] = 0


def _beyond(shape: tuple[int, ...], random: np.random.Generator, reduced: float) -> Bool:
    """What (H, W) lies in the shadow of something nearer: past a wavering line, or in a band along it."""
    rows, columns = np.indices(shape)
    angle = random.uniform(0, 2 * math.pi)
    along = (rows / shape[0] - 0.5) * math.sin(angle) + (columns / shape[1] - 0.5) * math.cos(angle)
    along += 0.1 * random.uniform() * _waves(shape, random, reduced)
    edge = random.uniform(-0.25, 0.35)
    width = math.inf if random.uniform() < 0.6 else random.uniform(0.05, 0.3)
    occluded: Bool = (along > edge) & (along < edge + width)
    return occluded


def _waves(shape: tuple[int, ...], random: np.random.Generator, reduced: float) -> Float64:
    """Three crossing waves (H, W) of unit amplitude together."""
    rows, columns = np.arange(shape[0]), np.arange(shape[1])
    total = np.zeros(shape)
    for _ in range(3):
        down, right = reduced * random.uniform(0.01, 0.15, 2) * random.choice((-1, 1), 2)
        along, across = rows * down + random.uniform(0, 6.28), columns * right
        # sin(a + b) of a row and a column: ten times as fast as a sine of every pixel.
        total += np.sin(along)[:, None] * np.cos(across) + np.cos(along)[:, None] * np.sin(across)
    return total / 3
