"""The right hand and forearm as a skinned mesh: shapes from the asset, and where bones and joints go for given joint angles.

Hand frame: origin at the wrist joint, x to the thumb's side, y from the middle knuckle to the wrist, z out of the hand's back;
so the unrotated hand stands fingers up before a camera that looks at its palm. All lengths in mm.
"""

import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from handmap.types.arrays import Float32, Float64
from handmap.types.joints import FINGERS, HAND21

from ..compiled import IntArray, compiled

TRAIN_SHAPES = 1000  # of the 1200 drawn shapes; the rest is only ever seen in validation
ARCH_PIVOT = len(HAND21)  # anchor rows after the joints
ELBOW = ARCH_PIVOT + 1
BONES = ("hand", "forearm", "ring_palm", "little_palm", *(f"{finger}_{k}" for finger in FINGERS for k in (1, 2, 3)))
HAND, FOREARM, RING_PALM, LITTLE_PALM, FIRST_FINGER_BONE = range(5)

# Bone that carries each bone, and the anchor row that each turns about and points to.
CARRIERS = np.array([-1, HAND, HAND, HAND] + [
    (HAND, HAND, HAND, RING_PALM, LITTLE_PALM)[finger] if k == 0 else FIRST_FINGER_BONE + 3 * finger + k - 1
    for finger in range(5) for k in range(3)
])  # fmt: skip
PIVOTS = np.array([0, 0, ARCH_PIVOT, ARCH_PIVOT] + [1 + 4 * finger + k for finger in range(5) for k in range(3)])
ENDS = np.array([9, ELBOW, 13, 17] + [2 + 4 * finger + k for finger in range(5) for k in range(3)])
# Bone that each hand21 joint is fixed to: its own start for a joint, the last phalanx for a tip.
CARRIER_OF_JOINT = np.array(
    [HAND] + [FIRST_FINGER_BONE + 3 * finger + min(k, 2) for finger in range(5) for k in range(4)]
)


@dataclass(frozen=True)
class HandAsset:
    """What `build_hand_asset` made. V skin vertices, then the anchors: the 21 joints, the palm arch's pivot, the elbow.

    mean_mm (V + 23, 3); basis_mm (16, V + 23, 3) for coefficients (1200, 16) of unit variance; triangles (T, 3) with
    outward normals, a closed surface; weight_bones and weights (V, 4); axes (19, 3, 3) are each bone's axes of flexion,
    splay to the thumb's side, and twist; rest_flexion (19,) is how far each bone is already bent in the mean shape, rad.
    """

    mean_mm: Float64
    basis_mm: Float32
    coefficients: Float64
    triangles: IntArray
    weight_bones: IntArray
    weights: Float32
    axes: Float64
    rest_flexion: Float64


@dataclass(frozen=True)
class HandShape:
    """One person's hand at rest: skin vertices_mm (V, 3) and anchors_mm (23, 3) in the hand frame."""

    vertices_mm: Float32
    anchors_mm: Float64


@dataclass(frozen=True)
class PosedHand:
    """Rigid motion of each bone from rest, rotations (19, 3, 3) and offsets_mm (19, 3), and the joints_mm (21, 3) they give."""

    rotations: Float64
    offsets_mm: Float64
    joints_mm: Float64


@cache
def load_hand_asset() -> HandAsset:
    """The asset that comes with the package; its arrays must not be written to."""
    with files(__package__).joinpath("assets/hand.npz").open("rb") as file, np.load(file) as arrays:
        mean = arrays["mean_mm"].astype(np.float64)
        anchors = mean[len(arrays["weights"]) :]
        axes = _bone_axes(anchors, arrays["hinges"].astype(np.float64))
        return HandAsset(
            mean_mm=mean,
            basis_mm=arrays["basis_mm"].astype(np.float32),
            coefficients=arrays["coefficients"].astype(np.float64),
            triangles=arrays["triangles"].astype(np.int64),
            weight_bones=arrays["weight_bones"].astype(np.int64),
            weights=arrays["weights"],
            axes=axes,
            rest_flexion=_rest_flexion(anchors, axes),
        )


def train_coefficients(asset: HandAsset, random: np.random.Generator) -> Float64:
    """Coefficients (16,) of a new person between two of the training shapes, with the variance kept."""
    first, second = asset.coefficients[random.integers(0, TRAIN_SHAPES, 2)]
    turn = random.uniform(0, math.pi / 2)
    mixed: Float64 = first * math.cos(turn) + second * math.sin(turn)
    return mixed


def held_out_coefficients(asset: HandAsset, random: np.random.Generator) -> Float64:
    """Coefficients (16,) of one of the shapes that training never sees."""
    chosen: Float64 = asset.coefficients[random.integers(TRAIN_SHAPES, len(asset.coefficients))]
    return chosen


def shape_hand(asset: HandAsset, coefficients: Float64) -> HandShape:
    """The hand at rest of the person with these coefficients (16,)."""
    rows = _blend(asset.mean_mm, asset.basis_mm, coefficients)
    count = len(asset.weights)
    return HandShape(rows[:count].astype(np.float32), rows[count:])


def pose_hand(asset: HandAsset, anchors_mm: Float64, angles: Float64) -> PosedHand:
    """Bones and joints for angles (19, 3): flexion, splay and twist of each bone in rad, flexion 0 where the finger is straight."""
    turns = angles.copy()
    turns[:, 0] -= asset.rest_flexion
    rotations, offsets = _forward(anchors_mm, asset.axes, turns, CARRIERS, PIVOTS)
    joints = _carry(anchors_mm, rotations, offsets, CARRIER_OF_JOINT)
    return PosedHand(rotations, offsets, joints)


def _bone_axes(anchors: Float64, hinges: Float64) -> Float64:
    """Axes (19, 3, 3) as rows flexion, splay, twist, orthonormal; the rig's hinge is kept for fingers, x serves the others."""
    directions = anchors[ENDS] - anchors[PIVOTS]
    directions[FOREARM] *= -1  # as if it pointed to the fingers, so that the signs below agree
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    hinges = hinges.copy()
    hinges[:FIRST_FINGER_BONE] = (1, 0, 0)
    hinges -= (hinges * directions).sum(axis=1, keepdims=True) * directions
    hinges /= np.linalg.norm(hinges, axis=1, keepdims=True)
    return np.stack([hinges, np.cross(directions, hinges), directions], axis=1)


def _rest_flexion(anchors: Float64, axes: Float64) -> Float64:
    """Bend (19,) of each finger bone about its hinge against the bone before it, rad; zero for the palm, forearm and thumb's base."""
    rest = np.zeros(len(BONES))
    for bone in range(FIRST_FINGER_BONE + 1, len(BONES)):
        starts_finger = (bone - FIRST_FINGER_BONE) % 3 == 0
        before = anchors[PIVOTS[bone]] if starts_finger else anchors[PIVOTS[bone]] - anchors[PIVOTS[bone - 1]]
        hinge, _, along = axes[bone]
        before = before - (before @ hinge) * hinge
        rest[bone] = math.atan2(np.cross(before, along) @ hinge, before @ along)
    return rest


@compiled
def _blend(mean: Float64, basis: Float32, coefficients: Float64) -> Float64:
    """mean (R, 3) + the sum of coefficients times basis (C, R, 3), in a fixed order and on one thread, unlike BLAS."""
    result = mean.copy()
    for c in range(len(coefficients)):
        amount = coefficients[c]
        for i in range(len(mean)):
            for k in range(3):
                result[i, k] += amount * basis[c, i, k]
    return result


@compiled
def _forward(
    anchors: Float64, axes: Float64, turns: Float64, carriers: IntArray, pivots: IntArray
) -> tuple[Float64, Float64]:
    """Each bone turns about its pivot by splay, then flexion, then twist in its own axes, and is carried by its carrier."""
    count = len(carriers)
    rotations = np.zeros((count, 3, 3))
    offsets = np.zeros((count, 3))
    for bone in range(count):
        local = np.eye(3)
        for axis in (1, 0, 2):
            angle = turns[bone, axis]
            if angle != 0.0:
                local = _product(local, _rotation(axes[bone, axis], angle))
        carrier = carriers[bone]
        if carrier >= 0:
            local_offset = anchors[pivots[bone]] - _apply(local, anchors[pivots[bone]])
            rotations[bone] = _product(rotations[carrier], local)
            offsets[bone] = _apply(rotations[carrier], local_offset) + offsets[carrier]
        else:
            rotations[bone] = local
    return rotations, offsets


@compiled
def _carry(anchors: Float64, rotations: Float64, offsets: Float64, carrier_of_joint: IntArray) -> Float64:
    joints = np.empty((len(carrier_of_joint), 3))
    for joint in range(len(carrier_of_joint)):
        bone = carrier_of_joint[joint]
        joints[joint] = _apply(rotations[bone], anchors[joint]) + offsets[bone]
    return joints


@compiled
def _rotation(axis: Float64, angle: float) -> Float64:
    """Rodrigues' formula for a unit axis."""
    x, y, z = axis[0], axis[1], axis[2]
    c, s = math.cos(angle), math.sin(angle)
    k = 1.0 - c
    return np.array(
        [
            [c + x * x * k, x * y * k - z * s, x * z * k + y * s],
            [y * x * k + z * s, c + y * y * k, y * z * k - x * s],
            [z * x * k - y * s, z * y * k + x * s, c + z * z * k],
        ]
    )


@compiled
def _product(left: Float64, right: Float64) -> Float64:
    """left @ right (3, 3) in a fixed order of additions, so that labels do not depend on the BLAS at hand."""
    result = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            for k in range(3):
                result[i, j] += left[i, k] * right[k, j]
    return result


@compiled
def _apply(rotation: Float64, point: Float64) -> Float64:
    result = np.zeros(3)
    for i in range(3):
        for j in range(3):
            result[i] += rotation[i, j] * point[j]
    return result
