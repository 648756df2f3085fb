"""What stands about a hand: a plane behind it, a body beside it, another hand or a thing in its cube. All in the camera frame, mm."""

import math
from dataclasses import dataclass

import numpy as np

from handmap.types.arrays import Float64

from ..hand.hand_model import HandAsset, shape_hand, train_coefficients
from ..hand.poses import sample_pose
from .render import skin
from .solids import Mesh, ball, box, cup, cylinder, moved

BALL_RADII_MM = ((25, 25, 25), (90, 90, 90))
TORSO_RADII_MM = ((120, 180, 80), (190, 300, 130))
OTHER_HAND_SHARE = 0.5  # of company
MIRRORED_SHARE = 0.75  # of other hands: the same person's left hand, not another's right
GRIP = [4, 8, 12, 9]  # thumb, index and middle tip and middle knuckle lie about what a hand holds


@dataclass(frozen=True)
class Ellipsoid:
    """A body with axes along the camera's."""

    center_mm: Float64
    radii_mm: Float64


@dataclass(frozen=True)
class Plane:
    """Points p with normal . p = distance_mm, camera frame."""

    normal: Float64
    distance_mm: float


def draw_plane_behind(joints_mm: Float64, random: np.random.Generator) -> Plane:
    """A tilted plane that all joints stand before, by 12 to 260 mm at least."""
    tilt, about = math.radians(random.uniform(0, 45)), random.uniform(0, 2 * math.pi)
    normal = np.array([math.sin(tilt) * math.cos(about), math.sin(tilt) * math.sin(about), math.cos(tilt)])
    gap_mm = 12 + 250 * random.uniform() ** 2
    return Plane(normal, float((joints_mm @ normal).max()) + gap_mm)


def draw_body_beside(joints_mm: Float64, center: Float64, random: np.random.Generator) -> Ellipsoid:
    """A ball (or something as small and rounded) or a torso whose outline seen from the camera about touches the hand's, nearer to it or as far."""
    reach = float(np.linalg.norm((joints_mm - center)[:, :2], axis=1).max())
    low, high = BALL_RADII_MM if random.uniform() < 0.5 else TORSO_RADII_MM
    radii = np.array(low) + (np.array(high) - low) * random.uniform(size=3)
    about = random.uniform(0, 2 * math.pi)
    direction = np.array([math.cos(about), math.sin(about)])
    extent = 1 / math.hypot(direction[0] / radii[0], direction[1] / radii[1])
    beside = direction * (reach * random.uniform(0.75, 1.15) + extent * random.uniform(1.0, 1.15))
    z_mm = max(float(center[2] + random.uniform(-150, 60)), 160 + float(radii[2]))
    # Shift along the ray, so that the two stay side by side in the image at whatever depth the body stands.
    return Ellipsoid(np.array([*((center[:2] + beside) * (z_mm / center[2])), z_mm]), radii)


def draw_company(
    asset: HandAsset, joints_mm: Float64, center: Float64, rotation: Float64, random: np.random.Generator
) -> Mesh:
    """Another hand, or a thing that is held, touched, before or behind the hand; turned by a random rotation (3, 3)."""
    if random.uniform() < OTHER_HAND_SHARE:
        return _other_hand(asset, center, rotation, random)
    return _thing(joints_mm, center, rotation, random)


def _other_hand(asset: HandAsset, center: Float64, rotation: Float64, random: np.random.Generator) -> Mesh:
    shape = shape_hand(asset, train_coefficients(asset, random))
    _, hand = sample_pose(asset, shape.anchors_mm, random)
    rotations, offsets = np.matmul(rotation, hand.rotations), hand.offsets_mm @ rotation.T
    xyz = skin(shape.vertices_mm, asset.weight_bones, asset.weights, rotations, offsets)
    joints = hand.joints_mm @ rotation.T
    xyz -= ((joints.min(axis=0) + joints.max(axis=0)) / 2).astype(np.float32)
    triangles = asset.triangles
    if random.uniform() < MIRRORED_SHARE:
        xyz *= np.array([-1, 1, 1], np.float32)
        triangles = np.ascontiguousarray(triangles[:, ::-1])
    direction = random.normal(size=3)
    offset = direction / np.linalg.norm(direction) * random.uniform(50, 150)
    return Mesh((xyz + center + offset).astype(np.float32), triangles)


def _thing(joints_mm: Float64, center: Float64, rotation: Float64, random: np.random.Generator) -> Mesh:
    thing = _draw_thing(random)
    place = random.uniform()
    if place < 0.4:  # held across the palm
        return moved(thing, _frame_along(joints_mm[17] - joints_mm[5], rotation), joints_mm[GRIP].mean(axis=0))
    if place < 0.8:
        x, y = random.normal(0, 45, 2)
        gap = random.uniform(50, 130) * (-1 if place < 0.6 else 1)
        return moved(thing, rotation, center + np.array([x, y, gap]))
    about, reach = random.uniform(0, 2 * math.pi), float(np.linalg.norm(joints_mm - center, axis=1).max())
    beside = np.array([math.cos(about), math.sin(about), 0.0]) * reach * random.uniform(0.6, 1.1)
    return moved(thing, rotation, center + beside)


def _draw_thing(random: np.random.Generator) -> Mesh:
    """A ball, cup, stick or phone about the origin, its long side along z."""
    kind, size, length = int(random.integers(4)), random.uniform(), random.uniform()
    if kind == 0:
        return ball(random.uniform(0.85, 1.15, 3) * (15 + 30 * size))
    if kind == 1:
        return cup(28 + 17 * size, 70 + 70 * length, random.uniform(1.0, 1.4))
    if kind == 2:
        return cylinder(4 + 14 * size, 100 + 250 * length)
    return box(np.array([62 + 20 * size, 7 + 5 * size, 125 + 45 * length]))


def _frame_along(axis: Float64, rotation: Float64) -> Float64:
    """A rotation (3, 3) that takes z to the axis, otherwise as the given rotation has it."""
    along = axis / np.linalg.norm(axis)
    across = rotation[:, 0] - (rotation[:, 0] @ along) * along
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(along, across), along], axis=1)
