"""What is drawn without a hand: that something stands at the center, closed, hands left out, and how long it takes."""

import time

import numpy as np
import pytest

from handmap.types.arrays import Float32
from training.hand.hand_model import FIRST_FINGER_BONE, FOREARM, load_hand_asset
from training.synthesis.canvas import EMPTY
from training.synthesis.forearms import arm_triangles, draw_hidden_hand, draw_stump
from training.synthesis.limbs import bent, elbow_of, straight, tube
from training.synthesis.negatives import MIN_CELLS, SCENES, SHARES, Draw, render_negative
from training.synthesis.people import draw_build, make_body
from training.synthesis.solids import Mesh

INTRINSICS = np.array([475.0, 475, 320, 240])
CENTER = np.array([20.0, -10, 600])
SLOWEST_S = 0.06  # of one sample on one core; 10 ms measured


def drawn(draw: Draw, seed: int) -> Float32:
    z_mm = np.zeros((480, 640), np.float32)
    draw(z_mm, CENTER, INTRINSICS, np.random.default_rng(seed))
    return z_mm


def volume(mesh: Mesh) -> float:
    """Signed volume in mm³: positive where all normals point out."""
    a, b, c = (mesh.xyz_mm[mesh.triangles[:, k]].astype(np.float64) for k in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def test_scene_shares_are_of_one() -> None:
    assert SHARES.sum() == pytest.approx(1)


@pytest.mark.parametrize("index", range(len(SCENES)))
def test_scene_shows_something_about_the_center(index: int) -> None:
    shown = 0
    for seed in range(6):
        near = drawn(SCENES[index][0], seed)[150:310, 250:420]
        shown += int((np.abs(near[near > 0] - CENTER[2]) < 250).any())

    assert shown >= 5


def test_same_seed_gives_the_same_sample() -> None:
    first, again, other = (render_negative(np.random.default_rng(seed))[0] for seed in (4, 4, 5))

    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_samples_show_enough_and_no_hand_in_time() -> None:
    render_negative(np.random.default_rng(0))
    started_s = time.process_time()
    samples = [render_negative(np.random.default_rng(seed)) for seed in range(40)]
    each_s = (time.process_time() - started_s) / len(samples)

    assert sum(int((canvas != EMPTY).sum()) >= MIN_CELLS for canvas, _ in samples) >= 38
    assert not any(mask.any() for _, mask in samples)
    assert each_s < SLOWEST_S


def test_forearm_alone_holds_nothing_that_fingers_move() -> None:
    asset = load_hand_asset()
    used = np.unique(arm_triangles())

    fingers = (asset.weights * (asset.weight_bones >= FIRST_FINGER_BONE)).sum(axis=1)
    assert len(used) > 100
    assert fingers[used].max() == 0
    assert (asset.weights * (asset.weight_bones == FOREARM)).sum(axis=1)[used].min() >= 0.5


def test_hidden_hands_differ_and_leave_an_arm_in_sight() -> None:
    areas = [int((drawn(draw_hidden_hand, seed) > 0).sum()) for seed in range(8)]

    assert min(areas) > 500
    assert len(set(areas)) == len(areas)


def test_a_stump_ends_where_the_sensor_lost_the_hand_and_what_is_behind_stays() -> None:
    wall_mm = 900.0
    for seed in range(8):
        alone = drawn(draw_stump, seed)
        z_mm = np.full((480, 640), wall_mm, np.float32)
        draw_stump(z_mm, CENTER, INTRINSICS, np.random.default_rng(seed))

        assert (alone > 0).sum() > 500
        np.testing.assert_array_equal(z_mm, np.where((alone > 0) & (alone < wall_mm), alone, wall_mm))


def test_tube_is_closed_with_normals_out() -> None:
    path = bent(np.array([0.0, 0, 0]), np.array([0.0, 300, 0]), np.array([200.0, 400, 50]))
    mesh = tube(path, np.full((len(path), 2), 40.0), 10.0, np.random.default_rng(1))

    length_mm = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
    assert volume(mesh) == pytest.approx(np.pi * 45**2 * length_mm, rel=0.2)


def test_straight_tube_is_as_long_and_wide_as_asked() -> None:
    path = straight(np.zeros(3), np.array([0.0, 0, 200]))
    mesh = tube(path, np.full((len(path), 2), 30.0), 0.0, np.random.default_rng(1))

    low, high = mesh.xyz_mm.min(axis=0), mesh.xyz_mm.max(axis=0)
    np.testing.assert_allclose(high - low, (60, 60, 200 + 2 * 0.55 * 30), atol=0.5)


def test_elbow_is_a_bone_away_from_both_ends() -> None:
    start, end = np.array([0.0, 0, 0]), np.array([300.0, 100, -50])
    elbow = elbow_of(start, end, (290, 255), np.array([0.0, 1, 0]))

    assert np.linalg.norm(elbow - start) == pytest.approx(290)
    assert np.linalg.norm(elbow - end) == pytest.approx(255)


def test_people_are_whole_and_their_wrists_known() -> None:
    random = np.random.default_rng(2)
    free = make_body(draw_build(random), 1.0, random)
    occluded = make_body(draw_build(random), 0.0, random)

    assert free.bare_wrists_mm.shape == (2, 3)
    assert occluded.bare_wrists_mm.shape == (0, 3)
    assert all(volume(mesh) > 0 for mesh in (*free.meshes, *occluded.meshes))
    assert set(free.spots_mm) == {"chest", "head", "shoulder", "upper_arm", "elbow", "knee", "foot"}
