"""Warping a rendered hand into a crop: pixels and joints move alike, and everything follows from (seed, epoch,
index).
"""

import numpy as np
import pytest

from handmap.types.arrays import Float32
from training.samples.augment import AugmentConfig, Warps, augment, draw_warps
from training.samples.sample_cache import RenderedHands
from training.synthesis.synthetic import CANVAS_MM, CANVAS_PX, EMPTY

CUBE_MM = 250.0
PITCH_MM = CANVAS_MM / CANVAS_PX
STILL = AugmentConfig(rotation_deg=0, scale_sigma=0, near_jitter_mm=0, far_jitter_mm=0, depth_noise_mm=0)


def dots(joints_mm: Float32) -> RenderedHands:
    """A canvas with one 3x3 dot around each joint (21, 3), at the joint's depth."""
    canvas = np.full((1, CANVAS_PX, CANVAS_PX), EMPTY, np.int16)
    for x, y, z in joints_mm:
        row, column = (int(np.floor(value / PITCH_MM + CANVAS_PX / 2)) for value in (y, x))
        canvas[0, row - 1 : row + 2, column - 1 : column + 2] = round(z * 64)
    return RenderedHands(canvas, canvas != EMPTY, joints_mm[None])


def spread_joints(seed: int) -> Float32:
    """21 joints, no two in the same place."""
    rng = np.random.default_rng(seed)
    places = rng.permutation(25)[:21]
    x, y = (places % 5 - 2) * 25.0, (places // 5 - 2) * 25.0
    return np.stack([x, y, rng.uniform(-60, 60, 21)], axis=1).astype(np.float32)


def only_warp(angle_rad: float = 0.0, scale: float = 1.0, center_mm: tuple[float, float, float] = (0, 0, 0)) -> Warps:
    one = np.ones(1)
    return Warps(angle_rad * one, scale * one, np.array([center_mm], np.float64), 0 * one, np.ones(1, np.uint64))


def test_the_identity_cuts_the_middle_of_the_canvas() -> None:
    hands = dots(spread_joints(0))

    samples = augment(hands, draw_warps(STILL, (1, 0), np.array([7])), CUBE_MM)

    # Canvas and crop have the same pitch: 16 pixels are cut on each side.
    middle = hands.canvas[0, 16:-16, 16:-16]
    expected = np.where(middle == EMPTY, 1, middle / (64 * CUBE_MM / 2))
    np.testing.assert_allclose(samples.depth[0], expected, atol=1e-6)
    np.testing.assert_array_equal(samples.is_hand[0], middle != EMPTY)
    np.testing.assert_allclose(samples.joints[0] * CUBE_MM / 2, hands.joints_mm[0], atol=1e-4)


@pytest.mark.parametrize("seed", range(8))
def test_joints_follow_their_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hands = dots(spread_joints(seed))
    warp = only_warp(rng.uniform(-np.pi, np.pi), rng.uniform(0.85, 1.2), tuple(rng.uniform(-15, 15, 3)))

    samples = augment(hands, warp, CUBE_MM)

    inside = np.abs(samples.joints[0]).max(axis=1) < 0.97
    assert inside.sum() >= 15
    for x, y, z in samples.joints[0][inside]:
        row, column = int((y + 1) * 64), int((x + 1) * 64)
        assert samples.depth[0, row, column] == pytest.approx(z, abs=1e-3), (
            "half cube sides; 1/64 mm steps of the canvas"
        )
        assert samples.is_hand[0, row, column]


def test_a_quarter_turn_takes_x_to_y() -> None:
    joints_mm = spread_joints(1)
    joints_mm[0] = (50, 0, 10)

    samples = augment(dots(joints_mm), only_warp(np.pi / 2), CUBE_MM)

    np.testing.assert_allclose(samples.joints[0, 0] * CUBE_MM / 2, (0, 50, 10), atol=1e-4)


def test_depth_outside_the_cube_is_background() -> None:
    hands = dots(spread_joints(2))
    near = augment(hands, only_warp(center_mm=(0, 0, 150)), CUBE_MM)
    far = augment(hands, only_warp(center_mm=(0, 0, -200)), CUBE_MM)

    assert not far.is_hand.any() and (far.depth == 1).all()
    assert near.is_hand.any() and not near.is_hand.all()
    assert (near.depth[~near.is_hand] == 1).all() and (np.abs(near.depth[near.is_hand]) < 1).all()


def test_a_sample_depends_on_seed_epoch_and_index_alone() -> None:
    config = AugmentConfig()
    batch = draw_warps(config, (3, 5), np.array([10, 11, 12]))

    alone = draw_warps(config, (3, 5), np.array([11]))
    others = [draw_warps(config, key, np.array([11])) for key in ((3, 6), (4, 5))]

    assert alone.angle_rad[0] == batch.angle_rad[1] and alone.noise_seed[0] == batch.noise_seed[1]
    assert all(other.angle_rad[0] != alone.angle_rad[0] for other in others)


def test_warps_have_the_configured_spread() -> None:
    config = AugmentConfig()

    warps = draw_warps(config, (1, 0), np.arange(4000))

    expected_mm = np.sqrt(0.75 * 7**2 + 0.25 * 22**2)
    assert warps.center_mm.std() == pytest.approx(expected_mm, rel=0.06)
    assert np.abs(warps.center_mm).max() <= config.jitter_limit_mm
    assert np.log(warps.scale).std() == pytest.approx(0.08, rel=0.06)
    assert np.abs(warps.angle_rad).max() <= np.pi and np.abs(warps.angle_rad.mean()) < 0.1


def test_noise_is_repeatable_and_as_strong_as_asked() -> None:
    canvas = np.zeros((1, CANVAS_PX, CANVAS_PX), np.int16)
    hands = RenderedHands(canvas, canvas == 0, np.zeros((1, 21, 3), np.float32))
    warp = only_warp()._replace(noise_mm=np.full(1, 2.0), noise_seed=np.full(1, 12345, np.uint64))

    first, second = augment(hands, warp, CUBE_MM), augment(hands, warp, CUBE_MM)

    assert np.array_equal(first.depth, second.depth)
    noise_mm = first.depth * CUBE_MM / 2
    assert noise_mm.std() == pytest.approx(2.0, rel=0.05) and abs(noise_mm.mean()) < 0.1
