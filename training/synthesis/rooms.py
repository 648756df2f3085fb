"""What stands behind in the hard sets' frames: a wall, a table, a person, a room; or nothing."""

import numpy as np

from handmap.types.arrays import Float32, Float64
from handmap.types.intrinsics import Intrinsics

from ..hand.rotations import turn_x, turn_y
from .negatives import wear
from .people import Build, draw_meshes, make_body
from .scene import HEIGHT_PX, WIDTH_PX
from .things import draw_chair, draw_room, draw_table

ROOM_MM = (900.0, 3200.0)  # from the camera to the wall
WORN_SHARE = 0.3  # of rooms: ragged holes, folds
CLEAR_MM = 60.0  # between what a frame is about and what stands behind it


def intrinsics_vector_of(intrinsics: Intrinsics) -> Float64:
    """A lens as `render.draw_mesh` takes it for the whole image."""
    return np.array([intrinsics.fx_px, intrinsics.fy_px, intrinsics.cx_px, intrinsics.cy_px])


def draw_backdrop(intrinsics: Intrinsics, beyond_mm: float, random: np.random.Generator) -> Float32:
    """Depth (480, 640) in mm of what stands beyond a distance; 0 for nothing."""
    z_mm = np.zeros((HEIGHT_PX, WIDTH_PX), np.float32)
    figures = intrinsics_vector_of(intrinsics)
    kind = random.uniform()
    nearest = beyond_mm + CLEAR_MM
    if kind < 0.25:
        return z_mm
    if kind < 0.75:
        at = np.array([*random.normal(0, 500, 2), random.uniform(*ROOM_MM)])
        draw_room(z_mm, at, figures, random)
    if 0.6 < kind < 0.8:
        draw_table(z_mm, np.array([random.normal(0, 200), random.uniform(80, 350), nearest + 150]), figures, random)
    elif kind >= 0.8:
        draw_person_at(
            z_mm, np.array([random.normal(0, 150), random.uniform(-400, 100), nearest + 220]), figures, random
        )
    if random.uniform() < 0.3:
        draw_chair(z_mm, np.array([*random.normal(0, 400, 2), nearest + random.uniform(200, 1200)]), figures, random)
    if random.uniform() < WORN_SHARE:
        wear(z_mm, random)
    return np.where(z_mm > nearest, z_mm, 0).astype(np.float32)


def draw_person_at(z_mm: Float32, head_mm: Float64, figures: Float64, random: np.random.Generator) -> None:
    """Somebody who faces the camera with both hands hidden, the head at a place."""
    body = make_body(Build(random.uniform(0.8, 1.1), random.uniform(0.85, 1.25), random.uniform(0, 20)), 0.0, random)
    rotation = turn_x(random.normal(0, 0.15)) @ turn_y(random.normal(0, 0.4))
    draw_meshes(z_mm, body.meshes, rotation, head_mm - rotation @ body.spots_mm["head"], figures)
