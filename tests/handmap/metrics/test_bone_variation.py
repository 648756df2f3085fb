"""Bone variation on hands whose bones are known."""

import numpy as np
import pytest

from handmap.metrics.bone_variation import bone_lengths_mm, bone_variation
from handmap.types.arrays import Float64
from handmap.types.joints import BONES, HAND21

HAND: Float64 = np.random.default_rng(1).uniform(-60, 60, (21, 3)) + np.array([0, 0, 450.0])


def test_lengths_are_those_of_the_bones_in_their_order() -> None:
    joints = np.zeros((21, 3))
    for parent, child in BONES:
        joints[child] = joints[parent] + np.array([0.6, 0, 0.8]) * child  # the bone to joint 7 is 7 mm long

    assert bone_lengths_mm(np.stack([joints, 2 * joints])) == pytest.approx(np.outer([1, 2], np.arange(1, 21)))


def test_bones_of_a_hand_that_only_moves_do_not_vary() -> None:
    random = np.random.default_rng(2)
    turns, _ = np.linalg.qr(random.normal(size=(40, 3, 3)))
    shifts = random.uniform(-100, 100, (40, 1, 3))

    assert bone_variation(HAND @ turns + shifts) == pytest.approx(np.zeros(len(BONES)), abs=1e-12)


def test_a_hand_that_grows_and_shrinks_by_a_tenth_varies_by_a_tenth() -> None:
    assert bone_variation(np.stack([0.9 * HAND, 1.1 * HAND])) == pytest.approx(np.full(20, 0.1))


def test_only_the_bone_that_changes_varies() -> None:
    frames = np.stack([HAND] * 4)
    tip, before = HAND21.index("index_tip"), HAND21.index("index_dip")
    frames[:, tip] = frames[:, before] + np.array([[20.0, 0, 0], [30, 0, 0], [20, 0, 0], [30, 0, 0]])

    variation = bone_variation(frames)

    assert variation[BONES.index((before, tip))] == pytest.approx(5 / 25)
    assert np.count_nonzero(variation > 1e-12) == 1


def test_a_bone_without_length_does_not_vary() -> None:
    assert (bone_variation(np.zeros((3, 21, 3))) == 0).all()


@pytest.mark.parametrize(
    ("joints", "words"),
    [
        (np.zeros((1, 21, 3)), r"\(1, 21, 3\), wanted \(T, 21, 3\) with at least two frames"),
        (np.zeros((21, 3)), "at least two frames"),
        (np.zeros((5, 20, 3)), r"\(5, 20, 3\), wanted \(\.\.\., 21, 3\)"),
        (np.full((2, 21, 3), np.nan), "NaN or infinity"),
        (np.full((2, 21, 3), np.inf), "NaN or infinity"),
    ],
)
def test_joints_that_say_nothing_about_bones_are_refused(joints: Float64, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        bone_variation(joints)
