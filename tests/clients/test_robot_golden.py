"""What dex-retargeting made of gestures: the right joints move, in the right direction, within limits, on both sides."""

import pytest

from handmap.types.joints import FINGERS
from handmap.types.values import Handedness
from tests.support.robot_gestures import CASES, RobotCase, finger_turns, golden_angles, tip_distance_m

BENT_RAD, STILL_RAD = 0.7, 0.2  # a finger that bends turns by more, one that does not by less
CLOSED_M = {
    "plain": 0.008,
    "inspire": 0.025,
    "allegro": 0.008,
    "leap": 0.015,
}  # tips that touch; Inspire's thumb has two motors


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_angles_are_within_limits(case: RobotCase) -> None:
    urdf, golden = case.load().urdf, golden_angles(case)

    assert set(golden) == {"open", "fist", "pinch", *FINGERS}
    for angles in golden.values():
        assert set(angles) == set(urdf.driven)
        for name, angle in angles.items():
            low, high = urdf.limits(name)
            assert low - 5e-4 <= angle <= high + 5e-4, name  # rad: three digits are kept


@pytest.mark.parametrize("finger", FINGERS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_each_finger_alone_bends_that_finger_alone(case: RobotCase, finger: str) -> None:
    loaded, golden = case.load(), golden_angles(case)

    turns = finger_turns(loaded, golden["open"], golden[finger])

    for name, (turned, towards_m) in turns.items():
        if name == finger:
            assert turned > BENT_RAD and towards_m > 0.02, name
        else:
            assert turned < STILL_RAD, name
    assert (finger in turns) is (finger != "little" or case.name in ("plain", "inspire"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_a_fist_bends_all_fingers(case: RobotCase) -> None:
    loaded, golden = case.load(), golden_angles(case)

    turns = finger_turns(loaded, golden["open"], golden["fist"])

    assert all(turned > BENT_RAD and towards_m > 0.02 for turned, towards_m in turns.values())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_a_pinch_brings_the_tips_together(case: RobotCase) -> None:
    loaded, golden = case.load(), golden_angles(case)

    turns = finger_turns(loaded, golden["open"], golden["pinch"])

    assert tip_distance_m(loaded, golden["open"]) > 0.1  # m
    assert tip_distance_m(loaded, golden["pinch"]) < CLOSED_M[case.name]
    assert all(turns[finger][0] < STILL_RAD for finger in turns if finger not in ("thumb", "index"))


@pytest.mark.parametrize("side", [Handedness.LEFT, Handedness.RIGHT])
def test_the_plain_hands_angles_are_those_of_the_person(side: Handedness) -> None:
    """80 and 95 degrees are 1.40 and 1.66 rad; its last joint follows at 0.67, so the two do not come out exactly."""
    golden = golden_angles(RobotCase("plain", side, None))

    for finger in FINGERS[1:]:
        assert golden["fist"][f"{finger}_mcp_flexion"] == pytest.approx(1.40, abs=0.15)
        assert golden["fist"][f"{finger}_pip_flexion"] == pytest.approx(1.66, abs=0.2)
        assert golden["open"][f"{finger}_mcp_flexion"] == pytest.approx(0, abs=0.15)
        assert golden["open"][f"{finger}_pip_flexion"] == pytest.approx(0, abs=0.15)
    for joint, rad in (("thumb_cmc_flexion", 0.61), ("thumb_mcp_flexion", 0.79), ("thumb_ip_flexion", 1.05)):
        assert golden["thumb"][joint] == pytest.approx(rad, abs=0.2)
