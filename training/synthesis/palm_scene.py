"""Scenes for the palm graph: up to two hands of either side with their arms, before and behind people, furniture and limbs.

Rendered at a quarter of the usual pixels: what the graph sees is smaller still.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from handmap.types.arrays import Bool, Float32, Float64, Uint16
from handmap.types.intrinsics import Intrinsics, project

from ..hand.hand_model import ELBOW, FOREARM, HandAsset, load_hand_asset
from ..hand.poses import sample_any_pose
from ..hand.rotations import turn_x, turn_y, turn_z, uniform_rotation, upright_rotation
from .forearms import draw_hidden_hand, draw_stump
from .negatives import draw_bodies, draw_furniture, draw_head, draw_limb, wear
from .people import draw_person
from .render import draw_ellipsoid, draw_mesh, draw_plane
from .scene import HEIGHT_PX, MIN_JOINT_MM, WIDTH_PX, center_of, draw_lens, place_hand, skin_of
from .sensor import Sensor, sense
from .synthetic import draw_faulty_sensor, draw_shape
from .things import draw_chair, draw_held, draw_room, draw_table

REDUCED = 2.5  # pixels of the usual image that one pixel here spans: 256x192
WIDTH, HEIGHT = round(WIDTH_PX / REDUCED), round(HEIGHT_PX / REDUCED)
HAND_COUNTS = (0.25, 0.3, 0.45)  # shares of scenes with none, one, two
TOGETHER_SHARE = 0.5  # of second hands: near the first
UNIT_MM = 1.0
RANGE_MM = (200.0, 1000.0)  # where hands are put
BEADS = 8
SEEN_FLESH_MM = 35.0  # a joint is visible if the first surface is at most this far in front of it
PARTS = ("shoulder", "upper_arm", "elbow", "head", "knee", "foot")  # of people, that come as close as a hand
THINGS = (draw_limb, draw_bodies, draw_head, draw_hidden_hand, draw_stump, draw_held, draw_chair, draw_table)


@dataclass(frozen=True)
class PlacedHand:
    """Skin (V, 3) and joints (21, 3) in the camera frame, mm, and which hand it is."""

    skin_mm: Float32
    joints_mm: Float64
    elbow_mm: Float64
    is_right: bool


@dataclass(frozen=True)
class PalmSample:
    """Raw depth (192, 256) in mm and its lens; centers (H, 3) of the hands' cubes in mm, which are right, joints seen of each."""

    depth: Uint16
    intrinsics: Intrinsics
    centers_mm: Float64
    is_right: Bool
    seen_joints: tuple[int, ...]


def render_palm_sample(domain: int, seed: int) -> PalmSample:
    """The sample of a seed; domain keeps training and validation apart."""
    random = np.random.default_rng([domain, seed])
    asset = load_hand_asset()
    full = draw_lens(random)
    intrinsics = Intrinsics(
        WIDTH, HEIGHT, full.fx_px / REDUCED, full.fy_px / REDUCED, (full.cx_px + 0.5) / REDUCED - 0.5,
        (full.cy_px + 0.5) / REDUCED - 0.5,
    )  # fmt: skip
    hands: list[PlacedHand] = []
    for _ in range(int(random.choice(3, p=HAND_COUNTS))):
        hands.append(_draw_hand(asset, full, hands, random))
    z_mm = np.zeros((HEIGHT, WIDTH), np.float32)
    mask = np.zeros(z_mm.shape, np.bool_)
    figures = np.array([intrinsics.fx_px, intrinsics.fy_px, intrinsics.cx_px, intrinsics.cy_px])
    _draw_background(z_mm, figures, hands, random)
    for hand in hands:
        triangles = asset.triangles if hand.is_right else asset.triangles[:, ::-1]
        draw_mesh(z_mm, mask, hand.skin_mm, np.ascontiguousarray(triangles), figures)
        if random.uniform() < 0.7:
            _draw_upper_arm(z_mm, figures, hand, random)
    _draw_distractors(z_mm, figures, random)
    seen = tuple(count_seen(z_mm, hand.joints_mm, intrinsics) for hand in hands)
    sensor = _reduced(draw_faulty_sensor(random, UNIT_MM, HEIGHT, WIDTH))
    depth, _ = sense(z_mm, mask & (z_mm > 0), full.fx_px, sensor)
    centers = np.array([center_of(hand.joints_mm) for hand in hands]).reshape(-1, 3)
    return PalmSample(depth, intrinsics, centers, np.array([hand.is_right for hand in hands], bool), seen)


def _draw_distractors(z_mm: Float32, figures: Float64, random: np.random.Generator) -> None:
    """Things and parts of people anywhere, before the hands or behind them."""
    for _ in range(int(random.choice(4, p=(0.3, 0.35, 0.2, 0.15)))):
        z = random.uniform(250, 1300)
        at = np.array([random.uniform(-0.7, 0.7) * z, random.uniform(-0.6, 0.6) * z, z])
        if random.uniform() < 0.4:
            draw_person(z_mm, at, figures, random, PARTS[int(random.integers(len(PARTS)))], free_arms=0.25)
        else:
            THINGS[int(random.integers(len(THINGS)))](z_mm, at, figures, random)


def _reduced(sensor: Sensor) -> Sensor:
    """The sensor at a quarter of the pixels: its shadows and fat edges keep their size in the room."""
    if sensor.optics is None:
        return sensor
    fat_px = min(sensor.optics.fat_px, 1)
    return replace(sensor, optics=replace(sensor.optics, shadow_mm=sensor.optics.shadow_mm / REDUCED, fat_px=fat_px))


def _draw_hand(
    asset: HandAsset, intrinsics: Intrinsics, others: list[PlacedHand], random: np.random.Generator
) -> PlacedHand:
    """A hand somewhere before the camera, the second often of the other side and near the first."""
    shape = draw_shape(asset, random)
    _, hand = sample_any_pose(asset, shape.anchors_mm, random)
    is_right = random.uniform() < 0.5 if not others else (random.uniform() < 0.1) == others[0].is_right
    side = np.array([1.0 if is_right else -1.0, 1, 1])
    for _ in range(12):
        rotation = _draw_rotation(random)
        turned = hand.joints_mm @ rotation.T
        offset = -center_of(turned) + _draw_place(turned - center_of(turned), intrinsics, others, side, random)
        joints = turned + offset
        elbow = joints[0] + rotation @ (hand.rotations[FOREARM] @ shape.anchors_mm[ELBOW])
        is_free = all(
            float(np.linalg.norm(center_of(joints) * side - center_of(other.joints_mm))) > 55 for other in others
        )
        if is_free and joints[:, 2].min() > MIN_JOINT_MM and _misses_camera(joints[0], elbow):
            break
    skin = skin_of(asset, shape, hand, rotation, joints[0])
    return PlacedHand((skin * side).astype(np.float32), joints * side, elbow * side, is_right)


def _draw_rotation(random: np.random.Generator) -> Float64:
    """Any way round; or upright; or leaning, mostly with the arm coming from the camera's side, as one sees one's own hands."""
    kind = random.uniform()
    if kind < 0.35:
        return uniform_rotation(random)
    if kind < 0.65:
        return upright_rotation(random)
    pitch = math.radians(random.uniform(20, 85)) * (-1 if random.uniform() < 0.7 else 1)
    return turn_z(math.radians(random.normal(0, 35))) @ turn_x(pitch) @ turn_y(random.uniform(0, 2 * math.pi))


def _draw_place(
    joints_mm: Float64, intrinsics: Intrinsics, others: list[PlacedHand], side: Float64, random: np.random.Generator
) -> Float64:
    """Where the center (3,) goes, before mirroring by `side`: near the first hand, or anywhere in the image."""
    if others and random.uniform() < TOGETHER_SHARE:
        near: Float64 = (center_of(others[0].joints_mm) + random.normal(0, 90, 3)) * side
        near[2] = max(near[2], 230.0)
        return near
    at_border = random.uniform() < 0.2
    return place_hand(joints_mm, intrinsics, at_border, random, RANGE_MM)


def _misses_camera(wrist_mm: Float64, elbow_mm: Float64) -> bool:
    along = elbow_mm - wrist_mm
    share = min(max(-float(wrist_mm @ along) / float(along @ along), 0.0), 1.0)
    return float(np.linalg.norm(wrist_mm + share * along)) >= MIN_JOINT_MM


def _draw_background(z_mm: Float32, figures: Float64, hands: list[PlacedHand], random: np.random.Generator) -> None:
    """A wall, a table that hands may touch, furniture, or a person whose hands they are; or nothing."""
    mask = np.zeros(z_mm.shape, np.bool_)
    kind = random.uniform()
    deepest = max((float(hand.joints_mm[:, 2].max()) for hand in hands), default=random.uniform(300, 900))
    if kind < 0.12:
        z = random.uniform(300, 1200)
        draw_furniture(z_mm, np.array([0.0, 0.0, z]), figures, random)
    elif kind < 0.2:
        draw_room(z_mm, np.array([*random.normal(0, 300, 2), deepest + random.uniform(150, 1500)]), figures, random)
    elif kind < 0.5:
        tilt, about = math.radians(random.uniform(0, 65)), random.uniform(0, 2 * math.pi)
        normal = np.array([math.sin(tilt) * math.cos(about), math.sin(tilt) * math.sin(about), math.cos(tilt)])
        points = np.concatenate([hand.joints_mm for hand in hands]) if hands else np.array([[0.0, 0.0, deepest]])
        gap_mm = 12 + 900 * random.uniform() ** 3
        draw_plane(z_mm, mask, normal, float((points @ normal).max()) + gap_mm, figures)
    if random.uniform() < 0.6:
        z = deepest + random.uniform(-60, 350) + 130
        at = np.array([random.normal(0, 150), random.uniform(-350, 250), z])
        draw_person(z_mm, at, figures, random, "head" if random.uniform() < 0.6 else "chest", free_arms=0.0)
    wear(z_mm, random, REDUCED)


def _draw_upper_arm(z_mm: Float32, figures: Float64, hand: PlacedHand, random: np.random.Generator) -> None:
    """From the elbow on to a shoulder somewhere behind the arm's end."""
    mask = np.zeros(z_mm.shape, np.bool_)
    along = hand.elbow_mm - hand.joints_mm[0]
    along = along / np.linalg.norm(along)
    direction = along + random.normal(0, 0.7, 3)
    direction = direction / np.linalg.norm(direction) * random.uniform(200, 320)
    thick = random.uniform(36, 62)
    for share in np.linspace(0, 1, BEADS):
        center = hand.elbow_mm + direction * share
        if center[2] - thick > MIN_JOINT_MM:
            draw_ellipsoid(z_mm, mask, center, np.full(3, thick), figures)


def count_seen(z_mm: Float32, joints_mm: Float32 | Float64, intrinsics: Intrinsics) -> int:
    """How many joints lie in the image z_mm, 0 where there is nothing, with nothing but their own flesh before them."""
    column, row = np.rint(project(np, joints_mm, intrinsics)).astype(int).T
    inside = (row >= 0) & (row < intrinsics.height_px) & (column >= 0) & (column < intrinsics.width_px)
    surface = z_mm[np.where(inside, row, 0), np.where(inside, column, 0)]
    return int((inside & (surface > 0) & (surface > joints_mm[:, 2] - SEEN_FLESH_MM)).sum())
