"""Forearms without a hand in sight: beyond the cube, in a pocket, behind a thing, in a long sleeve, or lost to the sensor."""

import math
from functools import cache

import numpy as np

from handmap.types.arrays import Float32, Float64

from ..compiled import IntArray
from ..hand.hand_model import ELBOW, FOREARM, HandShape, PosedHand, load_hand_asset, shape_hand, train_coefficients
from ..hand.poses import sample_pose
from ..hand.rotations import turn_x, turn_y, uniform_rotation
from .limbs import straight, tube
from .people import draw_meshes
from .render import draw_mesh
from .scene import skin_of
from .solids import ball, box

CUBE_MM = 250.0  # a cube without any joint of the arm's hand
ARM_WEIGHT = 0.5  # of the forearm's bone in a vertex that belongs to the arm
SLEEVED_SHARE = 0.5
HAND_MM = 110.0  # about a hand's half length, with room


@cache
def arm_triangles() -> IntArray:
    """Triangles (T, 3) of the hand's mesh that are forearm alone."""
    asset = load_hand_asset()
    is_arm = (asset.weights * (asset.weight_bones == FOREARM)).sum(axis=1) >= ARM_WEIGHT
    return np.ascontiguousarray(asset.triangles[is_arm[asset.triangles].all(axis=1)])


def draw_forearm(z_mm: Float32, center: Float64, intrinsics: Float64, random: np.random.Generator) -> None:
    """The skin of an arm around a point well up the forearm; its hand is outside the cube."""
    shape, hand, rotation = _draw_arm(random)
    arm = rotation @ (hand.rotations[FOREARM] @ shape.anchors_mm[ELBOW])
    joints = hand.joints_mm @ rotation.T
    start = random.uniform(0.4, 0.9)
    for share in np.linspace(start, 1.2, 9):
        point = joints[0] + share * arm
        if (np.abs(joints - point).max(axis=1) > CUBE_MM / 2).all():
            asset = load_hand_asset()
            skin_mm = skin_of(asset, shape, hand, rotation, joints[0] - point + center)
            draw_mesh(z_mm, np.zeros(z_mm.shape, np.bool_), skin_mm, asset.triangles, intrinsics)
            return


def draw_hidden_hand(z_mm: Float32, center: Float64, intrinsics: Float64, random: np.random.Generator) -> None:
    """A forearm whose wrist, near the center, goes into a pocket or cushion, behind a thing that is nearer, or into a long sleeve."""
    shape, hand, rotation = _draw_arm(random)
    wrist = center + random.normal(0, (35, 35, 20))
    skin_mm = skin_of(load_hand_asset(), shape, hand, rotation, wrist)
    draw_mesh(z_mm, np.zeros(z_mm.shape, np.bool_), skin_mm, arm_triangles(), intrinsics)
    arm = rotation @ (hand.rotations[FOREARM] @ shape.anchors_mm[ELBOW])
    beyond = -arm / np.linalg.norm(arm)
    kind = random.uniform()
    if kind < 0.45:
        _hide_in_body(z_mm, wrist, beyond, intrinsics, random)
    elif kind < 0.75:
        _hide_behind(z_mm, wrist + 0.6 * HAND_MM * beyond, intrinsics, random)
    else:
        length, thick = random.uniform((15, 33), (110, 52))
        end = wrist + length * beyond + random.normal(0, 10, 3)
        line = straight(wrist + 0.6 * arm, end, 9)
        radii = np.linspace(thick + random.uniform(5, 22), thick, 9)[:, None] * random.uniform((0.75, 1), (1, 1.1))
        draw_meshes(z_mm, (tube(line, radii, random.uniform(3, 16), random),), np.eye(3), np.zeros(3), intrinsics)


def draw_stump(z_mm: Float32, center: Float64, intrinsics: Float64, random: np.random.Generator) -> None:
    """A forearm, at times sleeved, whose hand the sensor has lost: no depth in a box about the hand, the wrist cut off with it."""
    shape, hand, rotation = _draw_arm(random)
    arm = rotation @ (hand.rotations[FOREARM] @ shape.anchors_mm[ELBOW])
    wrist = center - random.uniform(0.05, 0.5) * arm + random.normal(0, (20, 20, 10))
    beyond = -arm / np.linalg.norm(arm)
    drawn = np.zeros_like(z_mm)
    skin_mm = skin_of(load_hand_asset(), shape, hand, rotation, wrist)
    draw_mesh(drawn, np.zeros(z_mm.shape, np.bool_), skin_mm, arm_triangles(), intrinsics)
    if random.uniform() < SLEEVED_SHARE:
        line = straight(wrist + arm, wrist + random.uniform(-0.2, 0.3) * arm, 9)
        radii = np.linspace(random.uniform(50, 75), random.uniform(34, 55), 9)[:, None] * random.uniform(
            (0.75, 1), (1, 1.1)
        )
        draw_meshes(drawn, (tube(line, radii, random.uniform(3, 16), random),), np.eye(3), np.zeros(3), intrinsics)
    half = random.uniform(90, 140)
    _empty_box(drawn, wrist + (half - random.uniform(-10, 70)) * beyond, half, intrinsics)
    is_nearer = (drawn > 0) & ((z_mm == 0) | (drawn < z_mm))
    z_mm[is_nearer] = drawn[is_nearer]


def _empty_box(z_mm: Float32, middle: Float64, half_mm: float, intrinsics: Float64) -> None:
    """Keeps the depth inside a cube with sides along the camera's axes."""
    rows, columns = np.indices(z_mm.shape)
    x_mm = (columns - intrinsics[2]) / intrinsics[0] * z_mm - middle[0]
    y_mm = (rows - intrinsics[3]) / intrinsics[1] * z_mm - middle[1]
    z_mm[(np.maximum(np.abs(x_mm), np.abs(y_mm)) < half_mm) & (np.abs(z_mm - middle[2]) < half_mm)] = 0


def _draw_arm(random: np.random.Generator) -> tuple[HandShape, PosedHand, Float64]:
    """Shape, pose and rotation (3, 3) of a hand and its arm."""
    asset = load_hand_asset()
    shape = shape_hand(asset, train_coefficients(asset, random))
    _, hand = sample_pose(asset, shape.anchors_mm, random)
    return shape, hand, uniform_rotation(random)


def _hide_in_body(
    z_mm: Float32, wrist: Float64, beyond: Float64, intrinsics: Float64, random: np.random.Generator
) -> None:
    """A hip, cushion, bag or pocket that the wrist goes into."""
    radii = np.exp(random.uniform(math.log(60), math.log(220), 3))
    sunk = 1 / float(np.linalg.norm(beyond / radii)) - random.uniform(
        0, 12
    )  # from the middle to the surface, along the arm
    middle = wrist + beyond * max(sunk - 25, 30.0)
    if middle[2] - radii[2] > 120:
        draw_meshes(z_mm, (ball(radii),), np.eye(3), middle, intrinsics)


def _hide_behind(z_mm: Float32, hand_mm: Float64, intrinsics: Float64, random: np.random.Generator) -> None:
    """A box, board or body before the hand, a little tilted."""
    nearer = max(float(hand_mm[2]) - HAND_MM - random.uniform(0, 60), 150.0)
    middle = hand_mm * (nearer / hand_mm[2])
    half = random.uniform(HAND_MM, 1.6 * HAND_MM, 2)
    if random.uniform() < 0.5:
        sides = np.array([2 * half[0], 2 * half[1], random.uniform(4, 60)])
        rotation = turn_x(random.normal(0, 0.25)) @ turn_y(random.normal(0, 0.25))
        draw_meshes(z_mm, (box(sides),), rotation, middle, intrinsics)
    else:
        draw_meshes(z_mm, (ball(np.array([*(1.25 * half), 45.0])),), np.eye(3), middle, intrinsics)
