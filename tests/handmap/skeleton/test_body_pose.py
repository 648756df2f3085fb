"""Motion between poses: what `motion_between` finds, `move_pose` repeats; rotations and their vectors."""

import numpy as np
import pytest

from handmap.skeleton.body_pose import BodyPose, motion_between, move_pose, rotation_of, rotation_vector
from handmap.skeleton.degrees_of_freedom import MAX_ANGLES, MIN_ANGLES


def random_pose(random: np.random.Generator, count: int = 3) -> BodyPose:
    angles = random.uniform(MIN_ANGLES, MAX_ANGLES, (count, 22))
    return BodyPose(rotation_of(random.normal(size=(count, 3))), random.normal(0, 300, (count, 3)), angles)


def test_the_motion_between_two_poses_takes_one_to_the_other() -> None:
    random = np.random.default_rng(0)
    before, after = random_pose(random), random_pose(random)

    moved = move_pose(before, motion_between(before, after))

    assert moved.rotations == pytest.approx(after.rotations, abs=1e-9)
    assert moved.positions_mm == pytest.approx(after.positions_mm, abs=1e-9)
    assert moved.angles == pytest.approx(after.angles, abs=1e-12)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-7, 0.1, 1.5, 2.9, 3.1])
def test_a_rotation_vector_is_that_of_its_rotation(angle: float) -> None:
    vector = angle * np.array([[2.0, -1, 2]]) / 3

    assert rotation_vector(rotation_of(vector)) == pytest.approx(vector, abs=1e-7)


def test_a_motion_never_leaves_the_limits() -> None:
    pose = random_pose(np.random.default_rng(1))

    moved = move_pose(pose, np.full((3, 28), 5.0))

    assert moved.angles == pytest.approx(np.tile(MAX_ANGLES, (3, 1)))
