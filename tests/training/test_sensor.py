"""The depth camera's faults."""

from dataclasses import replace

import numpy as np
import pytest

from handmap.arrays import Bool, Float32
from training.sensor import BASELINE_MM, FLYING_MM, Sensor, draw_sensor, sense

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
    near, _ = sense(z_mm, is_hand, FOCAL_PX, replace(QUIET, least_mm=160.0))

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
