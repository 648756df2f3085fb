"""The depth camera's faults."""

from dataclasses import replace

import numpy as np
import pytest

from handmap.types.arrays import Bool, Float32
from training.synthesis.optics import Optics
from training.synthesis.sensor import (
    BASELINE_MM,
    FLYING_MM,
    Sensor,
    draw_any_sensor,
    draw_sensor,
    draw_stereo,
    draw_time_of_flight,
    sense,
)

FOCAL_PX = 475.0
QUIET = Sensor(1.0, 0.0, 0.0, 1 / 1024, 0.0, 0.0, 0.0, 100.0, np.zeros((0, 3)), 1)


def disc(z_mm: float) -> tuple[Float32, Bool]:
    """A disc at one depth with nothing around it."""
    row, column = np.mgrid[:120, :160]
    is_hand = (row - 60) ** 2 + (column - 80) ** 2 < 40**2
    return np.where(is_hand, z_mm, 0).astype(np.float32), is_hand


def test_a_camera_without_faults_rounds_to_its_unit() -> None:
    z_mm, is_hand = disc(433.0)

    raw, mask = sense(z_mm, is_hand, FOCAL_PX, QUIET)

    assert np.array_equal(raw > 0, is_hand)
    assert np.abs(raw[is_hand].astype(int) - 433).max() <= 1  # mm
    assert np.array_equal(mask, is_hand)


def test_raw_is_in_units_of_the_sensor() -> None:
    z_mm, is_hand = disc(433.0)

    raw, _ = sense(z_mm, is_hand, FOCAL_PX, replace(QUIET, depth_unit_mm=0.125))

    assert raw[is_hand].mean() * 0.125 == pytest.approx(433, abs=0.2)  # mm


def test_noise_grows_with_the_square_of_the_distance() -> None:
    noisy = replace(QUIET, white_px=0.1)

    spread = []
    for z_mm in (300.0, 600.0):
        depth, is_hand = disc(z_mm)
        raw, _ = sense(depth, is_hand, FOCAL_PX, replace(noisy, depth_unit_mm=0.125))
        spread.append(float((raw[is_hand] * 0.125).std()))

    assert spread[1] / spread[0] == pytest.approx(4, rel=0.1)
    assert spread[0] == pytest.approx(300**2 / (FOCAL_PX * BASELINE_MM) * 0.1, rel=0.1)  # mm


def test_correlated_noise_is_smooth() -> None:
    z_mm, is_hand = np.full((120, 160), 500, np.float32), np.ones((120, 160), np.bool_)

    raw, _ = sense(z_mm, is_hand, FOCAL_PX, replace(QUIET, correlated_px=0.1, depth_unit_mm=0.125))

    inner = raw[4:-4, 4:-4] * 0.125
    assert 0.5 < inner.std() < 2  # mm
    assert np.diff(inner, axis=1).std() < 0.4 * inner.std()


def test_disparity_comes_in_steps() -> None:
    z_mm = np.tile(np.linspace(400, 600, 160, dtype=np.float32), (60, 1))

    raw, _ = sense(z_mm, np.ones((60, 160), np.bool_), FOCAL_PX, replace(QUIET, step_px=1 / 8, depth_unit_mm=0.125))

    disparity = FOCAL_PX * BASELINE_MM / (raw[raw > 0] * 0.125)
    assert np.abs(disparity * 8 - np.rint(disparity * 8)).max() < 0.1


def test_edges_are_lost_and_fly_back() -> None:
    z_mm, is_hand = disc(400.0)

    lost, _ = sense(z_mm, is_hand, FOCAL_PX, replace(QUIET, lost_edge_rate=1.0))
    flown, _ = sense(z_mm, is_hand, FOCAL_PX, replace(QUIET, flying_edge_rate=1.0))

    assert 0.85 * is_hand.sum() < (lost > 0).sum() < is_hand.sum()
    assert flown.max() > 430 and flown.max() <= 400 + FLYING_MM + 1
    assert flown[60, 80] == 400


def test_holes_are_empty_and_nothing_is_measured_too_near() -> None:
    z_mm, is_hand = disc(150.0)

    punched, mask = sense(z_mm, is_hand, FOCAL_PX, replace(QUIET, holes=np.array([[60.0, 80.0, 6.0]])))
    near, _ = sense(z_mm, is_hand, FOCAL_PX, replace(QUIET, min_mm=160.0))

    assert not punched[57:64, 77:84].any() and not mask[60, 80]
    assert punched[60, 100] > 0
    assert not near.any()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    z_mm, is_hand = disc(400.0)
    sensor = draw_sensor(np.random.default_rng(3), 1.0, *z_mm.shape)

    first, second = (sense(z_mm, is_hand, FOCAL_PX, sensor)[0] for _ in range(2))
    other = sense(z_mm, is_hand, FOCAL_PX, replace(sensor, seed=sensor.seed + 1))[0]

    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def step() -> tuple[Float32, Bool]:
    """A hand's strip at 400 mm before a wall at 800 mm."""
    is_hand = np.zeros((60, 160), np.bool_)
    is_hand[:, 70:90] = True
    return np.where(is_hand, 400, 800).astype(np.float32), is_hand


@pytest.mark.parametrize("side", [1, -1])
def test_stereo_shadow_is_as_wide_as_the_disparities_differ(side: int) -> None:
    z_mm, is_hand = step()
    width_px = FOCAL_PX * 40 * (1 / 400 - 1 / 800)

    raw, mask = sense(z_mm, is_hand, FOCAL_PX, replace(QUIET, optics=Optics(shadow_mm=side * 40.0)))

    empty = np.nonzero(raw[30, 2:-2] == 0)[0] + 2
    assert len(empty) == pytest.approx(width_px, abs=1)
    assert np.all(empty < 70) if side > 0 else np.all(empty >= 90)
    assert np.array_equal(mask[30], is_hand[30])


def test_stereo_shadows_fall_on_both_sides_alike() -> None:
    random = np.random.default_rng(0)

    sides = [draw_stereo(random, 1.0, 100, 100).optics for _ in range(400)]

    assert np.mean([optics is not None and optics.shadow_mm > 0 for optics in sides]) == pytest.approx(0.5, abs=0.08)


def test_stereo_edges_grow_fat() -> None:
    z_mm, is_hand = step()

    _, mask = sense(z_mm, is_hand, FOCAL_PX, replace(QUIET, optics=Optics(fat_px=2)))

    assert mask[30].sum() == is_hand[30].sum() + 4


def test_time_of_flight_rounds_corners_and_grains_what_is_seen_flat() -> None:
    columns = np.abs(np.arange(160) - 80)
    z_mm = np.broadcast_to(400 + columns, (120, 160)).astype(np.float32)  # a ridge
    is_hand = np.ones(z_mm.shape, np.bool_)
    fine = replace(QUIET, depth_unit_mm=0.125)

    rounded, _ = sense(z_mm, is_hand, FOCAL_PX, replace(fine, optics=Optics(roundness=0.5)))
    grained, _ = sense(z_mm, is_hand, FOCAL_PX, replace(fine, optics=Optics(grain_mm=1.0)))
    flat, _ = sense(np.full_like(z_mm, 400), is_hand, FOCAL_PX, replace(fine, optics=Optics(grain_mm=1.0)))

    assert 0.3 < (rounded[60, 80] * 0.125 - 400) < 1.5  # mm farther than the ridge
    assert rounded[60, 60] * 0.125 == pytest.approx(420, abs=0.2)
    slanted = (grained[10:-10, 20:60] * 0.125 - z_mm[10:-10, 20:60]).std()
    facing = (flat[10:-10, 20:60] * 0.125).std()
    assert facing == pytest.approx((400 / 500) ** 2, rel=0.1)  # mm
    assert slanted > 1.3 * facing


def test_any_sensor_is_of_every_family() -> None:
    random = np.random.default_rng(1)

    drawn = [draw_any_sensor(random, 1.0, 120, 160) for _ in range(300)]

    kinds = ["light" if one.optics is None else "stereo" if one.optics.fat_px > 0 else "flight" for one in drawn]
    assert {kind: kinds.count(kind) / 300 for kind in kinds} == pytest.approx(
        {"light": 0.5, "stereo": 0.25, "flight": 0.25}, abs=0.08
    )
    assert all(one.near_salt == one.hole_share == 0 for one in drawn)


def test_time_of_flight_has_no_steps_of_disparity() -> None:
    sensor = replace(draw_time_of_flight(np.random.default_rng(2), 0.125, 120, 160), optics=None, correlated_px=0.0)
    z_mm = np.linspace(600, 640, 160, dtype=np.float32) * np.ones((120, 1), np.float32)

    raw, _ = sense(z_mm, np.ones(z_mm.shape, np.bool_), FOCAL_PX, sensor)

    assert len(np.unique(raw[raw > 0])) > 140


def test_faults_take_the_shares_asked() -> None:
    z_mm, is_hand = disc(433.0)
    z_mm[z_mm == 0] = 800

    salted, salted_mask = sense(z_mm, is_hand, FOCAL_PX, replace(QUIET, near_salt=0.01))
    holed, holed_mask = sense(z_mm, is_hand, FOCAL_PX, replace(QUIET, hole_share=0.25))

    grains = (salted > 0) & (salted < 420)
    assert grains.mean() == pytest.approx(0.01, abs=0.003)
    assert salted[grains].min() >= 433 - 201 and salted[grains].max() <= 433 - 19  # mm
    assert not np.any(salted_mask & grains)
    assert 1 - holed_mask.sum() / is_hand.sum() == pytest.approx(0.25, abs=0.05)
    assert not np.any(holed_mask & (holed == 0))


def test_faults_depend_on_the_seed_alone() -> None:
    z_mm, is_hand = disc(433.0)
    faulty = replace(QUIET, near_salt=0.01, hole_share=0.2)

    first, second = (sense(z_mm, is_hand, FOCAL_PX, faulty)[0] for _ in range(2))
    other, _ = sense(z_mm, is_hand, FOCAL_PX, replace(faulty, seed=2))

    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)
