"""Pinches begin and end once each, whatever the noise; closure runs from the flat hand to the fist."""

from dataclasses import replace

import numpy as np
import pytest

from docs.skeleton_golden import golden_angles, golden_hand
from handmap.skeleton.body import Bodies, fit_bodies
from handmap.skeleton.body_pose import BodyPose, rotation_of
from handmap.skeleton.degrees_of_freedom import ANGLE_NAMES
from handmap.skeleton.gestures import RELEASE_MM, TOUCH_MM, Pinches, grasp_closure, pinch
from handmap.skeleton.hand_shape import load_skeleton_model
from handmap.skeleton.hands import PosedHands, pose_hands
from handmap.skeleton.memory import BodyState
from handmap.types.arrays import Bool, Float64
from handmap.types.joints import FINGERTIPS
from tests.handmap.skeleton.sequences import FPS, noisy, tracked

EXPECTED = np.full(21, 4.0)
TOUCHING_MM = 14.0  # of tip joints that lie in pads which touch
# The thumb's base, knuckle and end joint, and the index finger's three: apart and at a pinch, degrees.
PINCH_ANGLES = [
    ANGLE_NAMES.index(f"{joint}_{turn}")
    for joint, turn in (
        *(("thumb_cmc", "flexion"), ("thumb_cmc", "splay"), ("thumb_cmc", "twist"), ("thumb_mcp", "flexion")),
        *(("thumb_ip", "flexion"), ("index_mcp", "flexion"), ("index_pip", "flexion"), ("index_dip", "flexion")),
    )
]
OPEN_DEGREES = [5.0, 0, 0, 5, 5, 15, 20, 10]
PINCH_DEGREES = [29.0, -2, 16, 16, -8, 45, 62, 28]


def body_with_gap(gap_mm: float) -> Bodies:
    """A fitted hand whose index tip is then put this far from the thumb's."""
    hand = golden_hand(golden_angles()["natural"], np.zeros(3), False)
    bodies, _ = fit_bodies([tracked(hand.joints_mm[0], EXPECTED, 0)], BodyState())
    assert bodies is not None
    joints = bodies.hands.joints_mm.copy()
    joints[:, FINGERTIPS[1]] = joints[:, FINGERTIPS[0]] + [gap_mm, 0, 0]
    return replace(bodies, hands=replace(bodies.hands, joints_mm=joints))


def test_a_pinch_has_hysteresis_and_little_flicker() -> None:
    random = np.random.default_rng(0)
    template, before, states = body_with_gap(50), None, []
    real = 0
    for cycle in range(20):
        for gap in (*np.linspace(55, 8, 12), *[8.0] * 10, *np.linspace(8, 55, 12), *[55.0] * 10):
            joints = template.hands.joints_mm.copy()
            joints[:, FINGERTIPS[1]] = joints[:, FINGERTIPS[0]] + [max(gap + random.normal(0, 2.5), 0.0), 0, 0]
            before = pinch(replace(template, hands=replace(template.hands, joints_mm=joints)), before)
            states.append(bool(before.is_on[0, 0]))
        real += 2
        assert not states[-1], cycle

    switches = int(np.abs(np.diff(np.array(states, int))).sum())
    assert real == switches


def test_pinches_of_a_fitted_hand_begin_and_end_once_where_measured_joints_flicker() -> None:
    random = np.random.default_rng(4)
    hands = pinching_hands(3)
    is_true = np.array([tips_apart_mm(hand.joints_mm)[0] < TOUCHING_MM for hand in hands])
    state, before, seen, measured = BodyState(), None, [], []

    for frame, joints in enumerate(noisy(hands, 5.0, random)):
        bodies, state = fit_bodies([tracked(joints, np.full(21, 5.0), frame)], state)
        assert bodies is not None
        before = pinch(bodies, before)
        seen.append(before.is_on[0])
        measured.append(tips_apart_mm(joints[None])[0] < TOUCH_MM)

    on = np.array(seen)
    assert not on[:, 1:].any()
    assert switches(is_true) == switches(on[:, 0]) == 6
    assert switches(np.array(measured)) > 12
    delays = np.flatnonzero(np.diff(on[:, 0].astype(int))) - np.flatnonzero(np.diff(is_true.astype(int)))
    assert np.abs(delays).max() <= 4  # frames


def pinching_hands(times: int) -> list[PosedHands]:
    """The mean hand, its index and thumb meeting so often for a third of a second, while the wrist turns and sways."""
    model = load_skeleton_model()
    part, met = np.radians([OPEN_DEGREES, PINCH_DEGREES])
    approach = np.linspace(0, 1, 12)
    shares = np.tile([*approach, *[1.0] * 10, *approach[::-1], *[0.0] * 8], times)
    hands = []
    for frame, share in enumerate(shares):
        angles = model.pose_mean.copy()
        angles[PINCH_ANGLES] = part + (met - part) * share
        sway = np.sin(frame / FPS * np.array([2.0, 3.1, 1.7]))
        pose = BodyPose(rotation_of(0.4 * sway[None]), 40 * sway[None] + [0.0, 60, 450], angles[None])
        hands.append(pose_hands(model, np.zeros((1, model.shape_count)), np.zeros(1, bool), pose))
    return hands


def tips_apart_mm(joints_mm: Float64) -> Float64:
    """Distances (N,) of the index fingertip from the thumb's in joints (N, 21, 3)."""
    apart: Float64 = np.linalg.norm(joints_mm[:, FINGERTIPS[1]] - joints_mm[:, FINGERTIPS[0]], axis=-1)
    return apart


def switches(is_on: Bool) -> int:
    """How often it changes from frame to frame."""
    return int((is_on[1:] != is_on[:-1]).sum())


def test_a_pinch_that_is_on_stays_on_between_the_thresholds() -> None:
    between = body_with_gap((TOUCH_MM + RELEASE_MM) / 2)
    touching = pinch(body_with_gap(5), None)

    assert touching.is_on[0, 0] and touching.strength[0, 0] == 1
    assert pinch(between, touching).is_on[0, 0]
    assert not pinch(between, None).is_on[0, 0]
    assert not pinch(between, Pinches((99,), touching.distance_mm, touching.strength, touching.is_on)).is_on[0, 0]
    assert pinch(body_with_gap(200), touching).strength[0, 0] == 0


def test_closure_is_nothing_for_a_flat_hand_and_nearly_all_for_a_fist() -> None:
    flat, fist = (golden_hand(golden_angles()[pose], np.zeros(3), True) for pose in ("zero", "fist"))

    assert grasp_closure(flat) == pytest.approx([0])
    assert grasp_closure(fist)[0] > 0.95
