"""The fit over time: sizes are learned and held, poses obey limits whatever is measured, left hands are mirror images."""

from typing import Any

import numpy as np
import pytest

from handmap.metrics.bone_variation import bone_lengths_mm
from handmap.skeleton import body
from handmap.skeleton.body import GUESSES, Bodies, fit_bodies
from handmap.skeleton.degrees_of_freedom import MAX_ANGLES, MIN_ANGLES
from handmap.skeleton.hand_size import LEARNING_S, MAX_MISFIT, HandSize, guess_size, hand_length
from handmap.skeleton.kinematics import rest_length_mm, rest_shape
from handmap.skeleton.memory import BodyState
from handmap.types.arrays import Float64
from handmap.types.values import Handedness
from tests.handmap.skeleton.sequences import FPS, MODEL, moving_hands, noisy, random_shape, tracked

EXPECTED = np.full(21, 6.0)


def follow(
    joints: list[Float64], state: BodyState, first: int = 0, track_id: int = 1
) -> tuple[list[Bodies], BodyState]:
    """The bodies of one track of right hands."""
    seen = []
    for frame, one in enumerate(joints, first):
        bodies, state = fit_bodies([tracked(one, EXPECTED, frame, track_id=track_id)], state)
        assert bodies is not None
        seen.append(bodies)
    return seen, state


def length_of(shape: Float64) -> float:
    return float(rest_length_mm(rest_shape(MODEL, shape))[0])


def scaled_shape(scale: float) -> Float64:
    """Shape parameters (1, K) of the hand nearest to the mean one in another size."""
    ways = np.concatenate([MODEL.base_mm.reshape(15, -1), MODEL.offsets_mm.reshape(45, -1), MODEL.pivot_mm])
    wanted = (scale - 1) * ways[:, -1]
    shape: Float64 = np.linalg.lstsq(ways[:, :-1], wanted, rcond=None)[0][None]
    return shape


@pytest.mark.parametrize("seed", range(4))
def test_the_fit_is_nearer_to_the_truth_than_what_was_measured(seed: int) -> None:
    random = np.random.default_rng(seed)
    hands = moving_hands(random_shape(random), 150, random)
    measured = noisy(hands, 6.0, random)

    bodies, _ = follow(measured, BodyState())

    truth = np.stack([one.joints_mm[0] for one in hands])
    fitted = np.stack([one.hands.joints_mm[0] for one in bodies])
    raw_mm = np.linalg.norm(np.stack(measured) - truth, axis=-1).mean()
    assert np.linalg.norm(fitted - truth, axis=-1)[30:].mean() < 0.75 * raw_mm


@pytest.mark.parametrize("seed", range(4))
def test_size_is_learned_within_three_percent_and_then_held(seed: int) -> None:
    random = np.random.default_rng(10 + seed)
    shape = random_shape(random)
    hands = moving_hands(shape, 150, random)

    bodies, _ = follow(noisy(hands, 6.0, random), BodyState())

    settled = round(LEARNING_S * FPS) + 3
    joints = np.stack([one.hands.joints_mm[0] for one in bodies[settled:]])
    assert not bodies[settled - 20].size.is_held[0]
    assert bodies[settled].size.is_held[0]
    assert float(hand_length(MODEL, bodies[-1].size).length_mm[0]) == pytest.approx(length_of(shape), rel=0.03)
    lengths = bone_lengths_mm(joints)
    assert (lengths.std(axis=0) / lengths.mean(axis=0)).max() < 0.005


def test_a_hand_that_is_lost_and_found_again_has_the_same_bones() -> None:
    random = np.random.default_rng(20)
    hands = moving_hands(random_shape(random), 200, random)
    before, state = follow(noisy(hands[:150], 6.0, random), BodyState())
    _, state = fit_bodies([], state)

    for track_id in (1, 2):  # found by the tracker as the same track, or as a new one
        after, _ = follow(noisy(hands[160:], 6.0, random), state, first=190, track_id=track_id)
        assert after[0].size.shape == pytest.approx(before[-1].size.shape)
        assert after[-1].size.is_held[0]


@pytest.mark.parametrize(("first", "second"), [(0.85, 1.1), (1.15, 0.95)])
def test_another_user_is_noticed_within_two_seconds(first: float, second: float) -> None:
    random = np.random.default_rng(30)
    one = noisy(moving_hands(scaled_shape(first), 120, random), 6.0, random)
    other = noisy(moving_hands(scaled_shape(second), 60, random), 6.0, random)

    known, state = follow(one, BodyState())
    noticed, _ = follow(other, state, first=120)

    assert known[-1].size.is_held[0]
    assert not all(bodies.size.is_held[0] for bodies in noticed)


def test_the_same_user_is_not_taken_for_another() -> None:
    random = np.random.default_rng(31)
    bodies, _ = follow(noisy(moving_hands(scaled_shape(0.85), 600, random), 6.0, random), BodyState())

    assert all(one.size.is_held[0] for one in bodies[100:])


def test_two_hands_at_once_are_fitted_like_each_alone_and_a_left_one_is_the_mirror_image() -> None:
    random = np.random.default_rng(40)
    measured = noisy(moving_hands(random_shape(random), 120, random), 6.0, random)
    alone, _ = follow(measured, BodyState())
    state = BodyState()
    both: Bodies | None = None
    for frame, one in enumerate(measured):
        left = tracked(one * [-1, 1, 1], EXPECTED, frame, Handedness.LEFT, track_id=2)
        both, state = fit_bodies([tracked(one, EXPECTED, frame), left], state)

    assert both is not None
    right, mirrored = both.hands.joints_mm
    assert mirrored * [-1, 1, 1] == pytest.approx(right, abs=1e-4)
    assert both.hands.angles[1] == pytest.approx(both.hands.angles[0], abs=1e-6)
    assert right == pytest.approx(alone[-1].hands.joints_mm[0], abs=1e-3)


def test_what_fits_no_hand_is_sized_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sized: list[int] = []

    def counted(*known: Any) -> HandSize:
        sized.append(1)
        return guess_size(*known)

    monkeypatch.setattr(body, "guess_size", counted)
    random, state = np.random.default_rng(60), BodyState()
    hand = moving_hands(np.zeros((1, MODEL.shape_count)), 1, random)[0].joints_mm[0]
    for frame in range(10):
        bodies, state = fit_bodies([tracked(hand[::-1], EXPECTED, frame)], state)
    assert bodies is not None and bodies.misfit[0] > MAX_MISFIT
    assert len(sized) == GUESSES

    for frame in range(10, 20):
        bodies, state = fit_bodies([tracked(hand, EXPECTED, frame)], state)
    assert bodies is not None and bodies.misfit[0] < MAX_MISFIT
    assert len(sized) == GUESSES


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["joints", "errors"])
def test_what_is_not_finite_is_refused(value: float, where: str) -> None:
    joints, errors = (
        moving_hands(np.zeros((1, MODEL.shape_count)), 1, np.random.default_rng(0))[0].joints_mm[0],
        EXPECTED.copy(),
    )
    (joints[3] if where == "joints" else errors)[:1] = value

    with pytest.raises(ValueError, match="found NaN or infinity"):
        fit_bodies([tracked(joints, errors, 0)], BodyState())


def degenerate(kind: str, joints: Float64, random: np.random.Generator) -> tuple[Float64, Float64]:
    """Joints and expected errors of a measurement that no hand gives."""
    if kind == "all joints equal":
        return np.tile(joints[:1], (21, 1)), EXPECTED
    if kind == "on a line":
        return joints[:1] + np.arange(21)[:, None] * [1.0, 0, 0], EXPECTED
    if kind == "19 doubted":
        return random.uniform(-200, 600, (21, 3)), np.where(np.arange(21) < 2, 4.0, 400.0)
    if kind == "errors zero":
        return joints, np.zeros(21)
    if kind == "far apart":
        return random.uniform(-1e4, 1e4, (21, 3)), EXPECTED
    return joints[::-1], EXPECTED


@pytest.mark.parametrize(
    "kind", ["all joints equal", "on a line", "19 doubted", "errors zero", "far apart", "order reversed"]
)
def test_no_measurement_makes_a_pose_beyond_limits(kind: str) -> None:
    random, state = np.random.default_rng(50), BodyState()
    hands = moving_hands(np.zeros((1, MODEL.shape_count)), 20, random)
    for frame, one in enumerate(hands * 6):
        joints, errors = degenerate(kind, one.joints_mm[0], random) if frame % 20 > 5 else (one.joints_mm[0], EXPECTED)
        bodies, state = fit_bodies([tracked(joints, errors, frame)], state)
        assert bodies is not None
        assert ((bodies.hands.angles >= MIN_ANGLES) & (bodies.hands.angles <= MAX_ANGLES)).all()
        assert np.isfinite(bodies.hands.joints_mm).all() and np.isfinite(bodies.joint_errors_mm).all()
        turn = bodies.hands.pose.rotations[0]
        assert turn @ turn.T == pytest.approx(np.eye(3), abs=1e-6)
        palm = np.linalg.norm(bodies.hands.joints_mm[0, 9] - bodies.hands.joints_mm[0, 0])
        assert 50 < palm < 160
