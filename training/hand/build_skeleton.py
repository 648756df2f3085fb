"""Builds `handmap/skeleton/assets/skeleton.npz`, the kinematic hand that boards fit to joints, from this room's hand asset.

Run `python -m training.hand.build_skeleton [--out PATH]` (about half a minute). The shape space is the principal components of the
joints at rest over training's shapes, scaled as training scales them; held-out shapes are not used.
"""

import argparse
import hashlib
import io
import logging
import zipfile
from pathlib import Path

import numpy as np

from handmap.skeleton.degrees_of_freedom import ANGLE_COUNT, ARCH, FOUR_FINGERS, THUMB
from handmap.types.arrays import Float64
from handmap.types.joints import FINGERS, HAND21, JOINT_COUNT, PARENTS

from .hand_model import (
    ARCH_PIVOT,
    CARRIER_OF_JOINT,
    FIRST_FINGER_BONE,
    HAND,
    LITTLE_PALM,
    RING_PALM,
    HandAsset,
    HandShape,
    load_hand_asset,
    shape_hand,
    train_coefficients,
)
from .poses import sample_any_pose
from .shape_variation import draw_outer_variation, draw_variation, vary_shape

OUT = Path(__file__).resolve().parents[2] / "handmap/skeleton/assets/skeleton.npz"
SEED = 20261127
SHAPES, POSES = 4000, 4000
OUTER_SHARE = 0.25  # of shapes drawn from the outer ranges, so that children's and large hands are in reach
COMPONENTS = 10
SLAB_MM = 5.0  # half width of the slice of skin around a joint whose distance is its radius

BURIED = HAND21.index("thumb_cmc")  # inside the palm: no skin is its own, so the nearest counts

logger = logging.getLogger("handmap.training.build_skeleton")


def main() -> None:
    """Builds the file and logs its digest."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    content = skeleton_bytes()
    options.out.write_bytes(content)
    logger.info("wrote %s bytes=%d sha256=%s", options.out, len(content), hashlib.sha256(content).hexdigest())


def skeleton_bytes() -> bytes:
    """The content of the file; the same wherever it is built, as all is rounded to 1 um and 1e-6 rad."""
    asset = load_hand_asset()
    random = np.random.default_rng(SEED)
    anchors, basis = shape_space(asset, random)
    pose_mean, pose_covariance = pose_prior(asset, random)
    arrays = {
        "anchors_mm": np.round(anchors, 3),
        "anchor_basis_mm": np.round(basis, 3),
        "frames": np.round(np.swapaxes(asset.axes[FIRST_FINGER_BONE:], 1, 2), 9),
        "arch_axes": np.round(asset.axes[[RING_PALM, LITTLE_PALM], 0], 9),
        "rest_flexion": np.round(asset.rest_flexion[FIRST_FINGER_BONE:], 9),
        "pose_mean": np.round(pose_mean, 6),
        "pose_covariance": np.round(pose_covariance, 6),
        "radii_mm": np.round(flesh_radii_mm(asset), 3),
    }
    return _npz_bytes(arrays)


def random_shape(asset: HandAsset, random: np.random.Generator) -> HandShape:
    """A person of the training shapes, scaled."""
    draw = draw_outer_variation if random.uniform() < OUTER_SHARE else draw_variation
    return vary_shape(asset, shape_hand(asset, train_coefficients(asset, random)), draw(random))


def shape_space(asset: HandAsset, random: np.random.Generator) -> tuple[Float64, Float64]:
    """Mean (22, 3) and basis (22, 3, COMPONENTS), of unit variance, of the joints at rest and the arch's pivot."""
    rows = np.stack([random_shape(asset, random).anchors_mm[: ARCH_PIVOT + 1] for _ in range(SHAPES)])
    mean = rows.mean(axis=0)
    _, scale, right = np.linalg.svd((rows - mean).reshape(SHAPES, -1), full_matrices=False)
    right = right[:COMPONENTS]
    signs = np.sign(right[np.arange(COMPONENTS), np.abs(right).argmax(axis=1)])
    spread = scale[:COMPONENTS] / np.sqrt(SHAPES)
    basis = (right * (signs * spread)[:, None]).reshape(COMPONENTS, *mean.shape)
    logger.info("explained=%.4f", (scale[:COMPONENTS] ** 2).sum() / (scale**2).sum())
    return mean, np.moveaxis(basis, 0, -1)


def pose_prior(asset: HandAsset, random: np.random.Generator) -> tuple[Float64, Float64]:
    """Mean (22,) and covariance (22, 22) of the angles of the poses that training draws."""
    anchors = shape_hand(asset, np.zeros(len(asset.basis_mm))).anchors_mm
    rows = np.stack([skeleton_angles(sample_any_pose(asset, anchors, random)[0]) for _ in range(POSES)])
    return rows.mean(axis=0), np.cov(rows.T)


def skeleton_angles(angles: Float64) -> Float64:
    """The 22 angles of `degrees_of_freedom` of the rig's angles (19, 3)."""
    fingers = angles[FIRST_FINGER_BONE:].reshape(len(FINGERS), 3, 3)
    row = np.zeros(ANGLE_COUNT)
    row[ARCH] = angles[LITTLE_PALM, 0]
    row[THUMB] = [*fingers[0, 0], fingers[0, 1, 0], fingers[0, 2, 0]]
    row[FOUR_FINGERS] = np.concatenate([fingers[1:, 0, :2], fingers[1:, 1:, 0]], axis=1).reshape(-1)
    return row


def flesh_radii_mm(asset: HandAsset) -> Float64:
    """Mean distance (21,) of the skin from each joint across its bone at rest; at the wrist half its thickness."""
    skin, joints = asset.mean_mm[: len(asset.weights)], asset.mean_mm[len(asset.weights) :][:JOINT_COUNT]
    bone_of_vertex = asset.weight_bones[np.arange(len(skin)), asset.weights.argmax(axis=1)]
    radii = np.zeros(JOINT_COUNT)
    for joint in range(JOINT_COUNT):
        bone = CARRIER_OF_JOINT[joint]
        along = asset.axes[bone, 2]
        away = skin - joints[joint]
        near = np.abs(away @ along) < SLAB_MM
        if bone == HAND:
            near &= bone_of_vertex == HAND
            radii[joint] = np.ptp(away[near][:, 2]) / 2
            continue
        parent = CARRIER_OF_JOINT[PARENTS[joint]] if PARENTS[joint] else bone
        near &= (bone_of_vertex == bone) | (bone_of_vertex == parent)
        across = np.linalg.norm(away - np.outer(away @ along, along), axis=1)
        is_inside = joint == BURIED
        radii[joint] = np.linalg.norm(away, axis=1).min() if is_inside else across[near].mean()
    return radii


def _npz_bytes(arrays: dict[str, Float64]) -> bytes:
    """A compressed .npz whose bytes depend on the arrays alone: every entry carries the zip format's first day."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array + 0.0)  # no negative zeros
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, content.getvalue(), zipfile.ZIP_STORED)
    return packed.getvalue()


if __name__ == "__main__":
    main()
