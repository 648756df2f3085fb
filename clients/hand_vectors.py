"""A person's joints as the vectors that a robot's links should have: directions from the person, lengths from the robot.

Hand frame: origin at the wrist, z from there to the middle finger's knuckle, x out of the palm; y completes the right-handed frame, so
it points to the thumb's side on a right hand and away from it on a left one. It is the frame of the robots' root links
(`robot_hands`). Not here: the solver that finds angles for the vectors.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from handmap.types.arrays import Float32, Float64, Int64
from handmap.types.joints import HAND21, MIDDLE_MCP, WRIST
from handmap.types.values import Handedness

from .robot_hands import LoadedHand

_INDEX_MCP, _RING_MCP = HAND21.index("index_mcp"), HAND21.index("ring_mcp")
_MIN_LENGTH_M = 1e-4  # of a bone or palm that has a direction


@dataclass(frozen=True, eq=False)
class VectorMap:
    """N vectors: of the robot from origin_links to task_links, of the person from starts to ends, which are rows of hand21.

    Bones come first: in the robot they are as long as its own, lengths_m. The rest lead from the thumb's tip to the other
    tips: they have the person's length times that of the robot's two fingers by the person's, so tips that touch do so in the robot.
    """

    side: Handedness
    origin_links: tuple[str, ...]
    task_links: tuple[str, ...]
    starts: Int64
    ends: Int64
    lengths_m: Float64  # of the bones
    fingers: Int64  # of the bones: the number of the chain, 0 for the thumb

    @property
    def bone_count(self) -> int:
        """How many of the vectors are bones."""
        return len(self.lengths_m)


def map_vectors(loaded: LoadedHand) -> VectorMap:
    """The vectors of this hand."""
    chains = loaded.hand.finger_chains
    bones = [(number, *pair) for number, chain in enumerate(chains) for pair in pairwise(chain)]
    tips = [(chains[0][-1], chain[-1]) for chain in chains[1:]]
    pairs = [*((start, end) for _, start, end in bones), *tips]
    poses = loaded.urdf.link_poses({name: 0.0 for name in loaded.urdf.driven})
    lengths_m = [float(np.linalg.norm(poses[end[1]][:3, 3] - poses[start[1]][:3, 3])) for _, start, end in bones]
    return VectorMap(
        loaded.hand.side,
        tuple(start[1] for start, _ in pairs),
        tuple(end[1] for _, end in pairs),
        np.array([HAND21.index(start[0]) for start, _ in pairs]),
        np.array([HAND21.index(end[0]) for _, end in pairs]),
        np.array(lengths_m),
        np.array([number for number, _, _ in bones]),
    )


def reference_vectors(vectors: VectorMap, xyz_m: Float32) -> Float32 | None:
    """The vectors (N, 3) in m, hand frame, that the robot's should be, from joints (21, 3) in any right-handed frame.

    None if the joints are no hand: a palm or bone without length.
    """
    hand_from_camera = hand_axes(xyz_m, vectors.side)
    persons = (xyz_m[vectors.ends] - xyz_m[vectors.starts]).astype(np.float64)
    lengths_m = np.linalg.norm(persons[: vectors.bone_count], axis=1)
    if hand_from_camera is None or not (lengths_m > _MIN_LENGTH_M).all():
        return None
    scales = np.concatenate([vectors.lengths_m / lengths_m, _tip_scales(vectors, lengths_m)])
    scaled: Float32 = (scales[:, None] * persons @ hand_from_camera.T).astype(np.float32)
    return scaled


def hand_axes(xyz_m: Float32, side: Handedness) -> Float64 | None:
    """The rotation (3, 3) from the frame of the joints (21, 3) to the hand frame; None if the joints of the palm lie on one line."""
    joints = xyz_m.astype(np.float64)
    along, across = joints[MIDDLE_MCP] - joints[WRIST], joints[_INDEX_MCP] - joints[_RING_MCP]
    if side is Handedness.LEFT:
        across = -across
    normal = np.cross(across, along)
    length, area = np.linalg.norm(along), np.linalg.norm(normal)
    if not (length > _MIN_LENGTH_M and area > _MIN_LENGTH_M**2):
        return None
    z, x = along / length, normal / area
    return np.stack([x, np.cross(z, x), z])


def _tip_scales(vectors: VectorMap, lengths_m: Float64) -> Float64:
    """For each finger but the thumb: the length of both in the robot by that in the person."""
    robot_m, person_m = (np.bincount(vectors.fingers, weights=each) for each in (vectors.lengths_m, lengths_m))
    scales: Float64 = (robot_m[0] + robot_m[1:]) / (person_m[0] + person_m[1:])
    return scales
