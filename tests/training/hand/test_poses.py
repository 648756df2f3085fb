"""Poses within human limits, and the rejection of those that cut into themselves."""

import numpy as np
import pytest

from handmap.types.arrays import Float64
from training.hand.collision import _squared_distance, self_collides
from training.hand.hand_model import FIRST_FINGER_BONE, load_hand_asset, pose_hand, shape_hand
from training.hand.poses import (
    ALL_CUMULATIVE_SHARES,
    ALL_KINDS,
    COLUMNS,
    HIGH,
    KNUCKLE,
    LOW,
    MIDDLE,
    PINCH_FINGER,
    PINCH_THUMB,
    THUMB,
    Kind,
    bone_angles,
    folded_tips,
    one_bent,
    open_hand,
    pinching,
    sample_any_pose,
    sample_kind,
    sample_pose,
)

ASSET = load_hand_asset()
ANCHORS = shape_hand(ASSET, np.zeros(16)).anchors_mm


@pytest.mark.parametrize("kind", ALL_KINDS, ids=lambda kind: kind.__name__)
def test_sampled_poses_are_free_of_collision(kind: Kind) -> None:
    random = np.random.default_rng(3)

    hands = [sample_kind(ASSET, ANCHORS, kind, random)[1] for _ in range(60)]

    assert not any(self_collides(hand.joints_mm) for hand in hands)


def test_sampled_angles_are_within_human_limits() -> None:
    random = np.random.default_rng(4)
    low, high = bone_angles(LOW), bone_angles(HIGH)

    angles = np.stack([sample_pose(ASSET, ANCHORS, random)[0] for _ in range(300)])

    assert np.all(angles >= np.minimum(low, high) - 1e-9)
    assert np.all(angles <= np.maximum(low, high) + 1e-9)


def test_a_finger_pushed_through_the_palm_collides() -> None:
    row = np.zeros(COLUMNS)
    row[KNUCKLE[1]], row[MIDDLE[1]] = 90, 125

    assert self_collides(pose_hand(ASSET, ANCHORS, bone_angles(row)).joints_mm)


def test_the_open_hand_does_not_collide() -> None:
    random = np.random.default_rng(5)
    rows = [np.clip(open_hand(random), LOW, HIGH) for _ in range(50)]

    assert not any(self_collides(pose_hand(ASSET, ANCHORS, bone_angles(row)).joints_mm) for row in rows)


def test_capsule_distance_agrees_with_dense_points() -> None:
    random = np.random.default_rng(6)
    shares = np.linspace(0, 1, 300)[:, None]

    for ends in random.uniform(-60, 60, (60, 4, 3)):
        distance = np.sqrt(_squared_distance(*ends))
        first, second = (start + shares * (end - start) for start, end in (ends[:2], ends[2:]))
        dense = np.linalg.norm(first[:, None] - second[None], axis=2).min()
        assert distance == pytest.approx(dense, abs=0.15)  # mm; the points are up to 0.7 mm apart
        assert distance <= dense + 1e-9


@pytest.mark.parametrize("finger", range(4))
def test_pinch_brings_the_pads_together(finger: int) -> None:
    row = np.zeros(COLUMNS)
    row[THUMB] = PINCH_THUMB[finger]
    row[KNUCKLE[finger]], row[MIDDLE[finger]] = PINCH_FINGER[finger]
    row[MIDDLE[finger] + 1] = 0.45 * row[MIDDLE[finger]]

    joints = pose_hand(ASSET, ANCHORS, bone_angles(row)).joints_mm

    assert np.linalg.norm(joints[4] - joints[8 + 4 * finger]) < 20  # mm between the middles of the pads


def test_the_same_seed_gives_the_same_pose() -> None:
    first, _ = sample_kind(ASSET, ANCHORS, pinching, np.random.default_rng(7))
    second, _ = sample_kind(ASSET, ANCHORS, pinching, np.random.default_rng(7))

    assert np.array_equal(first, second)


def test_one_finger_is_bent_and_the_others_straight() -> None:
    random = np.random.default_rng(5)

    bends = np.sort([sample_bend(one_bent, random) for _ in range(80)], axis=1)

    assert np.median(bends[:, 3]) > 100 and bends[:, 3].min() > 45  # degrees, all joints of the finger together
    assert np.median(bends[:, :3]) < 15 and np.percentile(bends[:, :3], 99) < 50


def test_folded_tips_bend_every_joint_of_every_finger() -> None:
    random = np.random.default_rng(6)

    bends = np.array([sample_bend(folded_tips, random) for _ in range(80)])

    assert np.median(bends) > 190  # degrees; a fist has as much in two joints


def test_training_draws_every_kind() -> None:
    shares = np.diff(ALL_CUMULATIVE_SHARES, prepend=0)

    assert len(shares) == len(ALL_KINDS) and shares.min() > 0.04
    assert ALL_CUMULATIVE_SHARES[-1] == pytest.approx(1)
    random = np.random.default_rng(7)
    bends = np.array([finger_bends(sample_any_pose(ASSET, ANCHORS, random)[0]) for _ in range(60)])
    assert bends.std() > 50  # degrees


def sample_bend(kind: Kind, random: np.random.Generator) -> Float64:
    """Flexion (4,) in degrees of the four fingers in a pose of a kind."""
    return finger_bends(sample_kind(ASSET, ANCHORS, kind, random)[0])


def finger_bends(angles: Float64) -> Float64:
    """Flexion (4,) in degrees of four fingers, summed over their joints, of angles (19, 3) in rad."""
    bends: Float64 = np.degrees(angles[FIRST_FINGER_BONE:, 0]).reshape(5, 3)[1:].sum(axis=1)
    return bends
