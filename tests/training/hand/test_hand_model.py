"""The hand asset and its kinematics."""

import zipfile

import numpy as np
import pytest

from handmap.metrics.bone_variation import bone_lengths_mm
from handmap.tracking.track import PALM_MM, palm_length_mm
from handmap.types.arrays import Float64
from handmap.types.joints import FINGERTIPS, HAND21, KNUCKLES, WRIST
from training.hand.build_hand_asset import ASSET, _npz_bytes
from training.hand.hand_model import (
    BONES,
    CARRIERS,
    FIRST_FINGER_BONE,
    TRAIN_SHAPES,
    held_out_coefficients,
    load_hand_asset,
    pose_hand,
    shape_hand,
    train_coefficients,
)
from training.synthesis.render import skin

MEAN = np.zeros(16)


def finger_flexion(bone: str, degrees: float) -> Float64:
    """Angles (19, 3) that bend one bone of the otherwise straight hand."""
    angles = np.zeros((len(BONES), 3))
    angles[BONES.index(bone), 0] = np.radians(degrees)
    return angles


def test_surface_is_closed() -> None:
    triangles = load_hand_asset().triangles

    edges = {(int(t[i]), int(t[(i + 1) % 3])) for t in triangles for i in range(3)}

    assert len(edges) == 3 * len(triangles)
    assert all(edge[::-1] in edges for edge in edges)


def test_skin_weights_sum_to_one() -> None:
    asset = load_hand_asset()

    assert asset.weights.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert asset.weight_bones.max() < len(BONES)


def test_every_shape_has_human_proportions() -> None:
    asset = load_hand_asset()

    joints = np.stack([shape_hand(asset, row).anchors_mm[: len(HAND21)] for row in asset.coefficients])
    lengths = bone_lengths_mm(joints)
    middle_finger = lengths[:, 9:12].sum(axis=1)
    hand = lengths[:, 8:12].sum(axis=1)

    assert hand.min() > 130 and hand.max() < 245  # mm, older child to a very large man
    assert 175 < hand.mean() < 195
    assert np.all((middle_finger / hand > 0.38) & (middle_finger / hand < 0.52))
    assert lengths[:, 1:].min() > 8


def test_held_out_shapes_are_not_training_shapes() -> None:
    asset = load_hand_asset()
    random = np.random.default_rng(0)

    drawn = np.stack([held_out_coefficients(asset, random) for _ in range(300)])

    known = {row.tobytes() for row in asset.coefficients[:TRAIN_SHAPES]}
    assert not any(row.tobytes() in known for row in drawn)
    assert train_coefficients(asset, random).shape == (16,)


def test_posing_keeps_bone_lengths() -> None:
    asset = load_hand_asset()
    random = np.random.default_rng(1)
    shape = shape_hand(asset, asset.coefficients[5])
    angles = random.uniform(-1, 1, (len(BONES), 3))
    angles[2:4] = 0  # the palm arch moves knuckles against the wrist, by design

    posed = pose_hand(asset, shape.anchors_mm, angles)

    assert bone_lengths_mm(posed.joints_mm) == pytest.approx(bone_lengths_mm(shape.anchors_mm[:21]), abs=1e-9)


def test_rotations_are_proper() -> None:
    asset = load_hand_asset()
    angles = np.random.default_rng(2).uniform(-1, 1, (len(BONES), 3))

    rotations = pose_hand(asset, shape_hand(asset, MEAN).anchors_mm, angles).rotations

    assert rotations @ rotations.transpose(0, 2, 1) == pytest.approx(np.tile(np.eye(3), (len(BONES), 1, 1)), abs=1e-9)
    assert np.linalg.det(rotations) == pytest.approx(1, abs=1e-9)


def test_straight_fingers_are_straight_and_point_up() -> None:
    asset = load_hand_asset()

    joints = pose_hand(asset, shape_hand(asset, MEAN).anchors_mm, np.zeros((len(BONES), 3))).joints_mm

    for knuckle, tip in zip(KNUCKLES[1:], FINGERTIPS[1:], strict=True):
        finger = np.diff(joints[knuckle : tip + 1], axis=0)
        finger /= np.linalg.norm(finger, axis=1, keepdims=True)
        assert finger[0] @ finger[1] > 0.98 and finger[1] @ finger[2] > 0.97
        assert finger[0, 1] < -0.9  # y points from the fingers to the wrist


@pytest.mark.parametrize("finger", ["index", "middle", "ring", "little"])
def test_flexion_bends_toward_the_palm(finger: str) -> None:
    asset = load_hand_asset()
    anchors = shape_hand(asset, MEAN).anchors_mm
    tip = HAND21.index(f"{finger}_tip")

    straight = pose_hand(asset, anchors, np.zeros((len(BONES), 3))).joints_mm
    bent = pose_hand(asset, anchors, finger_flexion(f"{finger}_1", 90)).joints_mm

    assert bent[tip, 2] < straight[tip, 2] - 40  # mm; the palm faces -z


def test_index_splays_to_the_thumb() -> None:
    asset = load_hand_asset()
    anchors = shape_hand(asset, MEAN).anchors_mm
    angles = np.zeros((len(BONES), 3))
    angles[BONES.index("index_1"), 1] = 0.2

    moved = pose_hand(asset, anchors, angles).joints_mm[8] - pose_hand(asset, anchors, angles * 0).joints_mm[8]

    assert moved[0] > 5  # mm; the thumb is on the +x side


def test_joints_lie_inside_the_skin_around_them() -> None:
    asset = load_hand_asset()
    shape = shape_hand(asset, MEAN)
    posed = pose_hand(asset, shape.anchors_mm, finger_flexion("index_2", 60))

    surface = skin(shape.vertices_mm, asset.weight_bones, asset.weights, posed.rotations, posed.offsets_mm)
    distance = np.linalg.norm(posed.joints_mm[:, None] - surface[None], axis=2).min(axis=1)

    tips = np.array(FINGERTIPS)
    assert np.all((distance[tips] > 1.5) & (distance[tips] < 9))
    assert np.all(distance > 1) and distance[WRIST] < 30


def test_carriers_come_before_what_they_carry() -> None:
    assert all(carrier < bone for bone, carrier in enumerate(CARRIERS))
    assert BONES[FIRST_FINGER_BONE] == "thumb_1"


def test_asset_bytes_carry_no_time() -> None:
    with zipfile.ZipFile(ASSET) as archive:
        stamps = {entry.date_time for entry in archive.infolist()}

    assert stamps == {(1980, 1, 1, 0, 0, 0)}
    with np.load(ASSET) as arrays:
        assert _npz_bytes(dict(arrays)) == ASSET.read_bytes()


def test_the_tracker_knows_the_palm_of_the_mean_hand() -> None:
    joints = shape_hand(load_hand_asset(), MEAN).anchors_mm[: len(HAND21)]

    assert palm_length_mm(joints.astype(np.float32)) == pytest.approx(PALM_MM, rel=0.05)
