"""How far a network's joints are from the labels of a recording, and which convention it would be right in, if that is so.

A network can keep the tensor contract and still mean something else by it. With labels that shows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Final, TypeAlias

import numpy as np

from handmap.bundle.facts import STANDARD, Normalization
from handmap.bundle.model_metadata import ModelMetadata
from handmap.geometry.crop import crop_hand, normalize_points
from handmap.recording.datasets import label_center, labeled_joints
from handmap.recording.reader import open_recording
from handmap.recording.stated import RecordingName
from handmap.types.arrays import Float32
from handmap.types.errors import ModelError, RecordingError
from handmap.types.joints import HAND21
from handmap.types.values import Handedness

from .conventions import joint_order, normalized_as

# Joints (N, 21, 3) in the network's own order, for crops (N, 1, 128, 128) normalized as the network wants them.
RunJoints: TypeAlias = Callable[[Float32], Float32]

MAX_FRAMES: Final = 64
POOR_MM: Final = 5.0  # an error above this is worth a second look
LIKELY: Final = 0.6  # a convention that lowers the error to this fraction explains it
AXES: Final = ("x", "y", "z")
NORMALIZATIONS: Final = (
    STANDARD, Normalization(0.0, 1.0, 0.0), Normalization(0.0, 1.0, 1.0), Normalization(1.0, 0.0, 0.0),
    Normalization(-1.0, 1.0, 0.0), Normalization(1.0, -1.0, -1.0),
)  # fmt: skip


@dataclass(frozen=True)
class LabeledCrops:
    """Crops (N, 1, 128, 128) about labeled hands, left ones mirrored, and their joints (N, 21, 3) in half cube sides.

    A joint without a label is NaN.
    """

    depth: Float32
    joints: Float32
    half_cube_mm: float


@dataclass(frozen=True)
class LabelScore:
    """The mean distance of the joints from the labels, over these crops."""

    mean_mm: float
    crops: int


def read_labeled(samples: RecordingName, cube_mm: float) -> LabeledCrops | None:
    """Crops spread over a recording with labels; None if it has none."""
    recording = open_recording(samples)
    depth, joints = [], []
    try:
        stride = max(recording.labeled_count() // MAX_FRAMES, 1)
        for index, one in enumerate(recording.labeled()):
            if index % stride:
                continue
            crop = crop_hand(np, one.frame, label_center(one.xyz_camera_mm), cube_mm, one.handedness is Handedness.LEFT)
            depth.append(crop.depth)
            joints.append(normalize_points(np, one.xyz_camera_mm, crop.roi))
    except RecordingError:
        return None
    if not depth:
        return None
    return LabeledCrops(np.stack(depth)[:, None], np.stack(joints).astype(np.float32), cube_mm / 2)


def score_labels(run: RunJoints, facts: ModelMetadata, labeled: LabeledCrops, name: str) -> LabelScore:
    """How far the joints are off.

    Raises ModelError if they are off by more than half a cube, or would be right in another convention than the one stated.
    """
    joints = run(normalized_as(labeled.depth, facts.normalization))[:, joint_order(facts.joint_names)]
    found_mm = _mean_mm(joints, labeled)
    start = f"network {name!r}: its joints are {found_mm:.0f} mm off the labels of {len(joints)} crops"
    if not found_mm <= POOR_MM:
        limit_mm = LIKELY * found_mm
        for advice, other in _others(run, joints, facts, labeled):
            other_mm = _mean_mm(other, labeled)
            if other_mm < limit_mm and other_mm < labeled.half_cube_mm / 3:
                raise ModelError(f"{start}, but only {other_mm:.0f} mm {advice}")
    if not found_mm <= labeled.half_cube_mm:
        raise ModelError(
            f"{start}, wanted less than half the cube's side, {labeled.half_cube_mm:.0f} mm; give its joints in half cube sides about "
            "the center of the crop, and check the model facts"
        )
    return LabelScore(found_mm, len(joints))


def _mean_mm(joints: Float32, labeled: LabeledCrops) -> float:
    is_labeled = labeled_joints(labeled.joints)
    return float(np.linalg.norm(joints - labeled.joints, axis=-1)[is_labeled].mean()) * labeled.half_cube_mm


def _others(
    run: RunJoints, joints: Float32, facts: ModelMetadata, labeled: LabeledCrops
) -> Iterator[tuple[str, Float32]]:
    """The joints as they would be in other conventions, each with what to do if they are then right."""
    for signs in list(product((1, -1), repeat=3))[1:]:
        axes = " and ".join(axis for axis, sign in zip(AXES, signs, strict=True) if sign < 0)
        yield (
            f"with {axes} negated; negate {axes} in the network (x right, y down, z away)",
            joints * np.array(signs, np.float32),
        )
    for unit, factor in (("mm", 1 / labeled.half_cube_mm), ("meters", 1000 / labeled.half_cube_mm)):
        advice = f"if they are in {unit}; divide them by half the cube's side in {unit} in the network"
        yield advice, joints * np.float32(factor)
    yield "if they run from 0 to 1; give them from -1 to 1 in the network", joints * np.float32(2) - np.float32(1)
    nearest = _nearest_joints(joints, labeled) if labeled_joints(labeled.joints).all() else []
    if nearest and len(set(nearest)) == len(nearest):
        stated = [facts.joint_names[index] for index in joint_order(facts.joint_names)]
        true_name = {stated[row]: HAND21[label] for row, label in enumerate(nearest)}
        names = ", ".join(true_name[name] for name in facts.joint_names)
        yield f"in another joint order; state joint_names: [{names}]", joints[:, np.argsort(nearest)]
    for other in NORMALIZATIONS:
        if other != facts.normalization:
            stated_as = f"{{near: {other.near}, far: {other.far}, background: {other.background}}}"
            again = run(normalized_as(labeled.depth, other))[:, joint_order(facts.joint_names)]
            yield f"with another input; state normalisation: {stated_as}", again


def _nearest_joints(joints: Float32, labeled: LabeledCrops) -> list[int]:
    """For each predicted joint, the label that it is nearest to on average."""
    away = np.linalg.norm(joints[:, :, None] - labeled.joints[:, None], axis=-1).mean(axis=0)  # (21, 21)
    return [int(index) for index in away.argmin(axis=1)]
