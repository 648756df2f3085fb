"""Pinches begin and end once each, whatever the noise; closure runs from the flat hand to the fist."""

from dataclasses import replace

import numpy as np
import pytest

from docs.skeleton_golden import golden_angles, golden_hand
from handmap.skeleton.body import Bodies, fit_bodies
from handmap.skeleton.gestures import RELEASE_MM, TOUCH_MM, Pinches, grasp_closure, pinch
from handmap.skeleton.memory import BodyState
from handmap.types.joints import FINGERTIPS
from tests.handmap.skeleton.sequences import tracked

EXPECTED = np.full(21, 4.0)


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
