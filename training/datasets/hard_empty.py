"""The negatives of the hard sets: whole frames without a hand, of ten kinds, with likely false positives near the center.

People here are other than in training: builds, cloth, facing and places are drawn from ranges of their own, and an arm that ends
at the wrist does so outside the image.
"""

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from handmap.recording.datasets import KindFrame
from handmap.types.arrays import Float32, Float64
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame, TimestampSource

from ..hand.rotations import turn_x, turn_y, turn_z, uniform_rotation
from ..synthesis.limbs import straight, tube
from ..synthesis.people import Build, Person, draw_meshes, make_body
from ..synthesis.rooms import draw_backdrop, intrinsics_vector_of
from ..synthesis.scene import HEIGHT_PX, MIN_JOINT_MM, WIDTH_PX, draw_lens
from ..synthesis.sensor import draw_any_sensor, sense
from ..synthesis.solids import Mesh, ball, box
from ..synthesis.things import draw_chair, draw_held, draw_room, draw_table
from .hard_hands import DEPTH_UNIT_MM

NEAREST_MM, FARTHEST_MM = 320.0, 950.0  # what a frame is about stands there
OUTSIDE_PX = 25.0  # beyond the image's edge, an arm's end is out of it, its cuff too
FLESH_MM = 40.0  # of an arm's end about its middle
ATTEMPTS = 60

# Draws what a frame is about: z_mm (480, 640), place (3,) mm, lens, generator.
DrawAbout: TypeAlias = Callable[[Float32, Float64, Intrinsics, np.random.Generator], None]


def show_empty(kind: str, random: np.random.Generator) -> KindFrame:
    """A frame of a kind of EMPTY_KINDS, by a random sensor; half of them in a mirrored world."""
    intrinsics = draw_lens(random)
    z_mm = np.zeros((HEIGHT_PX, WIDTH_PX), np.float32)
    depth_mm = random.uniform(NEAREST_MM, FARTHEST_MM)
    u, v = random.uniform((170, 120), (470, 360))
    place = np.array(
        [
            (u - intrinsics.cx_px) / intrinsics.fx_px * depth_mm,
            (v - intrinsics.cy_px) / intrinsics.fy_px * depth_mm,
            depth_mm,
        ]
    )
    EMPTY_KINDS[kind](z_mm, place, intrinsics, random)
    behind = draw_backdrop(intrinsics, depth_mm + 150, random)
    z_mm = np.where(z_mm > 0, z_mm, behind).astype(np.float32)
    if random.uniform() < 0.5:
        z_mm = np.ascontiguousarray(z_mm[:, ::-1])
    depth, _ = sense(
        z_mm,
        np.zeros(z_mm.shape, np.bool_),
        intrinsics.fx_px,
        draw_any_sensor(random, DEPTH_UNIT_MM, HEIGHT_PX, WIDTH_PX),
    )
    return KindFrame(kind, DepthFrame(depth, DEPTH_UNIT_MM, intrinsics, 0, 0, TimestampSource.RECORDING), ())


def _person(spot: str) -> DrawAbout:
    """Somebody with a part at the place; arms reach out of the image or hide their hands."""

    def draw(z_mm: Float32, place: Float64, intrinsics: Intrinsics, random: np.random.Generator) -> None:
        for attempt in range(ATTEMPTS):
            free_arms = 0.7 if attempt < ATTEMPTS - 1 else 0.0
            body, rotation = make_body(_draw_build(random), free_arms, random), _draw_facing(spot, random)
            offset = place + np.array([0, 0, 45.0]) - rotation @ body.spots_mm[spot]
            if _are_out_of_sight(body.bare_wrists_mm @ rotation.T + offset, intrinsics) and _is_before_camera(
                body, rotation, offset
            ):
                break
        draw_meshes(z_mm, body.meshes, rotation, offset, intrinsics_vector_of(intrinsics))

    return draw


def _draw_build(random: np.random.Generator) -> Build:
    fold_mm = abs(random.normal(6, 7))
    return Build(random.triangular(0.78, 1.0, 1.18), random.triangular(0.82, 1.0, 1.32), fold_mm)


def _draw_facing(spot: str, random: np.random.Generator) -> Float64:
    """Towards the camera or three quarters off it; what is low down is seen from above."""
    yaw = random.uniform(-1.1, 1.1)
    pitch = random.uniform(-0.9, 0.1) if spot in ("knee", "foot") else random.normal(-0.05, 0.2)
    return turn_x(pitch) @ turn_z(random.normal(0, 0.12)) @ turn_y(yaw)


def _are_out_of_sight(points_mm: Float64, intrinsics: Intrinsics) -> bool:
    """Whether all points (N, 3) in mm are outside the image with room to spare, or behind the camera."""
    return all(not _is_in_image(point, intrinsics, OUTSIDE_PX) for point in points_mm)


def _is_in_image(point_mm: Float64, intrinsics: Intrinsics, spare_px: float) -> bool:
    if point_mm[2] < 1:
        return False
    u = point_mm[0] / point_mm[2] * intrinsics.fx_px + intrinsics.cx_px
    v = point_mm[1] / point_mm[2] * intrinsics.fy_px + intrinsics.cy_px
    spare = spare_px + FLESH_MM * intrinsics.fx_px / float(point_mm[2])
    return bool(-spare < u < intrinsics.width_px + spare and -spare < v < intrinsics.height_px + spare)


def _is_before_camera(body: Person, rotation: Float64, offset_mm: Float64) -> bool:
    """Whether nothing of the body comes so near that it would be cut open in the image."""
    return all(float((mesh.xyz_mm @ rotation[2]).min() + offset_mm[2]) > MIN_JOINT_MM for mesh in body.meshes)


def _bare_forearm(z_mm: Float32, place: Float64, intrinsics: Intrinsics, random: np.random.Generator) -> None:
    """An arm whose elbow is in the image and whose wrist is out of it, at any border."""
    for attempt in range(ATTEMPTS):
        wrist = _draw_outside(float(place[2]), intrinsics, random)
        inwards = place - wrist
        swing = random.normal(0, 0.4, 3) if attempt < ATTEMPTS - 1 else 0.0
        direction = inwards / np.linalg.norm(inwards) + swing
        elbow = wrist + random.uniform(225, 280) * direction / np.linalg.norm(direction)
        if _is_in_image(elbow, intrinsics, -60) and elbow[2] > MIN_JOINT_MM + 60:
            break
    _draw_arm(z_mm, elbow, wrist, intrinsics, random)


def _draw_outside(depth_mm: float, intrinsics: Intrinsics, random: np.random.Generator) -> Float64:
    """A point (3,) mm at about a depth that is just outside one of the image's four borders, its flesh too."""
    z = depth_mm + random.normal(0, 20)
    spare = OUTSIDE_PX + FLESH_MM * intrinsics.fx_px / z + random.uniform(1, 12)
    across, border = random.uniform(0.15, 0.85), int(random.integers(4))
    u, v = ((-spare, across * HEIGHT_PX), (WIDTH_PX + spare, across * HEIGHT_PX), (across * WIDTH_PX, -spare),
            (across * WIDTH_PX, HEIGHT_PX + spare))[border]  # fmt: skip
    return np.array([(u - intrinsics.cx_px) / intrinsics.fx_px * z, (v - intrinsics.cy_px) / intrinsics.fy_px * z, z])


def _draw_arm(
    z_mm: Float32, elbow: Float64, wrist: Float64, intrinsics: Intrinsics, random: np.random.Generator
) -> None:
    """Bare skin from elbow to wrist, and an upper arm, bare or in a short sleeve, that goes on to a body."""
    girth = random.uniform(0.82, 1.25)
    path = straight(wrist, elbow, 10)
    thick = girth * np.interp(np.linspace(0, 1, 10), (0, 0.3, 0.75, 1), (27, 32, 45, 40))
    flat = np.linspace(0.72, 0.95, 10)
    meshes = [tube(path, np.stack([thick, thick * flat], axis=1), 1.5, random)]
    onwards = (elbow - wrist) / np.linalg.norm(elbow - wrist) + random.normal(0, 0.6, 3)
    onwards /= np.linalg.norm(onwards)
    shoulder = elbow + random.uniform(230, 300) * onwards
    if shoulder[2] > MIN_JOINT_MM + 100:
        upper = straight(elbow, shoulder, 10)
        meshes.append(tube(upper, girth * np.linspace(41, 56, 10)[:, None] * np.ones(2), 1.5, random))
        if random.uniform() < 0.4:
            meshes.append(
                tube(upper[4:], girth * np.linspace(62, 72, 6)[:, None] * np.ones(2), random.uniform(2, 14), random)
            )
        _sink(z_mm, shoulder, -onwards, intrinsics, random)
    draw_meshes(z_mm, tuple(meshes), np.eye(3), np.zeros(3), intrinsics_vector_of(intrinsics))


def _forearm_with_hidden_hand(
    z_mm: Float32, place: Float64, intrinsics: Intrinsics, random: np.random.Generator
) -> None:
    """A forearm whose wrist goes behind a near board, cushion or body, or sinks into one; nothing beyond the wrist is drawn."""
    direction = random.normal(size=3) * (1, 1, 0.6)
    direction /= np.linalg.norm(direction)
    direction[2] = abs(direction[2]) if place[2] < 550 else direction[2]
    wrist, elbow = place, place + random.uniform(225, 280) * direction
    _draw_arm(z_mm, elbow, wrist, intrinsics, random)
    if random.uniform() < 0.5:
        _sink(z_mm, wrist, direction, intrinsics, random)
        return
    nearer = wrist - 25 * direction
    cover_z = max(float(nearer[2]) - random.uniform(45, 110), 170.0)
    half = random.uniform(85, 170, 2)
    cover = tube(
        straight(np.array([0, -half[1], 0]), np.array([0, half[1], 0]), 6),
        np.full((6, 2), half[0]) * (1, 0.2),
        5,
        random,
    )
    solid: Mesh = box(np.array([2 * half[0], 2 * half[1], random.uniform(8, 50)])) if random.uniform() < 0.6 else cover
    turn = turn_z(random.normal(0, 0.3)) @ turn_x(random.normal(0, 0.2)) @ turn_y(random.normal(0, 0.2))
    draw_meshes(z_mm, (solid,), turn, nearer * (cover_z / nearer[2]), intrinsics_vector_of(intrinsics))


def _sink(z_mm: Float32, end: Float64, direction: Float64, intrinsics: Intrinsics, random: np.random.Generator) -> None:
    """A body, bag or cushion around a wrist or shoulder, which the arm enters against a direction (3,)."""
    radii = random.uniform((80, 90, 60), (190, 240, 130))
    reach = 1 / float(np.linalg.norm(direction / radii))
    middle = end - direction * (reach - random.uniform(25, 55))
    middle[2] = max(middle[2], MIN_JOINT_MM + radii[2] + 20)
    draw_meshes(z_mm, (ball(radii),), np.eye(3), middle, intrinsics_vector_of(intrinsics))


def _thing(draw: Callable[[Float32, Float64, Float64, np.random.Generator], None]) -> DrawAbout:
    """What `things` draws, about the place."""

    def draw_about(z_mm: Float32, place: Float64, intrinsics: Intrinsics, random: np.random.Generator) -> None:
        draw(z_mm, place, intrinsics_vector_of(intrinsics), random)

    return draw_about


def _knee_or_foot(z_mm: Float32, place: Float64, intrinsics: Intrinsics, random: np.random.Generator) -> None:
    _person("knee" if random.uniform() < 0.6 else "foot")(z_mm, place, intrinsics, random)


def _empty_room(z_mm: Float32, place: Float64, intrinsics: Intrinsics, random: np.random.Generator) -> None:
    """Walls that meet, a table or shelf, small things on it; all within the range where hands are looked for."""
    draw_room(z_mm, place * random.uniform(1.0, 2.2), intrinsics_vector_of(intrinsics), random)
    if random.uniform() < 0.6:
        draw_table(z_mm, place + np.array([0, random.uniform(50, 250), 0]), intrinsics_vector_of(intrinsics), random)
    for _ in range(int(random.integers(0, 3))):
        side = random.uniform(40, 320, 3)
        at = place + random.normal(0, (180, 120, 120))
        if at[2] - math.sqrt(3) * side.max() / 2 > MIN_JOINT_MM:
            draw_meshes(z_mm, (box(side),), uniform_rotation(random), at, intrinsics_vector_of(intrinsics))


EMPTY_KINDS: dict[str, DrawAbout] = {
    "shoulder": _person("shoulder"),
    "sleeved_upper_arm": _person("upper_arm"),
    "elbow": _person("elbow"),
    "head": _person("head"),
    "chair": _thing(draw_chair),
    "bare_forearm": _bare_forearm,
    "forearm_with_hidden_hand": _forearm_with_hidden_hand,
    "knee_or_foot": _knee_or_foot,
    "held_object": _thing(draw_held),
    "empty_room": _empty_room,
}
