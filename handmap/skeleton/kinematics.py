"""Forward kinematics of N right hands at once, in the hand frame, with analytic Jacobians. A left hand is the mirror image of one."""

from dataclasses import dataclass

import numpy as np

from handmap.skeleton.degrees_of_freedom import ANGLE_COUNT, FOUR_FINGERS
from handmap.skeleton.hand_shape import (
    ARCH_TURN,
    END_TURN,
    FLEXION_TURN,
    MIDDLE_TURN,
    SEGMENTS,
    SPLAY_TURN,
    TURNS,
    TWIST_TURN,
    SkeletonModel,
)
from handmap.types.arrays import Float64, Int64
from handmap.types.joints import FINGERS, JOINT_COUNT

ROOT_COUNT = 6  # translation, then rotation vector, both in the hand frame
PARAMETER_COUNT = ROOT_COUNT + ANGLE_COUNT
_FIVE, _MIDDLE = len(FINGERS), 2
_NEXT, _AFTER = [1, 2, 0], [2, 0, 1]


@dataclass(frozen=True)
class RestShape:
    """N people's hands at rest: base_mm (N, 5, 3), pivot_mm (N, 3), offsets_mm (3, N, 5, 3), as in `SkeletonModel`."""

    base_mm: Float64
    pivot_mm: Float64
    offsets_mm: Float64


@dataclass(frozen=True)
class PosedBones:
    """N posed hands in the hand frame: joints_mm (N, 21, 3); bones (3, N, 5, 3, 3), whose columns are axes of flexion, of splay and
    along the bone; points_mm (4, N, 5, 3), the fingers' joints; palm (N, 5, 3, 3): turn of the palm's arch; splayed: after splay."""

    joints_mm: Float64
    bones: Float64
    points_mm: Float64
    palm: Float64
    splayed: Float64


def rest_shape(model: SkeletonModel, shape: Float64) -> RestShape:
    """The hands at rest of people with these shape parameters (N, K)."""
    weights = np.concatenate([shape, np.ones((len(shape), 1))], axis=1)
    base = np.moveaxis(model.base_mm @ weights.T, -1, 0)
    offsets = np.moveaxis(model.offsets_mm @ weights.T, -1, 1)
    return RestShape(base, weights @ model.pivot_mm.T, np.ascontiguousarray(offsets))


def rest_length_mm(rest: RestShape) -> Float64:
    """Hand length (N,): from the wrist to the middle fingertip along the bones."""
    bones = np.concatenate([(rest.base_mm[:, _MIDDLE] + rest.pivot_mm)[None], rest.offsets_mm[:, :, _MIDDLE]])
    length: Float64 = np.sqrt((bones * bones).sum(axis=-1)).sum(axis=0)
    return length


def pose_bones(model: SkeletonModel, rest: RestShape, angles: Float64) -> PosedBones:
    """The hands with these angles (N, 22) in rad; wrists at the origin."""
    count = len(angles)
    angle = (angles @ model.spread_angles).reshape(count, len(TURNS), _FIVE).transpose(1, 0, 2)[..., None, None]
    constant, cosine, sine = model.turns[:, :, None]
    turns = constant + np.cos(angle) * cosine + np.sin(angle) * sine
    splayed = turns[ARCH_TURN] @ turns[SPLAY_TURN]
    bones = np.empty((SEGMENTS, count, _FIVE, 3, 3))
    np.matmul(splayed @ turns[FLEXION_TURN], turns[TWIST_TURN], out=bones[0])
    np.matmul(bones[0], turns[MIDDLE_TURN], out=bones[1])
    np.matmul(bones[1], turns[END_TURN], out=bones[2])
    points = np.empty((SEGMENTS + 1, count, _FIVE, 3))
    points[0] = (turns[ARCH_TURN] @ rest.base_mm[..., None])[..., 0] + rest.pivot_mm[:, None]
    points[1:] = (bones @ rest.offsets_mm[..., None])[..., 0]
    np.cumsum(points, axis=0, out=points)
    joints = np.zeros((count, JOINT_COUNT, 3))
    joints[:, 1:] = points.transpose(1, 2, 0, 3).reshape(count, JOINT_COUNT - 1, 3)
    return PosedBones(joints, bones, points, turns[ARCH_TURN], splayed)


def joint_jacobian(model: SkeletonModel, rest: RestShape, posed: PosedBones) -> Float64:
    """Change (N, 63, 28) of the joints with the hand's motion, in its own frame (mm, rad), then with its angles."""
    count = len(posed.joints_mm)
    jacobian = np.zeros((count, JOINT_COUNT, 3, PARAMETER_COUNT))
    jacobian[..., :3] = _EYE
    x, y, z = posed.joints_mm[..., 0], posed.joints_mm[..., 1], posed.joints_mm[..., 2]
    jacobian[..., 2, 3], jacobian[..., 1, 3] = y, -z
    jacobian[..., 0, 4], jacobian[..., 2, 4] = z, -x
    jacobian[..., 1, 5], jacobian[..., 0, 5] = x, -y
    arch = _cross(model.arch_axes[3:], posed.points_mm[:, :, 3:] - rest.pivot_mm[:, None])  # (4, N, 2, 3)
    jacobian[:, 13:, :, ROOT_COUNT] = arch.transpose(1, 2, 0, 3).reshape(count, 8, 3)
    flat = jacobian.reshape(count, -1)
    flat[:, _TO] = _finger_turns(posed).reshape(count, -1)[:, _FROM]
    return jacobian.reshape(count, 3 * JOINT_COUNT, PARAMETER_COUNT)


def shape_jacobian(model: SkeletonModel, posed: PosedBones) -> Float64:
    """Change (N, 63, K) of the joints with the shape parameters."""
    count, shapes = len(posed.joints_mm), model.shape_count
    points = np.empty((SEGMENTS + 1, count, _FIVE, 3, shapes))
    points[0] = posed.palm @ model.base_mm[..., :-1] + model.pivot_mm[..., :-1]
    points[1:] = posed.bones @ model.offsets_mm[:, None, ..., :-1]
    np.cumsum(points, axis=0, out=points)
    jacobian = np.zeros((count, JOINT_COUNT, 3, shapes))
    jacobian[:, 1:] = points.transpose(1, 2, 0, 3, 4).reshape(count, JOINT_COUNT - 1, 3, shapes)
    return jacobian.reshape(count, 3 * JOINT_COUNT, shapes)


def _finger_turns(posed: PosedBones) -> Float64:
    """Change (N, 5, 5, 3, 3) of the points after each finger's base (third axis) with five turns (second): flexion, splay, twist, middle, end."""
    bones, splayed = posed.bones, posed.splayed
    axes = np.stack([splayed[..., 0], splayed[..., 1], bones[0, ..., 2], bones[1, ..., 0], bones[2, ..., 0]])
    points = posed.points_mm
    arms = points[None, 1:] - points[_PIVOTS, None]  # (5, 3, N, 5, 3)
    return _cross(axes[:, None], arms).transpose(2, 3, 0, 1, 4)


def _cross(left: Float64, right: Float64) -> Float64:
    """The cross product along the last axis, several times as fast as np.cross for so few."""
    product: Float64 = left[..., _NEXT] * right[..., _AFTER] - left[..., _AFTER] * right[..., _NEXT]
    return product


def _scatter() -> tuple[Int64, Int64]:
    """Where each entry of `_finger_turns` goes in a hand's Jacobian, and which entries; turns do not move joints before them."""
    to, source = [], []
    for finger, turn, point, axis in np.ndindex(_FIVE, 5, SEGMENTS, 3):
        if point < turn - 2 or (finger > 0 and turn == 2):  # of the five only the thumb twists
            continue
        if finger == 0:
            parameter = ROOT_COUNT + 1 + turn
        else:
            within = turn if turn < 2 else turn - 1
            parameter = ROOT_COUNT + FOUR_FINGERS.start + 4 * (finger - 1) + within
        joint = 2 + 4 * finger + point
        to.append((joint * 3 + axis) * PARAMETER_COUNT + parameter)
        source.append(((finger * 5 + turn) * SEGMENTS + point) * 3 + axis)
    return np.array(to, np.int64), np.array(source, np.int64)


_EYE = np.eye(3)
_PIVOTS = np.array([0, 0, 0, 1, 2])
_TO, _FROM = _scatter()
