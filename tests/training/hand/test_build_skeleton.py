"""The kinematic hand against the asset's own rig, and its file against the script that derives it."""

import hashlib
from importlib.resources import files

import numpy as np
import pytest

from handmap.skeleton.degrees_of_freedom import ANGLE_COUNT, ANGLE_NAMES
from handmap.skeleton.hand_shape import load_skeleton_model
from handmap.skeleton.kinematics import pose_bones, rest_shape
from handmap.types.arrays import Float64
from training.hand.build_skeleton import skeleton_angles, skeleton_bytes
from training.hand.hand_model import CARRIERS, LITTLE_PALM, RING_PALM, load_hand_asset, pose_hand
from training.hand.poses import sample_any_pose

MODEL = load_skeleton_model()
FILE = files("handmap.skeleton").joinpath("assets/skeleton.npz")


def rest_anchors_mm(shape: Float64) -> Float64:
    """Anchors (23, 3) of the asset for a person of the shape space."""
    with FILE.open("rb") as file, np.load(file) as stored:
        anchors = stored["anchors_mm"] + stored["anchor_basis_mm"] @ shape
    return np.concatenate([anchors, load_hand_asset().mean_mm[-1:]])


def test_the_script_reproduces_the_file() -> None:
    assert hashlib.sha256(skeleton_bytes()).hexdigest() == hashlib.sha256(FILE.read_bytes()).hexdigest()


@pytest.mark.parametrize("seed", range(20))
def test_joints_are_where_the_rig_puts_them(seed: int) -> None:
    asset, random = load_hand_asset(), np.random.default_rng(seed)
    shape = random.normal(size=MODEL.shape_count)
    anchors = rest_anchors_mm(shape)
    angles, hand = sample_any_pose(asset, anchors, random)

    posed = pose_bones(MODEL, rest_shape(MODEL, shape[None]), skeleton_angles(angles)[None])

    assert np.abs(posed.joints_mm[0] - hand.joints_mm).max() < 0.01


@pytest.mark.parametrize("column", range(ANGLE_COUNT), ids=ANGLE_NAMES)
def test_every_degree_of_freedom_moves_as_in_the_rig(column: int) -> None:
    shape = np.zeros((1, MODEL.shape_count))
    angles = np.zeros((len(CARRIERS), 3))
    for entry in np.ndindex(angles.shape):
        trial = np.zeros_like(angles)
        trial[entry] = 0.3
        if skeleton_angles(trial)[column]:
            angles = trial
    angles[RING_PALM, 0] = angles[LITTLE_PALM, 0] / 2

    posed = pose_bones(MODEL, rest_shape(MODEL, shape), 0.3 * np.eye(ANGLE_COUNT)[column][None])

    rig = pose_hand(load_hand_asset(), rest_anchors_mm(shape[0]), angles)
    assert angles.any()
    assert np.abs(posed.joints_mm[0] - rig.joints_mm).max() < 0.01
