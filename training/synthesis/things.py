"""Things and rooms without people: chairs, tables, what one holds in a hand, walls that meet, poles and shelves."""

import math

import numpy as np

from handmap.types.arrays import Float32, Float64

from ..hand.rotations import turn_x, turn_y, uniform_rotation
from .people import draw_meshes
from .render import draw_plane
from .solids import Mesh, ball, box, cup, cylinder, moved, revolve

STILL = np.eye(3)


def draw_held(z_mm: Float32, center: Float64, intrinsics: Float64, random: np.random.Generator) -> None:
    """One or a few things of the size one holds: cup, bottle, phone, box, stick, tool, ball; in the air or on a table."""
    if random.uniform() < 0.35:
        _plane_under(z_mm, center, intrinsics, random)
    draw_meshes(z_mm, make_thing(random), uniform_rotation(random), center + random.normal(0, 15, 3), intrinsics)
    for _ in range(int(random.choice(3, p=(0.6, 0.25, 0.15)))):
        away = random.normal(0, (90, 90, 60))
        draw_meshes(z_mm, make_thing(random), uniform_rotation(random), center + away, intrinsics)


def make_thing(random: np.random.Generator) -> tuple[Mesh, ...]:
    """One thing about the origin, its long side along z."""
    size, length = random.uniform(0, 1, 2)
    kind = int(random.integers(7))
    if kind == 0:
        return (cup(26 + 24 * size, 70 + 80 * length, random.uniform(1.0, 1.5)),)
    if kind == 1:
        radius, height = 24 + 22 * size, 120 + 140 * length
        neck = random.uniform(0.25, 0.5) * radius
        half = height / 2
        return (
            revolve([(0, -half), (radius, -half), (radius, 0.2 * half), (neck, 0.6 * half), (neck, half), (0, half)]),
        )
    if kind == 2:
        return (box(np.array([60 + 30 * size, 6 + 8 * size, 120 + 60 * length])),)
    if kind == 3:
        return (cylinder(3 + 18 * size**2, 100 + 300 * length),)
    if kind == 4:
        return (ball(random.uniform(0.7, 1.3, 3) * (15 + 45 * size)),)
    if kind == 5:
        return (box(random.uniform(25, 190, 3)),)
    handle = cylinder(8 + 9 * size, 90 + 120 * length)
    head = moved(box(random.uniform((20, 20, 15), (110, 45, 40))), STILL, np.array([0, 0, 50 + 60 * length]))
    return handle, head


def draw_chair(z_mm: Float32, center: Float64, intrinsics: Float64, random: np.random.Generator) -> None:
    """A chair with the end of an armrest, its back, seat or a leg at the center."""
    meshes, spots = make_chair(random)
    rotation = turn_x(random.uniform(-0.9, 0.3)) @ turn_y(random.uniform(-math.pi, math.pi))
    spot = spots[int(random.integers(len(spots)))] + random.normal(0, 25, 3)
    draw_meshes(z_mm, meshes, rotation, center - rotation @ spot, intrinsics)


def make_chair(random: np.random.Generator) -> tuple[tuple[Mesh, ...], Float64]:
    """A chair about the middle of its seat, y down, and points (S, 3) of it that one may look at."""
    wide, deep, high = random.uniform((380, 380, 350), (560, 520, 700))
    half_wide, half_deep = wide / 2, deep / 2
    thick = random.uniform(12, 80)
    meshes = [box(np.array([wide, thick, deep]))]
    spots = [[half_wide, 0, -half_deep], [0, 0, -half_deep], [half_wide, 230, -half_deep]]
    leg = random.uniform(9, 26)
    for x in (-half_wide + leg, half_wide - leg):
        meshes += [_pole(leg, 430, (x, 215, z)) for z in (-half_deep + leg, half_deep - leg)]
    if random.uniform() < 0.85:
        spots += [[0, -high, half_deep], [half_wide, -high, half_deep], [half_wide / 2, -high / 2, half_deep]]
        slats = int(random.integers(1, 6))
        if slats == 1:
            meshes.append(_box_at((wide, high, random.uniform(15, 110)), (0, -high / 2, half_deep)))
        else:
            step = wide / slats
            meshes += [
                _box_at((0.45 * step, high, 22), (-half_wide + (k + 0.5) * step, -high / 2, half_deep))
                for k in range(slats)
            ]
            meshes.append(_box_at((wide, 70, 28), (0, -high + 35, half_deep)))
    if random.uniform() < 0.6:
        rest, up = random.uniform((35, 170), (110, 260))
        for x in (-half_wide, half_wide):
            meshes.append(_box_at((rest, random.uniform(18, 60), 0.85 * deep), (x, -up, 0)))
            meshes.append(_pole(14, up, (x, -up / 2, -0.35 * deep)))
        spots += [[half_wide, -up, -0.42 * deep]] * 3 + [[half_wide, -up, 0]]
    return tuple(meshes), np.array(spots, np.float64)


def draw_table(z_mm: Float32, center: Float64, intrinsics: Float64, random: np.random.Generator) -> None:
    """A table with an edge, corner or leg at the center, and things on it."""
    wide, deep, thick = random.uniform((500, 400, 12), (1600, 900, 60))
    meshes = [box(np.array([wide, thick, deep]))]
    leg = random.uniform(14, 45)
    meshes += [
        _pole(leg, 700, (x, 350, z)) for x in (-wide / 2 + 60, wide / 2 - 60) for z in (-deep / 2 + 60, deep / 2 - 60)
    ]
    near = (
        np.array([random.uniform(-wide / 2, wide / 2), 0, -deep / 2])
        if random.uniform() < 0.6
        else np.array([wide / 2, 0, -deep / 2])
    )
    rotation = turn_x(random.uniform(-1.1, -0.05)) @ turn_y(random.normal(0, 0.6))
    offset = center - rotation @ near
    draw_meshes(z_mm, tuple(meshes), rotation, offset, intrinsics)
    for _ in range(int(random.integers(0, 4))):
        at = near + np.array([random.normal(0, 120), -thick / 2 - random.uniform(20, 90), random.uniform(20, 200)])
        draw_meshes(z_mm, make_thing(random), rotation @ turn_x(math.pi / 2), rotation @ at + offset, intrinsics)


def draw_room(z_mm: Float32, center: Float64, intrinsics: Float64, random: np.random.Generator) -> None:
    """The corner of a room at the center: a floor or ceiling, two walls, perhaps a pole, a shelf, a door left ajar."""
    rotation = turn_x(random.normal(-0.25, 0.35)) @ turn_y(random.uniform(-0.75, 0.75))
    corner = center + random.normal(0, 60, 3)
    side, up = random.choice((-1.0, 1.0), 2)
    for normal, reach in (
        ([0, 0, 1.0], 0.0),
        ([side, 0, 0.0], random.exponential(120)),
        ([0, up, 0.0], random.exponential(150)),
    ):
        if random.uniform() < 0.75:
            turned = rotation @ np.array(normal)
            draw_plane(z_mm, np.zeros(z_mm.shape, np.bool_), turned, float(turned @ corner) + reach, intrinsics)
    for _ in range(int(random.integers(0, 3))):
        at = corner + random.normal(0, (140, 120, 40)) - np.array([0, 0, random.uniform(0, 120)])
        kind = random.uniform()
        sides = (30, 1500, 30) if kind < 0.3 else (500, 25, 220) if kind < 0.6 else (80, 120, 15)
        draw_meshes(z_mm, (box(np.array(sides) * random.uniform(0.6, 2.0, 3)),), rotation, at, intrinsics)


def _plane_under(z_mm: Float32, center: Float64, intrinsics: Float64, random: np.random.Generator) -> None:
    normal = turn_x(random.uniform(-1.2, 0)) @ turn_y(random.normal(0, 0.3)) @ np.array([0, 0, 1.0])
    reach = float(normal @ center) + random.uniform(15, 120)
    draw_plane(z_mm, np.zeros(z_mm.shape, np.bool_), normal, reach, intrinsics)


def _pole(radius_mm: float, height_mm: float, at_mm: tuple[float, float, float]) -> Mesh:
    return moved(cylinder(radius_mm, height_mm), turn_x(math.pi / 2), np.array(at_mm, np.float64))


def _box_at(sides_mm: tuple[float, float, float], at_mm: tuple[float, float, float]) -> Mesh:
    return moved(box(np.array(sides_mm)), STILL, np.array(at_mm, np.float64))
