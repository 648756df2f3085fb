"""A hand as capsules along its bones: radii from the hand's size, a sphere at each joint and a cylinder for each bone."""

from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from handmap.skeleton.hand_shape import load_skeleton_model
from handmap.skeleton.kinematics import pose_bones, rest_shape
from handmap.types.arrays import Float32, Float64
from handmap.types.joints import BONES, JOINT_COUNT

MIN_SCALE, MAX_SCALE = 0.5, 2.0  # of the mean hand's radii: wrong joints must not draw balloons
MIN_BONE_M, MAX_BONE_M = 1e-6, 100.0  # a cylinder of length 0 has no normals, and float32 ends where packets do
CYLINDER_SIDES = 24
_STARTS, _ENDS = np.array(BONES).T

Mesh: TypeAlias = tuple[Float32, NDArray[np.uint32]]


@dataclass(frozen=True)
class Capsules:
    """The twenty capsules of a hand, in the order BONES, all float32 and in the frame of the joints.

    joint_radii_m (21,) are the radii of spheres at the joints. The cylinders, unit ones along z about the origin, are scaled by
    scales_m (20, 3): radius, radius, length; turned by the quaternions wxyz (20, 4); and moved to centers_m (20, 3).
    """

    joint_radii_m: Float32
    centers_m: Float32
    wxyz: Float32
    scales_m: Float32


def capsules_of(xyz_m: Float32) -> Capsules:
    """The capsules around the joints (21, 3) of either hand: each as thick as the flesh at its two ends is on average.

    A joint's sphere is that of its thickest capsule, so it closes the others too.
    """
    joints = xyz_m.astype(np.float64)
    along = joints[_ENDS] - joints[_STARTS]
    lengths = np.linalg.norm(along, axis=1)
    mean_lengths, mean_radii = _mean_hand_m()
    scale = np.clip(np.median(lengths / mean_lengths), MIN_SCALE, MAX_SCALE)
    radii = scale * (mean_radii[_STARTS] + mean_radii[_ENDS]) / 2
    joint_radii = np.zeros(JOINT_COUNT)
    np.maximum.at(joint_radii, _STARTS, radii)
    np.maximum.at(joint_radii, _ENDS, radii)
    shown = np.clip(lengths, MIN_BONE_M, MAX_BONE_M)
    return Capsules(
        joint_radii.astype(np.float32),
        (joints[_STARTS] + along / 2).astype(np.float32),
        _turns_from_z(along, lengths).astype(np.float32),
        np.stack([radii, radii, shown], axis=1).astype(np.float32),
    )


def unit_sphere() -> Mesh:
    """Vertices (V, 3) float32 and faces (F, 3) uint32 of a sphere of radius 1: an octahedron, each face split into four three times."""
    corners = [(1.0, 0, 0), (-1.0, 0, 0), (0, 1.0, 0), (0, -1.0, 0), (0, 0, 1.0), (0, 0, -1.0)]
    faces = [(0, 2, 4), (2, 1, 4), (1, 3, 4), (3, 0, 4), (2, 0, 5), (1, 2, 5), (3, 1, 5), (0, 3, 5)]
    points = np.array(corners)[np.array(faces)]  # (F, 3, 3)
    for _ in range(3):
        a, b, c = points[:, 0], points[:, 1], points[:, 2]
        ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
        quarters = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        points = np.concatenate([np.stack(quarter, axis=1) for quarter in quarters])
    # Faces share their vertices, so that the browser shades the sphere as round.
    vertices, shared = np.unique(points.reshape(-1, 3), axis=0, return_inverse=True)
    vertices /= np.linalg.norm(vertices, axis=1, keepdims=True)
    return vertices.astype(np.float32), shared.reshape(-1, 3).astype(np.uint32)


def unit_cylinder() -> Mesh:
    """Vertices (V, 3) float32 and faces (F, 3) uint32 of a cylinder without ends along z: radius 1, z from -1/2 to 1/2."""
    turn = 2 * np.pi * np.arange(CYLINDER_SIDES) / CYLINDER_SIDES
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    ends = [np.column_stack([ring, np.full(CYLINDER_SIDES, z)]) for z in (-0.5, 0.5)]
    low = np.arange(CYLINDER_SIDES)
    after = (low + 1) % CYLINDER_SIDES
    high, high_after = low + CYLINDER_SIDES, after + CYLINDER_SIDES
    faces = np.concatenate([np.stack([low, after, high_after], axis=1), np.stack([low, high_after, high], axis=1)])
    return np.concatenate(ends).astype(np.float32), faces.astype(np.uint32)


def _turns_from_z(along: Float64, lengths: Float64) -> Float64:
    """Quaternions (B, 4) as w, x, y, z that turn the z axis to directions (B, 3) of these lengths (B,), or to their opposites.

    A cylinder is the same from either end, so the nearer one is taken: w is then at least 0.7, also where z points back.
    """
    directions = along / np.where(lengths > 0, lengths, 1.0)[:, None]  # a bone of length 0 is not turned
    x, y, z = (directions * np.where(directions[:, 2:] < 0, -1.0, 1.0)).T
    # The shortest turn from unit vector a to b is (1 + a b, a cross b), normalized.
    turns = np.stack([1 + z, -y, x, np.zeros(len(z))], axis=1)
    unit: Float64 = turns / np.linalg.norm(turns, axis=1, keepdims=True)
    return unit


@cache
def _mean_hand_m() -> tuple[Float64, Float64]:
    """Lengths (20,) of the bones and radii (21,) at the joints of the mean hand."""
    model = load_skeleton_model()
    rest = rest_shape(model, np.zeros((1, model.shape_count)))
    joints = pose_bones(model, rest, model.pose_mean[None]).joints_mm[0]
    lengths_m: Float64 = np.linalg.norm(joints[_ENDS] - joints[_STARTS], axis=1) / 1000
    return lengths_m, model.radii_mm / 1000
