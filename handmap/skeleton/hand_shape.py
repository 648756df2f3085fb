"""The rest shape of the hand, its shape space and pose prior: what `python -m training.hand.build_skeleton` derived from the asset.

Hand frame, for a right hand: origin at the wrist, x to the thumb's side, y from the middle knuckle to the wrist, z out of the
hand's back; mm.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from handmap.skeleton.degrees_of_freedom import ANGLE_COUNT, ARCH, FOUR_FINGERS, THUMB
from handmap.types.arrays import Float64
from handmap.types.joints import FINGERS, JOINT_COUNT

SEGMENTS = 3  # moving bones of each finger
PIVOT = JOINT_COUNT  # anchor row after the joints: what the palm arch turns about
# In this order along a finger:
ARCH_TURN = 0
SPLAY_TURN = 1
FLEXION_TURN = 2
TWIST_TURN = 3
MIDDLE_TURN = 4
END_TURN = 5
TURNS = (ARCH_TURN, SPLAY_TURN, FLEXION_TURN, TWIST_TURN, MIDDLE_TURN, END_TURN)
BASES = np.arange(1, JOINT_COUNT, 4)  # first joint of each finger
_FIVE = len(FINGERS)
_PRIOR_WEIGHT = 0.5  # of the natural poses: real ones are not all drawn
_SPLAY_FLOOR = np.radians(
    5.0
)  # the drawn poses hardly spread fingers; people do, so no angle is known better than this


@dataclass(frozen=True)
class SkeletonModel:
    """A right hand with K shape parameters, of unit variance over people.

    base_mm (5, 3, K + 1): each finger's first joint at rest against the pivot of the palm arch, pivot_mm (3, K + 1); offsets_mm
    (3, 5, 3, K + 1): from each finger bone's base to its end, in the bone's own frame. The last column is the mean person.
    turns (3, 6, 5, 3, 3): the rotation of each turn of each finger is turns[0] + cos turns[1] + sin turns[2].
    spread_angles (22, 30): the angles of turns from the degrees of freedom. arch_axes (5, 3): zero for fingers it does not carry.
    pose_mean (22,) and pose_precision (22, 22): natural poses, rad. radii_mm (21,): of the flesh around joints of the mean hand.
    """

    base_mm: Float64
    pivot_mm: Float64
    offsets_mm: Float64
    turns: Float64
    spread_angles: Float64
    arch_axes: Float64
    pose_mean: Float64
    pose_precision: Float64
    radii_mm: Float64

    @property
    def shape_count(self) -> int:
        """K, the number of shape parameters."""
        return int(self.base_mm.shape[-1]) - 1


@cache
def load_skeleton_model() -> SkeletonModel:
    """The model that comes with the package; its arrays must not be written to."""
    with files(__package__).joinpath("assets/skeleton.npz").open("rb") as file, np.load(file) as stored:
        return _build_model({name: stored[name].astype(np.float64) for name in stored.files})


def _build_model(stored: dict[str, Float64]) -> SkeletonModel:
    """The model of the file: anchors_mm (22, 3) at rest and their basis (22, 3, K), frames (15, 3, 3) of the finger bones at rest."""
    anchors = np.concatenate([stored["anchor_basis_mm"], stored["anchors_mm"][..., None]], axis=-1)
    frames = stored["frames"].reshape(_FIVE, SEGMENTS, 3, 3)
    chains = anchors[1:JOINT_COUNT].reshape(_FIVE, SEGMENTS + 1, 3, -1)
    offsets = np.swapaxes(frames, -1, -2) @ np.diff(chains, axis=1)
    floor = np.eye(ANGLE_COUNT) * _SPLAY_FLOOR**2
    arch_axes = np.zeros((_FIVE, 3))
    arch_axes[3:] = stored["arch_axes"]
    return SkeletonModel(
        base_mm=anchors[BASES] - anchors[PIVOT],
        pivot_mm=anchors[PIVOT],
        offsets_mm=np.ascontiguousarray(np.swapaxes(offsets, 0, 1)),
        turns=_turns(frames, stored["rest_flexion"].reshape(_FIVE, SEGMENTS), arch_axes),
        spread_angles=_spread_angles(),
        arch_axes=arch_axes * np.array([0, 0, 0, 0.5, 1])[:, None],
        pose_mean=stored["pose_mean"],
        pose_precision=_PRIOR_WEIGHT * np.linalg.inv(stored["pose_covariance"] + floor),
        radii_mm=stored["radii_mm"],
    )


def _turns(frames: Float64, rest_flexion: Float64, arch_axes: Float64) -> Float64:
    """Each turn as a function of its angle, the way from bone to bone and the bend at rest included."""
    hinge, across, along = np.eye(3)
    turns = np.zeros((3, len(TURNS), _FIVE, 3, 3))
    for finger in range(_FIVE):
        bones, rest = frames[finger], rest_flexion[finger]
        ways = [bones[0], bones[0].T @ bones[1], bones[1].T @ bones[2]]
        turns[:, ARCH_TURN, finger] = _turn(arch_axes[finger]) if arch_axes[finger].any() else _NO_TURN
        turns[:, SPLAY_TURN, finger] = ways[0] @ _turn(across)
        turns[:, FLEXION_TURN, finger] = _turn(hinge) @ _turned(hinge, -rest[0])
        turns[:, TWIST_TURN, finger] = _turn(along)
        turns[:, MIDDLE_TURN, finger] = ways[1] @ _turn(hinge) @ _turned(hinge, -rest[1])
        turns[:, END_TURN, finger] = ways[2] @ _turn(hinge) @ _turned(hinge, -rest[2])
    return turns


_NO_TURN = np.stack([np.eye(3), np.zeros((3, 3)), np.zeros((3, 3))])


def _turn(axis: Float64) -> Float64:
    """Rodrigues' formula (3, 3, 3) for a unit axis: what is constant, times the cosine, times the sine."""
    x, y, z = axis
    kept = np.outer(axis, axis)
    return np.stack([kept, np.eye(3) - kept, np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])])


def _turned(axis: Float64, angle: float) -> Float64:
    constant, cosine, sine = _turn(axis)
    rotation: Float64 = constant + np.cos(angle) * cosine + np.sin(angle) * sine
    return rotation


def _spread_angles() -> Float64:
    """The matrix (22, 30) from degrees of freedom to the angles of six turns of five fingers."""
    spread = np.zeros((ANGLE_COUNT, len(TURNS), _FIVE))
    spread[ARCH, ARCH_TURN, 3:] = 0.5, 1  # the ring finger's metacarpal moves half as far
    of_thumb = (FLEXION_TURN, SPLAY_TURN, TWIST_TURN, MIDDLE_TURN, END_TURN)
    for angle, turn in zip(range(THUMB.start, THUMB.stop), of_thumb, strict=True):
        spread[angle, turn, 0] = 1
    for angle in range(FOUR_FINGERS.start, FOUR_FINGERS.stop):
        finger, which = divmod(angle - FOUR_FINGERS.start, 4)
        spread[angle, (FLEXION_TURN, SPLAY_TURN, MIDDLE_TURN, END_TURN)[which], finger + 1] = 1
    return spread.reshape(ANGLE_COUNT, -1)
